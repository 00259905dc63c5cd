#include "kernels/runtime/sort.h"

#include <algorithm>
#include <utility>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort_cub.h"

namespace basin::kernels {
namespace {

constexpr int digit_bits = 11;  // 2048 counters and as many open cache lines: what the L1 and L2 cache of a core hold

/// One stable pass over a digit: each part counts its own keys, then every (digit, part) knows where it writes. Returns
/// false and moves nothing if all keys have the same digit.
template <class Key>
bool scatter_digit(int64_t n, int parts, int shift, int bits, int64_t* count, const Key* keys, const int32_t* values,
                   Key* keys_out, int32_t* values_out) {
  const int digits = 1 << bits;
  const auto digit = [=](Key key) { return int(key >> shift) & (digits - 1); };
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int64_t* mine = count + int64_t(part) * digits;
    std::fill(mine, mine + digits, 0);
    for (int64_t i = part_begin(n, parts, part); i < part_begin(n, parts, part + 1); ++i)
      ++mine[digit(keys[i])];
  }
  int64_t sum = 0;
  for (int d = 0; d < digits; ++d) {
    const int64_t before = sum;
    for (int part = 0; part < parts; ++part) {
      int64_t& c = count[int64_t(part) * digits + d];
      const int64_t here = c;
      c = sum;
      sum += here;
    }
    if (sum - before == n) return false;
  }
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int64_t* mine = count + int64_t(part) * digits;
    for (int64_t i = part_begin(n, parts, part); i < part_begin(n, parts, part + 1); ++i) {
      const int64_t to = mine[digit(keys[i])]++;
      keys_out[to] = keys[i];
      values_out[to] = values[i];
    }
  }
  return true;
}

}  // namespace

template <class Key>
void sort_by_key(const Exec& exec, View<Key, 1> keys, View<int32_t, 1> values, int bits) {
  BASIN_CHECK(keys.dim[0] == values.dim[0], "keys ", keys, ", values ", values);
  BASIN_CHECK(bits >= 0 && bits <= int(8 * sizeof(Key)), bits, " bits");
  const int64_t n = keys.dim[0];
  if (n < 2 || bits == 0) return;
  if (exec.device != Device::cpu) {
#if BASIN_CUDA
    return cub_backend::sort_by_key(exec, keys, values, bits);
#endif
  }
  const int passes = (bits + digit_bits - 1) / digit_bits, width = (bits + passes - 1) / passes;
  const int parts = parts_for(n);
  Temp<int64_t> count(exec, int64_t(parts) << width);
  Temp<Key> other_keys(exec, n);
  Temp<int32_t> other_values(exec, n);
  Key *from = keys.data, *to = other_keys.data();
  int32_t *value_from = values.data, *value_to = other_values.data();
  for (int shift = 0; shift < bits; shift += width) {
    if (!scatter_digit(n, parts, shift, std::min(width, bits - shift), count.data(), from, value_from, to, value_to))
      continue;
    std::swap(from, to);
    std::swap(value_from, value_to);
  }
  if (from == keys.data) return;
  std::copy_n(from, n, keys.data);
  std::copy_n(value_from, n, values.data);
}
template void sort_by_key<uint32_t>(const Exec&, View<uint32_t, 1>, View<int32_t, 1>, int);
template void sort_by_key<uint64_t>(const Exec&, View<uint64_t, 1>, View<int32_t, 1>, int);

int64_t exclusive_sum(const Exec& exec, View<int32_t, 1> values) {
  const int64_t n = values.dim[0];
  if (exec.device != Device::cpu) {
#if BASIN_CUDA
    return cub_backend::exclusive_sum(exec, values);
#endif
  }
  const int parts = parts_for(n);
  Temp<int64_t> before(exec, parts);
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int64_t sum = 0;
    for (int64_t i = part_begin(n, parts, part); i < part_begin(n, parts, part + 1); ++i)
      sum += values.data[i];
    before[part] = sum;
  }
  int64_t total = 0;
  for (int part = 0; part < parts; ++part)
    total += std::exchange(before[part], total);
  BASIN_CHECK(total <= INT32_MAX, "the sum is ", total);
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int64_t sum = before[part];
    for (int64_t i = part_begin(n, parts, part); i < part_begin(n, parts, part + 1); ++i)
      sum += std::exchange(values.data[i], int32_t(sum));
  }
  return total;
}

void exclusive_scan(const Exec& exec, View<int32_t, 1> values) {
  if (exec.device != Device::cpu) {
#if BASIN_CUDA
    return cub_backend::exclusive_scan(exec, values);
#endif
  }
  exclusive_sum(exec, values);
}

}  // namespace basin::kernels

#include <omp.h>

#include <algorithm>
#include <numeric>

#include "engine/tensor.h"
#include "kernels/runtime/sort.h"
#include "tests/support/support.h"

using namespace basin;

namespace {

template <class Key>
std::vector<Key> random_keys(size_t n, int bits, unsigned seed) {
  std::mt19937_64 rng(seed);
  std::vector<Key> keys(n);
  for (Key& k : keys)
    k = bits ? Key(rng() >> (64 - bits)) : Key(0);
  return keys;
}

template <class Key>
void check_sort(const std::vector<Key>& keys, int bits) {
  std::vector<int32_t> want(keys.size());
  std::iota(want.begin(), want.end(), 0);
  const std::vector<int32_t> before = want;
  std::stable_sort(want.begin(), want.end(), [&](int32_t a, int32_t b) { return keys[size_t(a)] < keys[size_t(b)]; });
  std::vector<Key> want_keys = keys;
  std::sort(want_keys.begin(), want_keys.end());
  const int64_t n = int64_t(keys.size()), bytes = n * int64_t(sizeof(Key));
  for (const Exec& exec : test::execs()) {
    const Tensor order = Tensor::from(exec, {n}, before), at = Tensor::empty(exec, {bytes}, DType::u8);
    at.copy_from_host(exec, keys.data());
    kernels::sort_by_key<Key>(exec, {static_cast<Key*>(at.raw()), {int(n)}}, order.view<int32_t, 1>(), bits);
    std::vector<Key> sorted(keys.size());
    at.copy_to_host(exec, sorted.data());
    CHECK(order.to_host<int32_t>(exec) == want);
    CHECK(sorted == want_keys);
  }
}

}  // namespace

TEST_CASE("sort: sorts stably with any number of bits and threads") {
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 7}) {
    omp_set_num_threads(threads);
    for (const int bits : {0, 1, 5, 11, 12, 23, 33, 64})
      for (const size_t n : {0u, 1u, 2u, 1000u, 60000u})
        check_sort(random_keys<uint64_t>(n, bits, unsigned(bits)), bits);
    check_sort(random_keys<uint32_t>(60000, 32, 3), 32);
  }
  omp_set_num_threads(before);
}

TEST_CASE("sort: keys whose lower digits are all equal") {
  std::vector<uint64_t> keys = random_keys<uint64_t>(3000, 10, 1);
  for (uint64_t& k : keys)
    k = k << 40 | 77;
  check_sort(keys, 50);
}

TEST_CASE("sort: exclusive prefix sums, and the refusal of sums that overflow") {
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 7}) {
    omp_set_num_threads(threads);
    for (const size_t n : {0u, 1u, 5u, 100000u}) {
      std::vector<int32_t> values(n), want(n);
      for (size_t i = 0; i < n; ++i)
        values[i] = int32_t(i % 7);
      std::exclusive_scan(values.begin(), values.end(), want.begin(), 0);
      const int64_t total = std::accumulate(values.begin(), values.end(), int64_t(0));
      for (const Exec& exec : test::execs()) {
        const Tensor sums = Tensor::from(exec, {int64_t(n)}, values);
        CHECK(kernels::exclusive_sum(exec, sums.view<int32_t, 1>()) == total);
        CHECK(sums.to_host<int32_t>(exec) == want);
        const Tensor scanned = Tensor::from(exec, {int64_t(n)}, values);
        kernels::exclusive_scan(exec, scanned.view<int32_t, 1>());
        CHECK(scanned.to_host<int32_t>(exec) == want);
      }
    }
  }
  omp_set_num_threads(before);
  for (const Exec& exec : test::execs()) {
    const Tensor large = Tensor::from(exec, {3}, std::vector<int32_t>(3, INT32_MAX));
    CHECK_THROWS_AS(kernels::exclusive_sum(exec, large.view<int32_t, 1>()), Error);
  }
}

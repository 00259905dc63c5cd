#include "kernels/embedding/lovasz.h"

#include <cstring>
#include <utility>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

template <class T>
struct KeyOf;
template <>
struct KeyOf<float> {
  using Key = uint32_t;
  static constexpr int bits = 31;
  static constexpr Key infinity = 0x7f800000u;
};
template <>
struct KeyOf<double> {
  using Key = uint64_t;
  static constexpr int bits = 63;
  static constexpr Key infinity = 0x7ff0000000000000u;
};

/// Decreases where the error increases; below 2^bits. The bits of non-negative floats have the same order as the
/// floats.
template <class T>
BASIN_HD typename KeyOf<T>::Key falling_key(T error) {
  typename KeyOf<T>::Key bits = 0;
  if (error > 0) memcpy(&bits, &error, sizeof bits);
  return KeyOf<T>::infinity - bits;
}

/// J(m) - J(m - 1) of an element after `positives` of all `all_positives` and `negatives`.
BASIN_HD inline double lovasz_weight(bool is_positive, int64_t positives, int64_t negatives, int64_t all_positives) {
  const double in_either = double(all_positives + negatives);
  if (is_positive) return 1 / in_either;
  if (all_positives == 0) return negatives == 0;
  return double(all_positives - positives) / (in_either * (in_either + 1));
}

/// Processes segment after segment on the CPU.
template <class T>
struct SortSegment {
  using Key = typename KeyOf<T>::Key;
  static constexpr int digits = 1 << 8, wide_digits = 1 << 11;
  Segments segments;
  const T* error;
  const uint8_t* positive;
  Key *keys, *other_keys;
  int32_t *order, *other_order;
  T* weight;

  template <int Digits>
  void sort(int n, Key* from, Key* to, int32_t*& order_from, int32_t*& order_to) const {
    for (int shift = 0; shift < KeyOf<T>::bits; shift += Digits == digits ? 8 : 11) {
      int32_t count[Digits] = {};
      for (int i = 0; i < n; ++i)
        ++count[int(from[i] >> shift) & (Digits - 1)];
      if (count[int(from[0] >> shift) & (Digits - 1)] == n) continue;
      int32_t sum = 0;
      for (int32_t& c : count)
        sum += std::exchange(c, sum);
      for (int i = 0; i < n; ++i) {
        const int32_t at = count[int(from[i] >> shift) & (Digits - 1)]++;
        to[at] = from[i];
        order_to[at] = order_from[i];
      }
      std::swap(from, to);
      std::swap(order_from, order_to);
    }
  }

  void operator()(int64_t s) const {
    const int begin = segments.begin(int(s)), n = segments.end(int(s)) - begin;
    if (n == 0) return;
    int32_t *sorted = order + begin, *other = other_order + begin;
    int64_t all_positives = 0;
    for (int i = 0; i < n; ++i) {
      keys[begin + i] = falling_key(error[begin + i]);
      sorted[i] = begin + i;
      all_positives += positive[begin + i];
    }
    if (n < 1024)
      sort<digits>(n, keys + begin, other_keys + begin, sorted, other);
    else
      sort<wide_digits>(n, keys + begin, other_keys + begin, sorted, other);
    int64_t positives = 0;
    for (int i = 0; i < n; ++i) {
      const bool is_positive = positive[sorted[i]] != 0;
      weight[sorted[i]] = T(lovasz_weight(is_positive, positives, i - positives, all_positives));
      positives += is_positive;
    }
  }
};

/// For sorting all segments at once: the key of an element begins with its segment; elements without a segment come
/// last.
struct MakeKeys {
  Segments segments;
  const float* error;
  uint64_t* keys;
  int32_t* order;
  BASIN_HD void operator()(int64_t i) const {
    const bool in_list = i < segments.begin(segments.count);
    const int segment = in_list ? segments.of(int32_t(i)) : segments.count;
    keys[i] = uint64_t(segment) << KeyOf<float>::bits | (in_list ? falling_key(error[i]) : 0u);
    order[i] = int32_t(i);
  }
};

struct PositiveInOrder {
  Segments segments;
  const int32_t* order;
  const uint8_t* positive;
  int64_t n;
  int32_t* flag;  // [n + 1]
  BASIN_HD void operator()(int64_t i) const {
    flag[i] = i < segments.begin(segments.count) && i < n ? positive[order[i]] : 0;
  }
};

struct WeightInOrder {
  Segments segments;
  const int32_t *order, *before;  // before [n + 1]: number of positives before each position, from the first segment on
  const uint8_t* positive;
  int n;
  float* weight;
  BASIN_HD void operator()(int64_t i) const {
    const int32_t slot = order[i];
    if (i >= segments.begin(segments.count)) {
      weight[slot] = 0;
      return;
    }
    const int segment = segments.of(int32_t(i)), begin = segments.begin(segment);
    const int end = segments.end(segment) < n ? segments.end(segment) : n;
    const int positives = before[i] - before[begin];
    weight[slot] =
        float(lovasz_weight(positive[slot] != 0, positives, i - begin - positives, before[end] - before[begin]));
  }
};

}  // namespace

template <class T>
void lovasz_weights(const Exec& exec, const Segments& segments, View<const T, 1> error, View<const uint8_t, 1> positive,
                    View<T, 1> weight) {
  const int n = error.dim[0];
  BASIN_CHECK(positive.dim[0] == n && weight.dim[0] == n && segments.count > 0 && segments.stride > 0, "errors ", error,
              ", positive ", positive, ", weights ", weight, ", ", segments.count, " segments");
  if (n == 0) return;
  const Temp<int32_t> order(exec, n);
  if (exec.device == Device::cpu && exec.variant != Variant::plain) {
    using Key = typename KeyOf<T>::Key;
    const int listed = segments.begin(segments.count);
    BASIN_CHECK(listed <= n, listed, " elements in segments, but only ", n);
    const Temp<int32_t> other_order(exec, n);
    const Temp<Key> keys(exec, n), other_keys(exec, n);
    const SortSegment<T> f{segments,          error.data,   positive.data,      keys.data(),
                           other_keys.data(), order.data(), other_order.data(), weight.data};
    for_each_task(segments.count, f);
    for_each(exec, n - listed, Fill<T>{weight.data + listed, 0});
    return;
  }
  if constexpr (std::is_same_v<T, float>) {
    int bits = KeyOf<float>::bits + 1;
    while (segments.count >> (bits - KeyOf<float>::bits) > 0)
      ++bits;
    const Temp<uint64_t> keys(exec, n);
    const Temp<int32_t> before(exec, int64_t(n) + 1);
    for_each(exec, n, MakeKeys{segments, error.data, keys.data(), order.data()});
    sort_by_key<uint64_t>(exec, {keys.data(), {n}}, {order.data(), {n}}, bits);
    for_each(exec, int64_t(n) + 1, PositiveInOrder{segments, order.data(), positive.data, n, before.data()});
    exclusive_scan(exec, {before.data(), {n + 1}});
    for_each(exec, n, WeightInOrder{segments, order.data(), before.data(), positive.data, n, weight.data});
  } else {
    BASIN_CHECK(false, "on a GPU errors must be float32");
  }
}
template void lovasz_weights<float>(const Exec&, const Segments&, View<const float, 1>, View<const uint8_t, 1>,
                                    View<float, 1>);
template void lovasz_weights<double>(const Exec&, const Segments&, View<const double, 1>, View<const uint8_t, 1>,
                                     View<double, 1>);

}  // namespace basin::kernels

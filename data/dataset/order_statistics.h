#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace basin {

/// Order-preserving bijection between floats (no NaN) and unsigned integers.
inline uint32_t order_key(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
inline float value_of_key(uint32_t key) { return std::bit_cast<float>(key >> 31 ? key & 0x7fffffffu : ~key); }

/// The values at four ranks of the sorted values, without sorting or copying: histograms of the upper 16 bits of the
/// key, then of the lower 16 within the bins that contain the ranks.
template <class V>
std::array<float, 4> order_statistics(size_t n, V value, const std::array<size_t, 4>& ranks) {
  std::vector<uint64_t> upper(65536);
  for (size_t i = 0; i < n; ++i)
    ++upper[order_key(value(i)) >> 16];
  std::array<uint32_t, 4> bins;
  std::array<uint64_t, 4> rest;  // ranks within their bins
  for (size_t k = 0; k < 4; ++k) {
    rest[k] = ranks[k];
    bins[k] = 0;
    while (rest[k] >= upper[bins[k]])
      rest[k] -= upper[bins[k]++];
  }
  std::array<float, 4> found;
  std::vector<uint64_t> lower(65536);
  for (size_t k = 0; k < 4; ++k) {
    if (k == 0 || bins[k] != bins[k - 1]) {
      std::fill(lower.begin(), lower.end(), 0);
      for (size_t i = 0; i < n; ++i) {
        const uint32_t key = order_key(value(i));
        if (key >> 16 == bins[k]) ++lower[key & 65535];
      }
    }
    uint32_t low = 0;
    for (uint64_t left = rest[k]; left >= lower[low]; ++low)
      left -= lower[low];
    found[k] = value_of_key(bins[k] << 16 | low);
  }
  return found;
}

/// The value at rank round(share (n - 1)) of n sorted values; 0 if there are none. Reorders the values.
inline double at_share(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = values.begin() + std::ptrdiff_t(std::lround(share * double(values.size() - 1)));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace basin

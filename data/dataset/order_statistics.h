#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/runtime/elementary.h"

namespace basin {

/// Finds the values at four ranks of sorted values that are added in two passes: histograms of the upper 16 bits of the
/// key, then of the lower 16 within the bins that contain the ranks.
class RankFinder {
 public:
  /// First pass.
  void add_upper(float v) { ++upper_[kernels::order_key(v) >> 16]; }
  uint64_t count() const {
    uint64_t n = 0;
    for (const uint64_t in_bin : upper_)
      n += in_bin;
    return n;
  }
  /// After the first pass. Ranks are from 0.
  void choose(const std::array<size_t, 4>& ranks) {
    for (size_t k = 0; k < 4; ++k) {
      rest_[k] = ranks[k];
      bins_[k] = 0;
      while (rest_[k] >= upper_[bins_[k]])
        rest_[k] -= upper_[bins_[k]++];
      const size_t same = size_t(std::find(bins_.begin(), bins_.begin() + k, bins_[k]) - bins_.begin());
      of_bin_[k] = same < k ? of_bin_[same] : lower_.size();
      if (same == k) lower_.emplace_back(65536);
    }
  }
  /// Second pass.
  void add_lower(float v) {
    const uint32_t key = kernels::order_key(v), bin = key >> 16;
    for (size_t k = 0; k < 4; ++k)
      if (bin == bins_[k]) {
        ++lower_[of_bin_[k]][key & 65535];
        return;
      }
  }
  /// After both.
  std::array<float, 4> values() const {
    std::array<float, 4> found;
    for (size_t k = 0; k < 4; ++k) {
      const std::vector<uint64_t>& lower = lower_[of_bin_[k]];
      uint32_t low = 0;
      for (uint64_t left = rest_[k]; left >= lower[low]; ++low)
        left -= lower[low];
      found[k] = kernels::value_of_key(bins_[k] << 16 | low);
    }
    return found;
  }

 private:
  std::vector<uint64_t> upper_ = std::vector<uint64_t>(65536);
  std::vector<std::vector<uint64_t>> lower_;  // of each bin that contains a rank
  std::array<uint32_t, 4> bins_ = {};
  std::array<uint64_t, 4> rest_ = {};  // ranks within their bins
  std::array<size_t, 4> of_bin_ = {};  // histograms of these bins
};

/// The values at four ranks of the n sorted values value(0), value(1), ..., without sorting or copying.
template <class V>
std::array<float, 4> order_statistics(size_t n, V value, const std::array<size_t, 4>& ranks) {
  RankFinder finder;
  for (size_t i = 0; i < n; ++i)
    finder.add_upper(value(i));
  finder.choose(ranks);
  for (size_t i = 0; i < n; ++i)
    finder.add_lower(value(i));
  return finder.values();
}

/// The value at rank round(share (n - 1)) of n sorted values; 0 if there are none. Reorders the values.
inline double at_share(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = values.begin() + std::ptrdiff_t(std::lround(share * double(values.size() - 1)));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace basin

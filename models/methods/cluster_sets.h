#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace basin {

/// Clusters that were found in parts of the image, and the sets of those that turned out to be connected.
class ClusterSets {
 public:
  /// A new cluster whose smallest core point so far is at this pixel, in raster order. Numbers begin at 1.
  int32_t add(int64_t first_pixel) {
    parent_.push_back(int32_t(parent_.size()));
    first_.push_back(first_pixel);
    return parent_.back();
  }
  /// Unites the sets of two clusters. Returns false if they were one set already.
  bool unite(int32_t a, int32_t b) {
    a = find(a), b = find(b);
    if (a == b) return false;
    if (first_[size_t(b)] < first_[size_t(a)]) std::swap(a, b);
    parent_[size_t(b)] = a;
    return true;
  }
  /// The number of each cluster's set, from 0, in the order of the smallest core points of the sets.
  std::vector<int32_t> numbers() {
    std::vector<int32_t> roots;
    for (int32_t k = 1; k < int32_t(parent_.size()); ++k)
      if (parent_[size_t(k)] == k) roots.push_back(k);
    std::sort(roots.begin(), roots.end(), [&](int32_t a, int32_t b) { return first_[size_t(a)] < first_[size_t(b)]; });
    std::vector<int32_t> number(parent_.size());
    for (size_t k = 0; k < roots.size(); ++k)
      number[size_t(roots[k])] = int32_t(k);
    for (int32_t k = 1; k < int32_t(parent_.size()); ++k)
      number[size_t(k)] = number[size_t(find(k))];
    return number;
  }

 private:
  int32_t find(int32_t k) {
    for (; parent_[size_t(k)] != k; k = parent_[size_t(k)])
      parent_[size_t(k)] = parent_[size_t(parent_[size_t(k)])];
    return k;
  }

  std::vector<int32_t> parent_{0};
  std::vector<int64_t> first_{0};
};

}  // namespace basin

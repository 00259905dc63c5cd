#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/runtime/platform.h"

namespace basin {

/// Clusters that were found in parts of the image, and the sets of those that turned out to be connected. A cluster is
/// named by its smallest core point, so that its name does not depend on the order in which parts are searched.
class ClusterSets {
 public:
  explicit ClusterSets(std::vector<int32_t> names) : names_(std::move(names)) {
    std::sort(names_.begin(), names_.end());
    names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
    parent_.resize(names_.size());
    for (size_t k = 0; k < parent_.size(); ++k)
      parent_[k] = k;
  }
  /// Unites the sets of two clusters.
  void unite(int32_t a, int32_t b) {
    const size_t root_a = root_of(place_of(a)), root_b = root_of(place_of(b));
    parent_[std::max(root_a, root_b)] = std::min(root_a, root_b);
  }
  /// Numbers the sets from 0 in the order of their smallest core points.
  void number() {
    numbers_.assign(names_.size(), 0);
    int32_t count = 0;
    for (size_t k = 0; k < names_.size(); ++k)  // a set's root is its smallest cluster, and comes first
      numbers_[k] = parent_[k] == k ? count++ : numbers_[root_of(k)];
  }
  /// The number of the set of a cluster.
  int32_t number_of(int32_t name) const { return numbers_[place_of(name)]; }

 private:
  size_t place_of(int32_t name) const {
    const auto at = std::lower_bound(names_.begin(), names_.end(), name);
    BASIN_CHECK(at != names_.end() && *at == name, "no cluster begins at ", name);
    return size_t(at - names_.begin());
  }
  size_t root_of(size_t k) {
    for (; parent_[k] != k; k = parent_[k])
      parent_[k] = parent_[parent_[k]];
    return k;
  }

  std::vector<int32_t> names_;  // in rising order
  std::vector<size_t> parent_;  // the place in `names` of another cluster of the set that is smaller, or its own
  std::vector<int32_t> numbers_;
};

}  // namespace basin

#pragma once
#include <cstdint>
#include <vector>

namespace basin {

/// A smooth random function of the plane with values in [-1, 1]: a uniform cubic B-spline over independent uniform
/// numbers at the nodes of a square lattice; its standard deviation is about 0.28. A node's number depends only on the
/// key and the node, so that the function does not depend on the part that is evaluated.
class SmoothNoise {
 public:
  /// For columns x0 to x0 + n - 1. `spacing`: distance of the nodes, in pixels.
  SmoothNoise(uint64_t key, float spacing, int x0, int n);

  /// The n values of row y, valid until the next call. Rows are cheapest in increasing order.
  const float* row(int y);

 private:
  void fill_lattice_row(int j, float* nodes) const;

  uint64_t key_;
  float spacing_;
  int first_node_ = 0, top_ = 0;
  bool filled_ = false;
  std::vector<int> node_;       // per column: the first of its four nodes, counted from first_node_
  std::vector<float> weights_;  // [n][4]
  std::vector<float> lattice_[4], line_, values_;
};

}  // namespace basin

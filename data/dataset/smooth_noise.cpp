#include "data/dataset/smooth_noise.h"

#include <array>
#include <cmath>
#include <utility>

#include "kernels/runtime/philox.h"

namespace basin {
namespace {

/// The position of a coordinate among the nodes, and the weights of the four nodes that affect it.
struct Spline {
  int first;
  std::array<float, 4> weight;

  explicit Spline(double at) {
    const double below = std::floor(at);
    const float t = float(at - below), s = 1 - t;
    first = int(below) - 1;
    weight = {s * s * s / 6, (4 - 6 * t * t + 3 * t * t * t) / 6, (4 - 6 * s * s + 3 * s * s * s) / 6, t * t * t / 6};
  }
};

}  // namespace

SmoothNoise::SmoothNoise(uint64_t key, float spacing, int x0, int n)
    : key_(key), spacing_(spacing), node_(size_t(n)), weights_(size_t(n) * 4), values_(size_t(n)) {
  BASIN_CHECK(spacing > 0 && n > 0, "a lattice with a spacing of ", spacing, " and ", n, " columns");
  first_node_ = Spline(double(x0) / spacing).first;
  for (int i = 0; i < n; ++i) {
    const Spline s(double(x0 + i) / spacing);
    node_[size_t(i)] = s.first - first_node_;
    for (size_t k = 0; k < 4; ++k)
      weights_[size_t(i) * 4 + k] = s.weight[k];
  }
  const size_t nodes = size_t(node_.back()) + 4;
  for (std::vector<float>& row : lattice_)
    row.resize(nodes);
  line_.resize(nodes);
}

void SmoothNoise::fill_lattice_row(int j, float* nodes) const {
  for (size_t i = 0; i < line_.size(); ++i) {
    const Philox random(key_, uint64_t(uint32_t(j)) << 32 | uint32_t(first_node_ + int(i)), 0);
    nodes[i] = float(random.word[0] >> 8) * 0x1p-23f - 1;
  }
}

const float* SmoothNoise::row(int y) {
  const Spline s(double(y) / spacing_);
  if (filled_ && s.first == top_ + 1) {
    for (size_t k = 0; k < 3; ++k)
      std::swap(lattice_[k], lattice_[k + 1]);
    fill_lattice_row(s.first + 3, lattice_[3].data());
  } else if (!filled_ || s.first != top_) {
    for (int k = 0; k < 4; ++k)
      fill_lattice_row(s.first + k, lattice_[k].data());
  }
  filled_ = true;
  top_ = s.first;
  for (size_t i = 0; i < line_.size(); ++i)
    line_[i] = s.weight[0] * lattice_[0][i] + s.weight[1] * lattice_[1][i] + s.weight[2] * lattice_[2][i] +
               s.weight[3] * lattice_[3][i];
  for (size_t i = 0; i < values_.size(); ++i) {
    const float *w = &weights_[i * 4], *at = &line_[size_t(node_[i])];
    values_[i] = w[0] * at[0] + w[1] * at[1] + w[2] * at[2] + w[3] * at[3];
  }
  return values_.data();
}

}  // namespace basin

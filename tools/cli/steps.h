#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/arrays/array.h"
#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/cluster/dbscan.h"
#include "kernels/field/distance_field.h"
#include "kernels/flow/integrate.h"
#include "tools/cli/options.h"

// The individual steps of the vector field methods, with their options. `name` is always the name of the array in
// messages: its file, or what it is.
namespace basin::tools {

/// The vector field of a label image.
class FieldStep {
 public:
  void add_to(Command&);
  /// Throws one sentence if the options contradict each other.
  void check() const;
  /// The field [2, H, W]: x, y. As in training, the outside of the image is background.
  Tensor field_of(const Exec&, const Labels&, const std::string& name) const;

 private:
  std::string kind_ = "sdf", mode_ = "unit";
  kernels::SdfFieldOptions sdf_;
};

/// Points that move through a field.
class IntegrateStep {
 public:
  void add_to(Command&);
  /// Throws one sentence if the options contradict each other.
  kernels::IntegrateOptions options() const;

 private:
  std::string solver_ = "euler", interpolation_ = "bilinear", suppression_ = "none";
  kernels::IntegrateOptions options_;
};

/// Throws unless the array is a field [2, H, W] of finite real numbers whose size integration supports.
void expect_field(const Array&, const std::string& name);
/// Throws unless the array is points [N, 2] of finite real numbers.
void expect_points(const Array&, const std::string& name);

/// Clusters of points.
class ClusterStep {
 public:
  void add_to(Command&);
  /// Throws one sentence if an option has no valid value.
  void check() const;
  /// The cluster, from 0, of each of the points [N, 2], which expect_clusterable() accepts; -1 for noise.
  std::vector<int32_t> labels_of(const Exec&, const Array& points, int64_t& clusters) const;

 private:
  kernels::DbscanOptions dbscan_;
  std::string snap_noise_ = "none";
};

/// Throws unless the array is points [N, 2] of finite real numbers, and not more of them than can be clustered.
void expect_clusterable(const Array&, const std::string& name);

}  // namespace basin::tools

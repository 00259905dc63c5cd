#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/tensor.h"
#include "kernels/runtime/prepared_weights.h"

namespace basin {

/// A learnt tensor and its gradient, in which backward passes accumulate: two slices of the flat buffers of a Params.
struct Parameter {
  Tensor value, gradient;
};

/// PyTorch's bound for the initial weights and biases of a convolution, 1 / sqrt(fan_in), from the weight's shape. As
/// in PyTorch, the fan_in of a transposed convolution, whose weight is [in, out, kernel_h, kernel_w], is its second
/// dimension times the area of the kernel.
double pytorch_bound(const Shape& weight);

/// All learnt values, gradients and running statistics of a network: three flat buffers with named slices, so that
/// zeroing, clipping, updating or saving takes one pass each. First add all names; allocate() then allocates the
/// buffers.
class Params {
 public:
  explicit Params(DType dtype = DType::f32) : dtype_(dtype) {}
  Params(const Params&) = delete;  // networks refer to it
  Params& operator=(const Params&) = delete;

  /// Adds a learnt tensor. init() draws it from U(-bound, bound), or sets it to `constant` if bound is 0. Returns its
  /// handle.
  int add(std::string name, Shape shape, double bound, double constant = 0);
  /// Adds a learnt weight [out, in, kernel_h, kernel_w]. init() draws it like Keras's he_normal: from a normal
  /// distribution truncated at two standard deviations, with a variance of 2 / fan_in after truncation. Returns its
  /// handle.
  int add_he_normal(std::string name, Shape shape);
  /// Adds a running statistic with its initial value. Returns its handle.
  int add_statistic(std::string name, Shape shape, double constant);

  void allocate(const Exec&);
  /// Sets initial values; those of a tensor depend only on the seed and on its position.
  void init(const Exec&, uint64_t seed);
  /// Copies the values and running statistics of `from`, whose type this shares. Throws one sentence that names the
  /// first tensor whose name or shape differs. Both are allocated, on the same device.
  void copy_from(const Exec&, const Params& from);

  /// Excludes the learnt tensors whose names begin with `prefix` from training.
  void freeze(const std::string& prefix);
  bool frozen(int handle) const { return learnt_.names.at(size_t(handle)).frozen; }
  /// The elements of values() that are not frozen, as ranges from a first element to one past the last.
  struct Range {
    int64_t first, last;
  };
  std::vector<Range> trained() const;

  Parameter parameter(int handle) const;
  /// From now on calls f(handle) before each parameter(handle); null: no longer.
  void watch(std::function<void(int handle)> f) { watch_ = std::move(f); }
  Tensor statistic(int handle) const;

  struct Named {
    std::string name;
    Shape shape;
    double bound, constant;
    double deviation;  // of a normal distribution truncated at twice this; 0: not normal
    int64_t offset;    // in elements, a multiple of 16
    bool frozen = false;
  };
  const std::vector<Named>& learnt() const { return learnt_.names; }
  const std::vector<Named>& statistics() const { return statistics_.names; }
  int64_t count() const;  // number of learnt values

  DType dtype() const { return dtype_; }
  /// The flat buffers, including gaps between slices; gaps are 0.
  const Tensor& values() const { return values_; }
  const Tensor& gradients() const { return gradients_; }
  const Tensor& running() const { return running_; }
  /// For inference: with this in Exec::prepared, convolutions cache the weights in the forms that they compute with, so
  /// that the values must no longer change.
  std::unique_ptr<PreparedWeights> prepared_weights() const;
  /// Swaps the values and the running statistics with others of the same shapes, such as moving averages.
  void exchange(Tensor& values, Tensor& running);
  Tensor value_slice(const Named&) const;
  Tensor statistic_slice(const Named&) const;

 private:
  struct Table {
    std::vector<Named> names;
    int64_t size = 0;
    int add(Named);
  };
  Tensor slice(const Tensor& flat, const Named&) const;

  DType dtype_;
  Table learnt_, statistics_;
  Tensor values_, gradients_, running_;
  std::function<void(int)> watch_;
};

}  // namespace basin

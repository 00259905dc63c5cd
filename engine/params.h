#pragma once
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace basin {

/// A learnt tensor and where its gradient is added up: two slices of the flat buffers of a Params.
struct Parameter {
  Tensor value, gradient;
};

/// PyTorch's bound of a convolution's first weights and biases, 1 / sqrt(fan_in), from the weight's shape. The fan_in
/// of a transposed convolution, whose weight is [in, out, kernel_h, kernel_w], is PyTorch's too: its second dimension
/// times the area of the kernel.
double pytorch_bound(const Shape& weight);

/// All of a network's learnt values, gradients and running statistics: three flat buffers with named slices, so that
/// to zero, clip, step or save them is one pass each. Names are added first; allocate() then makes the buffers.
class Params {
 public:
  explicit Params(DType dtype = DType::f32) : dtype_(dtype) {}
  Params(const Params&) = delete;  // networks refer to it
  Params& operator=(const Params&) = delete;

  /// A learnt tensor, drawn from U(-bound, bound) by init(), or set to `constant` where bound is 0. Returns its handle.
  int add(std::string name, Shape shape, double bound, double constant = 0);
  /// A learnt weight [out, in, kernel_h, kernel_w], drawn by init() from the normal distribution of Keras's he_normal:
  /// cut off at two standard deviations, with a variance of 2 / fan_in after the cut. Returns its
  /// handle.
  int add_he_normal(std::string name, Shape shape);
  /// A running statistic, with its first value. Returns its handle.
  int add_statistic(std::string name, Shape shape, double constant);

  void allocate(const Exec&);
  /// First values; a tensor's depend on the seed and on its position alone.
  void init(const Exec&, uint64_t seed);
  /// Copies the values and running statistics of `from`, whose type this shares. Throws one sentence that names the
  /// first tensor whose name or shape differs. Both are allocated, on the same device.
  void copy_from(const Exec&, const Params& from);

  Parameter parameter(int handle) const;
  Tensor statistic(int handle) const;

  struct Named {
    std::string name;
    Shape shape;
    double bound, constant;
    double deviation;  // of a normal distribution cut off at twice that; 0: none
    int64_t offset;    // in elements, a multiple of 16
  };
  const std::vector<Named>& learnt() const { return learnt_.names; }
  const std::vector<Named>& statistics() const { return statistics_.names; }
  int64_t count() const;  // learnt values

  DType dtype() const { return dtype_; }
  /// The flat buffers, gaps between slices included; gaps are 0.
  const Tensor& values() const { return values_; }
  const Tensor& gradients() const { return gradients_; }
  const Tensor& running() const { return running_; }
  /// Exchanges the values and the running statistics for others of the same shapes, such as moving averages.
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
};

}  // namespace basin

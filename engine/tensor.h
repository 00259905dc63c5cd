#pragma once
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin {

enum class DType : uint8_t { f32, f64, i32, u8, bf16 };
template <class T>
constexpr DType dtype_of = std::is_same_v<T, float>      ? DType::f32
                           : std::is_same_v<T, double>   ? DType::f64
                           : std::is_same_v<T, int32_t>  ? DType::i32
                           : std::is_same_v<T, bfloat16> ? DType::bf16
                                                         : DType::u8;
size_t size_of(DType);

/// The memory layout of [N, C, H, W]. Tensors of other ranks are row-major and count as nchw.
enum class Layout : uint8_t { nchw, nhwc, blocked8, blocked16 };

/// Up to five dimensions, stored without heap allocation.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  int rank() const { return rank_; }
  int operator[](int d) const { return dim_[d]; }
  int64_t size() const;
  bool operator==(const Shape&) const = default;

 private:
  int rank_ = 0;
  int dim_[5] = {};
};
std::ostream& operator<<(std::ostream&, const Shape&);

/// A dense array on one device. Copies share the data. Memory comes from exec.scratch, or from the device's Pool.
class Tensor {
 public:
  Tensor() = default;
  /// Not initialised, except that the padding lanes of blocked layouts are zeroed if C is not a multiple of the block.
  static Tensor empty(const Exec&, Shape, DType = DType::f32, Layout = Layout::nchw);
  static Tensor zeros(const Exec&, Shape, DType = DType::f32, Layout = Layout::nchw);
  /// A tensor in part of a buffer, which `owner` keeps alive.
  static Tensor borrow(std::shared_ptr<void> owner, void* data, Device, Shape, DType);
  template <class T>
  static Tensor from(const Exec& exec, Shape shape, const std::vector<T>& values) {
    Tensor t = empty(exec, shape, dtype_of<T>);
    BASIN_CHECK(int64_t(values.size()) == shape.size(), values.size(), " values for ", shape);
    t.copy_from_host(exec, values.data());
    return t;
  }
  template <class T>
  std::vector<T> to_host(const Exec& exec) const {
    BASIN_CHECK(dtype_of<T> == dtype_ && layout_ == Layout::nchw, "the element type or layout does not match");
    std::vector<T> v(size_t(shape_.size()));
    copy_to_host(exec, v.data());
    return v;
  }
  void copy_from_host(const Exec&, const void*) const;  // bytes() bytes; also on a GPU the copy is complete on return
  void copy_to_host(const Exec&, void*) const;
  /// Copies the elements of another tensor with the same shape, type, layout and device.
  void copy_from(const Exec&, const Tensor&) const;
  /// A copy that does not share its memory.
  Tensor clone(const Exec&) const;
  void zero(const Exec&) const;
  /// The tensor itself if it lies in the memory of `exec`'s device, otherwise a copy there of a row-major host tensor.
  Tensor to_device(const Exec&) const;
  /// Its elements in host memory: on the CPU the tensor itself.
  Tensor to_host(const Exec&) const;
  /// A tensor with the same shape, element type and layout, but without memory.
  Tensor without_data() const {
    Tensor t = *this;
    t.data_ = nullptr;
    return t;
  }

  /// The elements as a view of rank N. Only for row-major tensors.
  template <class T, int N>
  View<T, N> view() const {
    BASIN_CHECK(shape_.rank() == N && dtype_of<std::remove_const_t<T>> == dtype_ && layout_ == Layout::nchw, "tensor ",
                shape_);
    View<T, N> v;
    v.data = static_cast<T*>(data_.get());
    for (int d = 0; d < N; ++d)
      v.dim[d] = shape_[d];
    return v;
  }
  /// The elements as feature maps, in any layout.
  template <class T>
  FeatureView<T> features() const {
    BASIN_CHECK(shape_.rank() == 4 && dtype_of<std::remove_const_t<T>> == dtype_, "tensor ", shape_);
    return {static_cast<T*>(data_.get()), shape_[0], shape_[1], shape_[2], shape_[3], block()};
  }
  template <class T>
  T* data() const {
    BASIN_CHECK(dtype_of<std::remove_const_t<T>> == dtype_, "the element type does not match");
    return static_cast<T*>(data_.get());
  }
  void* raw() const { return data_.get(); }
  const std::shared_ptr<void>& owner() const { return data_; }
  const Shape& shape() const { return shape_; }
  int dim(int d) const { return shape_[d]; }
  DType dtype() const { return dtype_; }
  Layout layout() const { return layout_; }
  Device device() const { return device_; }
  /// Lanes per group of a FeatureView: 1 in nchw, C in nhwc, 8 or 16 in the blocked layouts.
  int block() const;
  size_t bytes() const;  // padding lanes included
  explicit operator bool() const { return data_ != nullptr; }

 private:
  std::shared_ptr<void> data_;
  Shape shape_;
  DType dtype_ = DType::f32;
  Layout layout_ = Layout::nchw;
  Device device_ = Device::cpu;
};

/// Calls f with a value of the element type `dtype`, f32 or f64.
template <class F>
void with_real(DType dtype, F f) {
  BASIN_CHECK(dtype == DType::f32 || dtype == DType::f64, "expected f32 or f64");
  dtype == DType::f32 ? f(float{}) : f(double{});
}
/// The same for the element types of a network's maps: f32, f64 or bf16.
template <class F>
void with_map(DType dtype, F f) {
  dtype == DType::bf16 ? f(bfloat16{}) : with_real(dtype, f);
}

}  // namespace basin

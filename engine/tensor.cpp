#include "engine/tensor.h"

#include <limits>

#include "engine/pool.h"

namespace basin {

size_t size_of(DType t) {
  switch (t) {
    case DType::f64:
      return 8;
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
    default:
      return 4;
  }
}

Shape::Shape(std::initializer_list<int64_t> dims) {
  BASIN_CHECK(dims.size() <= 5, "rank ", dims.size());
  for (int64_t d : dims) {
    BASIN_CHECK(d >= 0 && d <= std::numeric_limits<int>::max(), "dimension ", d);
    dim_[rank_++] = int(d);
  }
}

int64_t Shape::size() const {
  int64_t n = 1;
  for (int d = 0; d < rank_; ++d)
    n *= dim_[d];
  return n;
}

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  out << '[';
  for (int d = 0; d < s.rank(); ++d)
    out << (d ? "x" : "") << s[d];
  return out << ']';
}

int Tensor::block() const {
  switch (layout_) {
    case Layout::nhwc:
      return shape_[1] > 0 ? shape_[1] : 1;
    case Layout::blocked8:
      return 8;
    case Layout::blocked16:
      return 16;
    default:
      return 1;
  }
}

size_t Tensor::bytes() const {
  int64_t n = shape_.size();
  if (layout_ != Layout::nchw && n > 0) n = n / shape_[1] * ((shape_[1] + block() - 1) / block() * block());
  return size_t(n) * size_of(dtype_);
}

Tensor Tensor::empty(const Exec& exec, Shape shape, DType dtype, Layout layout) {
  BASIN_CHECK(layout == Layout::nchw || shape.rank() == 4, "layout of ", shape);
  Tensor t;
  t.shape_ = shape, t.dtype_ = dtype, t.layout_ = layout, t.device_ = exec.device;
  const size_t bytes = t.bytes();
  Scratch* from = exec.scratch ? exec.scratch : &pool_of(exec.device);
  t.data_ = {from->take(bytes ? bytes : 1), [from, bytes](void* p) { from->give(p, bytes ? bytes : 1); }};
  if (layout != Layout::nchw && shape[1] % t.block() != 0) t.zero(exec);
  return t;
}

Tensor Tensor::zeros(const Exec& exec, Shape shape, DType dtype, Layout layout) {
  Tensor t = empty(exec, shape, dtype, layout);
  t.zero(exec);
  return t;
}

Tensor Tensor::borrow(std::shared_ptr<void> owner, void* data, Device device, Shape shape, DType dtype) {
  Tensor t;
  t.shape_ = shape, t.dtype_ = dtype, t.device_ = device;
  t.data_ = std::shared_ptr<void>(std::move(owner), data);
  return t;
}

void Tensor::zero(const Exec& exec) const {
#if BASIN_CUDA
  if (device_ == Device::cuda) {
    BASIN_CUDA_CHECK(cudaMemsetAsync(raw(), 0, bytes(), exec.stream));
    return;
  }
#endif
  (void)exec;
  std::memset(raw(), 0, bytes());
}

void Tensor::copy_from_host(const Exec& exec, const void* from) const {
#if BASIN_CUDA
  if (device_ == Device::cuda) {
    BASIN_CUDA_CHECK(cudaMemcpyAsync(raw(), from, bytes(), cudaMemcpyHostToDevice, exec.stream));
    BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
    return;
  }
#endif
  (void)exec;
  if (bytes() > 0) std::memcpy(raw(), from, bytes());  // an empty tensor has a null address
}

void Tensor::copy_from(const Exec& exec, const Tensor& from) const {
  BASIN_CHECK(from.shape_ == shape_ && from.dtype_ == dtype_ && from.layout_ == layout_ && from.device_ == device_,
              "tensors ", from.shape_, " and ", shape_);
#if BASIN_CUDA
  if (device_ == Device::cuda) {
    BASIN_CUDA_CHECK(cudaMemcpyAsync(raw(), from.raw(), bytes(), cudaMemcpyDeviceToDevice, exec.stream));
    return;
  }
#endif
  (void)exec;
  if (bytes() > 0) std::memcpy(raw(), from.raw(), bytes());
}

Tensor Tensor::clone(const Exec& exec) const {
  const Tensor copy = empty(exec, shape_, dtype_, layout_);
  copy.copy_from(exec, *this);
  return copy;
}

Tensor Tensor::to_device(const Exec& exec) const {
  if (device_ == exec.device) return *this;
  BASIN_CHECK(device_ == Device::cpu && layout_ == Layout::nchw, "tensor ", shape_);
  const Tensor there = empty(exec, shape_, dtype_);
  there.copy_from_host(exec, raw());
  return there;
}

Tensor Tensor::to_host(const Exec& exec) const {
  if (device_ == Device::cpu) return *this;
  const Tensor here = empty(for_images({}), shape_, dtype_, layout_);
  copy_to_host(exec, here.raw());
  return here;
}

void Tensor::copy_to_host(const Exec& exec, void* to) const {
#if BASIN_CUDA
  if (device_ == Device::cuda) {
    BASIN_CUDA_CHECK(cudaMemcpyAsync(to, raw(), bytes(), cudaMemcpyDeviceToHost, exec.stream));
    BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
    return;
  }
#endif
  (void)exec;
  if (bytes() > 0) std::memcpy(to, raw(), bytes());
}

}  // namespace basin

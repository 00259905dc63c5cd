#include "engine/ops/convolution.h"

#include "engine/ops/nn.h"
#include "kernels/conv/conv_cpu.h"
#include "kernels/conv/conv_cudnn.h"
#include "kernels/conv/conv_first_layer.h"
#include "kernels/conv/conv_last_layer.h"
#include "kernels/nn/activation.h"
#include "kernels/nn/resample.h"
#include "kernels/runtime/bfloat16.h"

namespace basin {

using kernels::ConvGeometry;

Convolution::Convolution(const Exec& exec, const Tensor& x, const Tensor& out, const ConvGeometry& geometry)
    : exec_(exec), geometry_(geometry), x_layout_(x.layout()), out_layout_(out.layout()) {
  const auto blocked = [](const Tensor& t) {
    return t.layout() == Layout::blocked8 || t.layout() == Layout::blocked16 ||
           (t.dtype() == DType::bf16 && t.layout() == Layout::nhwc);
  };
  const auto dense = [](const Tensor& t) { return t.layout() == Layout::nchw || t.layout() == Layout::nhwc; };
  if (exec.variant == Variant::plain || x.dtype() == DType::f64) return;
  if (exec.device == Device::cpu && (blocked(x) || blocked(out))) {
    library_ = Library::onednn;
    if (!blocked(x)) x_layout_ = out.layout();
    if (!blocked(out)) out_layout_ = x.layout();
    reads_plain_x_ = x.layout() == Layout::nchw && x.dim(1) <= 3;
  }
  if (exec.device == Device::cuda && dense(x) && dense(out)) library_ = Library::cudnn;
}

/// Calls f with maps in this layout, and copies the result to `maps` if these have another. `adds`: f adds to `maps`.
template <class F>
void Convolution::write(const Tensor& maps, Layout layout, bool adds, const F& f) const {
  if (maps.layout() == layout) return f(maps);
  const Tensor copy = adds ? to_layout(exec_, maps, layout) : Tensor::empty(exec_, maps.shape(), maps.dtype(), layout);
  f(copy);
  with_map(maps.dtype(),
           [&]<class X>(X) { kernels::change_layout<X, X>(exec_, copy.features<const X>(), maps.features<X>()); });
}

void Convolution::forward(const Tensor& x, const Tensor& weight, int first, const Tensor& bias,
                          const kernels::ConvEpilogue& end, const Tensor& out) const {
  const Tensor from = reads_plain_x_ ? x : to_layout(exec_, x, x_layout_);
  write(out, out_layout_, end.add, [&](const Tensor& to) {
    with_map(to.dtype(), [&]<class X>(X) {
      using T = Arithmetic<X>;
      const FeatureView<const X> in = from.features<const X>();
      const View<const T, 1> b = bias ? bias.view<const T, 1>() : View<const T, 1>();
      const kernels::ConvWeight<const T> w(weight.view<const T, 4>(), first, geometry_);
      if constexpr (std::is_same_v<T, float>) {
        if (library_ == Library::onednn) return kernels::conv_cpu<X>(exec_, in, w, b, end, to.features<X>());
        if (library_ == Library::cudnn) return kernels::conv_cudnn<X>(exec_, in, w, b, end, to.features<X>());
      }
      if constexpr (std::is_same_v<X, T>)
        kernels::conv_plain<X>(exec_, in, w, b, end, to.features<X>());
      else
        BASIN_CHECK(false, "bfloat16 maps need a layout that the library supports");
    });
  });
}

bool Convolution::forward_upsampled(const Tensor& low, const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const kernels::ConvEpilogue& end, const Tensor& out) const {
  const Layout layout = out.layout();
  if (library_ != Library::onednn || out.dtype() != DType::f32 || low.layout() != layout || x.layout() != layout)
    return false;
  return kernels::conv_cpu_upsampled(
      exec_, low.features<const float>(), x.features<const float>(), {weight.view<const float, 4>(), 0, geometry_},
      bias ? bias.view<const float, 1>() : View<const float, 1>(), end, out.features<float>());
}

void Convolution::backward_weight(const Tensor& x, const Tensor& d_out, const Tensor& d_weight, int first) const {
  if (reads_plain_x_ && first_layer_backward_weight(x, d_out, d_weight, first)) return;
  const Tensor from = to_layout(exec_, x, x_layout_), d_from = to_layout(exec_, d_out, out_layout_);
  with_map(d_out.dtype(), [&]<class X>(X) {
    using T = Arithmetic<X>;
    const FeatureView<const X> in = from.features<const X>(), d = d_from.features<const X>();
    const kernels::ConvWeight<T> w(d_weight.view<T, 4>(), first, geometry_);
    if constexpr (std::is_same_v<T, float>)
      if (library_ == Library::cudnn) return kernels::conv_cudnn_backward_weight<X>(exec_, in, d, w);
    if constexpr (std::is_same_v<X, float>)
      if (library_ == Library::onednn) return kernels::conv_cpu_backward_weight(exec_, in, d, w);
    if constexpr (std::is_same_v<X, T>)
      kernels::conv_plain_backward_weight<X>(exec_, in, d, w);
    else
      BASIN_CHECK(false, "the gradient of a bfloat16 convolution needs a GPU");
  });
}

void Convolution::backward_data(const Tensor& weight, int first, const Tensor& d_out, const Tensor& d_x) const {
  if (last_layer_backward_data(weight, first, d_out, d_x)) return;
  const Tensor d_from = to_layout(exec_, d_out, out_layout_);
  write(d_x, x_layout_, false, [&](const Tensor& to) {
    with_map(to.dtype(), [&]<class X>(X) {
      using T = Arithmetic<X>;
      const FeatureView<const X> d = d_from.features<const X>();
      const kernels::ConvWeight<const T> w(weight.view<const T, 4>(), first, geometry_);
      if constexpr (std::is_same_v<T, float>)
        if (library_ == Library::cudnn) return kernels::conv_cudnn_backward_data<X>(exec_, w, d, to.features<X>());
      if constexpr (std::is_same_v<X, float>)
        if (library_ == Library::onednn) return kernels::conv_cpu_backward_data(exec_, w, d, to.features<X>());
      if constexpr (std::is_same_v<X, T>)
        kernels::conv_plain_backward_data<X>(exec_, w, d, to.features<X>());
      else
        BASIN_CHECK(false, "the gradient of a bfloat16 convolution needs a GPU");
    });
  });
}

bool Convolution::first_layer_backward_weight(const Tensor& x, const Tensor& d_out, const Tensor& d_weight,
                                              int first) const {
  return x.dtype() == DType::f32 &&
         kernels::conv_first_layer_backward_weight(exec_, x.features<const float>(), d_out.features<const float>(),
                                                   {d_weight.view<float, 4>(), first, geometry_});
}

bool Convolution::last_layer_backward_data(const Tensor& weight, int first, const Tensor& d_out,
                                           const Tensor& d_x) const {
  return d_out.dtype() == DType::f32 && d_x.layout() == Layout::nchw &&
         kernels::conv_last_layer_backward_data(exec_, {weight.view<const float, 4>(), first, geometry_},
                                                d_out.features<const float>(), d_x.features<float>());
}

void epilogue_backward(const Exec& exec, const Tensor& relu_value, const Parameter& bias, const Tensor& d_out) {
  with_map(d_out.dtype(), [&]<class X>(X) {
    const FeatureView<const X> out = relu_value ? relu_value.features<const X>() : FeatureView<const X>();
    if (bias.value)
      kernels::add_bias_backward<X>(exec, bool(relu_value), out, d_out.features<X>(),
                                    bias.gradient.data<Arithmetic<X>>());
    else if (relu_value)
      kernels::activate_backward<X>(exec, kernels::Activation::relu, out, d_out.features<const X>(),
                                    d_out.features<X>());
  });
}

}  // namespace basin

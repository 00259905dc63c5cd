#include "engine/ops/nn.h"

#include "engine/ops/gradient_sink.h"
#include "kernels/nn/pointwise.h"
#include "kernels/nn/resample.h"
#include "kernels/runtime/bfloat16.h"

namespace basin {

Layout network_layout(const Exec& exec, DType dtype, int width) {
  if (exec.variant == Variant::plain || dtype != DType::f32) return Layout::nchw;
  if (exec.device != Device::cpu) return exec.precision == Precision::fp32 ? Layout::nchw : Layout::nhwc;
  return kernels::onednn_block() == 16 && width % 16 == 0 ? Layout::blocked16 : Layout::blocked8;
}

Tensor to_layout(const Exec& exec, const Tensor& from, Layout layout) {
  if (from.layout() == layout) return from;
  const Tensor to = Tensor::empty(exec, from.shape(), from.dtype(), layout);
  with_map(from.dtype(),
           [&]<class T>(T) { kernels::change_layout<T, T>(exec, from.features<const T>(), to.features<T>()); });
  return to;
}

Tensor to_bfloat16(const Exec& exec, const Tensor& from, Layout layout) {
  const Tensor to = Tensor::empty(exec, from.shape(), DType::bf16, layout);
  kernels::change_layout<float, bfloat16>(exec, from.features<const float>(), to.features<bfloat16>());
  return to;
}

Var pointwise(Tape& tape, const Var& x, const Parameter& weight, const Parameter& bias) {
  const Tensor& in = x.value;
  const DType type = weight.value.dtype();
  const Tensor out = Tensor::empty(tape.exec(), {in.dim(0), weight.value.dim(0), in.dim(2), in.dim(3)}, type);
  const auto matrix = []<class T>(const Tensor& w, T) { return View<T, 2>{w.data<T>(), {w.dim(0), w.dim(1)}}; };
  with_map(in.dtype(), [&]<class X>(X) {
    using T = Arithmetic<X>;
    kernels::pointwise<X, T>(tape.exec(), in.features<const X>(), matrix(weight.value, T()),
                             bias.value.view<const T, 1>(), out.view<T, 4>());
  });
  return tape.record_with_parameters(out, {x}, [&tape, x = x.kept(), weight, bias, matrix](const Tensor& d_out) {
    GradientSink d_x(tape, x);
    const Tensor value = x.recomputed();
    with_map(value.dtype(), [&]<class X>(X) {
      using T = Arithmetic<X>;
      kernels::pointwise_backward<X, T>(tape.exec(), value.features<const X>(), matrix(weight.value, T()),
                                        d_out.view<const T, 4>(), d_x.tensor().features<X>(),
                                        matrix(weight.gradient, T()), bias.gradient.view<T, 1>());
    });
    d_x.finish();
  });
}

}  // namespace basin

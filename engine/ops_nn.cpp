#include "engine/ops_nn.h"

#include "engine/gradient_sink.h"
#include "kernels/nn/batch_norm.h"
#include "kernels/nn/conv.h"
#include "kernels/nn/dropout.h"
#include "kernels/nn/pointwise.h"
#include "kernels/nn/resample.h"
#include "kernels/runtime/bfloat16.h"

namespace basin {
namespace {

template <class T>
kernels::NormStats<T> stats_of(const Tensor& stats) {
  return {stats.data<T>(), stats.data<T>() + stats.dim(1)};
}

template <class X>
kernels::NormInput<X> input_of(const Tensor& x, const Tensor& stats, const NormParameters& p) {
  using T = Arithmetic<X>;
  return {x.features<const X>(), stats_of<T>(stats), p.gamma.value.data<T>(), p.beta.value.data<T>()};
}

template <class X>
kernels::NormGradient<X> gradient_to(const GradientSink& d_x, const NormParameters& p) {
  using T = Arithmetic<X>;
  return {d_x.tensor().features<X>(), p.gamma.gradient.data<T>(), p.beta.gradient.data<T>()};
}

template <class X>
Tensor batch_statistics(Tape& tape, const Tensor& x, const NormParameters& p) {
  using T = Arithmetic<X>;
  const Tensor stats = Tensor::empty(tape.exec(), {2, x.dim(1)}, dtype_of<T>);
  kernels::norm_statistics<X>(tape.exec(), x.features<const X>(), T(p.epsilon), T(p.momentum), stats_of<T>(stats),
                              p.running_mean.data<T>(), p.running_var.data<T>());
  return stats;
}

}  // namespace

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

Var norm_relu(Tape& tape, const Var& x, const NormParameters& p) {
  BASIN_CHECK(tape.training(), "batch statistics are for training; fold() serves inference");
  Tensor stats;
  with_map(x.value.dtype(), [&]<class X>(X) { stats = batch_statistics<X>(tape, x.value, p); });
  const auto make = [&tape, x = x.value, p, stats] {
    const Tensor out = tape.empty_like(x);
    with_map(x.dtype(),
             [&]<class X>(X) { kernels::norm_relu<X>(tape.exec(), input_of<X>(x, stats, p), out.features<X>()); });
    return out;
  };
  Var out = tape.record_with_parameters(make(), {x}, [&tape, x, p, stats](const Tensor& d_out) {
    GradientSink d_x(tape, x, d_out);
    with_map(d_out.dtype(), [&]<class X>(X) {
      kernels::norm_relu_backward<X>(tape.exec(), input_of<X>(x.value, stats, p), d_out.features<const X>(),
                                     gradient_to<X>(d_x, p));
    });
    d_x.finish();
  });
  out.recompute = make;
  return out;
}

Var norm_add_relu(Tape& tape, const Var& a, const NormParameters& pa, const Var& b, const NormParameters& pb) {
  BASIN_CHECK(tape.training(), "batch statistics are for training; fold() serves inference");
  Tensor stats_a, stats_b;
  with_map(a.value.dtype(), [&]<class X>(X) {
    stats_a = batch_statistics<X>(tape, a.value, pa);
    stats_b = batch_statistics<X>(tape, b.value, pb);
  });
  const auto make = [&tape, a = a.value, b = b.value, pa, pb, stats_a, stats_b] {
    const Tensor out = tape.empty_like(a);
    with_map(a.dtype(), [&]<class X>(X) {
      kernels::norm_add_relu<X>(tape.exec(), input_of<X>(a, stats_a, pa), input_of<X>(b, stats_b, pb),
                                out.features<X>());
    });
    return out;
  };
  Var out = tape.record_with_parameters(make(), {a, b}, [&tape, a, b, pa, pb, stats_a, stats_b](const Tensor& d_out) {
    GradientSink d_a(tape, a, d_out), d_b(tape, b);
    with_map(d_out.dtype(), [&]<class X>(X) {
      kernels::norm_add_relu_backward<X>(tape.exec(), input_of<X>(a.value, stats_a, pa),
                                         input_of<X>(b.value, stats_b, pb), d_out.features<const X>(),
                                         gradient_to<X>(d_a, pa), gradient_to<X>(d_b, pb));
    });
    d_a.finish();
    d_b.finish();
  });
  out.recompute = make;
  return out;
}

Var max_pool(Tape& tape, const Var& x) {
  const Tensor& in = x.value;
  const Shape half{in.dim(0), in.dim(1), in.dim(2) / 2, in.dim(3) / 2};
  const Tensor out = Tensor::empty(tape.exec(), half, in.dtype(), in.layout());
  Tensor chosen;
  if (tape.wants_gradient(x)) chosen = Tensor::empty(tape.exec(), half, DType::u8, in.layout());
  with_map(out.dtype(), [&]<class T>(T) {
    kernels::max_pool<T>(tape.exec(), in.features<const T>(), out.features<T>(),
                         chosen ? chosen.features<uint8_t>() : FeatureView<uint8_t>());
  });
  return tape.record(out, {x}, [&tape, x = x.kept(), chosen](const Tensor& d_out) {
    const bool add = tape.wants_sum(x);
    with_map(d_out.dtype(), [&]<class T>(T) {
      kernels::max_pool_backward<T>(tape.exec(), d_out.features<const T>(), chosen.features<const uint8_t>(),
                                    tape.gradient(x).features<T>(), add);
    });
  });
}

Var dropout(Tape& tape, const Var& x, const DropoutOptions& o, const StepState* state) {
  BASIN_CHECK(tape.training(), "dropout is for training");
  const Tensor out = tape.empty_like(x.value);
  with_map(out.dtype(), [&]<class T>(T) {
    kernels::dropout<T>(tape.exec(), x.value.features<const T>(), o.p, o.seed, o.layer, state, out.features<T>());
  });
  return tape.record(out, {x}, [&tape, x = x.kept(), o, state](const Tensor& d_out) {
    GradientSink d_x(tape, x);
    with_map(d_out.dtype(), [&]<class T>(T) {
      kernels::dropout<T>(tape.exec(), d_out.features<const T>(), o.p, o.seed, o.layer, state,
                          d_x.tensor().features<T>());
    });
    d_x.finish();
  });
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

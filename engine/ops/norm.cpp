#include "engine/ops/norm.h"

#include <optional>

#include "engine/ops/gradient_sink.h"
#include "kernels/nn/batch_norm.h"
#include "kernels/nn/instance_norm.h"
#include "kernels/nn/norm_residual.h"
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

/// On a training tape the statistics of the batch, which also update the running statistics; on an evaluating tape the
/// running statistics.
Tensor statistics_for(Tape& tape, const Var& x, const NormParameters& p) {
  BASIN_CHECK(tape.training() || x.node < 0, "running statistics have no gradient");
  Tensor stats;
  with_map(x.value.dtype(), [&]<class X>(X) {
    using T = Arithmetic<X>;
    stats = Tensor::empty(tape.exec(), {2, x.value.dim(1)}, dtype_of<T>);
    T *const mean = p.running_mean.data<T>(), *const var = p.running_var.data<T>();
    if (tape.training())
      kernels::norm_statistics<X>(tape.exec(), x.value.features<const X>(), T(p.epsilon),
                                  tape.keeps_batch_statistics() ? T(1) : T(batch_norm_momentum), stats_of<T>(stats),
                                  mean, var);
    else
      kernels::running_statistics<T>(tape.exec(), mean, var, x.value.dim(1), T(p.epsilon), stats_of<T>(stats));
  });
  return stats;
}

/// relu(mask batch norm(x) + residual). The ReLU, the mask and the residual are optional. Keeps `mask`.
Var norm_tail(Tape& tape, const Var& x, const NormParameters& p, const Var& residual, const Tensor& mask, bool relu) {
  const Tensor stats = statistics_for(tape, x, p);
  const auto tail_of = [relu, mask]<class X>(const Tensor& added, X) {
    kernels::NormTail<X> tail;
    if (added) tail.residual = added.features<const X>(), tail.relu = relu;
    if (mask) tail.mask = mask.data<const Arithmetic<X>>();
    return tail;
  };
  const Tensor out = tape.empty_like(x.value);
  with_map(out.dtype(), [&]<class X>(X) {
    kernels::norm_residual<X>(tape.exec(), input_of<X>(x.value, stats, p), tail_of(residual.value, X()),
                              out.features<X>());
  });
  const Tensor kept = relu ? out : out.without_data();
  return tape.record_with_parameters(out, {x, residual},
                                     [&tape, x, p, stats, residual = Var{residual.value.without_data(), residual.node},
                                      tail_of, kept](const Tensor& d_out) {
                                       const bool added = residual.value.shape().rank() > 0;
                                       std::optional<GradientSink> d_residual;
                                       if (added) d_residual.emplace(tape, residual, d_out);
                                       // In place only without a residual, whose gradient is d_out.
                                       std::optional<GradientSink> d_x;
                                       added ? d_x.emplace(tape, x) : d_x.emplace(tape, x, d_out);
                                       with_map(d_out.dtype(), [&]<class X>(X) {
                                         kernels::NormTail<X> tail = tail_of(Tensor(), X());
                                         // The value of the residual is not needed, only whether there is one.
                                         if (added) tail = tail_of(d_out, X());
                                         kernels::norm_residual_backward<X>(
                                             tape.exec(), input_of<X>(x.value, stats, p), tail,
                                             kept ? kept.features<const X>() : FeatureView<const X>(),
                                             d_out.features<const X>(), gradient_to<X>(*d_x, p),
                                             added ? d_residual->tensor().template features<X>() : FeatureView<X>());
                                       });
                                       d_x->finish();
                                       if (added) d_residual->finish();
                                     });
}

Var instance_norm(Tape& tape, const Var& x, double epsilon, bool relu) {
  const Tensor out = tape.empty_like(x.value);
  const int lanes = (x.value.dim(1) + x.value.block() - 1) / x.value.block() * x.value.block();
  Tensor stats;
  with_map(out.dtype(), [&]<class X>(X) {
    using T = Arithmetic<X>;
    stats = Tensor::empty(tape.exec(), {2, int64_t(x.value.dim(0)) * lanes}, dtype_of<T>);
    kernels::instance_norm<X>(tape.exec(), x.value.features<const X>(), T(epsilon), relu, stats_of<T>(stats),
                              out.features<X>());
  });
  return tape.record(out, {x}, [&tape, x, stats, relu](const Tensor& d_out) {
    GradientSink d_x(tape, x, d_out);
    with_map(d_out.dtype(), [&]<class X>(X) {
      kernels::instance_norm_backward<X>(tape.exec(), x.value.features<const X>(), relu, stats_of<Arithmetic<X>>(stats),
                                         d_out.features<const X>(), d_x.tensor().features<X>());
    });
    d_x.finish();
  });
}

}  // namespace

Var norm_relu(Tape& tape, const Var& x, const NormParameters& p) {
  const Tensor stats = statistics_for(tape, x, p);
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
  if (out.node >= 0) out.recompute = make;  // otherwise nothing needs the value again
  return out;
}

Var norm_add_relu(Tape& tape, const Var& a, const NormParameters& pa, const Var& b, const NormParameters& pb) {
  const Tensor stats_a = statistics_for(tape, a, pa), stats_b = statistics_for(tape, b, pb);
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
  if (out.node >= 0) out.recompute = make;  // otherwise nothing needs the value again
  return out;
}

Var norm(Tape& tape, const Var& x, const NormParameters& p) { return norm_tail(tape, x, p, {}, {}, false); }

Var norm_residual(Tape& tape, const Var& x, const NormParameters& p, const Var& residual) {
  return norm_tail(tape, x, p, residual, {}, false);
}

Var norm_residual_relu(Tape& tape, const Var& x, const NormParameters& p, const Var& residual) {
  return norm_tail(tape, x, p, residual, {}, true);
}

Var norm_residual_relu(Tape& tape, const Var& x, const NormParameters& p, const Var& residual, const DropoutOptions& o,
                       const StepState* state) {
  return norm_tail(tape, x, p, residual, tape.training() ? channel_dropout_mask(tape, x.value, o, state) : Tensor(),
                   true);
}

Var instance_norm(Tape& tape, const Var& x, double epsilon) { return instance_norm(tape, x, epsilon, false); }
Var instance_norm_relu(Tape& tape, const Var& x, double epsilon) { return instance_norm(tape, x, epsilon, true); }

}  // namespace basin

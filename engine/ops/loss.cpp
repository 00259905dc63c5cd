#include "engine/ops/loss.h"

#include "engine/ops/gradient_sink.h"
#include "kernels/nn/losses.h"

namespace basin {
namespace {

void check_pair(const Tensor& a, const Tensor& b) {
  BASIN_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype(), "shapes ", a.shape(), " and ", b.shape(),
              ", both of one real type");
}

/// Where to write the gradient of v, and whether to add to it.
struct LossGradient {
  bool accumulate;
  const Tensor& gradient;
  LossGradient(Tape& tape, const Var& v) : accumulate(tape.wants_sum(v)), gradient(tape.gradient(v)) {}
};

}  // namespace

Var ivp_loss(Tape& tape, Var predicted, const Tensor& truth, const kernels::IvpOptions& options) {
  check_pair(predicted.value, truth);
  const Tensor value = one_number(tape, truth.dtype());
  Tensor gradient;
  if (tape.wants_gradient(predicted)) gradient = tape.empty_like(predicted.value);
  with_real(truth.dtype(), [&]<class T>(T) {
    kernels::ivp_loss<T>(tape.exec(), predicted.value.view<const T, 4>(), truth.view<const T, 4>(), options,
                         value.data<T>(), gradient ? gradient.view<T, 4>() : View<T, 4>{});
  });
  return tape.record(value, {predicted}, [&tape, predicted, gradient](const Tensor& d_value) {
    const bool accumulate = tape.wants_sum(predicted);
    if (!accumulate) tape.set_gradient(predicted, gradient);
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::scale_gradient<T>(tape.exec(), gradient.view<const T, 4>(), d_value.data<const T>(),
                                 tape.gradient(predicted).template view<T, 4>(), accumulate);
    });
  });
}

Var mse_loss(Tape& tape, Var predicted, const Tensor& truth) {
  check_pair(predicted.value, truth);
  const Tensor value = one_number(tape, truth.dtype());
  with_real(truth.dtype(), [&]<class T>(T) {
    kernels::mse_loss<T>(tape.exec(), predicted.value.view<const T, 4>(), truth.view<const T, 4>(), value.data<T>());
  });
  return tape.record(value, {predicted}, [&tape, predicted, truth](const Tensor& d_value) {
    const LossGradient to(tape, predicted);
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::mse_loss_backward<T>(tape.exec(), predicted.value.view<const T, 4>(), truth.view<const T, 4>(),
                                    d_value.data<const T>(), to.gradient.view<T, 4>(), to.accumulate);
    });
  });
}

Var tversky_loss(Tape& tape, Var logit, const Tensor& mask, double a, double b) {
  check_pair(logit.value, mask);
  const Tensor value = one_number(tape, mask.dtype()), sums = Tensor::empty(tape.exec(), {3}, DType::f64);
  const kernels::TverskyWeights weights{a, b};
  with_real(mask.dtype(), [&]<class T>(T) {
    kernels::tversky_loss<T>(tape.exec(), logit.value.view<const T, 4>(), mask.view<const T, 4>(), weights,
                             sums.data<double>(), value.data<T>());
  });
  return tape.record(value, {logit}, [&tape, logit, mask, sums, weights](const Tensor& d_value) {
    const LossGradient to(tape, logit);
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::tversky_loss_backward<T>(tape.exec(), logit.value.view<const T, 4>(), mask.view<const T, 4>(), weights,
                                        sums.data<const double>(), d_value.data<const T>(), to.gradient.view<T, 4>(),
                                        to.accumulate);
    });
  });
}

Var bce_loss(Tape& tape, Var logit, const Tensor& mask) {
  check_pair(logit.value, mask);
  const Tensor value = one_number(tape, mask.dtype());
  with_real(mask.dtype(), [&]<class T>(T) {
    kernels::bce_loss<T>(tape.exec(), logit.value.view<const T, 4>(), mask.view<const T, 4>(), value.data<T>());
  });
  return tape.record(value, {logit}, [&tape, logit, mask](const Tensor& d_value) {
    const LossGradient to(tape, logit);
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::bce_loss_backward<T>(tape.exec(), logit.value.view<const T, 4>(), mask.view<const T, 4>(),
                                    d_value.data<const T>(), to.gradient.view<T, 4>(), to.accumulate);
    });
  });
}

Var weighted_sum(Tape& tape, const std::vector<WeightedVar>& terms) {
  BASIN_CHECK(!terms.empty(), "no terms");
  const Tensor total = one_number(tape, terms[0].value.value.dtype());
  auto of_terms = [terms]<class T>(T) {
    kernels::WeightedTerms<T> all;
    BASIN_CHECK(int(terms.size()) <= all.most, terms.size(), " terms");
    for (const WeightedVar& term : terms) {
      all.value[all.count] = term.value.value.data<const T>();
      all.d_value[all.count] = nullptr;
      all.weight[all.count++] = term.weight;
    }
    return all;
  };
  with_real(total.dtype(), [&]<class T>(T t) { kernels::weighted_sum<T>(tape.exec(), of_terms(t), total.data<T>()); });
  Var any;  // a term that needs a gradient
  for (const WeightedVar& term : terms)
    if (tape.wants_gradient(term.value)) any = term.value;
  return tape.record(total, {any}, [&tape, terms, of_terms](const Tensor& d_total) {
    with_real(d_total.dtype(), [&]<class T>(T t) {
      auto all = of_terms(t);
      for (size_t k = 0; k < terms.size(); ++k)
        if (tape.wants_gradient(terms[k].value)) all.d_value[k] = tape.gradient_sum(terms[k].value).template data<T>();
      kernels::weighted_sum_backward<T>(tape.exec(), all, d_total.data<const T>());
    });
  });
}

}  // namespace basin

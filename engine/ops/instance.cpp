#include "engine/ops/instance.h"

#include "kernels/nn/losses.h"

namespace basin {

kernels::ObjectTable InstanceTargets::table() const {
  return {area.view<int32_t, 2>(), box.view<int32_t, 3>(), layer.view<int32_t, 2>(), count.view<int32_t, 1>()};
}

InstanceTargets instance_targets(const Exec& exec, const Tensor& labels, int capacity, kernels::CentreKind kind) {
  const int64_t crops = labels.dim(0);
  InstanceTargets t{labels,
                    Tensor::empty(exec, {crops, capacity}, DType::i32),
                    Tensor::empty(exec, {crops, capacity, 4}, DType::i32),
                    Tensor::empty(exec, {crops, capacity}, DType::i32),
                    Tensor::empty(exec, {crops}, DType::i32),
                    Tensor::empty(exec, {crops, capacity, 2}, DType::f64)};
  kernels::object_table(exec, labels.view<const int32_t, 4>(), t.table());
  kernels::object_centres(exec, labels.view<const int32_t, 4>(), t.table(), kind, t.centre.view<double, 3>());
  return t;
}

InstanceLoss instance_loss(Tape& tape, Var raw, const InstanceTargets& targets,
                           const kernels::InstanceLossOptions& options) {
  const DType type = raw.value.dtype();
  const Tensor terms = Tensor::empty(tape.exec(), {4}, type);
  Tensor gradient;
  if (tape.wants_gradient(raw)) gradient = tape.empty_like(raw.value);
  with_real(type, [&]<class T>(T) {
    kernels::instance_loss<T>(tape.exec(), raw.value.view<const T, 4>(), targets.labels.view<const int32_t, 4>(),
                              targets.table(), targets.centre.view<const double, 3>(), options, terms.data<T>(),
                              gradient ? gradient.view<T, 4>() : View<T, 4>{});
  });
  const Tensor total = Tensor::borrow(terms.owner(), terms.raw(), terms.device(), {1}, type);
  const auto backward = [&tape, raw, gradient](const Tensor& d_value) {
    const bool accumulate = tape.wants_sum(raw);
    if (!accumulate) tape.set_gradient(raw, gradient);
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::scale_gradient<T>(tape.exec(), gradient.view<const T, 4>(), d_value.data<const T>(),
                                 tape.gradient(raw).template view<T, 4>(), accumulate);
    });
  };
  return {tape.record(total, {raw}, backward), terms};
}

}  // namespace basin

#include "engine/ops/embedding.h"

#include "kernels/embedding/adjacency.h"
#include "kernels/embedding/power_activation.h"
#include "kernels/embedding/unit_vectors.h"

namespace basin {

Var power_activation(Tape& tape, Var e, const Tensor& alpha, double floor) {
  const Tensor h = tape.empty_like(e.value);
  with_real(h.dtype(), [&]<class T>(T) {
    kernels::power_activation<T>(tape.exec(), e.value.view<const T, 4>(), alpha.data<const float>(), floor,
                                 h.view<T, 4>());
  });
  return tape.record(h, {e}, [&tape, e, h, alpha, floor](const Tensor& d_h) {
    const bool accumulate = tape.wants_sum(e);
    const Tensor& d_e = tape.gradient(e);
    with_real(h.dtype(), [&]<class T>(T) {
      kernels::power_activation_backward<T>(tape.exec(), e.value.view<const T, 4>(), h.view<const T, 4>(),
                                            alpha.data<const float>(), floor, d_h.view<const T, 4>(), d_e.view<T, 4>(),
                                            accumulate);
    });
  });
}

Var unit_vectors(Tape& tape, Var v) {
  const Tensor u = tape.empty_like(v.value);
  with_real(u.dtype(),
            [&]<class T>(T) { kernels::unit_vectors<T>(tape.exec(), v.value.view<const T, 4>(), u.view<T, 4>()); });
  return tape.record(u, {v}, [&tape, v](const Tensor& d_u) {
    const bool accumulate = tape.wants_sum(v);
    const Tensor& d_v = tape.gradient(v);
    with_real(d_u.dtype(), [&]<class T>(T) {
      kernels::unit_vectors_backward<T>(tape.exec(), v.value.view<const T, 4>(), d_u.view<const T, 4>(),
                                        d_v.view<T, 4>(), accumulate);
    });
  });
}

ObjectTables object_tables(const Exec& exec, const Tensor& labels, int capacity, double radius) {
  BASIN_CHECK(capacity > 0 && labels.shape().rank() == 3, "capacity ", capacity, ", labels ", labels.shape());
  const int samples = labels.dim(0), slots = capacity + 1;
  ObjectTables tables{labels, Tensor::empty(exec, {samples, slots, kernels::words_for(slots)}, DType::i32)};
  kernels::adjacency(exec, labels.view<const int32_t, 3>(), {.radius = radius}, tables.neighbours.view<int32_t, 3>());
  return tables;
}

EmbeddingLoss embedding_loss(Tape& tape, Var embedding, const ObjectTables& tables,
                             const kernels::EmbeddingLossOptions& options) {
  const Tensor& e = embedding.value;
  const Tensor gradient = Tensor::empty(tape.exec(), {e.dim(0), e.dim(1), tables.neighbours.dim(1)}, DType::f64);
  const Tensor values = Tensor::empty(tape.exec(), {3}, e.dtype());
  with_real(e.dtype(), [&]<class T>(T) {
    kernels::embedding_loss<T>(tape.exec(), e.view<const T, 4>(), tables.labels.view<const int32_t, 3>(),
                               tables.neighbours.view<const int32_t, 3>(), options, gradient.view<double, 3>(),
                               values.data<T>());
  });
  const auto value = [&](int k) {
    auto* const at = static_cast<char*>(values.raw()) + size_t(k) * size_of(values.dtype());
    return Tensor::borrow(values.owner(), at, values.device(), {1}, values.dtype());
  };
  const Tensor labels = tables.labels;
  const Var in{e.without_data(), embedding.node};
  const Var total = tape.record(value(0), {in}, [&tape, in, labels, gradient](const Tensor& d_total) {
    const bool accumulate = tape.wants_sum(in);
    const Tensor& d_embedding = tape.gradient(in);
    with_real(d_total.dtype(), [&]<class T>(T) {
      kernels::embedding_loss_backward<T>(tape.exec(), labels.view<const int32_t, 3>(),
                                          gradient.view<const double, 3>(), d_total.data<const T>(),
                                          d_embedding.view<T, 4>(), accumulate);
    });
  });
  return {total, value(1), value(2)};
}

}  // namespace basin

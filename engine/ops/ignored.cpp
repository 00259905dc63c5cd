#include "engine/ops/ignored.h"

#include "kernels/nn/ignored.h"

namespace basin {

Var keep_counted(Tape& tape, const Var& x, const Tensor& counted, double fill) {
  BASIN_CHECK(x.value.dtype() == counted.dtype(), "maps and counted pixels differ in type");
  const Tensor out = tape.empty_like(x.value);
  with_real(out.dtype(), [&]<class T>(T) {
    kernels::keep_counted<T>(tape.exec(), x.value.view<const T, 4>(), counted.view<const T, 4>(), T(fill),
                             out.view<T, 4>());
  });
  return tape.record(out, {x}, [&tape, x = Var{x.value.without_data(), x.node}, counted](const Tensor& d_out) {
    const bool accumulate = tape.wants_sum(x);
    with_real(d_out.dtype(), [&]<class T>(T) {
      kernels::keep_counted_backward<T>(tape.exec(), counted.view<const T, 4>(), d_out.view<const T, 4>(),
                                        tape.gradient(x).template view<T, 4>(), accumulate);
    });
  });
}

Tensor counted_factor(Tape& tape, const Tensor& counted) {
  const Tensor factor = Tensor::empty(tape.exec(), {1}, counted.dtype());
  with_real(counted.dtype(),
            [&]<class T>(T) { kernels::counted_factor<T>(tape.exec(), counted.view<const T, 4>(), factor.data<T>()); });
  return factor;
}

Var times(Tape& tape, const Var& value, const Tensor& factor) {
  const Tensor out = Tensor::empty(tape.exec(), {1}, factor.dtype());
  with_real(factor.dtype(), [&]<class T>(T) {
    kernels::times<T>(tape.exec(), value.value.data<const T>(), factor.data<const T>(), out.data<T>(), false);
  });
  return tape.record(out, {value}, [&tape, value, factor](const Tensor& d_out) {
    const bool accumulate = tape.wants_sum(value);
    with_real(d_out.dtype(), [&]<class T>(T) {
      kernels::times<T>(tape.exec(), d_out.data<const T>(), factor.data<const T>(),
                        tape.gradient(value).template data<T>(), accumulate);
    });
  });
}

}  // namespace basin

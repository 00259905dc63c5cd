#include "kernels/nn/instance_norm.h"

#include "kernels/nn/norm_residual.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The same memory viewed as one sample with a channel for each channel of each sample: its batch normalisation is the
/// instance normalisation.
template <class X>
FeatureView<X> as_one_sample(const FeatureView<X>& v) {
  return {v.data, 1, v.n * v.groups() * v.block, v.h, v.w, v.block};
}

/// Dummy arrays for the parameters and running statistics that an instance normalisation does not have.
template <class T>
class NoParameters {
 public:
  NoParameters(const Exec& exec, int64_t lanes) : one_(exec, lanes), zero_(exec, lanes), ignored_(exec, 2 * lanes) {
    for_each(exec, lanes, Fill<T>{one_.data(), T(1)});
    for_each(exec, lanes, Fill<T>{zero_.data(), T(0)});
    for_each(exec, 2 * lanes, Fill<T>{ignored_.data(), T(0)});
  }
  template <class X>
  NormInput<X> input(const FeatureView<const X>& x, const NormStats<T>& stats) const {
    return {x, stats, one_.data(), zero_.data()};
  }
  T* first_ignored() const { return ignored_.data(); }
  T* second_ignored() const { return ignored_.data() + one_.size(); }

 private:
  Temp<T> one_, zero_, ignored_;
};

}  // namespace

template <class X>
void instance_norm(const Exec& exec, FeatureView<const X> x, Arithmetic<X> epsilon, bool relu,
                   NormStats<Arithmetic<X>> stats, FeatureView<X> out) {
  const FeatureView<const X> one = as_one_sample(x);
  BASIN_CHECK(x.n == out.n && x.c == out.c && x.block == out.block, "x ", x, ", out ", out);
  const NoParameters<Arithmetic<X>> none(exec, one.c);
  norm_statistics<X>(exec, one, epsilon, Arithmetic<X>(0), stats, none.first_ignored(), none.second_ignored());
  const NormInput<X> in = none.input(one, stats);
  relu ? norm_relu<X>(exec, in, as_one_sample(out)) : norm_residual<X>(exec, in, {}, as_one_sample(out));
}

template <class X>
void instance_norm_backward(const Exec& exec, FeatureView<const X> x, bool relu, NormStats<Arithmetic<X>> stats,
                            FeatureView<const X> d_out, FeatureView<X> d_x) {
  const FeatureView<const X> one = as_one_sample(x);
  BASIN_CHECK(x.n == d_out.n && x.c == d_out.c && x.n == d_x.n && x.c == d_x.c, "x ", x, ", d_out ", d_out);
  const NoParameters<Arithmetic<X>> none(exec, one.c);
  const NormInput<X> in = none.input(one, stats);
  const NormGradient<X> to{as_one_sample(d_x), none.first_ignored(), none.second_ignored()};
  if (relu)
    norm_relu_backward<X>(exec, in, as_one_sample(d_out), to);
  else
    norm_residual_backward<X>(exec, in, {}, {}, as_one_sample(d_out), to, {});
}

#define BASIN_INSTANTIATE(X)                                                                                       \
  template void instance_norm<X>(const Exec&, FeatureView<const X>, Arithmetic<X>, bool, NormStats<Arithmetic<X>>, \
                                 FeatureView<X>);                                                                  \
  template void instance_norm_backward<X>(const Exec&, FeatureView<const X>, bool, NormStats<Arithmetic<X>>,       \
                                          FeatureView<const X>, FeatureView<X>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

#include "kernels/nn/dropout.h"

#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/feature_loops.h"
#include "kernels/runtime/philox.h"

namespace basin::kernels {
namespace {

template <class X, class T = Arithmetic<X>>
struct Dropout {
  FeatureShape shape;
  const X* x;
  X* out;
  uint64_t seed;
  uint32_t layer;
  uint32_t threshold;  // dropped where the random word lies below it
  T scale;
  const StepState* state;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t y = at.row % shape.h, n = at.row / shape.h / shape.groups();
    const int64_t element = ((n * shape.c + at.channel) * shape.h + y) * shape.w + at.x;
    const Philox four(seed, uint64_t(element >> 2),
                      uint64_t(state->step) << 16 ^ uint64_t(layer) << 8 ^ uint64_t(Purpose::dropout));
    const bool keep = four.word[element & 3] >= threshold && at.channel < shape.c;
    out[at.offset] = keep ? T(x[at.offset]) * scale : T(0);
  }
};

}  // namespace

template <class X>
void dropout(const Exec& exec, FeatureView<const X> x, double p, uint64_t seed, uint32_t layer, const StepState* state,
             FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(x) && p >= 0 && p < 1, "x ", x, ", out ", out, ", p = ", p);
  BASIN_CHECK(layer < 256, "layer ", layer);
  using T = Arithmetic<X>;
  for_each_feature(exec, shape,
                   Dropout<X>{shape, x.data, out.data, seed, layer, uint32_t(p * 4294967296.0), T(1 / (1 - p)), state});
}

#define BASIN_INSTANTIATE(X)                                                                                \
  template void dropout<X>(const Exec&, FeatureView<const X>, double, uint64_t, uint32_t, const StepState*, \
                           FeatureView<X>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

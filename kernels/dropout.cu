#include "kernels/dropout.h"

#include "kernels/features.h"
#include "kernels/philox.h"

namespace basin::kernels {
namespace {

template <class T>
struct Dropout {
  FeatureShape shape;
  const T* x;
  T* out;
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
    out[at.offset] = keep ? x[at.offset] * scale : T(0);
  }
};

}  // namespace

template <class T>
void dropout(const Exec& exec, FeatureView<const T> x, double p, uint64_t seed, uint32_t layer, const StepState* state,
             FeatureView<T> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(x) && p >= 0 && p < 1, "x ", x, ", out ", out, ", p = ", p);
  BASIN_CHECK(layer < 256, "layer ", layer);
  for_each_feature(exec, shape,
                   Dropout<T>{shape, x.data, out.data, seed, layer, uint32_t(p * 4294967296.0), T(1 / (1 - p)), state});
}

template void dropout<float>(const Exec&, FeatureView<const float>, double, uint64_t, uint32_t, const StepState*,
                             FeatureView<float>);
template void dropout<double>(const Exec&, FeatureView<const double>, double, uint64_t, uint32_t, const StepState*,
                              FeatureView<double>);

}  // namespace basin::kernels

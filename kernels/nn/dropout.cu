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
  uint32_t threshold;  // dropped if the random word is below it
  T scale;
  const StepState* state;

  BASIN_HD void operator()(const PixelAt& at) const {
    static_assert(has_vectors || sizeof(X) > 4);
    const int64_t element = element_of(at);
    const Philox four = random(element);
    const bool keep = four.word[element & 3] >= threshold && at.channel < shape.c;
    out[at.offset] = keep ? T(x[at.offset]) * scale : T(0);
  }

  /// See MapElement. Four pixels of a channel share their random words.
  static constexpr bool has_vectors = sizeof(X) <= 4;
  bool is_aligned() const { return is_pack_aligned(x) && is_pack_aligned(out); }
  template <int Lanes, class Numbers>
  BASIN_HD void vectors(const PixelAt& at, const detail::LocalNumbers<Lanes, Numbers>&) const {
    if constexpr (Lanes == 1) {
      const Philox four = random(element_of(at));
      const auto from = *reinterpret_cast<const Pack<X, pack_size>*>(x + at.offset);
      Pack<X, pack_size> to;
      for (int k = 0; k < pack_size; ++k)
        to.value[k] = four.word[k] >= threshold ? T(from.value[k]) * scale : T(0);
      *reinterpret_cast<Pack<X, pack_size>*>(out + at.offset) = to;
    } else {
      for (int k = 0; k < pack_size; ++k)
        (*this)(PixelAt{at.offset + k, at.n, at.pixel, at.lane + k, at.channel + k});
    }
  }

 private:
  /// The index of an element in nchw order.
  BASIN_HD int64_t element_of(const PixelAt& at) const {
    return (int64_t(at.n) * shape.c + at.channel) * shape.pixels() + at.pixel;
  }
  BASIN_HD Philox random(int64_t element) const {
    return Philox(seed, uint64_t(element >> 2),
                  uint64_t(state->batch) << 16 ^ uint64_t(layer) << 8 ^ uint64_t(Purpose::dropout));
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

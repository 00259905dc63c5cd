#include "kernels/conv/upsampled_2x2.h"

#include "kernels/runtime/feature_loops.h"

namespace basin::kernels {
namespace {

/// The tap of a phase that tap (v, u) of the 2x2 kernel is added to.
BASIN_HD int phase_tap(int phase, int v, int u) {
  const int p = phase >> 1, q = phase & 1;
  return (p & v) * (1 + q) + (q & u);
}
BASIN_HD int phase_taps(int phase) { return (1 + (phase >> 1)) * (1 + (phase & 1)); }

/// One pair of an output and an input channel.
template <class T>
struct SplitIntoPhases {
  const T* weight;
  T* phase[4];

  BASIN_HD void operator()(int64_t pair) const {
    for (int k = 0; k < 4; ++k) {
      T sum[4] = {};
      for (int tap = 0; tap < 4; ++tap)
        sum[phase_tap(k, tap >> 1, tap & 1)] += weight[pair * 4 + tap];
      for (int tap = 0; tap < phase_taps(k); ++tap)
        phase[k][pair * phase_taps(k) + tap] = sum[tap];
    }
  }
};

template <class T>
struct JoinPhaseGradients {
  const T* phase[4];
  T* d_weight;

  BASIN_HD void operator()(int64_t pair) const {
    for (int tap = 0; tap < 4; ++tap) {
      T sum = 0;
      for (int k = 0; k < 4; ++k)
        sum += phase[k][pair * phase_taps(k) + phase_tap(k, tap >> 1, tap & 1)];
      d_weight[pair * 4 + tap] += sum;
    }
  }
};

/// The first of the four pixels of an element of a phase, and the steps to the others.
struct Window {
  int64_t begin, right, down;

  BASIN_HD Window(const FeatureShape& half, FeatureAt at) : right(half.block), down(int64_t(half.w) * 2 * half.block) {
    const int64_t plane = quotient(at.row, half.h), y = at.row - plane * half.h;
    begin = (plane * half.h + y) * 2 * down + int64_t(at.x) * 2 * half.block + at.lane;
  }
  BASIN_HD int64_t at(int phase) const { return begin + (phase >> 1) * down + (phase & 1) * right; }
};

template <class X>
struct InterleavePhases {
  FeatureShape half;
  const X* phase[4];
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const Window window(half, at);
    for (int k = 0; k < 4; ++k)
      out[window.at(k)] = phase[k][at.offset];
  }
};

template <class X>
struct SeparatePhases {
  FeatureShape half;
  const X* maps;
  X* phase[4];

  BASIN_HD void operator()(FeatureAt at) const {
    const Window window(half, at);
    for (int k = 0; k < 4; ++k)
      phase[k][at.offset] = maps[window.at(k)];
  }
};

template <class W, class P>
void check_weights(const View<W, 4>& weight, const PhaseWeights<P>& phases) {
  BASIN_CHECK(weight.dim[2] == 2 && weight.dim[3] == 2, "weight ", weight);
  for (int k = 0; k < 4; ++k) {
    const int* dim = phases.phase[k].dim;
    BASIN_CHECK(dim[0] == weight.dim[0] && dim[1] == weight.dim[1] && dim[2] == 1 + k / 2 && dim[3] == 1 + k % 2,
                "weight ", weight, ", phase ", k, ' ', phases.phase[k]);
  }
}

template <class P, class M>
FeatureShape check_maps(const PhaseMaps<P>& phases, const FeatureView<M>& whole) {
  const FeatureShape half(phases.phase[0]);
  for (const FeatureView<P>& phase : phases.phase)
    BASIN_CHECK(half.same(phase) && phase.n == whole.n && phase.c == whole.c && phase.h * 2 == whole.h &&
                    phase.w * 2 == whole.w && phase.block == whole.block,
                "phase ", phase, ", maps ", whole);
  return half;
}

}  // namespace

template <class T>
void split_into_phases(const Exec& exec, View<const T, 4> weight, const PhaseWeights<T>& phases) {
  check_weights(weight, phases);
  const View<T, 4>* p = phases.phase;
  for_each(exec, int64_t(weight.dim[0]) * weight.dim[1],
           SplitIntoPhases<T>{weight.data, {p[0].data, p[1].data, p[2].data, p[3].data}});
}

template <class T>
void join_phase_gradients(const Exec& exec, const PhaseWeights<const T>& d_phases, View<T, 4> d_weight) {
  check_weights(d_weight, d_phases);
  const View<const T, 4>* p = d_phases.phase;
  for_each(exec, int64_t(d_weight.dim[0]) * d_weight.dim[1],
           JoinPhaseGradients<T>{{p[0].data, p[1].data, p[2].data, p[3].data}, d_weight.data});
}

template <class X>
void interleave_phases(const Exec& exec, const PhaseMaps<const X>& phases, FeatureView<X> out) {
  const FeatureShape half = check_maps(phases, out);
  const FeatureView<const X>* p = phases.phase;
  for_each_feature(exec, half, InterleavePhases<X>{half, {p[0].data, p[1].data, p[2].data, p[3].data}, out.data});
}

template <class X>
void separate_phases(const Exec& exec, FeatureView<const X> maps, const PhaseMaps<X>& phases) {
  const FeatureShape half = check_maps(phases, maps);
  const FeatureView<X>* p = phases.phase;
  for_each_feature(exec, half, SeparatePhases<X>{half, maps.data, {p[0].data, p[1].data, p[2].data, p[3].data}});
}

#define BASIN_INSTANTIATE(T)                                                                 \
  template void split_into_phases<T>(const Exec&, View<const T, 4>, const PhaseWeights<T>&); \
  template void join_phase_gradients<T>(const Exec&, const PhaseWeights<const T>&, View<T, 4>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
#undef BASIN_INSTANTIATE
#define BASIN_INSTANTIATE(X)                                                                  \
  template void interleave_phases<X>(const Exec&, const PhaseMaps<const X>&, FeatureView<X>); \
  template void separate_phases<X>(const Exec&, FeatureView<const X>, const PhaseMaps<X>&);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

#include "kernels/conv/conv_cudnn.h"

#include <algorithm>

#include "kernels/conv/padded_maps.h"

namespace basin::kernels {
namespace {

/// Whether a convolution is between maps in nhwc. Maps of one channel are both nchw and nhwc.
template <class X, class Out>
bool is_nhwc(const FeatureView<X>& x, const FeatureView<Out>& out) {
  BASIN_CHECK((x.block == 1 || x.block == x.c) && (out.block == 1 || out.block == out.c), "maps ", x, " and ", out,
              " are neither nchw nor nhwc");
  const bool nhwc = x.block > 1 || out.block > 1;
  BASIN_CHECK(!nhwc || (x.block == x.c && out.block == out.c), "of the maps ", x, " and ", out,
              " one is nchw, the other nhwc");
  return nhwc;
}

/// The padding that cuDNN can add itself, and the remaining margin of zeros around x that we add.
struct Padding {
  ConvGeometry rest;
  Margin margin;

  explicit Padding(const ConvGeometry& g) : rest(g) {
    rest.top = rest.bottom = std::min(g.top, g.bottom), rest.left = rest.right = std::min(g.left, g.right);
    margin = {g.top - rest.top, g.left - rest.left, g.bottom - rest.bottom, g.right - rest.right};
  }
};

/// The problem for padded maps x.
template <class X, class W, class Out>
ConvProblem problem_of(ConvPass pass, const FeatureView<X>& x, const ConvWeight<W>& weight,
                       const FeatureView<Out>& out) {
  const ConvWeight<W> rest(weight.whole, weight.first, Padding(weight.geometry).rest);
  check_convolution(x, rest, out);
  constexpr bool bf16 = std::is_same_v<std::remove_const_t<X>, bfloat16>;
  return {pass, x.n, x.c, out.c, x.h, x.w, rest.geometry, is_nhwc(x, out), bf16};
}

/// Copies the input channels of the weight that are used to a dense array in the layout of the maps, [out, in,
/// kernel_h, kernel_w] or [out, kernel_h, kernel_w, in]; for a gradient: adds the dense array to them.
template <class W, class X>
struct WeightPart {
  View<W, 4> whole;
  int first, in;
  bool nhwc;
  X* dense;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t area = int64_t(whole.dim[2]) * whole.dim[3], o = i / (in * area), rest = i % (in * area);
    const int64_t channel = nhwc ? rest % in : rest / area, tap = nhwc ? rest / in : rest % area;
    W& w = whole.data[(o * whole.dim[1] + first + channel) * area + tap];
    if constexpr (std::is_const_v<W>)
      dense[i] = X(w);
    else
      w += float(dense[i]);
  }
};

/// A weight, or its gradient, in the form that cuDNN takes for maps of X: itself if possible, otherwise a dense copy.
template <class W, class X>
class DenseWeight {
 public:
  DenseWeight(const Exec& exec, const ConvWeight<W>& weight, const ConvProblem& p)
      : exec_(exec),
        part_{weight.whole, weight.first, p.in, p.nhwc, nullptr},
        same_(std::is_same_v<X, float> && weight.first == 0 && weight.whole.dim[1] == p.in &&
              (!p.nhwc || p.in == 1 || p.geometry.kernel_h * p.geometry.kernel_w == 1)),
        memory_(exec, same_ ? 0 : p.weight_size()) {
    part_.dense = memory_.data();
    if (std::is_const_v<W> && !same_) for_each(exec, memory_.size(), part_);
  }
  bool same() const { return same_; }
  void* data() const { return same_ ? const_cast<float*>(part_.whole.data) : static_cast<void*>(memory_.data()); }
  /// Adds the dense copy to the gradient.
  void finish() const {
    if (!same_) for_each(exec_, memory_.size(), part_);
  }

 private:
  Exec exec_;
  WeightPart<W, X> part_;
  bool same_;
  Temp<X> memory_;
};

template <class X>
void* raw(const FeatureView<X>& maps) {
  return const_cast<std::remove_const_t<X>*>(maps.data);
}

template <class X>
struct BiasAndRelu {
  const float* bias;
  bool relu;
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const float old = out[at.offset], v = bias ? old + bias[at.channel] : old;
    out[at.offset] = relu && v < 0 ? 0 : v;
  }
};

}  // namespace

template <class X>
void conv_cudnn(const Exec& exec, FeatureView<const X> x, ConvWeight<const float> weight, View<const float, 1> bias,
                const ConvEpilogue& epilogue, FeatureView<X> out) {
  BASIN_CHECK(!bias.data || bias.dim[0] == out.c, "bias ", bias, ", out ", out);
  check_convolution(x, weight, out);
  const PaddedMaps<X> padded(exec, x, Padding(weight.geometry).margin);
  padded.pad();
  const ConvProblem problem = problem_of(ConvPass::forward, padded.maps(), weight, out);
  const DenseWeight<const float, X> w(exec, weight, problem);
  run_cudnn(exec, problem, padded.maps().data, w.data(), out.data, epilogue.add ? 1 : 0);
  if (bias.data || epilogue.relu)
    for_each_feature(exec, FeatureShape(out), BiasAndRelu<X>{bias.data, epilogue.relu, out.data});
}

template <class X>
void conv_cudnn_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const X> d_out,
                              FeatureView<X> d_x) {
  check_convolution(d_x, weight, d_out);
  const PaddedMaps<X> padded(exec, d_x, Padding(weight.geometry).margin);
  const ConvProblem problem = problem_of(ConvPass::backward_data, padded.maps(), weight, d_out);
  const DenseWeight<const float, X> w(exec, weight, problem);
  run_cudnn(exec, problem, padded.maps().data, w.data(), raw(d_out), 0);
  padded.crop();
}

template <class X>
void conv_cudnn_backward_weight(const Exec& exec, FeatureView<const X> x, FeatureView<const X> d_out,
                                ConvWeight<float> d_weight) {
  check_convolution(x, d_weight, d_out);
  const PaddedMaps<X> padded(exec, x, Padding(d_weight.geometry).margin);
  padded.pad();
  const ConvProblem problem = problem_of(ConvPass::backward_weight, padded.maps(), d_weight, d_out);
  const DenseWeight<float, X> d(exec, d_weight, problem);
  run_cudnn(exec, problem, padded.maps().data, d.data(), raw(d_out), d.same() ? 1 : 0);
  d.finish();
}

#define BASIN_INSTANTIATE(X)                                                                                    \
  template void conv_cudnn<X>(const Exec&, FeatureView<const X>, ConvWeight<const float>, View<const float, 1>, \
                              const ConvEpilogue&, FeatureView<X>);                                             \
  template void conv_cudnn_backward_data<X>(const Exec&, ConvWeight<const float>, FeatureView<const X>,         \
                                            FeatureView<X>);                                                    \
  template void conv_cudnn_backward_weight<X>(const Exec&, FeatureView<const X>, FeatureView<const X>,          \
                                              ConvWeight<float>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

#include "kernels/conv/conv_cpu.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/conv/conv_onednn.h"
#include "kernels/conv/padded_maps.h"
#include "kernels/conv/winograd.h"

namespace basin::kernels {
namespace {

/// Rewrites a convolution with a dilated kernel of one row or one column as one without dilation, see conv_cpu.h.
class Undilated {
 public:
  explicit Undilated(const ConvGeometry& g) : d_(g.dilation), along_rows_(g.kernel_w == 1) {
    const int taps = std::max(g.kernel_h, g.kernel_w);
    applies_ = d_ > 1 && taps > 1 && taps % 2 == 1 && std::min(g.kernel_h, g.kernel_w) == 1 &&
               g == ConvGeometry::same(g.kernel_h, g.kernel_w, d_);
  }
  bool applies() const { return applies_; }
  /// The rows or columns to add so that there are at least `least` times the dilation, and a multiple of it.
  template <class T>
  Margin margin(const FeatureView<T>& maps, int least = 1) const {
    if (!applies_) return {};
    const int size = along_rows_ ? maps.h : maps.w, multiple = std::max((size + d_ - 1) / d_, least);
    const int missing = multiple * d_ - size;
    return along_rows_ ? Margin{0, 0, missing, 0} : Margin{0, 0, 0, missing};
  }
  template <class T>
  FeatureView<T> maps(FeatureView<T> v) const {
    if (applies_ && along_rows_) v.h /= d_, v.w *= d_;
    if (applies_ && !along_rows_) v.h *= v.w / d_, v.w = d_;
    return v;
  }
  template <class T>
  int slices(const FeatureView<T>& maps) const {
    return applies_ && !along_rows_ ? maps.h : 1;
  }
  /// The same weight without dilation; a row becomes a column. The memory is the same.
  template <class T>
  ConvWeight<T> weight(ConvWeight<T> w) const {
    if (!applies_) return w;
    int* dim = w.whole.dim;
    if (!along_rows_) std::swap(dim[2], dim[3]);
    w.geometry = ConvGeometry::same(dim[2], dim[3]);
    return w;
  }

 private:
  int d_;
  bool along_rows_, applies_;
};

/// Whether our Winograd kernel should compute a convolution between the maps x and out.
template <class X, class Out, class W>
bool takes_winograd(const X& x, const ConvWeight<W>& weight, const Out& out) {
  return winograd_applies(weight.geometry, x.block, out.block, x.c, out.c);
}

/// Maps x and a weight whose padding lanes count as input channels; their weights are 0.
template <class T, class W>
class WholeBlocks {
 public:
  WholeBlocks(const Exec& exec, const FeatureView<T>& x, const ConvWeight<W>& w)
      : x_(x),
        weight_(w),
        channels_(x.c),
        needed_(x.block > 1 && x.c % x.block != 0),
        memory_(exec, needed_ ? int64_t(w.whole.dim[0]) * x.groups() * x.block * area() : 0) {
    if (!needed_) return;
    x_.c = x.groups() * x.block;
    weight_.whole.data = memory_.data(), weight_.whole.dim[1] = x_.c, weight_.first = 0;
    std::fill_n(memory_.data(), memory_.size(), 0.f);
    if constexpr (std::is_const_v<W>)
      for_each_part(w, [](float* mine, const float* theirs, size_t n) { std::copy_n(theirs, n, mine); });
  }
  const FeatureView<T>& x() const { return x_; }
  const ConvWeight<W>& weight() const { return weight_; }
  /// Adds the gradient, without the padding lanes, to that of the original weight.
  void add_to(const ConvWeight<float>& w) const {
    if (!needed_) return;
    for_each_part(w, [](const float* mine, float* theirs, size_t n) {
      for (size_t i = 0; i < n; ++i)
        theirs[i] += mine[i];
    });
  }

 private:
  int64_t area() const { return int64_t(weight_.whole.dim[2]) * weight_.whole.dim[3]; }
  template <class V, class F>
  void for_each_part(const ConvWeight<V>& w, const F& f) const {
    for (int o = 0; o < w.whole.dim[0]; ++o)
      f(memory_.data() + int64_t(o) * x_.c * area(), &w.whole(o, w.first, 0, 0), size_t(channels_ * area()));
  }
  FeatureView<T> x_;
  ConvWeight<W> weight_;
  int channels_;
  bool needed_;
  Temp<float> memory_;
};

}  // namespace

template <class T>
void conv_cpu(const Exec& exec, FeatureView<const T> x, ConvWeight<const float> weight, View<const float, 1> bias,
              const ConvEpilogue& epilogue, FeatureView<T> out) {
  check_convolution(x, weight, out);
  if constexpr (std::is_same_v<T, float>)
    if (takes_winograd(x, weight, out)) return conv_winograd(exec, x, weight, bias, epilogue, out);
  const WholeBlocks<const T, const float> whole(exec, x, weight);
  const Undilated undilated(weight.geometry);
  const PaddedMaps<T> from(exec, whole.x(), undilated.margin(x)), to(exec, out, undilated.margin(x));
  from.pad();
  if (epilogue.add) to.pad();
  conv_onednn<T>(exec, undilated.maps(from.maps()), undilated.weight(whole.weight()), bias, epilogue,
                 undilated.maps(to.maps()), undilated.slices(from.maps()));
  to.crop();
}

template void conv_cpu<float>(const Exec&, FeatureView<const float>, ConvWeight<const float>, View<const float, 1>,
                              const ConvEpilogue&, FeatureView<float>);
template void conv_cpu<bfloat16>(const Exec&, FeatureView<const bfloat16>, ConvWeight<const float>,
                                 View<const float, 1>, const ConvEpilogue&, FeatureView<bfloat16>);

bool conv_cpu_upsampled(const Exec& exec, FeatureView<const float> low, FeatureView<const float> x,
                        ConvWeight<const float> weight, View<const float, 1> bias, const ConvEpilogue& epilogue,
                        FeatureView<float> out) {
  if (weight.geometry != ConvGeometry::same(3, 3) || low.block != x.block || low.c % low.block != 0 ||
      !winograd_applies(weight.geometry, x.block, out.block, low.c + x.c, out.c))
    return false;
  conv_winograd_upsampled(exec, low, x, weight, bias, epilogue, out);
  return true;
}

void conv_cpu_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const float> d_out,
                            FeatureView<float> d_x) {
  check_convolution(d_x, weight, d_out);
  if (takes_winograd(d_x, weight, d_out)) return conv_winograd_backward_data(exec, weight, d_out, d_x);
  const WholeBlocks<float, const float> whole(exec, d_x, weight);
  const Undilated undilated(weight.geometry);
  const PaddedMaps<float> from(exec, d_out, undilated.margin(d_x)), to(exec, whole.x(), undilated.margin(d_x));
  from.pad();
  conv_onednn_backward_data(exec, undilated.weight(whole.weight()), undilated.maps(from.maps()),
                            undilated.maps(to.maps()), undilated.slices(from.maps()));
  to.crop();
}

void conv_cpu_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                              ConvWeight<float> d_weight) {
  check_convolution(x, d_weight, d_out);
  if (takes_winograd(x, d_weight, d_out)) return conv_winograd_backward_weight(exec, x, d_out, d_weight);
  const WholeBlocks<const float, float> whole(exec, x, d_weight);
  const Undilated undilated(d_weight.geometry);
  // oneDNN also falls back to the reference kernel for fewer rows than the kernel has, so pad to that many.
  const Margin margin = undilated.margin(x, std::max(d_weight.geometry.kernel_h, d_weight.geometry.kernel_w));
  const PaddedMaps<float> from(exec, whole.x(), margin), to(exec, d_out, margin);
  from.pad();
  to.pad();
  conv_onednn_backward_weight(exec, undilated.maps(from.maps()), undilated.maps(to.maps()),
                              undilated.weight(whole.weight()), undilated.slices(from.maps()));
  whole.add_to(d_weight);
}

}  // namespace basin::kernels

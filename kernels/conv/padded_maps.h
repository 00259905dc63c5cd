#pragma once
#include "kernels/runtime/feature_loops.h"

namespace basin::kernels {

/// Rows and columns of zeros around maps.
struct Margin {
  int top = 0, left = 0, bottom = 0, right = 0;

  bool is_none() const { return top + left + bottom + right == 0; }
};

namespace detail {

/// larger[y + top, x + left] = x, elsewhere 0.
template <class X>
struct Pad {
  FeatureShape larger;
  FeatureView<const X> x;
  int top, left;
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t plane = at.row / larger.h;
    const int y = int(at.row % larger.h) - top, xx = at.x - left;
    const bool inside = y >= 0 && y < x.h && xx >= 0 && xx < x.w;
    out[at.offset] = inside ? x.data[((plane * x.h + y) * x.w + xx) * x.block + at.lane] : X(0);
  }
};

/// x = larger[y + top, x + left].
template <class X>
struct Crop {
  FeatureShape x;
  FeatureView<const X> larger;
  int top, left;
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t plane = at.row / x.h, y = at.row % x.h + top, xx = at.x + left;
    out[at.offset] = larger.data[((plane * larger.h + y) * larger.w + xx) * x.block + at.lane];
  }
};

}  // namespace detail

/// Maps with a margin, for the duration of a launcher: the maps themselves if the margin is empty.
template <class X>
class PaddedMaps {
 public:
  PaddedMaps(const Exec& exec, const FeatureView<X>& x, const Margin& margin)
      : exec_(exec), x_(x), margin_(margin), memory_(exec, margin.is_none() ? 0 : larger(nullptr).size()) {}
  /// For maps that are only read.
  PaddedMaps(const Exec& exec, const FeatureView<const X>& x, const Margin& margin)
      : PaddedMaps(exec, FeatureView<X>{const_cast<X*>(x.data), x.n, x.c, x.h, x.w, x.block}, margin) {}
  FeatureView<X> maps() const { return margin_.is_none() ? x_ : larger(memory_.data()); }
  /// Copies the maps into the larger ones.
  void pad() const {
    if (margin_.is_none()) return;
    const FeatureShape shape(maps());
    for_each_feature(exec_, shape, detail::Pad<X>{shape, x_, margin_.top, margin_.left, memory_.data()});
  }
  /// Copies the part inside the margin back.
  void crop() const {
    if (margin_.is_none()) return;
    const FeatureShape shape(x_);
    for_each_feature(exec_, shape, detail::Crop<X>{shape, maps(), margin_.top, margin_.left, x_.data});
  }

 private:
  FeatureView<X> larger(X* data) const {
    return {data, x_.n, x_.c, x_.h + margin_.top + margin_.bottom, x_.w + margin_.left + margin_.right, x_.block};
  }
  Exec exec_;
  FeatureView<X> x_;
  Margin margin_;
  Temp<X> memory_;
};

}  // namespace basin::kernels

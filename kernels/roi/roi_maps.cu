#include "kernels/roi/sheets.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/resize_neighbours.h"

namespace basin::kernels {
namespace {

template <class T>
struct CopyPoints {
  FeatureView<const T> from;
  Rois rois;
  int first;
  FeatureView<T> to;

  BASIN_HD void operator()(int64_t i) const {
    const int count = rois.points() - first, group = int(quotient(i, count));
    const int pixel = rois.point(first + int(i - int64_t(group) * count), 1);
    const T* source = lanes_of_pixel(from, group, pixel);
    T* target = lanes_of_pixel(to, group, pixel);
    for (int lane = 0; lane < to.block; ++lane)
      target[lane] = source[lane];
  }
};

template <class T>
struct GetValues {
  FeatureView<const T> sheet;
  Rois rois;
  T* values;

  BASIN_HD void operator()(int64_t i) const { values[i] = *lanes_of_pixel(sheet, 0, rois.point(int(i), 1)); }
};

template <class T>
struct SetValues {
  const T* values;
  Rois rois;
  FeatureView<T> sheet;

  BASIN_HD void operator()(int64_t i) const { *lanes_of_pixel(sheet, 0, rois.point(int(i), 1)) = values[i]; }
};

/// The first pixel of a region and of a group of channels on its sheet.
template <class T>
BASIN_HD T* corner_of(const FeatureView<T>& sheet, int group, const int32_t* place) {
  return lanes_of_pixel(sheet, group, place[4] * sheet.w + place[5]);
}

template <class T>
struct Resize {
  FeatureView<const T> in;
  Rois low, rois;
  FeatureView<T> out;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfGroup at(rois, i);
    const RoiPoint p(rois, at.point);
    const int32_t* from = &low.place(p.roi, 0);
    const Neighbours<T> y(p.row, from[1], p.place[1]), x(p.column, from[2], p.place[2]);
    const T* corner = corner_of(in, at.group, from);
    const auto pixel = [&](int row, int column) { return corner + (int64_t(row) * in.w + column) * in.block; };
    const T *a = pixel(y.first, x.first), *b = pixel(y.first, x.second);
    const T *c = pixel(y.second, x.first), *d = pixel(y.second, x.second);
    T* to = lanes_of_pixel(out, at.group, p.pixel);
    for (int lane = 0; lane < out.block; ++lane)
      to[lane] = interpolate<T>(y, x, a[lane], b[lane], c[lane], d[lane]);
  }
};

/// Runs over the points of `low`.
template <class T>
struct ResizeBackward {
  FeatureView<const T> d_out;
  Rois low, rois;
  FeatureView<T> d_in;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfGroup at(low, i);
    const RoiPoint p(low, at.point);
    if (p.roi >= rois.count()) return;
    const int32_t* to = &rois.place(p.roi, 0);
    const OutputRange rows(p.row, p.place[1], to[1]), columns(p.column, p.place[2], to[2]);
    const T* corner = corner_of(d_out, at.group, to);
    T* sum = lanes_of_pixel(d_in, at.group, p.pixel);
    for (int lane = 0; lane < d_in.block; ++lane)
      sum[lane] = 0;
    for (int y = rows.begin; y < rows.end; ++y) {
      const T row_weight = Neighbours<T>(y, p.place[1], to[1]).of(p.row);
      if (row_weight == 0) continue;
      for (int x = columns.begin; x < columns.end; ++x) {
        const T weight = row_weight * Neighbours<T>(x, p.place[2], to[2]).of(p.column);
        if (weight == 0) continue;
        const T* from = corner + (int64_t(y) * d_out.w + x) * d_out.block;
        for (int lane = 0; lane < d_in.block; ++lane)
          sum[lane] += weight * from[lane];
      }
    }
  }
};

template <class A, class B>
void check_resize(const Rois& low, const FeatureView<A>& in, const Rois& rois, const FeatureView<B>& out) {
  check_sheet(low, in);
  check_sheet(rois, out);
  BASIN_CHECK(low.count() >= rois.count() && in.c == out.c && in.block == out.block, low.count(), " regions on ", in,
              ", ", rois.count(), " on ", out);
}

}  // namespace

template <class T>
void roi_copy(const Exec& exec, FeatureView<const T> from, const Rois& rois, int first, FeatureView<T> to) {
  check_sheet(rois, from);
  check_sheet(rois, to);
  BASIN_CHECK(first >= 0 && first <= rois.points() && from.c == to.c && from.block == to.block, "from ", from, ", to ",
              to, ", from point ", first);
  if (first == rois.points()) return;
  for_each(exec, int64_t(to.groups()) * (rois.points() - first), CopyPoints<T>{from, rois, first, to});
}

template <class T>
void roi_values(const Exec& exec, FeatureView<const T> sheet, const Rois& rois, View<T, 1> values) {
  check_sheet(rois, sheet);
  BASIN_CHECK(values.dim[0] == rois.points(), rois.points(), " points, values ", values);
  for_each(exec, rois.points(), GetValues<T>{sheet, rois, values.data});
}

template <class T>
void roi_set_values(const Exec& exec, View<const T, 1> values, const Rois& rois, FeatureView<T> sheet) {
  check_sheet(rois, sheet);
  BASIN_CHECK(values.dim[0] == rois.points(), rois.points(), " points, values ", values);
  for_each(exec, rois.points(), SetValues<T>{values.data, rois, sheet});
}

template <class T>
void roi_resize(const Exec& exec, FeatureView<const T> in, const Rois& low, const Rois& rois, FeatureView<T> out) {
  check_resize(low, in, rois, out);
  for_each(exec, points_of_groups(rois, out), Resize<T>{in, low, rois, out}, 64);
}

template <class T>
void roi_resize_backward(const Exec& exec, FeatureView<const T> d_out, const Rois& low, const Rois& rois,
                         FeatureView<T> d_in) {
  check_resize(low, d_in, rois, d_out);
  for_each(exec, points_of_groups(low, d_in), ResizeBackward<T>{d_out, low, rois, d_in}, 16);
}

#define BASIN_INSTANTIATE(T)                                                                                \
  template void roi_copy<T>(const Exec&, FeatureView<const T>, const Rois&, int, FeatureView<T>);           \
  template void roi_values<T>(const Exec&, FeatureView<const T>, const Rois&, View<T, 1>);                  \
  template void roi_set_values<T>(const Exec&, View<const T, 1>, const Rois&, FeatureView<T>);              \
  template void roi_resize<T>(const Exec&, FeatureView<const T>, const Rois&, const Rois&, FeatureView<T>); \
  template void roi_resize_backward<T>(const Exec&, FeatureView<const T>, const Rois&, const Rois&, FeatureView<T>)
BASIN_INSTANTIATE(float);
BASIN_INSTANTIATE(double);
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

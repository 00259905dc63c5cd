#include <cmath>

#include "kernels/roi/sheets.h"
#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

/// The position of a point in the maps.
struct GridPosition {
  double x, y;

  BASIN_HD GridPosition(const Rois& rois, const RoiPoint& p) {
    const double* grid = &rois.grid(p.roi, 0);
    x = grid[0] + p.column * grid[2];
    y = grid[1] + p.row * grid[3];
  }
};

/// The plane of a sample and a group of channels.
template <class T>
BASIN_HD T* plane_of(const FeatureView<T>& maps, int sample, int group) {
  return maps.data + (int64_t(sample) * maps.groups() + group) * maps.pixels() * maps.block;
}

template <class T>
struct Sample {
  FeatureView<const T> maps;
  Rois rois;
  FeatureView<T> sheet;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfGroup at(rois, i);
    const RoiPoint p(rois, at.point);
    const GridPosition position(rois, p);
    const T* plane = plane_of(maps, p.place[0], at.group);
    T* to = lanes_of_pixel(sheet, at.group, p.pixel);
    for (int lane = 0; lane < maps.block; ++lane)
      to[lane] = 0;
    Corners<T>(position.x, position.y).each(maps.h, maps.w, [&](int y, int x, T weight) {
      const T* from = plane + (int64_t(y) * maps.w + x) * maps.block;
      for (int lane = 0; lane < maps.block; ++lane)
        to[lane] += weight * from[lane];
    });
  }
};

template <class T>
struct SampleBackward {
  Rois rois;
  FeatureView<const T> d_sheet;
  FeatureView<T> d_maps;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfGroup at(rois, i);
    const RoiPoint p(rois, at.point);
    const GridPosition position(rois, p);
    T* plane = plane_of(d_maps, p.place[0], at.group);
    const T* from = lanes_of_pixel(d_sheet, at.group, p.pixel);
    Corners<T>(position.x, position.y).each(d_maps.h, d_maps.w, [&](int y, int x, T weight) {
      T* to = plane + (int64_t(y) * d_maps.w + x) * d_maps.block;
      for (int lane = 0; lane < d_maps.block; ++lane)
        add(to[lane], weight * from[lane]);
    });
  }
};

template <class T>
struct SampleMask {
  View<const int32_t, 4> labels;
  const int32_t* label;
  Rois rois;
  FeatureView<T> sheet;

  BASIN_HD void operator()(int64_t i) const {
    const RoiPoint p(rois, i);
    const GridPosition position(rois, p);
    T sum = 0;
    Corners<T>(position.x, position.y).each(labels.dim[2], labels.dim[3], [&](int y, int x, T weight) {
      for (int layer = 0; layer < labels.dim[1]; ++layer)
        if (labels(p.place[0], layer, y, x) == label[p.roi]) sum += weight;
    });
    *lanes_of_pixel(sheet, 0, p.pixel) = sum;
  }
};

/// A point inside a region: the region, and the four pixels around the point, counted from its first.
template <class T>
struct PointInRoi {
  const int32_t* place;
  Corners<T> corners;

  BASIN_HD PointInRoi(const Rois& rois, const RoiPoints& points, int p)
      : place(&rois.place(points.roi(p), 0)),
        corners(points.at(p, 0) * (place[2] - 1), points.at(p, 1) * (place[1] - 1)) {}
  /// Calls f(y, x, weight) with pixels of the sheet.
  template <class F>
  BASIN_HD void each(const F& f) const {
    corners.each(place[1], place[2], [&](int y, int x, T weight) { f(place[4] + y, place[5] + x, weight); });
  }
};

template <class T>
struct SamplePoints {
  FeatureView<const T> sheet;
  Rois rois;
  RoiPoints points;
  View<T, 2> values;

  BASIN_HD void operator()(int64_t i) const {
    const int c = int(quotient(i, values.dim[1])), p = int(i - int64_t(c) * values.dim[1]);
    T sum = 0;
    PointInRoi<T>(rois, points, p).each([&](int y, int x, T weight) { sum += weight * sheet(0, c, y, x); });
    values.data[i] = sum;
  }
};

template <class T>
struct SamplePointsBackward {
  Rois rois;
  RoiPoints points;
  View<const T, 2> d_values;
  FeatureView<T> d_sheet;

  BASIN_HD void operator()(int64_t i) const {
    const int c = int(quotient(i, d_values.dim[1])), p = int(i - int64_t(c) * d_values.dim[1]);
    PointInRoi<T>(rois, points, p).each([&](int y, int x, T weight) {
      add(d_sheet(0, c, y, x), weight * d_values.data[i]);
    });
  }
};

template <class T>
void check_points(const Rois& rois, const FeatureView<T>& sheet, const RoiPoints& points, const int* values) {
  check_sheet(rois, sheet);
  BASIN_CHECK(
      points.at.dim[0] == values[1] && points.at.dim[1] == 2 && points.roi.dim[0] == values[1] && sheet.c == values[0],
      "points ", points.at, ", their regions ", points.roi, ", sheet ", sheet, ", ", values[0], " x ", values[1],
      " values");
}

}  // namespace

template <class T>
void roi_sample(const Exec& exec, FeatureView<const T> maps, const Rois& rois, FeatureView<T> sheet) {
  check_sheet(rois, sheet);
  BASIN_CHECK(maps.c == sheet.c && maps.block == sheet.block, "maps ", maps, ", sheet ", sheet);
  for_each(exec, sheet.size(), Fill<T>{sheet.data, T(0)});
  for_each(exec, points_of_groups(rois, sheet), Sample<T>{maps, rois, sheet}, 64);
}

template <class T>
void roi_sample_backward(const Exec& exec, const Rois& rois, FeatureView<const T> d_sheet, FeatureView<T> d_maps) {
  check_sheet(rois, d_sheet);
  BASIN_CHECK(d_maps.c == d_sheet.c && d_maps.block == d_sheet.block, "maps ", d_maps, ", sheet ", d_sheet);
  for_each_in_groups(exec, d_maps.groups(), rois.points(), SampleBackward<T>{rois, d_sheet, d_maps});
}

template <class T>
void roi_mask_sample(const Exec& exec, View<const int32_t, 4> labels, View<const int32_t, 1> label, const Rois& rois,
                     FeatureView<T> sheet) {
  check_sheet(rois, sheet);
  BASIN_CHECK(sheet.c == 1 && sheet.block == 1 && label.dim[0] == rois.count(), rois.count(), " regions, labels ",
              label, ", sheet ", sheet);
  for_each(exec, sheet.size(), Fill<T>{sheet.data, T(0)});
  for_each(exec, rois.points(), SampleMask<T>{labels, label.data, rois, sheet});
}

template <class T>
void point_sample(const Exec& exec, FeatureView<const T> sheet, const Rois& rois, const RoiPoints& points,
                  View<T, 2> values) {
  check_points(rois, sheet, points, values.dim);
  for_each(exec, values.size(), SamplePoints<T>{sheet, rois, points, values});
}

template <class T>
void point_sample_backward(const Exec& exec, const Rois& rois, const RoiPoints& points, View<const T, 2> d_values,
                           FeatureView<T> d_sheet) {
  check_points(rois, d_sheet, points, d_values.dim);
  for_each_in_groups(exec, d_values.dim[0], d_values.dim[1], SamplePointsBackward<T>{rois, points, d_values, d_sheet});
}

#define BASIN_INSTANTIATE(T)                                                                                   \
  template void roi_sample<T>(const Exec&, FeatureView<const T>, const Rois&, FeatureView<T>);                 \
  template void roi_sample_backward<T>(const Exec&, const Rois&, FeatureView<const T>, FeatureView<T>);        \
  template void roi_mask_sample<T>(const Exec&, View<const int32_t, 4>, View<const int32_t, 1>, const Rois&,   \
                                   FeatureView<T>);                                                            \
  template void point_sample<T>(const Exec&, FeatureView<const T>, const Rois&, const RoiPoints&, View<T, 2>); \
  template void point_sample_backward<T>(const Exec&, const Rois&, const RoiPoints&, View<const T, 2>, FeatureView<T>)
BASIN_INSTANTIATE(float);
BASIN_INSTANTIATE(double);
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

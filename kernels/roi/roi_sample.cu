#include <cmath>

#include "kernels/roi/rois.h"
#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

/// A point of the list: its region, and its position in that region's map.
struct PointOfRoi {
  int roi, sample;
  int32_t in_roi, area, offset;
  double x, y;

  BASIN_HD PointOfRoi(const Rois& rois, int32_t point) : roi(rois.of_point(point)) {
    const int32_t* place = &rois.place(roi, 0);
    const double* grid = &rois.grid(roi, 0);
    sample = place[0];
    area = place[1] * place[2];
    offset = place[3];
    in_roi = point - offset;
    x = grid[0] + (in_roi % place[2]) * grid[2];
    y = grid[1] + (in_roi / place[2]) * grid[3];
  }
  /// The index of channel c in ragged values with `channels` channels.
  BASIN_HD int64_t at(int channels, int c) const { return int64_t(channels) * offset + int64_t(c) * area + in_roi; }
};

template <class T>
struct Sample {
  FeatureView<const T> maps;
  Rois rois;
  T* values;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfRoi p(rois, int32_t(i));
    const Corners<T> corners(p.x, p.y);
    for (int c = 0; c < maps.c; ++c) {
      T sum = 0;
      corners.each(maps.h, maps.w, [&](int y, int x, T weight) { sum += weight * maps(p.sample, c, y, x); });
      values[p.at(maps.c, c)] = sum;
    }
  }
};

template <class T>
struct SampleBackward {  // index: c * points + point
  Rois rois;
  const T* d_values;
  FeatureView<T> d_maps;

  BASIN_HD void operator()(int64_t i) const {
    const int c = int(quotient(i, rois.points));
    const PointOfRoi p(rois, int32_t(i - int64_t(c) * rois.points));
    const T d = d_values[p.at(d_maps.c, c)];
    Corners<T>(p.x, p.y).each(d_maps.h, d_maps.w,
                              [&](int y, int x, T weight) { add(d_maps(p.sample, c, y, x), weight * d); });
  }
};

template <class T>
struct SampleMask {
  View<const int32_t, 3> labels;
  const int32_t* label;
  Rois rois;
  T* values;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfRoi p(rois, int32_t(i));
    T sum = 0;
    Corners<T>(p.x, p.y).each(labels.dim[1], labels.dim[2], [&](int y, int x, T weight) {
      if (labels(p.sample, y, x) == label[p.roi]) sum += weight;
    });
    values[i] = sum;
  }
};

/// The region of a point, and the four grid points around it.
template <class T>
struct PlaceInRoi {
  int height, width;
  int64_t offset;
  Corners<T> corners;

  BASIN_HD PlaceInRoi(const Rois& rois, const RoiPoints& points, int p)
      : height(rois.place(points.roi(p), 1)),
        width(rois.place(points.roi(p), 2)),
        offset(rois.place(points.roi(p), 3)),
        corners(points.at(p, 0), points.at(p, 1)) {}
  BASIN_HD int64_t at(int channels, int c, int y, int x) const {
    return channels * offset + (int64_t(c) * height + y) * width + x;
  }
};

template <class T>
struct SamplePlaces {  // row: channel
  const T* ragged;
  Rois rois;
  RoiPoints points;
  View<T, 2> values;

  BASIN_HD void operator()(int64_t i) const {
    const int c = int(quotient(i, values.dim[1])), p = int(i - int64_t(c) * values.dim[1]);
    const PlaceInRoi<T> place(rois, points, p);
    T sum = 0;
    place.corners.each(place.height, place.width,
                       [&](int y, int x, T weight) { sum += weight * ragged[place.at(values.dim[0], c, y, x)]; });
    values.data[i] = sum;
  }
};

template <class T>
struct SamplePlacesBackward {
  Rois rois;
  RoiPoints points;
  View<const T, 2> d_values;
  T* d_ragged;

  BASIN_HD void operator()(int64_t i) const {
    const int c = int(quotient(i, d_values.dim[1])), p = int(i - int64_t(c) * d_values.dim[1]);
    const PlaceInRoi<T> place(rois, points, p);
    place.corners.each(place.height, place.width, [&](int y, int x, T weight) {
      add(d_ragged[place.at(d_values.dim[0], c, y, x)], weight * d_values.data[i]);
    });
  }
};

void check_points(const RoiPoints& points, int count) {
  BASIN_CHECK(points.at.dim[0] == count && points.at.dim[1] == 2 && points.roi.dim[0] == count, "places ", points.at,
              ", regions ", points.roi, ", ", count, " values of a channel");
}

}  // namespace

template <class T>
void roi_sample(const Exec& exec, FeatureView<const T> maps, const Rois& rois, View<T, 1> values) {
  BASIN_CHECK(values.size() == int64_t(maps.c) * rois.points, "maps ", maps, ", ", rois.points, " points, values ",
              values);
  for_each(exec, rois.points, Sample<T>{maps, rois, values.data}, 64);
}

template <class T>
void roi_sample_backward(const Exec& exec, const Rois& rois, View<const T, 1> d_values, FeatureView<T> d_maps) {
  BASIN_CHECK(d_values.size() == int64_t(d_maps.c) * rois.points, "maps ", d_maps, ", ", rois.points,
              " points, values ", d_values);
  for_each_in_groups(exec, d_maps.c, rois.points, SampleBackward<T>{rois, d_values.data, d_maps});
}

template <class T>
void roi_mask_sample(const Exec& exec, View<const int32_t, 3> labels, View<const int32_t, 1> label, const Rois& rois,
                     View<T, 1> values) {
  BASIN_CHECK(values.dim[0] == rois.points && label.dim[0] == rois.count(), rois.count(), " regions of ", rois.points,
              " points, labels ", label, ", values ", values);
  for_each(exec, rois.points, SampleMask<T>{labels, label.data, rois, values.data});
}

template <class T>
void point_sample(const Exec& exec, View<const T, 1> ragged, const Rois& rois, const RoiPoints& points,
                  View<T, 2> values) {
  check_points(points, values.dim[1]);
  BASIN_CHECK(ragged.size() == int64_t(values.dim[0]) * rois.points, "values ", ragged, " of ", rois.points,
              " points, samples ", values);
  for_each(exec, values.size(), SamplePlaces<T>{ragged.data, rois, points, values});
}

template <class T>
void point_sample_backward(const Exec& exec, const Rois& rois, const RoiPoints& points, View<const T, 2> d_values,
                           View<T, 1> d_ragged) {
  check_points(points, d_values.dim[1]);
  BASIN_CHECK(d_ragged.size() == int64_t(d_values.dim[0]) * rois.points, "values ", d_ragged, " of ", rois.points,
              " points, samples ", d_values);
  for_each_in_groups(exec, d_values.dim[0], d_values.dim[1],
                     SamplePlacesBackward<T>{rois, points, d_values, d_ragged.data});
}

#define BASIN_INSTANTIATE(T)                                                                                 \
  template void roi_sample<T>(const Exec&, FeatureView<const T>, const Rois&, View<T, 1>);                   \
  template void roi_sample_backward<T>(const Exec&, const Rois&, View<const T, 1>, FeatureView<T>);          \
  template void roi_mask_sample<T>(const Exec&, View<const int32_t, 3>, View<const int32_t, 1>, const Rois&, \
                                   View<T, 1>);                                                              \
  template void point_sample<T>(const Exec&, View<const T, 1>, const Rois&, const RoiPoints&, View<T, 2>);   \
  template void point_sample_backward<T>(const Exec&, const Rois&, const RoiPoints&, View<const T, 2>, View<T, 1>)
BASIN_INSTANTIATE(float);
BASIN_INSTANTIATE(double);
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

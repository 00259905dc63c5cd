#include <cmath>

#include "kernels/roi/sheets.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

constexpr int max_lanes = 16;

/// Neighbouring lanes that one call takes: on the CPU as many as fill vectors, on a GPU one per thread.
int lanes_at_once(const Exec& exec, int block) {
  if (exec.device != Device::cpu) return 1;
  int lanes = max_lanes;
  while (block % lanes != 0)
    lanes /= 2;
  return lanes;
}

/// Index i of a loop over all regions and, inside each, over the lanes of all groups, `lanes` at a time.
struct LanesOfRoi {
  int roi, first, group, lane;  // first: of the lanes of all groups

  BASIN_HD LanesOfRoi(int64_t i, int all, int block, int lanes) {
    const int parts = all / lanes;
    roi = int(i / parts);
    first = int(i - int64_t(roi) * parts) * lanes;
    group = first / block;
    lane = first - group * block;
  }
};

/// Calls f(offset) for the pixels of a region, offset of lane 0 of the group.
template <class T, class F>
BASIN_HD void for_each_pixel(const FeatureView<T>& sheet, int group, const int32_t* place, const F& f) {
  for (int row = 0; row < place[1]; ++row) {
    const int64_t begin = int64_t(group) * sheet.pixels() + int64_t(place[4] + row) * sheet.w + place[5];
    for (int column = 0; column < place[2]; ++column)
      f((begin + column) * sheet.block);
  }
}

template <class T>
struct Statistics {
  FeatureView<const T> x;
  Rois rois;
  int lanes;
  double epsilon;
  RoiStatistics<T> stats;

  BASIN_HD void operator()(int64_t i) const {
    const int all = x.groups() * x.block;
    const LanesOfRoi at(i, all, x.block, lanes);
    const int32_t* place = &rois.place(at.roi, 0);
    const double n = double(place[1]) * place[2];
    double mean[max_lanes] = {}, square[max_lanes] = {};
    for_each_pixel(x, at.group, place, [&](int64_t offset) {
      for (int lane = 0; lane < lanes; ++lane)
        mean[lane] += double(x.data[offset + at.lane + lane]);
    });
    for (int lane = 0; lane < lanes; ++lane)
      mean[lane] /= n;
    for_each_pixel(x, at.group, place, [&](int64_t offset) {
      for (int lane = 0; lane < lanes; ++lane) {
        const double off = double(x.data[offset + at.lane + lane]) - mean[lane];
        square[lane] += off * off;
      }
    });
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t to = int64_t(at.roi) * all + at.first + lane;
      stats.mean[to] = T(mean[lane]);
      stats.inverse_std[to] = T(1 / sqrt(square[lane] / n + epsilon));
    }
  }
};

template <class T>
struct NormRelu {
  FeatureView<const T> x;
  Rois rois;
  RoiStatistics<T> stats;
  FeatureView<T> out;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfGroup at(rois, i);
    const int roi = rois.point(at.point, 0), pixel = rois.point(at.point, 1);
    const int64_t first = (int64_t(roi) * x.groups() + at.group) * x.block;
    const T* from = lanes_of_pixel(x, at.group, pixel);
    T* to = lanes_of_pixel(out, at.group, pixel);
    for (int lane = 0; lane < x.block; ++lane) {
      const T z = (from[lane] - stats.mean[first + lane]) * stats.inverse_std[first + lane];
      to[lane] = z > 0 ? z : T(0);
    }
  }
};

/// The means over a region of d_z and of d_z z, where z is the normalised x and d_z its gradient.
template <class T>
struct GradientMeans {
  FeatureView<const T> x;
  Rois rois;
  int lanes;
  RoiStatistics<T> stats;
  const T* d_out;
  T *mean_d, *mean_dz;

  BASIN_HD void operator()(int64_t i) const {
    const int all = x.groups() * x.block;
    const LanesOfRoi at(i, all, x.block, lanes);
    const int32_t* place = &rois.place(at.roi, 0);
    const int64_t to = int64_t(at.roi) * all + at.first;
    const double n = double(place[1]) * place[2];
    double d[max_lanes] = {}, dz[max_lanes] = {};
    for_each_pixel(x, at.group, place, [&](int64_t offset) {
      for (int lane = 0; lane < lanes; ++lane) {
        const int64_t element = offset + at.lane + lane;
        const T z = (x.data[element] - stats.mean[to + lane]) * stats.inverse_std[to + lane];
        const double d_z = z > 0 ? double(d_out[element]) : 0.0;
        d[lane] += d_z;
        dz[lane] += d_z * double(z);
      }
    });
    for (int lane = 0; lane < lanes; ++lane) {
      mean_d[to + lane] = T(d[lane] / n);
      mean_dz[to + lane] = T(dz[lane] / n);
    }
  }
};

template <class T>
struct NormReluBackward {
  FeatureView<const T> x;
  Rois rois;
  RoiStatistics<T> stats;
  const T *mean_d, *mean_dz;
  FeatureView<const T> d_out;
  FeatureView<T> d_x;

  BASIN_HD void operator()(int64_t i) const {
    const PointOfGroup at(rois, i);
    const int roi = rois.point(at.point, 0), pixel = rois.point(at.point, 1);
    const int64_t first = (int64_t(roi) * x.groups() + at.group) * x.block;
    const T *from = lanes_of_pixel(x, at.group, pixel), *d = lanes_of_pixel(d_out, at.group, pixel);
    T* to = lanes_of_pixel(d_x, at.group, pixel);
    for (int lane = 0; lane < x.block; ++lane) {
      const T inverse = stats.inverse_std[first + lane], z = (from[lane] - stats.mean[first + lane]) * inverse;
      to[lane] = inverse * ((z > 0 ? d[lane] : T(0)) - mean_d[first + lane] - z * mean_dz[first + lane]);
    }
  }
};

}  // namespace

template <class T>
void roi_norm_relu(const Exec& exec, FeatureView<const T> x, const Rois& rois, double epsilon, RoiStatistics<T> stats,
                   FeatureView<T> out) {
  check_sheet(rois, x);
  check_sheet(rois, out);
  BASIN_CHECK(x.c == out.c && x.block == out.block, "x ", x, ", out ", out);
  const int lanes = lanes_at_once(exec, x.block);
  for_each(exec, int64_t(rois.count()) * (x.groups() * x.block / lanes), Statistics<T>{x, rois, lanes, epsilon, stats},
           1);
  for_each(exec, points_of_groups(rois, x), NormRelu<T>{x, rois, stats, out});
}

template <class T>
void roi_norm_relu_backward(const Exec& exec, FeatureView<const T> x, const Rois& rois, RoiStatistics<T> stats,
                            FeatureView<const T> d_out, FeatureView<T> d_x) {
  check_sheet(rois, x);
  check_sheet(rois, d_out);
  check_sheet(rois, d_x);
  BASIN_CHECK(x.c == d_out.c && x.block == d_out.block && x.c == d_x.c && x.block == d_x.block, "x ", x, ", d_out ",
              d_out, ", d_x ", d_x);
  const int lanes = lanes_at_once(exec, x.block), all = x.groups() * x.block;
  const Temp<T> means(exec, 2 * int64_t(rois.count()) * all);
  T *const mean_d = means.data(), *const mean_dz = mean_d + int64_t(rois.count()) * all;
  for_each(exec, int64_t(rois.count()) * (all / lanes),
           GradientMeans<T>{x, rois, lanes, stats, d_out.data, mean_d, mean_dz}, 1);
  for_each(exec, points_of_groups(rois, x), NormReluBackward<T>{x, rois, stats, mean_d, mean_dz, d_out, d_x});
}

#define BASIN_INSTANTIATE(T)                                                                                \
  template void roi_norm_relu<T>(const Exec&, FeatureView<const T>, const Rois&, double, RoiStatistics<T>,  \
                                 FeatureView<T>);                                                           \
  template void roi_norm_relu_backward<T>(const Exec&, FeatureView<const T>, const Rois&, RoiStatistics<T>, \
                                          FeatureView<const T>, FeatureView<T>)
BASIN_INSTANTIATE(float);
BASIN_INSTANTIATE(double);
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

#include <cmath>

#include "kernels/roi/detection.h"
#include "kernels/runtime/elementary.h"
#include "kernels/runtime/gradient_out.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/reduce.h"
#include "kernels/runtime/segments.h"

namespace basin::kernels {
namespace {

constexpr double floor_of_p = 1e-4;

/// The contribution of one cell to the focal loss, and its gradient with respect to the logit.
struct Focal {
  double value, d_logit;

  BASIN_HD Focal(double logit, double heat) {
    const double raw = Sigmoid<double>(logit).p;
    const double p = raw < floor_of_p ? floor_of_p : raw > 1 - floor_of_p ? 1 - floor_of_p : raw, q = 1 - p;
    double d_p;
    if (heat == 1) {
      value = -q * q * log(p);
      d_p = 2 * q * log(p) - q * q / p;
    } else {
      const double rest = 1 - heat, weight = rest * rest * rest * rest;
      value = -weight * p * p * log(q);
      d_p = weight * (p * p / q - 2 * p * log(q));
    }
    d_logit = raw < floor_of_p || raw > 1 - floor_of_p ? 0 : d_p * p * q;
  }
};

template <class T>
struct FocalTerm {
  const T *logit, *heat;
  BASIN_HD void operator()(int64_t i, double (&t)[2]) const {
    t[0] = Focal(double(logit[i]), double(heat[i])).value;
    t[1] = heat[i] == 1;
  }
};

BASIN_HD inline double focal_divisor(const double* sums) { return sums[1] > 1 ? sums[1] : 1; }
BASIN_HD inline double l1_divisor(const double* sums) { return 2 * sums[1] + 1e-4; }

template <class T>
struct FocalValue {
  const double* sums;
  T* value;
  BASIN_HD void operator()(int64_t) const { *value = T(sums[0] / focal_divisor(sums)); }
};

template <class T>
struct FocalBackward {
  const T *logit, *heat;
  const double* sums;
  const T* d_value;
  GradientOut<T> d_logit;
  BASIN_HD void operator()(int64_t i) const {
    const double scale = double(*d_value) / focal_divisor(sums);
    d_logit(i, T(scale * Focal(double(logit[i]), double(heat[i])).d_logit));
  }
};

template <class T>
struct CellError {
  View<const T, 4> map;
  View<const int32_t, 2> cell;
  const T* target;

  BASIN_HD int64_t at(int64_t i, int c) const {
    const int64_t n = i / cell.dim[1], area = int64_t(map.dim[2]) * map.dim[3];
    return (n * 2 + c) * area + cell.data[i];
  }
  BASIN_HD double error(int64_t i, int c) const { return double(map.data[at(i, c)]) - double(target[2 * i + c]); }
  BASIN_HD void operator()(int64_t i, double (&t)[2]) const {
    t[1] = cell.data[i] >= 0;
    t[0] = cell.data[i] >= 0 ? fabs(error(i, 0)) + fabs(error(i, 1)) : 0;
  }
};

template <class T>
struct CellValue {
  const double* sums;
  T* value;
  BASIN_HD void operator()(int64_t) const { *value = T(sums[0] / l1_divisor(sums)); }
};

template <class T>
struct CellBackward {
  CellError<T> of;
  const double* sums;
  const T* d_value;
  T* d_map;
  BASIN_HD void operator()(int64_t i) const {
    if (of.cell.data[i] < 0) return;
    for (int c = 0; c < 2; ++c) {
      const double error = of.error(i, c), sign = error > 0 ? 1 : error < 0 ? -1 : 0 * error;
      add(d_map[of.at(i, c)], T(double(*d_value) * sign / l1_divisor(sums)));
    }
  }
};

template <class T>
struct SegmentBce {
  const T *logit, *truth;
  Segments segments;
  double terms;

  SegmentBce(View<const T, 1> logits, View<const T, 1> mask, View<const int32_t, 1> before, double n)
      : logit(logits.data), truth(mask.data), segments{before.data, before.dim[0] - 1}, terms(n) {}

  /// The weight of an element's cross-entropy.
  BASIN_HD double weight(int64_t i) const {
    const int s = segments.of(int32_t(i));
    return 1 / (terms * (segments.end(s) - segments.begin(s)));
  }
  BASIN_HD void operator()(int64_t i, double (&t)[1]) const {
    t[0] = weight(i) * cross_entropy(double(logit[i]), double(truth[i]));
  }
};

template <class T>
struct SegmentBceBackward {
  SegmentBce<T> of;
  const T* d_value;
  GradientOut<T> d_logit;
  BASIN_HD void operator()(int64_t i) const {
    d_logit(i, T(double(*d_value) * of.weight(i)) * (Sigmoid<T>(of.logit[i]).p - of.truth[i]));
  }
};

template <class T>
void check_maps(View<const T, 4> logit, View<const T, 4> heat) {
  for (int d = 0; d < 4; ++d)
    BASIN_CHECK(logit.dim[d] == heat.dim[d], "logits ", logit, ", heat ", heat);
}

template <class T>
void check_cells(View<const T, 4> map, View<const int32_t, 2> cell, View<const T, 3> target) {
  BASIN_CHECK(map.dim[1] == 2 && cell.dim[0] == map.dim[0] && target.dim[0] == cell.dim[0] &&
                  target.dim[1] == cell.dim[1] && target.dim[2] == 2,
              "maps ", map, ", cells ", cell, ", targets ", target);
}

template <class T>
void check_segments(View<const T, 1> logit, View<const T, 1> truth, View<const int32_t, 1> before, double terms) {
  BASIN_CHECK(logit.dim[0] == truth.dim[0] && before.dim[0] > 0 && terms > 0, "logits ", logit, ", truth ", truth, ", ",
              before.dim[0] - 1, " segments, ", terms, " terms");
}

}  // namespace

template <class T>
void centre_focal_loss(const Exec& exec, View<const T, 4> logit, View<const T, 4> heat, double* sums, T* value) {
  check_maps(logit, heat);
  sum<2>(exec, logit.size(), FocalTerm<T>{logit.data, heat.data}, sums);
  for_each(exec, 1, FocalValue<T>{sums, value});
}

template <class T>
void centre_focal_loss_backward(const Exec& exec, View<const T, 4> logit, View<const T, 4> heat, const double* sums,
                                const T* d_value, View<T, 4> d_logit, bool accumulate) {
  check_maps(logit, heat);
  check_maps<T>(logit, d_logit);
  for_each(exec, logit.size(), FocalBackward<T>{logit.data, heat.data, sums, d_value, {d_logit.data, accumulate}});
}

template <class T>
void cell_l1_loss(const Exec& exec, View<const T, 4> map, View<const int32_t, 2> cell, View<const T, 3> target,
                  double* sums, T* value) {
  check_cells(map, cell, target);
  sum<2>(exec, cell.size(), CellError<T>{map, cell, target.data}, sums);
  for_each(exec, 1, CellValue<T>{sums, value});
}

template <class T>
void cell_l1_loss_backward(const Exec& exec, View<const T, 4> map, View<const int32_t, 2> cell, View<const T, 3> target,
                           const double* sums, const T* d_value, View<T, 4> d_map) {
  check_cells(map, cell, target);
  check_maps<T>(map, d_map);
  for_each_in_groups(exec, cell.dim[0], cell.dim[1],
                     CellBackward<T>{{map, cell, target.data}, sums, d_value, d_map.data});
}

template <class T>
void segment_bce_loss(const Exec& exec, View<const T, 1> logit, View<const T, 1> truth, View<const int32_t, 1> before,
                      double terms, T* value) {
  check_segments(logit, truth, before, terms);
  const Temp<double> total(exec, 1);
  sum<1>(exec, logit.dim[0], SegmentBce<T>(logit, truth, before, terms), total.data());
  for_each(exec, 1, Mean<T>{total.data(), 1, value});
}

template <class T>
void segment_bce_loss_backward(const Exec& exec, View<const T, 1> logit, View<const T, 1> truth,
                               View<const int32_t, 1> before, double terms, const T* d_value, View<T, 1> d_logit,
                               bool accumulate) {
  check_segments(logit, truth, before, terms);
  BASIN_CHECK(d_logit.dim[0] == logit.dim[0], "logits ", logit, ", gradient ", d_logit);
  for_each(exec, logit.dim[0],
           SegmentBceBackward<T>{{logit, truth, before, terms}, d_value, {d_logit.data, accumulate}});
}

#define BASIN_INSTANTIATE(T)                                                                                           \
  template void centre_focal_loss<T>(const Exec&, View<const T, 4>, View<const T, 4>, double*, T*);                    \
  template void centre_focal_loss_backward<T>(const Exec&, View<const T, 4>, View<const T, 4>, const double*,          \
                                              const T*, View<T, 4>, bool);                                             \
  template void cell_l1_loss<T>(const Exec&, View<const T, 4>, View<const int32_t, 2>, View<const T, 3>, double*, T*); \
  template void cell_l1_loss_backward<T>(const Exec&, View<const T, 4>, View<const int32_t, 2>, View<const T, 3>,      \
                                         const double*, const T*, View<T, 4>);                                         \
  template void segment_bce_loss<T>(const Exec&, View<const T, 1>, View<const T, 1>, View<const int32_t, 1>, double,   \
                                    T*);                                                                               \
  template void segment_bce_loss_backward<T>(const Exec&, View<const T, 1>, View<const T, 1>, View<const int32_t, 1>,  \
                                             double, const T*, View<T, 1>, bool)
BASIN_INSTANTIATE(float);
BASIN_INSTANTIATE(double);
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

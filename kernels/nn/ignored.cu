#include "kernels/nn/ignored.h"

#include "kernels/runtime/gradient_out.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/platform.h"
#include "kernels/runtime/reduce.h"

namespace basin::kernels {
namespace {

struct ClearIgnored {
  const int32_t* labels;
  int32_t* cleared;
  BASIN_HD void operator()(int64_t i) const { cleared[i] = labels[i] < 0 ? 0 : labels[i]; }
};

struct CountedOfMiddle {
  View<const int32_t, 2> labels;
  int margin;
  View<float, 2> counted;

  BASIN_HD void operator()(int64_t y, int64_t x) const {
    counted(y, x) = labels(y + margin, x + margin) < 0 ? 0.f : 1.f;
  }
};

/// A row is a channel of a sample.
template <class T>
struct KeepCounted {
  const T *x, *counted;
  T fill;
  T* out;
  int64_t channels, size;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    out[row * size + i] = counted[row / channels * size + i] != 0 ? x[row * size + i] : fill;
  }
};

template <class T>
struct KeepCountedBackward {
  const T *counted, *d_out;
  GradientOut<T> d_x;
  int64_t channels, size;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    d_x(row * size + i, counted[row / channels * size + i] != 0 ? d_out[row * size + i] : T(0));
  }
};

template <class T>
struct Value {
  const T* data;
  BASIN_HD void operator()(int64_t i, double (&t)[1]) const { t[0] = double(data[i]); }
};

template <class T>
struct Factor {
  const double* counted;
  double pixels;
  T* factor;
  BASIN_HD void operator()(int64_t) const { *factor = T(*counted > 0 ? pixels / *counted : 0.0); }
};

template <class T>
struct Times {
  const T *value, *factor;
  GradientOut<T> out;
  BASIN_HD void operator()(int64_t) const { out(0, *value * *factor); }
};

template <class T>
void check_counted(View<const T, 4> x, View<const T, 4> counted) {
  BASIN_CHECK(counted.dim[0] == x.dim[0] && counted.dim[1] == 1 && counted.dim[2] == x.dim[2] &&
                  counted.dim[3] == x.dim[3] && x.size() > 0,
              "maps ", x, ", counted ", counted);
}

template <class T>
void check_same(View<const T, 4> a, View<const T, 4> b) {
  for (int d = 0; d < 4; ++d)
    BASIN_CHECK(a.dim[d] == b.dim[d], "shapes ", a, " and ", b);
}

}  // namespace

void clear_ignored(const Exec& exec, View<const int32_t, 2> labels, View<int32_t, 2> cleared) {
  BASIN_CHECK(labels.dim[0] == cleared.dim[0] && labels.dim[1] == cleared.dim[1], "labels ", labels, ", cleared ",
              cleared);
  for_each(exec, labels.size(), ClearIgnored{labels.data, cleared.data});
}

void counted_of_middle(const Exec& exec, View<const int32_t, 2> labels, View<float, 2> counted) {
  const int margin = (labels.dim[0] - counted.dim[0]) / 2;
  BASIN_CHECK(
      margin >= 0 && labels.dim[0] == counted.dim[0] + 2 * margin && labels.dim[1] == counted.dim[1] + 2 * margin,
      "labels ", labels, ", counted ", counted);
  for_each_row(exec, counted.dim[0], counted.dim[1], CountedOfMiddle{labels, margin, counted});
}

template <class T>
void keep_counted(const Exec& exec, View<const T, 4> x, View<const T, 4> counted, T fill, View<T, 4> out) {
  check_counted(x, counted);
  check_same<T>(x, out);
  const int64_t size = int64_t(x.dim[2]) * x.dim[3];
  for_each_row(exec, int64_t(x.dim[0]) * x.dim[1], size,
               KeepCounted<T>{x.data, counted.data, fill, out.data, x.dim[1], size});
}

template <class T>
void keep_counted_backward(const Exec& exec, View<const T, 4> counted, View<const T, 4> d_out, View<T, 4> d_x,
                           bool accumulate) {
  check_counted(d_out, counted);
  check_same<T>(d_out, d_x);
  const int64_t size = int64_t(d_x.dim[2]) * d_x.dim[3];
  for_each_row(exec, int64_t(d_x.dim[0]) * d_x.dim[1], size,
               KeepCountedBackward<T>{counted.data, d_out.data, {d_x.data, accumulate}, d_x.dim[1], size});
}

template <class T>
void counted_factor(const Exec& exec, View<const T, 4> counted, T* factor) {
  Temp<double> total(exec, 1);
  sum<1>(exec, counted.size(), Value<T>{counted.data}, total.data());
  for_each(exec, 1, Factor<T>{total.data(), double(counted.size()), factor});
}

template <class T>
void times(const Exec& exec, const T* value, const T* factor, T* out, bool accumulate) {
  for_each(exec, 1, Times<T>{value, factor, {out, accumulate}});
}

#define BASIN_INSTANTIATE(T)                                                                                 \
  template void keep_counted<T>(const Exec&, View<const T, 4>, View<const T, 4>, T, View<T, 4>);             \
  template void keep_counted_backward<T>(const Exec&, View<const T, 4>, View<const T, 4>, View<T, 4>, bool); \
  template void counted_factor<T>(const Exec&, View<const T, 4>, T*);                                        \
  template void times<T>(const Exec&, const T*, const T*, T*, bool);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

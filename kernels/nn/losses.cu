#include "kernels/nn/losses.h"

#include <cmath>

#include "kernels/runtime/elementary.h"
#include "kernels/runtime/gradient_out.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/platform.h"
#include "kernels/runtime/reduce.h"

namespace basin::kernels {
namespace {

template <class T>
void check_same(View<const T, 4> a, View<const T, 4> b) {
  for (int d = 0; d < 4; ++d)
    BASIN_CHECK(a.dim[d] == b.dim[d] && a.dim[d] > 0, "shapes ", a, " and ", b);
}

template <class T>
struct SquaredError {
  const T *predicted, *truth;
  BASIN_HD void operator()(int64_t i, double (&t)[1]) const {
    const double d = double(predicted[i]) - double(truth[i]);
    t[0] = d * d;
  }
};

template <class T>
struct SquaredErrorBackward {
  const T *predicted, *truth, *d_value;
  T factor;  // 2 / n
  GradientOut<T> out;
  BASIN_HD void operator()(int64_t, int64_t i) const { out(i, *d_value * factor * (predicted[i] - truth[i])); }
};

template <class T>
struct Overlap {
  const T *logit, *mask;
  BASIN_HD void operator()(int64_t i, double (&t)[3]) const {
    const T p = Sigmoid<T>(logit[i]).p;
    t[0] = double(p) * double(mask[i]);
    t[1] = double(p);
    t[2] = double(mask[i]);
  }
};

constexpr double tversky_floor = 1e-7;

/// The denominator of the Tversky index, from the three sums.
BASIN_HD inline double tversky_denominator(const double* sums, TverskyWeights weights) {
  return sums[0] + weights.a * (sums[1] - sums[0]) + weights.b * (sums[2] - sums[0]);
}

template <class T>
struct TverskyValue {
  const double* sums;
  TverskyWeights weights;
  T* value;
  BASIN_HD void operator()(int64_t) const {
    const double d = tversky_denominator(sums, weights), loss = 1 - sums[0] / (d < tversky_floor ? tversky_floor : d);
    *value = T(sums[2] > 0 ? loss : 0 * loss);  // keeps NaN
  }
};

/// d_value * d(value)/dp is linear in y: off + y * (on - off). One thread computes both ends.
template <class T>
struct TverskySlopes {
  const double* sums;
  TverskyWeights weights;
  const T* d_value;
  T* slopes;  // [2]: off, on
  BASIN_HD void operator()(int64_t) const {
    const double i = sums[0], d = tversky_denominator(sums, weights), scale = sums[2] > 0 ? double(*d_value) : 0.0;
    const bool floored = d < tversky_floor;
    slopes[0] = T(floored ? 0.0 : scale * i * weights.a / (d * d));
    slopes[1] = T(floored ? -scale / tversky_floor : -scale * (d - i * (1 - weights.b)) / (d * d));
  }
};

template <class T>
struct TverskyBackward {
  const T *logit, *mask, *slopes;
  GradientOut<T> out;
  BASIN_HD void operator()(int64_t, int64_t i) const {
    out(i, (slopes[0] + mask[i] * (slopes[1] - slopes[0])) * Sigmoid<T>(logit[i]).slope());
  }
};

template <class T>
struct CrossEntropy {
  const T *logit, *mask;
  BASIN_HD void operator()(int64_t i, double (&t)[1]) const { t[0] = cross_entropy(double(logit[i]), double(mask[i])); }
};

template <class T>
struct CrossEntropyBackward {
  const T *logit, *mask, *d_value;
  T factor;  // 1 / n
  GradientOut<T> out;
  BASIN_HD void operator()(int64_t, int64_t i) const { out(i, *d_value * factor * (Sigmoid<T>(logit[i]).p - mask[i])); }
};

template <class T>
struct Scale {
  const T *from, *factor;
  GradientOut<T> out;
  BASIN_HD void operator()(int64_t, int64_t i) const { out(i, *factor * from[i]); }
};

template <class T>
struct WeightedSum {
  WeightedTerms<T> terms;
  T* total;
  BASIN_HD void operator()(int64_t) const {
    double s = 0;
    for (int k = 0; k < terms.count; ++k)
      s += terms.weight[k] * double(*terms.value[k]);
    *total = T(s);
  }
};

template <class T>
struct WeightedSumBackward {
  WeightedTerms<T> terms;
  const T* d_total;
  BASIN_HD void operator()(int64_t) const {
    for (int k = 0; k < terms.count; ++k)
      if (terms.d_value[k]) *terms.d_value[k] += T(terms.weight[k] * double(*d_total));
  }
};

}  // namespace

template <class T>
void mse_loss(const Exec& exec, View<const T, 4> predicted, View<const T, 4> truth, T* value) {
  check_same(predicted, truth);
  Temp<double> total(exec, 1);
  sum<1>(exec, predicted.size(), SquaredError<T>{predicted.data, truth.data}, total.data());
  for_each(exec, 1, Mean<T>{total.data(), double(predicted.size()), value});
}

template <class T>
void mse_loss_backward(const Exec& exec, View<const T, 4> predicted, View<const T, 4> truth, const T* d_value,
                       View<T, 4> d_predicted, bool accumulate) {
  check_same(predicted, truth);
  check_same<T>(predicted, d_predicted);
  const T factor = T(2.0 / double(predicted.size()));
  for_each_flat(exec, predicted.size(),
                SquaredErrorBackward<T>{predicted.data, truth.data, d_value, factor, {d_predicted.data, accumulate}});
}

template <class T>
void tversky_loss(const Exec& exec, View<const T, 4> logit, View<const T, 4> mask, TverskyWeights weights, double* sums,
                  T* value) {
  check_same(logit, mask);
  sum<3>(exec, logit.size(), Overlap<T>{logit.data, mask.data}, sums);
  for_each(exec, 1, TverskyValue<T>{sums, weights, value});
}

template <class T>
void tversky_loss_backward(const Exec& exec, View<const T, 4> logit, View<const T, 4> mask, TverskyWeights weights,
                           const double* sums, const T* d_value, View<T, 4> d_logit, bool accumulate) {
  check_same(logit, mask);
  check_same<T>(logit, d_logit);
  Temp<T> slopes(exec, 2);
  for_each(exec, 1, TverskySlopes<T>{sums, weights, d_value, slopes.data()});
  for_each_flat(exec, logit.size(),
                TverskyBackward<T>{logit.data, mask.data, slopes.data(), {d_logit.data, accumulate}});
}

template <class T>
void bce_loss(const Exec& exec, View<const T, 4> logit, View<const T, 4> mask, T* value) {
  check_same(logit, mask);
  Temp<double> total(exec, 1);
  sum<1>(exec, logit.size(), CrossEntropy<T>{logit.data, mask.data}, total.data());
  for_each(exec, 1, Mean<T>{total.data(), double(logit.size()), value});
}

template <class T>
void bce_loss_backward(const Exec& exec, View<const T, 4> logit, View<const T, 4> mask, const T* d_value,
                       View<T, 4> d_logit, bool accumulate) {
  check_same(logit, mask);
  check_same<T>(logit, d_logit);
  const T factor = T(1.0 / double(logit.size()));
  for_each_flat(exec, logit.size(),
                CrossEntropyBackward<T>{logit.data, mask.data, d_value, factor, {d_logit.data, accumulate}});
}

template <class T>
void scale_gradient(const Exec& exec, View<const T, 4> from, const T* d_value, View<T, 4> to, bool accumulate) {
  check_same<T>(from, to);
  for_each_flat(exec, from.size(), Scale<T>{from.data, d_value, {to.data, accumulate}});
}

template <class T>
void weighted_sum(const Exec& exec, const WeightedTerms<T>& terms, T* total) {
  BASIN_CHECK(terms.count > 0 && terms.count <= terms.most, terms.count, " terms");
  for_each(exec, 1, WeightedSum<T>{terms, total});
}

template <class T>
void weighted_sum_backward(const Exec& exec, const WeightedTerms<T>& terms, const T* d_total) {
  BASIN_CHECK(terms.count > 0 && terms.count <= terms.most, terms.count, " terms");
  for_each(exec, 1, WeightedSumBackward<T>{terms, d_total});
}

#define BASIN_INSTANTIATE(T)                                                                                       \
  template void mse_loss<T>(const Exec&, View<const T, 4>, View<const T, 4>, T*);                                  \
  template void mse_loss_backward<T>(const Exec&, View<const T, 4>, View<const T, 4>, const T*, View<T, 4>, bool); \
  template void tversky_loss<T>(const Exec&, View<const T, 4>, View<const T, 4>, TverskyWeights, double*, T*);     \
  template void tversky_loss_backward<T>(const Exec&, View<const T, 4>, View<const T, 4>, TverskyWeights,          \
                                         const double*, const T*, View<T, 4>, bool);                               \
  template void bce_loss<T>(const Exec&, View<const T, 4>, View<const T, 4>, T*);                                  \
  template void bce_loss_backward<T>(const Exec&, View<const T, 4>, View<const T, 4>, const T*, View<T, 4>, bool); \
  template void scale_gradient<T>(const Exec&, View<const T, 4>, const T*, View<T, 4>, bool);                      \
  template void weighted_sum<T>(const Exec&, const WeightedTerms<T>&, T*);                                         \
  template void weighted_sum_backward<T>(const Exec&, const WeightedTerms<T>&, const T*);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

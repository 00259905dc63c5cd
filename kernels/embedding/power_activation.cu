#include "kernels/embedding/power_activation.h"

#include <cmath>

#include "kernels/embedding/pixel_spans.h"

namespace basin::kernels {
namespace {

BASIN_HD inline float pow_of(float x, float alpha) { return powf(x, alpha); }
BASIN_HD inline double pow_of(double x, float alpha) { return pow(x, double(alpha)); }

/// Whether x^alpha is a product of few factors, as for the exponents 2, 4, 6 and 8 of FCRNet's schedule.
BASIN_HD inline bool is_product(float alpha) { return alpha >= 1 && alpha < 16 && float(int(alpha)) == alpha; }

template <class T>
BASIN_HD T product(T x, int exponent) {
  const T x2 = x * x, x4 = x2 * x2, x8 = x4 * x4;
  return ((exponent & 1) ? x : T(1)) * ((exponent & 2) ? x2 : T(1)) * ((exponent & 4) ? x4 : T(1)) *
         ((exponent & 8) ? x8 : T(1));
}

/// x^alpha for x >= 0. `product_only`: alpha is known to give a product, so that no function call prevents
/// vectorisation.
template <bool product_only, class T>
BASIN_HD T power(T x, float alpha) {
  if constexpr (!product_only)
    if (!is_product(alpha)) return pow_of(x, alpha);
  return product(x, int(alpha));
}

template <class T, int pixels, bool product_only>
struct Activate {
  static constexpr int most = pixels;
  View<const T, 4> e;
  const float* alpha;
  T floor;
  T* h;

  BASIN_HD void operator()(int64_t i) const {
    const PixelSpan at(e, most, i);
    T scale[most] = {}, sum[most] = {};  // scale first contains the largest magnitude
    for (int k = 0; k < e.dim[1]; ++k) {
      const T* v = e.data + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x) {
        const T size = (v[x] < 0 ? -v[x] : v[x]) + floor;
        scale[x] = size > scale[x] ? size : scale[x];
      }
    }
#pragma omp simd
    for (int x = 0; x < at.count; ++x)
      scale[x] = scale[x] == 0 ? T(0) : 1 / scale[x];
    const float exponent = *alpha;
    for (int k = 0; k < e.dim[1]; ++k) {
      const T* v = e.data + at.first + k * at.plane;
      T* to = h + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x) {
        to[x] = power<product_only>(((v[x] < 0 ? -v[x] : v[x]) + floor) * scale[x], exponent);
        sum[x] += to[x];
      }
    }
#pragma omp simd
    for (int x = 0; x < at.count; ++x)
      sum[x] = sum[x] == 0 ? T(0) : 1 / sum[x];
    for (int k = 0; k < e.dim[1]; ++k) {
      T* to = h + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x)
        to[x] *= sum[x];
    }
  }
};

template <class T, int pixels>
struct ActivateBackward {
  static constexpr int most = pixels;
  View<const T, 4> e;
  const T* h;
  const float* alpha;
  T floor;
  const T* d_h;
  T* d_e;
  bool accumulate;

  BASIN_HD void operator()(int64_t i) const {
    const PixelSpan at(e, most, i);
    T mean[most] = {};
    for (int k = 0; k < e.dim[1]; ++k) {
      const T *out = h + at.first + k * at.plane, *d_out = d_h + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x)
        mean[x] += out[x] * d_out[x];
    }
    const T exponent = T(*alpha);
    for (int k = 0; k < e.dim[1]; ++k) {
      const int64_t from = at.first + k * at.plane;
      const T *v = e.data + from, *out = h + from, *d_out = d_h + from;
      T* to = d_e + from;
#pragma omp simd
      for (int x = 0; x < at.count; ++x) {
        const T size = (v[x] < 0 ? -v[x] : v[x]) + floor;
        const T slope = size == 0 ? T(0) : (v[x] < 0 ? -exponent : exponent) * out[x] / size;
        to[x] = (accumulate ? to[x] : T(0)) + slope * (d_out[x] - mean[x]);
      }
    }
  }
};

}  // namespace

template <class T>
void power_activation(const Exec& exec, View<const T, 4> e, const float* alpha, double floor, View<T, 4> h) {
  check_same_maps<T>(e, h);
  BASIN_CHECK(floor >= 0, "floor ", floor);
  constexpr int on_cpu = PixelSpan::on_cpu;
  if (exec.device != Device::cpu)
    for_each_span(exec, e, Activate<T, 1, false>{e, alpha, T(floor), h.data});
  else if (is_product(*alpha))
    for_each_span(exec, e, Activate<T, on_cpu, true>{e, alpha, T(floor), h.data});
  else
    for_each_span(exec, e, Activate<T, on_cpu, false>{e, alpha, T(floor), h.data});
}

template <class T>
void power_activation_backward(const Exec& exec, View<const T, 4> e, View<const T, 4> h, const float* alpha,
                               double floor, View<const T, 4> d_h, View<T, 4> d_e, bool accumulate) {
  check_same_maps<T>(e, h);
  check_same_maps<T>(e, d_h);
  check_same_maps<T>(e, d_e);
  constexpr int on_cpu = PixelSpan::on_cpu;
  if (exec.device != Device::cpu)
    for_each_span(exec, e, ActivateBackward<T, 1>{e, h.data, alpha, T(floor), d_h.data, d_e.data, accumulate});
  else
    for_each_span(exec, e, ActivateBackward<T, on_cpu>{e, h.data, alpha, T(floor), d_h.data, d_e.data, accumulate});
}

#define BASIN_INSTANTIATE(T)                                                                                        \
  template void power_activation<T>(const Exec&, View<const T, 4>, const float*, double, View<T, 4>);               \
  template void power_activation_backward<T>(const Exec&, View<const T, 4>, View<const T, 4>, const float*, double, \
                                             View<const T, 4>, View<T, 4>, bool);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

#include "kernels/embedding/unit_vectors.h"

#include "kernels/embedding/pixel_spans.h"
#include "kernels/runtime/elementary.h"

namespace basin::kernels {
namespace {

constexpr double min_length = 1e-6;

template <class T, int pixels>
struct Unit {
  static constexpr int most = pixels;
  View<const T, 4> v;
  T* u;

  BASIN_HD void operator()(int64_t i) const {
    const PixelSpan at(v, most, i);
    T inverse[most] = {};  // first the squared length
    for (int k = 0; k < v.dim[1]; ++k) {
      const T* from = v.data + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x)
        inverse[x] += from[x] * from[x];
    }
#pragma omp simd
    for (int x = 0; x < at.count; ++x)
      inverse[x] = UnitVector<T>(inverse[x], T(min_length)).inverse;
    for (int k = 0; k < v.dim[1]; ++k) {
      const T* from = v.data + at.first + k * at.plane;
      T* to = u + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x)
        to[x] = from[x] * inverse[x];
    }
  }
};

template <class T, int pixels>
struct UnitBackward {
  static constexpr int most = pixels;
  View<const T, 4> v;
  const T* d_u;
  T* d_v;
  bool accumulate;

  BASIN_HD void operator()(int64_t i) const {
    const PixelSpan at(v, most, i);
    T inverse[most] = {}, along[most] = {};  // first the squared length and v d_u
    for (int k = 0; k < v.dim[1]; ++k) {
      const T *from = v.data + at.first + k * at.plane, *d_out = d_u + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x) {
        inverse[x] += from[x] * from[x];
        along[x] += from[x] * d_out[x];
      }
    }
#pragma omp simd
    for (int x = 0; x < at.count; ++x) {
      const UnitVector<T> unit(inverse[x], T(min_length));
      inverse[x] = unit.inverse;
      along[x] = unit.is_short ? T(0) : along[x] * unit.inverse * unit.inverse;
    }
    for (int k = 0; k < v.dim[1]; ++k) {
      const T *from = v.data + at.first + k * at.plane, *d_out = d_u + at.first + k * at.plane;
      T* to = d_v + at.first + k * at.plane;
#pragma omp simd
      for (int x = 0; x < at.count; ++x)
        to[x] = (accumulate ? to[x] : T(0)) + unit_vector_backward(from[x], d_out[x], along[x], inverse[x]);
    }
  }
};

}  // namespace

template <class T>
void unit_vectors(const Exec& exec, View<const T, 4> v, View<T, 4> u) {
  check_same_maps<T>(v, u);
  if (exec.device == Device::cpu)
    for_each_span(exec, v, Unit<T, PixelSpan::on_cpu>{v, u.data});
  else
    for_each_span(exec, v, Unit<T, 1>{v, u.data});
}

template <class T>
void unit_vectors_backward(const Exec& exec, View<const T, 4> v, View<const T, 4> d_u, View<T, 4> d_v,
                           bool accumulate) {
  check_same_maps<T>(v, d_u);
  check_same_maps<T>(v, d_v);
  if (exec.device == Device::cpu)
    for_each_span(exec, v, UnitBackward<T, PixelSpan::on_cpu>{v, d_u.data, d_v.data, accumulate});
  else
    for_each_span(exec, v, UnitBackward<T, 1>{v, d_u.data, d_v.data, accumulate});
}

#define BASIN_INSTANTIATE(T)                                                \
  template void unit_vectors<T>(const Exec&, View<const T, 4>, View<T, 4>); \
  template void unit_vectors_backward<T>(const Exec&, View<const T, 4>, View<const T, 4>, View<T, 4>, bool);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

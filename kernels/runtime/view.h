#pragma once
#include <ostream>
#include <type_traits>

#include "kernels/runtime/platform.h"

namespace basin {

/// a / b for numbers that are not negative. Uses 32-bit division where it suffices, because a GPU is many times slower
/// with 64 bits.
BASIN_HD inline int64_t quotient(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? int64_t(uint32_t(a) / uint32_t(b)) : a / b;
}

/// A dense, row-major array of rank N that it does not own. Passed by value, also into kernels.
template <class T, int N>
struct View {
  T* data = nullptr;
  int dim[N] = {};

  BASIN_HD int64_t size() const {
    int64_t n = 1;
    for (int d : dim)
      n *= d;
    return n;
  }
  template <class... I>
  BASIN_HD T& operator()(I... index) const {
    static_assert(sizeof...(I) == N);
    const int at[] = {int(index)...};
    int64_t k = 0;
    for (int d = 0; d < N; ++d)
      k = k * dim[d] + at[d];
    return data[k];
  }
  /// The same elements, read-only.
  template <class U>
  requires(std::is_same_v<U, const T> && !std::is_const_v<T>) BASIN_HD operator View<U, N>() const {
    View<U, N> v;
    v.data = data;
    for (int d = 0; d < N; ++d)
      v.dim[d] = dim[d];
    return v;
  }
};

template <class T, int N>
std::ostream& operator<<(std::ostream& out, View<T, N> v) {
  for (int d = 0; d < N; ++d)
    out << (d ? "x" : "[") << v.dim[d];
  return out << ']';
}

/// Feature maps [N, C, H, W] in any layout, addressed as [N, groups, H, W, block]: channel c is lane c % block of group
/// c / block. nchw has block 1, nhwc has one group, oneDNN's blocked layouts have block 8 or 16. There the lanes of the
/// last group beyond C hold zeros, and every kernel that writes a FeatureView keeps them zero.
template <class T>
struct FeatureView {
  T* data = nullptr;
  int n = 0, c = 0, h = 0, w = 0, block = 1;

  BASIN_HD int groups() const { return (c + block - 1) / block; }
  BASIN_HD int64_t pixels() const { return int64_t(h) * w; }
  BASIN_HD int64_t rows() const { return int64_t(n) * groups() * h; }  // contiguous runs of w * block elements
  BASIN_HD int64_t size() const { return rows() * w * block; }         // padding lanes included
  BASIN_HD T* row(int64_t r) const { return data + r * w * block; }    // r = (n * groups + g) * h + y
  BASIN_HD T& operator()(int i, int channel, int y, int x) const {
    return data[(((int64_t(i) * groups() + channel / block) * h + y) * w + x) * block + channel % block];
  }
  template <class U>
  requires(std::is_same_v<U, const T> && !std::is_const_v<T>) BASIN_HD operator FeatureView<U>() const {
    return {data, n, c, h, w, block};
  }
};

template <class T>
std::ostream& operator<<(std::ostream& out, FeatureView<T> v) {
  out << "[" << v.n << 'x' << v.c << 'x' << v.h << 'x' << v.w;
  if (v.block > 1) out << ", block " << v.block;
  return out << ']';
}

}  // namespace basin

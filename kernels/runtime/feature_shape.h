#pragma once
#include <type_traits>
#include <utility>

#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/view.h"

// The arguments that loops over feature maps pass to their functors. Two feature maps of one shape and layout have the
// same offsets.

namespace basin {

/// The shape and layout of a FeatureView, without its data.
struct FeatureShape {
  int n, c, h, w, block;

  template <class T>
  explicit FeatureShape(const FeatureView<T>& v) : n(v.n), c(v.c), h(v.h), w(v.w), block(v.block) {}
  BASIN_HD int groups() const { return (c + block - 1) / block; }
  BASIN_HD int64_t pixels() const { return int64_t(h) * w; }
  BASIN_HD int64_t rows() const { return int64_t(n) * groups() * h; }
  BASIN_HD int64_t row_size() const { return int64_t(w) * block; }
  template <class T>
  bool same(const FeatureView<T>& v) const {
    return n == v.n && c == v.c && h == v.h && w == v.w && block == v.block;
  }
};

/// One element of feature maps, by its position in its plane.
struct PixelAt {
  int64_t offset;  // from the start of the buffer, in elements
  int n;           // the sample
  int pixel;       // y * w + x
  int lane;
  int channel;  // group * block + lane; c or more in the padding lanes
};

/// One element of feature maps, with its row and column as well.
struct FeatureAt : PixelAt {
  int64_t row;  // (n * groups + group) * h + y
  int x;
};

// Loops pass each element some numbers of its channel, such as a scale and a shift. `Numbers` is a struct of Views with
// their type, Value, how many there are per channel, count, and operator()(k, channel), which returns the k-th. It must
// accept padding lanes too, and there return numbers that keep zeros zero.

/// K numbers per channel, in device memory: value[k * lanes + channel], 0 in the padding lanes.
template <class T, int K>
struct ChannelTable {
  using Value = T;
  static constexpr int count = K;
  const T* value = nullptr;
  int lanes = 0;

  BASIN_HD T operator()(int k, int channel) const { return value[int64_t(k) * lanes + channel]; }
};
/// The channels of maps of this shape, padding lanes included: the width of their ChannelTable.
inline int lanes_of(const FeatureShape& shape) { return shape.groups() * shape.block; }

/// S numbers that are summed together. A functor fills them in place, because g++ moves a returned pair of floats as
/// one integer and then does not vectorise the loop.
template <class T, int S>
struct Sums {
  T value[S];
};

/// V neighbouring elements, which a GPU reads or writes with one instruction.
template <class X, int V>
struct alignas(sizeof(X) * V) Pack {
  X value[V];
};
/// How many elements a GPU thread reads or writes at once.
constexpr int pack_size = 4;
/// Whether a functor also works on packs of elements; it declares so itself.
template <class F>
constexpr bool has_vectors = requires {
  requires F::has_vectors;
};
template <class X>
bool is_pack_aligned(const X* data) {
  return reinterpret_cast<uintptr_t>(data) % sizeof(Pack<X, pack_size>) == 0;
}

namespace detail {

template <class Numbers>
using EachOf = std::make_integer_sequence<int, Numbers::count>;

/// The numbers of `Lanes` channels, starting at `first`. A local copy stays in registers, because no store through a
/// functor's pointers can change it.
template <int Lanes, class Numbers>
struct LocalNumbers {
  typename Numbers::Value value[Numbers::count > 0 ? Numbers::count : 1][Lanes];

  BASIN_HD LocalNumbers(const Numbers& numbers, int first) {
    for (int k = 0; k < Numbers::count; ++k)
      for (int lane = 0; lane < Lanes; ++lane)
        value[k][lane] = numbers(k, first + lane);
  }
};

template <class Numbers, class F, int... k>
BASIN_HD auto call_with(const F& f, const FeatureAt& at, const Numbers& numbers, std::integer_sequence<int, k...>) {
  return f(at, numbers(k, at.channel)...);
}

/// An element-wise function of feature maps of one shape, as a functor of an element and the numbers of its channel.
template <class X, int I, int O, class F>
struct MapElement {
  using T = Arithmetic<X>;
  const X* in[I];
  X* out[O];
  F f;

  template <class... N>
  BASIN_HD void operator()(const PixelAt& at, N... number) const {
    run(at, std::make_integer_sequence<int, I>(), std::make_integer_sequence<int, O>(), number...);
  }
  template <int... i, int... o, class... N>
  BASIN_HD void run(const PixelAt& at, std::integer_sequence<int, i...>, std::integer_sequence<int, o...>,
                    N... number) const {
    T result[O];
    f(result[o]..., T(in[i][at.offset])..., number...);
    ((out[o][at.offset] = result[o]), ...);
  }

  static constexpr bool has_vectors = sizeof(X) <= 4;
  /// Whether vectors() may be called where offsets are multiples of pack_size.
  bool is_aligned() const {
    bool all = true;
    for (const X* p : in)
      all = all && is_pack_aligned(p);
    for (const X* p : out)
      all = all && is_pack_aligned(p);
    return all;
  }
  /// The same for pack_size neighbours from `at` on: pixels of one channel if Lanes = 1, otherwise lanes of one pixel.
  template <int Lanes, class Numbers>
  BASIN_HD void vectors(const PixelAt& at, const LocalNumbers<Lanes, Numbers>& number) const {
    vectors(at, number, std::make_integer_sequence<int, I>(), std::make_integer_sequence<int, O>(), EachOf<Numbers>());
  }
  template <int Lanes, class Numbers, int... i, int... o, int... k>
  BASIN_HD void vectors(const PixelAt& at, [[maybe_unused]] const LocalNumbers<Lanes, Numbers>& number,
                        std::integer_sequence<int, i...>, std::integer_sequence<int, o...>,
                        std::integer_sequence<int, k...>) const {
    using Vector = Pack<X, pack_size>;
    const Vector from[I] = {*reinterpret_cast<const Vector*>(in[i] + at.offset)...};
    Vector to[O];
    for (int v = 0; v < pack_size; ++v) {
      T result[O];
      f(result[o]..., T(from[i].value[v])..., number.value[k][Lanes == 1 ? 0 : v]...);
      ((to[o].value[v] = result[o]), ...);
    }
    ((*reinterpret_cast<Vector*>(out[o] + at.offset) = to[o]), ...);
  }
};

/// Terms of per-channel sums over feature maps of one shape, as a functor of an element.
template <class X, int I, class F>
struct SumElement {
  using T = Arithmetic<X>;
  const X* in[I];
  F f;

  template <int S, class... N>
  BASIN_HD void operator()(Sums<T, S>& sum, const PixelAt& at, N... number) const {
    run(sum, at, std::make_integer_sequence<int, I>(), number...);
  }
  template <int S, int... i, class... N>
  BASIN_HD void run(Sums<T, S>& sum, const PixelAt& at, std::integer_sequence<int, i...>, N... number) const {
    f(sum, T(in[i][at.offset])..., number...);
  }

  static constexpr bool has_vectors = sizeof(X) <= 4;
  bool is_aligned() const {
    bool all = true;
    for (const X* p : in)
      all = all && is_pack_aligned(p);
    return all;
  }
  /// Adds the numbers of pack_size neighbours: if Lanes = 1 (pixels of one channel) all to own[s][0], otherwise those
  /// of lane v to own[s][v].
  template <int S, int Lanes, class Numbers>
  BASIN_HD void add_vectors(T (&own)[S][Lanes], const PixelAt& at, const LocalNumbers<Lanes, Numbers>& number) const {
    add_vectors(own, at, number, std::make_integer_sequence<int, I>(), EachOf<Numbers>());
  }
  template <int S, int Lanes, class Numbers, int... i, int... k>
  BASIN_HD void add_vectors(T (&own)[S][Lanes], const PixelAt& at,
                            [[maybe_unused]] const LocalNumbers<Lanes, Numbers>& number,
                            std::integer_sequence<int, i...>, std::integer_sequence<int, k...>) const {
    using Vector = Pack<X, pack_size>;
    const Vector from[I] = {*reinterpret_cast<const Vector*>(in[i] + at.offset)...};
    for (int v = 0; v < pack_size; ++v) {
      Sums<T, S> part;
      f(part, T(from[i].value[v])..., number.value[k][Lanes == 1 ? 0 : v]...);
      for (int s = 0; s < S; ++s)
        own[s][Lanes == 1 ? 0 : v] += part.value[s];
    }
  }
};

}  // namespace detail
}  // namespace basin

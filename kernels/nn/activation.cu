#include "kernels/nn/activation.h"

#include "kernels/runtime/elementary.h"
#include "kernels/runtime/feature_loops.h"

namespace basin::kernels {
namespace {

#ifdef __CUDA_ARCH__
template <class T>
using Precise = T;
#else
/// Sigmoid and tanh are computed in double on the CPU: the float versions of the C library differ between processors in
/// the last bit.
template <class T>
using Precise = double;
#endif

template <Activation A, class T>
BASIN_HD T value_of(T x) {
  if constexpr (A == Activation::relu) return x < 0 ? T(0) : x;
  if constexpr (A == Activation::sigmoid) return T(Sigmoid(Precise<T>(x)).p);
  return T(tanh_of(Precise<T>(x)));
}

/// The derivative as a function of the value.
template <Activation A, class T>
BASIN_HD T slope_of(T out) {
  if constexpr (A == Activation::relu) return out > 0 ? T(1) : T(0);
  if constexpr (A == Activation::sigmoid) return out * (1 - out);
  return 1 - out * out;
}

template <Activation A, class X, class T = Arithmetic<X>>
struct Activate {
  int channels;
  const X* x;
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    out[at.offset] = at.channel < channels ? value_of<A>(T(x[at.offset])) : T(0);
  }
};

template <Activation A, class X, class T = Arithmetic<X>>
struct ActivateBackward {
  const X *out, *d_out;
  X* d_x;

  BASIN_HD void operator()(FeatureAt at) const {
    d_x[at.offset] = slope_of<A>(T(out[at.offset])) * T(d_out[at.offset]);
  }
};

template <class X, bool Relu, class T = Arithmetic<X>>
struct Add {
  const X *a, *b;
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const T sum = T(a[at.offset]) + T(b[at.offset]);
    out[at.offset] = Relu ? value_of<Activation::relu>(sum) : sum;
  }
};

/// The bias of a channel; 0 in padding lanes.
template <class T>
struct Bias {
  using Value = T;
  static constexpr int count = 1;
  const T* bias;
  int channels;

  BASIN_HD T operator()(int, int channel) const { return channel < channels ? bias[channel] : T(0); }
};

template <class X, bool Relu, class T = Arithmetic<X>>
struct AddBias {
  X* out;

  BASIN_HD void operator()(FeatureAt at, T bias) const {
    const T sum = T(out[at.offset]) + bias;
    out[at.offset] = Relu ? value_of<Activation::relu>(sum) : sum;
  }
};

template <class X, bool Relu, class T = Arithmetic<X>>
struct AddBiasBackward {
  const X* out;
  X* d_out;

  BASIN_HD void operator()(Sums<T, 1>& sum, PixelAt at) const {
    T d = d_out[at.offset];
    if constexpr (Relu) {
      d = slope_of<Activation::relu>(T(out[at.offset])) * d;
      d_out[at.offset] = d;
    }
    sum = {{d}};
  }
};

template <class T>
struct AddTotals {
  const double* total;
  int channels;
  T* to;

  BASIN_HD void operator()(int64_t c) const {
    if (c < channels) to[c] += T(total[c]);
  }
};

/// Calls f with the activation as a compile-time constant.
template <class F>
void with_activation(Activation a, const F& f) {
  switch (a) {
    case Activation::relu:
      return f(std::integral_constant<Activation, Activation::relu>());
    case Activation::sigmoid:
      return f(std::integral_constant<Activation, Activation::sigmoid>());
    case Activation::tanh:
      return f(std::integral_constant<Activation, Activation::tanh>());
  }
}

}  // namespace

template <class X>
void activate(const Exec& exec, Activation activation, FeatureView<const X> x, FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(x), "x ", x, ", out ", out);
  with_activation(activation, [&]<Activation A>(std::integral_constant<Activation, A>) {
    for_each_feature(exec, shape, Activate<A, X>{out.c, x.data, out.data});
  });
}

template <class X>
void activate_backward(const Exec& exec, Activation activation, FeatureView<const X> out, FeatureView<const X> d_out,
                       FeatureView<X> d_x) {
  const FeatureShape shape(d_x);
  BASIN_CHECK(shape.same(out) && shape.same(d_out), "out ", out, ", d_out ", d_out, ", d_x ", d_x);
  with_activation(activation, [&]<Activation A>(std::integral_constant<Activation, A>) {
    for_each_feature(exec, shape, ActivateBackward<A, X>{out.data, d_out.data, d_x.data});
  });
}

template <class X>
void add(const Exec& exec, FeatureView<const X> a, FeatureView<const X> b, bool relu, FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(a) && shape.same(b), "a ", a, ", b ", b, ", out ", out);
  if (relu)
    for_each_feature(exec, shape, Add<X, true>{a.data, b.data, out.data});
  else
    for_each_feature(exec, shape, Add<X, false>{a.data, b.data, out.data});
}

template <class X>
void add_bias(const Exec& exec, const Arithmetic<X>* bias, bool relu, FeatureView<X> out) {
  const FeatureShape shape(out);
  const Bias<Arithmetic<X>> numbers{bias, out.c};
  if (relu)
    for_each_feature(exec, shape, numbers, AddBias<X, true>{out.data});
  else
    for_each_feature(exec, shape, numbers, AddBias<X, false>{out.data});
}

template <class X>
void add_bias_backward(const Exec& exec, bool relu, FeatureView<const X> out, FeatureView<X> d_out,
                       Arithmetic<X>* d_bias) {
  using T = Arithmetic<X>;
  const FeatureShape shape(d_out);
  BASIN_CHECK(!relu || (out.data && shape.same(out)), "out ", out, ", d_out ", d_out);
  const Temp<double> total(exec, d_out.c);
  const AddTotals<T> finish{total.data(), d_out.c, d_bias};
  const ChannelTable<T, 0> none;
  if (relu)
    sum_channels<1>(exec, shape, none, AddBiasBackward<X, true>{out.data, d_out.data}, total.data(), finish);
  else
    sum_channels<1>(exec, shape, none, AddBiasBackward<X, false>{nullptr, d_out.data}, total.data(), finish);
}

#define BASIN_INSTANTIATE(X)                                                                              \
  template void activate<X>(const Exec&, Activation, FeatureView<const X>, FeatureView<X>);               \
  template void activate_backward<X>(const Exec&, Activation, FeatureView<const X>, FeatureView<const X>, \
                                     FeatureView<X>);                                                     \
  template void add<X>(const Exec&, FeatureView<const X>, FeatureView<const X>, bool, FeatureView<X>);    \
  template void add_bias<X>(const Exec&, const Arithmetic<X>*, bool, FeatureView<X>);                     \
  template void add_bias_backward<X>(const Exec&, bool, FeatureView<const X>, FeatureView<X>, Arithmetic<X>*);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

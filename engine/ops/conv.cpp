#include "engine/ops/conv.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/gradient_sink.h"
#include "engine/ops/nn.h"
#include "kernels/conv/conv_cpu.h"
#include "kernels/conv/conv_cudnn.h"
#include "kernels/conv/conv_first_layer.h"
#include "kernels/conv/upsampled_2x2.h"
#include "kernels/nn/activation.h"
#include "kernels/nn/resample.h"
#include "kernels/runtime/bfloat16.h"

namespace basin {
namespace {

using kernels::ConvGeometry;

/// Stride 1 and the padding that keeps the size of the image.
ConvGeometry same_geometry(const Tensor& weight) { return ConvGeometry::same(weight.dim(2), weight.dim(3)); }

/// A convolution between maps of these layouts: by oneDNN or cuDNN where they are supported, otherwise by the plain
/// kernels. x is convolved with the input channels of the weight from `first` on. oneDNN needs blocked maps: where only
/// one of the two is blocked, it works on a blocked copy of the other. It also reads an x of up to 3 plain channels, as
/// the first layer of a network has; for the gradients of such an x it has only its reference kernel.
class Convolution {
 public:
  Convolution(const Exec& exec, const Tensor& x, const Tensor& out, const ConvGeometry& geometry)
      : exec_(exec), geometry_(geometry), x_layout_(x.layout()), out_layout_(out.layout()) {
    const auto blocked = [](const Tensor& t) {
      return t.layout() == Layout::blocked8 || t.layout() == Layout::blocked16 ||
             (t.dtype() == DType::bf16 && t.layout() == Layout::nhwc);
    };
    const auto dense = [](const Tensor& t) { return t.layout() == Layout::nchw || t.layout() == Layout::nhwc; };
    if (exec.variant == Variant::plain || x.dtype() == DType::f64) return;
    if (exec.device == Device::cpu && (blocked(x) || blocked(out))) {
      library_ = Library::onednn;
      if (!blocked(x)) x_layout_ = out.layout();
      if (!blocked(out)) out_layout_ = x.layout();
      reads_plain_x_ = x.layout() == Layout::nchw && x.dim(1) <= 3;
    }
    if (exec.device == Device::cuda && dense(x) && dense(out)) library_ = Library::cudnn;
  }

  void forward(const Tensor& x, const Tensor& weight, int first, const Tensor& bias, const kernels::ConvEpilogue& end,
               const Tensor& out) const {
    const Tensor from = reads_plain_x_ ? x : to_layout(exec_, x, x_layout_);
    write(out, out_layout_, end.add, [&](const Tensor& to) {
      with_map(to.dtype(), [&]<class X>(X) {
        using T = Arithmetic<X>;
        const FeatureView<const X> in = from.features<const X>();
        const View<const T, 1> b = bias ? bias.view<const T, 1>() : View<const T, 1>();
        const kernels::ConvWeight<const T> w(weight.view<const T, 4>(), first, geometry_);
        if constexpr (std::is_same_v<T, float>) {
          if (library_ == Library::onednn) return kernels::conv_cpu<X>(exec_, in, w, b, end, to.features<X>());
          if (library_ == Library::cudnn) return kernels::conv_cudnn<X>(exec_, in, w, b, end, to.features<X>());
        }
        if constexpr (std::is_same_v<X, T>)
          kernels::conv_plain<X>(exec_, in, w, b, end, to.features<X>());
        else
          BASIN_CHECK(false, "bfloat16 maps need a layout that the library supports");
      });
    });
  }
  void backward_weight(const Tensor& x, const Tensor& d_out, const Tensor& d_weight, int first) const {
    if (reads_plain_x_ && first_layer_backward_weight(x, d_out, d_weight, first)) return;
    const Tensor from = to_layout(exec_, x, x_layout_), d_from = to_layout(exec_, d_out, out_layout_);
    with_map(d_out.dtype(), [&]<class X>(X) {
      using T = Arithmetic<X>;
      const FeatureView<const X> in = from.features<const X>(), d = d_from.features<const X>();
      const kernels::ConvWeight<T> w(d_weight.view<T, 4>(), first, geometry_);
      if constexpr (std::is_same_v<T, float>)
        if (library_ == Library::cudnn) return kernels::conv_cudnn_backward_weight<X>(exec_, in, d, w);
      if constexpr (std::is_same_v<X, float>)
        if (library_ == Library::onednn) return kernels::conv_cpu_backward_weight(exec_, in, d, w);
      if constexpr (std::is_same_v<X, T>)
        kernels::conv_plain_backward_weight<X>(exec_, in, d, w);
      else
        BASIN_CHECK(false, "the gradient of a bfloat16 convolution needs a GPU");
    });
  }
  void backward_data(const Tensor& weight, int first, const Tensor& d_out, const Tensor& d_x) const {
    const Tensor d_from = to_layout(exec_, d_out, out_layout_);
    write(d_x, x_layout_, false, [&](const Tensor& to) {
      with_map(to.dtype(), [&]<class X>(X) {
        using T = Arithmetic<X>;
        const FeatureView<const X> d = d_from.features<const X>();
        const kernels::ConvWeight<const T> w(weight.view<const T, 4>(), first, geometry_);
        if constexpr (std::is_same_v<T, float>)
          if (library_ == Library::cudnn) return kernels::conv_cudnn_backward_data<X>(exec_, w, d, to.features<X>());
        if constexpr (std::is_same_v<X, float>)
          if (library_ == Library::onednn) return kernels::conv_cpu_backward_data(exec_, w, d, to.features<X>());
        if constexpr (std::is_same_v<X, T>)
          kernels::conv_plain_backward_data<X>(exec_, w, d, to.features<X>());
        else
          BASIN_CHECK(false, "the gradient of a bfloat16 convolution needs a GPU");
      });
    });
  }

 private:
  enum class Library { none, onednn, cudnn };

  bool first_layer_backward_weight(const Tensor& x, const Tensor& d_out, const Tensor& d_weight, int first) const {
    return x.dtype() == DType::f32 &&
           kernels::conv_few_backward_weight(exec_, x.features<const float>(), d_out.features<const float>(),
                                             {d_weight.view<float, 4>(), first, geometry_});
  }

  /// Calls f with maps in this layout, then has what it wrote there in `maps`. `adds`: f adds to what is there.
  template <class F>
  void write(const Tensor& maps, Layout layout, bool adds, const F& f) const {
    if (maps.layout() == layout) return f(maps);
    const Tensor copy =
        adds ? to_layout(exec_, maps, layout) : Tensor::empty(exec_, maps.shape(), maps.dtype(), layout);
    f(copy);
    with_map(maps.dtype(),
             [&]<class X>(X) { kernels::change_layout<X, X>(exec_, copy.features<const X>(), maps.features<X>()); });
  }

  Exec exec_;
  ConvGeometry geometry_;
  Layout x_layout_, out_layout_;
  Library library_ = Library::none;
  bool reads_plain_x_ = false;  // oneDNN, without a blocked copy
};

/// Calls f(first, up) for up(low) in parts; `up` are uninitialised maps for the channels from `first` on. A part has as
/// many channels as `out` if those are whole groups: its memory can then be reused for other maps, and the parts take
/// no longer than the whole (oneDNN's Winograd needs 39 MB of its own from 256 channels at 64x64 pixels, and only 10 MB
/// from 128).
template <class F>
void for_each_up(const Exec& exec, const Tensor& low, const Tensor& out, const F& f) {
  const bool whole_groups = out.layout() != Layout::nhwc && out.dim(1) % out.block() == 0;
  const int max_channels = whole_groups ? out.dim(1) : low.dim(1);
  for (int first = 0; first < low.dim(1); first += max_channels)
    f(first,
      Tensor::empty(exec, {low.dim(0), std::min(max_channels, low.dim(1) - first), low.dim(2) * 2, low.dim(3) * 2},
                    low.dtype(), low.layout()));
}

void upsample(const Exec& exec, const Tensor& low, int first, const Tensor& up) {
  with_map(low.dtype(),
           [&]<class T>(T) { kernels::upsample<T>(exec, low.features<const T>(), first, up.features<T>()); });
}

/// out = conv([up(low), skip]) + bias.
void forward_upsampled(const Exec& exec, const Tensor& low, const Tensor& skip, const Tensor& weight,
                       const Tensor& bias, bool relu, const Tensor& out) {
  BASIN_CHECK(weight.dim(1) == low.dim(1) + skip.dim(1), "weight ", weight.shape(), ", low ", low.shape(), ", skip ",
              skip.shape());
  const Convolution convolution(exec, skip, out, same_geometry(weight));
  for_each_up(exec, low, out, [&](int first, const Tensor& up) {
    upsample(exec, low, first, up);
    convolution.forward(up, weight, first, first == 0 ? bias : Tensor(), {.add = first > 0}, out);
  });
  convolution.forward(skip, weight, low.dim(1), {}, {.add = true, .relu = relu}, out);
}

Tensor maps_like(const Tape& tape, const Tensor& t, int64_t channels, Layout layout) {
  return Tensor::empty(tape.exec(), {t.dim(0), channels, t.dim(2), t.dim(3)}, t.dtype(), layout);
}

/// out = out + bias, then a ReLU if `relu`; `bias` may be empty.
void epilogue(const Exec& exec, const Parameter& bias, bool relu, const Tensor& out) {
  with_map(out.dtype(), [&]<class X>(X) {
    if (bias.value)
      kernels::add_bias<X>(exec, bias.value.data<const Arithmetic<X>>(), relu, out.features<X>());
    else if (relu)
      kernels::activate<X>(exec, kernels::Activation::relu, out.features<const X>(), out.features<X>());
  });
}

/// Turns d_out into the gradient before the ReLU and the bias, and adds to the gradient of the bias. `opened`: the
/// value of the ReLU, empty if there is none; `bias` may be empty.
void epilogue_backward(const Exec& exec, const Tensor& opened, const Parameter& bias, const Tensor& d_out) {
  with_map(d_out.dtype(), [&]<class X>(X) {
    const FeatureView<const X> out = opened ? opened.features<const X>() : FeatureView<const X>();
    if (bias.value)
      kernels::add_bias_backward<X>(exec, bool(opened), out, d_out.features<X>(), bias.gradient.data<Arithmetic<X>>());
    else if (opened)
      kernels::activate_backward<X>(exec, kernels::Activation::relu, out, d_out.features<const X>(),
                                    d_out.features<X>());
  });
}

/// The kernels and the maps of the four phases of kernels/conv/upsampled_2x2.h, for a weight [out, in, 2, 2] and maps x
/// [N, in, H, W].
struct Phases {
  Exec exec;
  Tensor weight[4], maps[4];

  Phases(const Exec& e, const Tensor& whole, const Tensor& x, Layout layout) : exec(e) {
    for (int k = 0; k < 4; ++k) {
      weight[k] = Tensor::empty(e, {whole.dim(0), whole.dim(1), 1 + k / 2, 1 + k % 2}, whole.dtype());
      maps[k] = Tensor::empty(e, {x.dim(0), whole.dim(0), x.dim(2), x.dim(3)}, x.dtype(), layout);
    }
  }
  Convolution convolution(int k, const Tensor& x) const { return {exec, x, maps[k], same_geometry(weight[k])}; }
  void split(const Tensor& whole) const {
    with_real(whole.dtype(),
              [&]<class T>(T) { kernels::split_into_phases<T>(exec, whole.view<const T, 4>(), weights<T>()); });
  }
  void join(const Tensor& whole) const {
    with_real(whole.dtype(),
              [&]<class T>(T) { kernels::join_phase_gradients<T>(exec, weights<const T>(), whole.view<T, 4>()); });
  }
  void interleave(const Tensor& whole) const {
    with_map(whole.dtype(),
             [&]<class X>(X) { kernels::interleave_phases<X>(exec, features<const X>(), whole.features<X>()); });
  }
  void separate(const Tensor& whole) const {
    with_map(whole.dtype(),
             [&]<class X>(X) { kernels::separate_phases<X>(exec, whole.features<const X>(), features<X>()); });
  }

 private:
  template <class T>
  kernels::PhaseWeights<T> weights() const {
    return {{weight[0].view<T, 4>(), weight[1].view<T, 4>(), weight[2].view<T, 4>(), weight[3].view<T, 4>()}};
  }
  template <class X>
  kernels::PhaseMaps<X> features() const {
    return {{maps[0].features<X>(), maps[1].features<X>(), maps[2].features<X>(), maps[3].features<X>()}};
  }
};

}  // namespace

Var conv(Tape& tape, const Var& x, const Parameter& weight, Layout layout) {
  const Tensor out = maps_like(tape, x.value, weight.value.dim(0), layout);
  BASIN_CHECK(weight.value.dim(1) == x.value.dim(1), "weight ", weight.value.shape(), ", x ", x.value.shape());
  const Convolution convolution(tape.exec(), x.value, out, same_geometry(weight.value));
  convolution.forward(x.value, weight.value, 0, {}, {}, out);
  return tape.record_with_parameters(out, {x}, [&tape, x = x.kept(), weight, convolution](const Tensor& d_out) {
    convolution.backward_weight(x.recomputed(), d_out, weight.gradient, 0);
    if (!tape.wants_gradient(x)) return;
    GradientSink d_x(tape, x);
    convolution.backward_data(weight.value, 0, d_out, d_x.tensor());
    d_x.finish();
  });
}

Var conv_upsampled(Tape& tape, const Var& low, const Var& skip, const Parameter& weight, Layout layout) {
  const Tensor out = maps_like(tape, skip.value, weight.value.dim(0), layout);
  forward_upsampled(tape.exec(), low.value, skip.value, weight.value, {}, false, out);
  const auto backward = [&tape, low = low.kept(), skip = skip.kept(), weight](const Tensor& d_out) {
    const Exec& exec = tape.exec();
    const Convolution convolution(exec, skip.value, d_out, same_geometry(weight.value));
    const int lows = low.value.dim(1);
    {
      GradientSink d_low(tape, low);
      const Tensor value = low.recomputed();
      for_each_up(exec, value, d_out, [&](int first, const Tensor& up) {
        upsample(exec, value, first, up);
        convolution.backward_weight(up, d_out, weight.gradient, first);
        if (!tape.wants_gradient(low)) return;
        convolution.backward_data(weight.value, first, d_out, up);
        with_map(up.dtype(), [&]<class T>(T) {
          kernels::upsample_backward<T>(exec, up.features<const T>(), first, d_low.tensor().features<T>());
        });
      });
      d_low.finish();
    }
    convolution.backward_weight(skip.recomputed(), d_out, weight.gradient, lows);
    if (!tape.wants_gradient(skip)) return;
    GradientSink d_skip(tape, skip);
    convolution.backward_data(weight.value, lows, d_out, d_skip.tensor());
    d_skip.finish();
  };
  return tape.record_with_parameters(out, {low, skip}, backward);
}

Var conv(Tape& tape, const std::vector<Var>& parts, const Parameter& weight, const Parameter& bias,
         const ConvOptions& o) {
  BASIN_CHECK(!parts.empty(), "there are no parts to convolve");
  const Tensor& like = parts[0].value;
  const ConvGeometry& g = o.geometry;
  const Shape shape{like.dim(0), weight.value.dim(0), g.out_h(like.dim(2)), g.out_w(like.dim(3))};
  const Tensor out = Tensor::empty(tape.exec(), shape, like.dtype(), o.layout);
  int first = 0;
  std::vector<Var> kept;
  for (const Var& part : parts) {
    const bool last = kept.size() + 1 == parts.size();
    Convolution(tape.exec(), part.value, out, g)
        .forward(part.value, weight.value, first, first == 0 ? bias.value : Tensor(),
                 {.add = first > 0, .relu = last && o.relu}, out);
    first += part.value.dim(1);
    kept.push_back(part.kept());
  }
  BASIN_CHECK(first == weight.value.dim(1), "weight ", weight.value.shape(), " for ", first, " channels");
  const Tensor opened = o.relu ? out : Tensor();
  const auto backward = [&tape, kept, weight, bias, g, opened](const Tensor& d_out) {
    epilogue_backward(tape.exec(), opened, bias, d_out);
    int from = 0;
    for (const Var& part : kept) {
      const Convolution convolution(tape.exec(), part.value, d_out, g);
      convolution.backward_weight(part.recomputed(), d_out, weight.gradient, from);
      if (tape.wants_gradient(part)) {
        GradientSink d_part(tape, part);
        convolution.backward_data(weight.value, from, d_out, d_part.tensor());
        d_part.finish();
      }
      from += part.value.dim(1);
    }
  };
  const auto wanted = std::find_if(parts.begin(), parts.end(), [&](const Var& v) { return tape.wants_gradient(v); });
  return tape.record_with_parameters(out, {wanted == parts.end() ? parts[0] : *wanted}, backward);
}

Var conv_transposed(Tape& tape, const Var& x, const Parameter& weight, const Parameter& bias, const ConvOptions& o,
                    int output_padding) {
  const ConvGeometry& g = o.geometry;
  const Tensor& in = x.value;
  BASIN_CHECK(weight.value.dim(0) == in.dim(1), "weight ", weight.value.shape(), ", x ", in.shape());
  BASIN_CHECK(output_padding >= 0 && output_padding < g.stride, "output padding ", output_padding, ", ", g);
  const Shape shape{in.dim(0), weight.value.dim(1), g.transposed_h(in.dim(2), output_padding),
                    g.transposed_w(in.dim(3), output_padding)};
  const Tensor out = Tensor::empty(tape.exec(), shape, in.dtype(), o.layout);
  const Convolution convolution(tape.exec(), out, in, g);
  convolution.backward_data(weight.value, 0, in, out);
  epilogue(tape.exec(), bias, o.relu, out);
  const Tensor opened = o.relu ? out : Tensor();
  return tape.record_with_parameters(out, {x},
                                     [&tape, x = x.kept(), weight, bias, convolution, opened](const Tensor& d_out) {
                                       epilogue_backward(tape.exec(), opened, bias, d_out);
                                       convolution.backward_weight(d_out, x.recomputed(), weight.gradient, 0);
                                       if (!tape.wants_gradient(x)) return;
                                       GradientSink d_x(tape, x);
                                       convolution.forward(d_out, weight.value, 0, {}, {}, d_x.tensor());
                                       d_x.finish();
                                     });
}

Var conv_upsampled_2x2(Tape& tape, const Var& x, const Parameter& weight, const Parameter& bias, Layout layout,
                       bool relu) {
  const Tensor& in = x.value;
  BASIN_CHECK(weight.value.dim(1) == in.dim(1), "weight ", weight.value.shape(), ", x ", in.shape());
  const Exec& exec = tape.exec();
  const Tensor out =
      Tensor::empty(exec, {in.dim(0), weight.value.dim(0), in.dim(2) * 2, in.dim(3) * 2}, in.dtype(), layout);
  const Phases phases(exec, weight.value, in, layout);
  phases.split(weight.value);
  for (int k = 0; k < 4; ++k)
    phases.convolution(k, in).forward(in, phases.weight[k], 0, bias.value, {.relu = relu}, phases.maps[k]);
  phases.interleave(out);
  const Tensor opened = relu ? out : Tensor();
  return tape.record_with_parameters(out, {x}, [&tape, x = x.kept(), weight, bias, opened](const Tensor& d_out) {
    epilogue_backward(tape.exec(), opened, bias, d_out);
    const Tensor value = x.recomputed();
    const Phases d_phases(tape.exec(), weight.value, value, d_out.layout());
    d_phases.separate(d_out);
    for (const Tensor& w : d_phases.weight)
      w.zero(tape.exec());
    for (int k = 0; k < 4; ++k)
      d_phases.convolution(k, value).backward_weight(value, d_phases.maps[k], d_phases.weight[k], 0);
    d_phases.join(weight.gradient);
    if (!tape.wants_gradient(x)) return;
    d_phases.split(weight.value);
    for (int k = 0; k < 4; ++k) {
      GradientSink d_x(tape, x);
      d_phases.convolution(k, value).backward_data(d_phases.weight[k], 0, d_phases.maps[k], d_x.tensor());
      d_x.finish();
    }
  });
}

FoldedConv fold(const Exec& exec, const Parameter& weight, const NormParameters& p) {
  return fold(exec, weight, {}, p, same_geometry(weight.value), 0);
}

FoldedConv fold(const Exec& exec, const Parameter& weight, const Parameter& old_bias, const NormParameters& p,
                const ConvGeometry& geometry, int output_axis) {
  const Shape shape = weight.value.shape();
  const int outputs = shape[output_axis];
  std::vector<float> w = weight.value.to_host<float>(exec), bias(size_t(outputs), 0.f);
  if (old_bias.value) bias = old_bias.value.to_host<float>(exec);
  const std::vector<float> gamma = p.gamma.value.to_host<float>(exec), beta = p.beta.value.to_host<float>(exec);
  const std::vector<float> mean = p.running_mean.to_host<float>(exec), var = p.running_var.to_host<float>(exec);
  std::vector<double> scale;
  for (size_t o = 0; o < bias.size(); ++o) {
    scale.push_back(double(gamma[o]) / std::sqrt(double(var[o]) + p.epsilon));
    bias[o] = float(double(beta[o]) + (double(bias[o]) - double(mean[o])) * scale[o]);
  }
  size_t inner = size_t(shape[2]) * size_t(shape[3]);  // consecutive weights of one output
  if (output_axis == 0) inner *= size_t(shape[1]);
  for (size_t i = 0; i < w.size(); ++i)
    w[i] = float(double(w[i]) * scale[i / inner % scale.size()]);
  return {Tensor::from(exec, shape, w), Tensor::from(exec, {outputs}, bias), geometry};
}

Tensor conv_folded(const Exec& exec, const Tensor& x, const FoldedConv& conv, Layout layout,
                   const kernels::ConvEpilogue& epilogue, Tensor out) {
  const ConvGeometry& g = conv.geometry;
  if (!out)
    out = Tensor::empty(exec, {x.dim(0), conv.weight.dim(0), g.out_h(x.dim(2)), g.out_w(x.dim(3))}, x.dtype(), layout);
  Convolution(exec, x, out, g).forward(x, conv.weight, 0, conv.bias, epilogue, out);
  return out;
}

Tensor conv_upsampled_folded(const Exec& exec, const Tensor& low, const Tensor& skip, const FoldedConv& conv,
                             Layout layout) {
  const Tensor out =
      Tensor::empty(exec, {skip.dim(0), conv.weight.dim(0), skip.dim(2), skip.dim(3)}, skip.dtype(), layout);
  forward_upsampled(exec, low, skip, conv.weight, conv.bias, true, out);
  return out;
}

}  // namespace basin

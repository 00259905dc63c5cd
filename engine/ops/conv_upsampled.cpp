#include <algorithm>

#include "engine/ops/convolution.h"
#include "engine/ops/gradient_sink.h"
#include "engine/ops/nn.h"
#include "kernels/conv/upsampled_2x2.h"
#include "kernels/nn/resample.h"
#include "kernels/runtime/bfloat16.h"

namespace basin {
namespace {

/// Calls f(first, up) for each part of the channels of up(low); `up` are uninitialised maps for the channels from
/// `first` on. A part has as many channels as `out` if these are whole groups, so that its memory can be reused for
/// other maps. This takes no longer than computing up(low) as a whole.
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

/// Maps of the size and the element type of `like`.
Tensor maps_of(const Exec& exec, const Tensor& like, int64_t channels, Layout layout) {
  return Tensor::empty(exec, {like.dim(0), channels, like.dim(2), like.dim(3)}, like.dtype(), layout);
}

/// out = conv([up(low), skip]) + bias.
void forward_upsampled(const Exec& exec, const Tensor& low, const Tensor& skip, const Tensor& weight,
                       const Tensor& bias, bool relu, const Tensor& out) {
  BASIN_CHECK(weight.dim(1) == low.dim(1) + skip.dim(1), "weight ", weight.shape(), ", low ", low.shape(), ", skip ",
              skip.shape());
  const Convolution convolution(exec, skip, out, same_geometry(weight));
  if (convolution.forward_upsampled(low, skip, weight, bias, {.relu = relu}, out)) return;
  for_each_up(exec, low, out, [&](int first, const Tensor& up) {
    upsample(exec, low, first, up);
    convolution.forward(up, weight, first, first == 0 ? bias : Tensor(), {.add = first > 0}, out);
  });
  convolution.forward(skip, weight, low.dim(1), {}, {.add = true, .relu = relu}, out);
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

Var conv_upsampled(Tape& tape, const Var& low, const Var& skip, const Parameter& weight, Layout layout) {
  const Tensor out = maps_of(tape.exec(), skip.value, weight.value.dim(0), layout);
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
  const Tensor relu_value = relu ? out : Tensor();
  return tape.record_with_parameters(out, {x}, [&tape, x = x.kept(), weight, bias, relu_value](const Tensor& d_out) {
    epilogue_backward(tape.exec(), relu_value, bias, d_out);
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

Tensor conv_upsampled_folded(const Exec& exec, const Tensor& low, const Tensor& skip, const FoldedConv& conv,
                             Layout layout) {
  const Tensor out = maps_of(exec, skip, conv.weight.dim(0), layout);
  forward_upsampled(exec, low, skip, conv.weight, conv.bias, true, out);
  return out;
}

}  // namespace basin

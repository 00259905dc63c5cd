#include "engine/ops/conv.h"

#include <algorithm>

#include "engine/ops/convolution.h"
#include "engine/ops/gradient_sink.h"
#include "kernels/nn/activation.h"
#include "kernels/runtime/bfloat16.h"

namespace basin {
namespace {

using kernels::ConvGeometry;

/// out = out + bias, then a ReLU if `relu`; `bias` may be empty.
void epilogue(const Exec& exec, const Parameter& bias, bool relu, const Tensor& out) {
  with_map(out.dtype(), [&]<class X>(X) {
    if (bias.value)
      kernels::add_bias<X>(exec, bias.value.data<const Arithmetic<X>>(), relu, out.features<X>());
    else if (relu)
      kernels::activate<X>(exec, kernels::Activation::relu, out.features<const X>(), out.features<X>());
  });
}

}  // namespace

Var conv(Tape& tape, const Var& x, const Parameter& weight, Layout layout) {
  return conv(tape, x, weight, {}, {.geometry = same_geometry(weight.value), .layout = layout});
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
  const Tensor relu_value = o.relu ? out : Tensor();
  const auto backward = [&tape, kept, weight, bias, g, relu_value](const Tensor& d_out) {
    epilogue_backward(tape.exec(), relu_value, bias, d_out);
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
  const Tensor relu_value = o.relu ? out : Tensor();
  return tape.record_with_parameters(out, {x},
                                     [&tape, x = x.kept(), weight, bias, convolution, relu_value](const Tensor& d_out) {
                                       epilogue_backward(tape.exec(), relu_value, bias, d_out);
                                       convolution.backward_weight(d_out, x.recomputed(), weight.gradient, 0);
                                       if (!tape.wants_gradient(x)) return;
                                       GradientSink d_x(tape, x);
                                       convolution.forward(d_out, weight.value, 0, {}, {}, d_x.tensor());
                                       d_x.finish();
                                     });
}

}  // namespace basin

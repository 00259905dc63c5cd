#include "models/networks/plain_unet.h"

#include <optional>

namespace basin {

using kernels::ConvGeometry;

PlainUNet::PlainUNet(Params& params, const std::string& prefix, const PlainUNetOptions& options)
    : params_(params), options_(options) {
  BASIN_CHECK(options.in_channels > 0 && options.width > 0, "channels ", options.in_channels, ", width ",
              options.width);
  int in = options.in_channels;
  for (int k = 0; k < stages; ++k) {
    const std::string name = prefix + "encoder_" + std::to_string(k) + ".conv_";
    const int out = options.width << k;
    encoder_[k][0] = add(name + '0', in, out, 3);
    encoder_[k][1] = add(name + '1', out, out, 3);
    in = out;
  }
  for (int k = 0; k < stages - 1; ++k) {
    const std::string name = prefix + "decoder_" + std::to_string(k) + '.';
    const int out = options.width << (stages - 2 - k);
    up_[k] = add(name + "up", 2 * out, out, 2);
    decoder_[k][0] = add(name + "conv_0", 2 * out, out, 3);
    decoder_[k][1] = add(name + "conv_1", out, out, 3);
  }
}

PlainUNet::Conv PlainUNet::add(const std::string& name, int in, int out, int kernel) {
  const int weight = params_.add_he_normal(name + ".weight", {out, in, kernel, kernel});
  return {weight, params_.add(name + ".bias", {out}, 0)};
}

Layout PlainUNet::layout(const Exec& exec) const { return network_layout(exec, params_.dtype(), options_.width); }

Var PlainUNet::conv_relu(Tape& tape, const std::vector<Var>& parts, const Conv& c) const {
  return conv(tape, parts, parameter(c.weight), parameter(c.bias),
              {.geometry = ConvGeometry::same(3, 3), .layout = layout(tape.exec()), .relu = true});
}

Var PlainUNet::forward(Tape& tape, const std::vector<Var>& inputs, const DropoutOptions& dropout,
                       const StepState* state) const {
  const Tensor& image = inputs.at(0).value;
  BASIN_CHECK(image.dim(2) % multiple == 0 && image.dim(3) % multiple == 0, "image ", image.shape());
  std::optional<Tape::Evaluating> frozen;
  if (params_.frozen(encoder_[0][0].weight)) frozen.emplace(tape);
  Var x, skips[stages - 1];
  for (int k = 0; k < stages; ++k) {
    x = conv_relu(tape, k == 0 ? inputs : std::vector<Var>{x}, encoder_[k][0]);
    x = conv_relu(tape, {x}, encoder_[k][1]);
    if (k >= stages - 2)
      x = optional_dropout(tape, x, {dropout.p, dropout.seed, dropout.layer + uint32_t(k - (stages - 2))}, state);
    if (k == stages - 1) break;
    skips[k] = x;
    x = max_pool(tape, x);
  }
  frozen.reset();
  for (int k = 0; k < stages - 1; ++k) {
    x = conv_upsampled_2x2(tape, x, parameter(up_[k].weight), parameter(up_[k].bias), layout(tape.exec()), true);
    x = conv_relu(tape, {skips[stages - 2 - k], x}, decoder_[k][0]);
    x = conv_relu(tape, {x}, decoder_[k][1]);
  }
  return x;
}

Var optional_dropout(Tape& tape, const Var& x, const DropoutOptions& o, const StepState* state) {
  return o.p > 0 && tape.training() ? dropout(tape, x, o, state) : x;
}

MapHead::MapHead(Params& params, const std::string& name, int in, int out)
    : params_(params),
      weight_(params.add_he_normal(name + ".weight", {out, in, 3, 3})),
      bias_(params.add(name + ".bias", {out}, 0)) {}

Var MapHead::forward(Tape& tape, const Var& x, Layout layout, bool relu) const {
  return conv(tape, x, params_.parameter(weight_), params_.parameter(bias_),
              {.geometry = ConvGeometry::same(3, 3), .layout = layout, .relu = relu});
}

}  // namespace basin

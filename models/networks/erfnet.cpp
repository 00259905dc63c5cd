#include "models/networks/erfnet.h"

#include <optional>

namespace basin {

using kernels::ConvGeometry;

ErfNet::ErfNet(Params& params, const ErfNetOptions& options) : params_(params), options_(options) {
  BASIN_CHECK(options.in_channels > 0 && options.width > options.in_channels, "channels ", options.in_channels,
              ", width ", options.width);
  const int w = options.width;
  down_[0] = add_down("encoder.initial_block", options.in_channels, w);
  int layer = 0;
  const auto next = [&] { return "encoder.layers." + std::to_string(layer++); };
  down_[1] = add_down(next(), w, 4 * w);
  for (int k = 0; k < 5; ++k)
    blocks_[0].push_back(add_block(next(), 4 * w, 0.03, 1));
  down_[2] = add_down(next(), 4 * w, 8 * w);
  for (int repeat = 0; repeat < 2; ++repeat)
    for (const int dilation : {2, 4, 8, 16})
      blocks_[1].push_back(add_block(next(), 8 * w, 0.3, dilation));
  for (size_t d = 0; d < options.outputs.size(); ++d) {
    const std::string name = "decoders." + std::to_string(d) + ".layers.";
    Decoder decoder;
    const int channels[] = {8 * w, 4 * w, w};
    for (int k = 0; k < 2; ++k) {
      decoder.up[k] = add_up(name + std::to_string(3 * k), channels[k], channels[k + 1]);
      for (int b = 0; b < 2; ++b)
        decoder.blocks[k][b] = add_block(name + std::to_string(3 * k + 1 + b), channels[k + 1], 0, 1);
    }
    decoder.out =
        add_conv("decoders." + std::to_string(d) + ".output_conv", {w, options.outputs[d], 2, 2}, options.outputs[d]);
    decoders_.push_back(decoder);
  }
}

ErfNet::Conv ErfNet::add_conv(const std::string& name, Shape weight, int out) {
  const double bound = pytorch_bound(weight);
  const int handle = params_.add(name + ".weight", weight, bound);
  return {handle, params_.add(name + ".bias", {out}, bound)};
}

ErfNet::Down ErfNet::add_down(const std::string& name, int in, int out) {
  const Conv conv = add_conv(name + ".conv", {out - in, in, 3, 3}, out - in);
  return {conv, BatchNormLayer::add(params_, name + ".bn", out)};
}

ErfNet::Block ErfNet::add_block(const std::string& name, int channels, double dropout, int dilation) {
  Block b;
  for (int k = 0; k < 2; ++k) {
    const std::string number = std::to_string(k + 1);
    b.conv[2 * k] = add_conv(name + ".conv3x1_" + number, {channels, channels, 3, 1}, channels);
    b.conv[2 * k + 1] = add_conv(name + ".conv1x3_" + number, {channels, channels, 1, 3}, channels);
    b.norm[k] = BatchNormLayer::add(params_, name + ".bn" + number, channels);
  }
  b.dropout = dropout, b.dilation = dilation;
  return b;
}

ErfNet::Up ErfNet::add_up(const std::string& name, int in, int out) {
  const Conv conv = add_conv(name + ".conv", {in, out, 3, 3}, out);
  return {conv, BatchNormLayer::add(params_, name + ".bn", out)};
}

void ErfNet::fold_norm(const Exec& exec, const Conv& conv, const BatchNormLayer& n, int output_axis) const {
  const Parameter weight = parameter(conv.weight), bias = parameter(conv.bias);
  const FoldedConv folded = fold(exec, weight, bias, norm(n), {}, output_axis);
  weight.value.copy_from(exec, folded.weight), bias.value.copy_from(exec, folded.bias);
}

void ErfNet::fold_norms(const Exec& exec) {
  const auto fold_block = [&](const Block& b) {
    for (int k = 0; k < 2; ++k)
      fold_norm(exec, b.conv[2 * k + 1], b.norm[k], 0);
  };
  for (const std::vector<Block>& blocks : blocks_)
    for (const Block& b : blocks)
      fold_block(b);
  for (const Decoder& d : decoders_)
    for (int k = 0; k < 2; ++k) {
      fold_norm(exec, d.up[k].conv, d.up[k].norm, 1);
      for (const Block& b : d.blocks[k])
        fold_block(b);
    }
  has_folded_norms_ = true;
}

Var ErfNet::down(Tape& tape, const Var& x, const Down& d) const {
  const Layout layout = network_layout(tape.exec(), params_.dtype(), options_.width);
  const Var half = conv(tape, x, parameter(d.conv.weight), parameter(d.conv.bias),
                        {.geometry = ConvGeometry::square(3, 2, 1), .layout = layout});
  return norm_relu(tape, concat(tape, {half, max_pool(tape, x)}, layout), norm(d.norm));
}

Var ErfNet::block(Tape& tape, const Var& input, const Block& b, uint32_t layer, const StepState* state) const {
  const Layout layout = network_layout(tape.exec(), params_.dtype(), options_.width);
  const auto geometry_of = [](int k, int dilation) {
    return k % 2 == 0 ? ConvGeometry::same(3, 1, dilation) : ConvGeometry::same(1, 3, dilation);
  };
  const auto conv_of = [&](const Var& x, int k, int dilation, bool relu) {
    return conv(tape, x, parameter(b.conv[k].weight), parameter(b.conv[k].bias),
                {.geometry = geometry_of(k, dilation), .layout = layout, .relu = relu});
  };
  Var x = conv_of(conv_of(input, 0, 1, true), 1, 1, has_folded_norms_);
  if (!has_folded_norms_) x = norm_relu(tape, x, norm(b.norm[0]));
  x = conv_of(x, 2, b.dilation, true);
  if (has_folded_norms_) {  // the result replaces the input, which nothing else reads
    const FoldedConv last{parameter(b.conv[3].weight).value, parameter(b.conv[3].bias).value,
                          geometry_of(3, b.dilation)};
    return {conv_folded(tape.exec(), x.value, last, layout, {.add = true, .relu = true}, input.value)};
  }
  x = conv_of(x, 3, b.dilation, false);
  if (b.dropout == 0) return norm_residual_relu(tape, x, norm(b.norm[1]), input);
  return norm_residual_relu(tape, x, norm(b.norm[1]), input, {b.dropout, options_.seed, layer}, state);
}

Var ErfNet::forward(Tape& tape, const Var& image, const StepState* state) const {
  BASIN_CHECK(image.value.dim(2) % multiple == 0 && image.value.dim(3) % multiple == 0, "image ", image.value.shape());
  BASIN_CHECK(!has_folded_norms_ || !tape.training(), "batch norms are folded for inference");
  const Layout layout = network_layout(tape.exec(), params_.dtype(), options_.width);
  std::optional<Tape::Evaluating> frozen;
  if (params_.frozen(down_[0].conv.weight)) frozen.emplace(tape);
  uint32_t layer = 0;
  Var x = down(tape, image, down_[0]);
  for (int k = 0; k < 2; ++k) {
    x = down(tape, x, down_[k + 1]);
    for (const Block& b : blocks_[k])
      x = block(tape, x, b, layer++, state);
  }
  frozen.reset();
  const Var bottom = x;
  std::vector<Var> maps;
  for (const Decoder& d : decoders_) {
    x = bottom;
    for (int k = 0; k < 2; ++k) {
      const Up& up = d.up[k];
      x = conv_transposed(tape, x, parameter(up.conv.weight), parameter(up.conv.bias),
                          {.geometry = ConvGeometry::square(3, 2, 1), .layout = layout, .relu = has_folded_norms_}, 1);
      if (!has_folded_norms_) x = norm_relu(tape, x, norm(up.norm));
      for (const Block& b : d.blocks[k])
        x = block(tape, x, b, layer++, state);
    }
    maps.push_back(conv_transposed(tape, x, parameter(d.out.weight), parameter(d.out.bias),
                                   {.geometry = ConvGeometry::square(2, 2, 0), .layout = Layout::nchw}));
  }
  return maps.size() == 1 ? maps[0] : concat(tape, maps, Layout::nchw);
}

}  // namespace basin

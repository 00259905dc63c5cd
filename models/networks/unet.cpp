#include "models/networks/unet.h"

#include <cmath>

namespace basin {
namespace {

constexpr double middle_dropout = 0.2;

/// PyTorch's default initialisation of a convolution: U(-b, b) with b = 1 / sqrt(fan in).
double bound(int in, int kernel) { return 1 / std::sqrt(double(in) * kernel * kernel); }

/// The library's convolutions can read images of up to 3 channels in plain layout, or of one channel if they use nhwc,
/// because then nchw and nhwc are the same. Images with more channels are converted once to the layout of the network.
Tensor readable(const Exec& exec, const Tensor& image, Layout layout) {
  return image.dim(1) > (layout == Layout::nhwc ? 1 : 3) ? to_layout(exec, image, layout) : image;
}

}  // namespace

UNet::UNet(Params& params, const UNetOptions& options) : params_(&params), options_(options) {
  BASIN_CHECK(options.in_channels > 0 && options.width > 0, "channels ", options.in_channels, ", width ",
              options.width);
  BASIN_CHECK(options.decoders == 1 || options.decoders == int(options.heads.size()), options.decoders, " decoders");
  const int w = options.width;
  int in = options.in_channels;
  for (int k = 0; k < 3; ++k) {
    const std::string name = "backbone.Encoder_" + std::to_string(k) + '.';
    const int out = w << k;
    encoder_[k].shortcut = add_conv_norm(name + "downsample.0", name + "downsample.1", in, out, 1);
    encoder_[k].conv1 = add_conv_norm(name + "conv1", name + "bn1", in, out, 3);
    encoder_[k].conv2 = add_conv_norm(name + "conv2", name + "bn2", out, out, 3);
    in = out;
  }
  middle_[0] = add_conv_norm("backbone.Middle.0.0", "backbone.Middle.0.1", 4 * w, 8 * w, 3);
  middle_[1] = add_conv_norm("backbone.Middle.2.0", "backbone.Middle.2.1", 8 * w, 8 * w, 3);
  for (int d = 0; d < options.decoders; ++d) {
    Decoder decoder;
    int low = 8 * w;
    for (int k = 0; k < 3; ++k) {
      const int skip = w << (2 - k);
      for (int i = 0; i < 2; ++i) {
        const std::string name =
            "head_" + std::to_string(d) + ".decoder_" + std::to_string(k) + ".conv_block_" + std::to_string(i) + '.';
        decoder.conv[k][i] = add_conv_norm(name + '0', name + '1', i == 0 ? low + skip : skip, skip, 3);
      }
      low = skip;
    }
    decoders_.push_back(decoder);
  }
  for (size_t h = 0; h < options.heads.size(); ++h) {
    const std::string name = "final_" + std::to_string(h) + '.';
    Head head;
    for (int i = 0; i < 2; ++i)
      head.conv[i] = add_conv_norm(name + std::to_string(i) + ".0", name + std::to_string(i) + ".1", w, w, 1);
    head.weight = params.add(name + "2.weight", {options.heads[h], w, 1, 1}, bound(w, 1));
    head.bias = params.add(name + "2.bias", {options.heads[h]}, bound(w, 1));
    heads_.push_back(head);
  }
}

UNet::ConvNorm UNet::add_conv_norm(const std::string& conv, const std::string& norm, int in, int out, int kernel) {
  const int weight = params_->add(conv + ".weight", {out, in, kernel, kernel}, bound(in, kernel));
  return {weight, BatchNormLayer::add(*params_, norm, out)};
}

NormParameters UNet::norm(const ConvNorm& c) const { return c.norm.in(*params_); }

Layout UNet::layout(const Exec& exec) const { return network_layout(exec, params_->dtype(), options_.width); }

Var UNet::conv_norm_relu(Tape& tape, const Var& x, const ConvNorm& c) const {
  return norm_relu(tape, conv(tape, x, params_->parameter(c.weight), layout(tape.exec())), norm(c));
}

std::vector<Var> UNet::forward(Tape& tape, const Var& image, const StepState* state) const {
  BASIN_CHECK(image.value.dim(2) % multiple == 0 && image.value.dim(3) % multiple == 0, "image ", image.value.shape());
  const Layout blocked = layout(tape.exec());
  const bool bf16 = tape.exec().precision == Precision::bf16 && blocked == Layout::nhwc;
  std::optional<Tape::Evaluating> frozen;
  if (params_->frozen(encoder_[0].conv1.weight)) frozen.emplace(tape);
  Var x = image, skips[3];
  if (!tape.wants_gradient(image))
    x = {bf16 ? to_bfloat16(tape.exec(), image.value, blocked) : readable(tape.exec(), image.value, blocked)};
  for (int k = 0; k < 3; ++k) {
    const ResBlock& block = encoder_[k];
    const Var y = conv(tape, conv_norm_relu(tape, x, block.conv1), params_->parameter(block.conv2.weight), blocked);
    const Var shortcut = conv(tape, x, params_->parameter(block.shortcut.weight), blocked);
    skips[k] = norm_add_relu(tape, y, norm(block.conv2), shortcut, norm(block.shortcut));
    x = max_pool(tape, skips[k]);
  }
  x = conv_norm_relu(tape, x, middle_[0]);
  if (!frozen) x = dropout(tape, x, {middle_dropout, options_.seed, 0}, state);
  const Var bottom = conv_norm_relu(tape, x, middle_[1]);
  frozen.reset();
  std::vector<Var> tops;
  for (const Decoder& decoder : decoders_) {
    x = bottom;
    for (int k = 0; k < 3; ++k) {
      const ConvNorm& first = decoder.conv[k][0];
      x = conv_upsampled(tape, x, skips[2 - k], params_->parameter(first.weight), blocked);
      x = norm_relu(tape, x, norm(first));
      x = conv_norm_relu(tape, x, decoder.conv[k][1]);
    }
    tops.push_back(x);
  }
  std::vector<Var> out;
  for (size_t h = 0; h < heads_.size(); ++h) {
    x = tops[tops.size() == 1 ? 0 : h];
    for (const ConvNorm& c : heads_[h].conv)
      x = conv_norm_relu(tape, x, c);
    out.push_back(pointwise(tape, x, params_->parameter(heads_[h].weight), params_->parameter(heads_[h].bias)));
  }
  return out;
}

struct UNet::FoldedNet {
  struct Block {
    FoldedConv conv1, conv2, shortcut;
  };
  struct Top {
    FoldedConv conv[2];
    Parameter weight, bias;
  };
  std::vector<Block> encoder;
  std::vector<FoldedConv> middle;
  std::vector<std::vector<FoldedConv>> decoders;
  std::vector<Top> heads;
  Layout layout;
  bool bf16;

  FoldedNet(const Exec& exec, const UNet& net)
      : layout(net.layout(exec)), bf16(exec.precision == Precision::bf16 && layout != Layout::nchw) {
    if (bf16) layout = Layout::nhwc;
    const auto folded = [&](const ConvNorm& c) { return fold(exec, net.params_->parameter(c.weight), net.norm(c)); };
    for (const ResBlock& b : net.encoder_)
      encoder.push_back({folded(b.conv1), folded(b.conv2), folded(b.shortcut)});
    for (const ConvNorm& c : net.middle_)
      middle.push_back(folded(c));
    for (const Decoder& d : net.decoders_) {
      std::vector<FoldedConv>& stages = decoders.emplace_back();
      for (const auto& stage : d.conv)
        for (const ConvNorm& c : stage)
          stages.push_back(folded(c));
    }
    const auto owned = [&](int handle) { return Parameter{net.params_->parameter(handle).value.clone(exec), {}}; };
    for (const Head& h : net.heads_)
      heads.push_back({{folded(h.conv[0]), folded(h.conv[1])}, owned(h.weight), owned(h.bias)});
  }

  std::vector<Tensor> run(const Exec& where, const Tensor& image) const {
    Tape tape(where, Tape::Mode::evaluate);
    const Exec& exec = tape.exec();
    const kernels::ConvEpilogue relu{.relu = true};
    const auto block = [&](const Tensor& x, const FoldedConv& c) { return conv_folded(exec, x, c, layout, relu); };
    Tensor x = bf16 ? to_bfloat16(exec, image, layout) : readable(exec, image, layout), skips[3];
    for (int k = 0; k < 3; ++k) {
      const Tensor shortcut = conv_folded(exec, x, encoder[k].shortcut, layout, {});
      skips[k] = conv_folded(exec, block(x, encoder[k].conv1), encoder[k].conv2, layout, {.add = true, .relu = true},
                             shortcut);
      x = max_pool(tape, {skips[k]}).value;
    }
    const Tensor bottom = block(block(x, middle[0]), middle[1]);
    std::vector<Tensor> tops;
    for (const std::vector<FoldedConv>& stages : decoders) {
      x = bottom;
      for (int k = 0; k < 3; ++k)
        x = block(conv_upsampled_folded(exec, x, skips[2 - k], stages[2 * k], layout), stages[2 * k + 1]);
      tops.push_back(x);
    }
    std::vector<Tensor> out;
    for (size_t h = 0; h < heads.size(); ++h) {
      x = block(block(tops[tops.size() == 1 ? 0 : h], heads[h].conv[0]), heads[h].conv[1]);
      out.push_back(pointwise(tape, {x}, heads[h].weight, heads[h].bias).value);
    }
    return out;
  }
};

UNet::Folded::Folded(const Exec& exec, const UNet& net) : net_(std::make_unique<FoldedNet>(exec, net)) {}
UNet::Folded::~Folded() = default;
UNet::Folded::Folded(Folded&&) noexcept = default;
std::vector<Tensor> UNet::Folded::operator()(const Exec& exec, const Tensor& x) const { return net_->run(exec, x); }

}  // namespace basin

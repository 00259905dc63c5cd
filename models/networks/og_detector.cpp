#include "models/networks/og_detector.h"

#include <optional>

namespace basin {

using kernels::ConvGeometry;

OgDetector::OgDetector(Params& params, const OgOptions& options) : layers_(params, options) {
  BASIN_CHECK(options.in_channels > 0 && options.width > 0, "channels ", options.in_channels, ", width ",
              options.width);
  const int w = options.width;
  stem_ = layers_.add_conv_without_bias("base_network.conv1", options.in_channels, w, 7);
  stem_norm_ = layers_.add_norm("base_network.bn1", w);
  constexpr int blocks[] = {3, 4, 6, 3};
  int in = w;
  for (int stage = 0; stage < 4; ++stage) {
    const int inner = w << stage, out = 4 * inner;
    for (int k = 0; k < blocks[stage]; ++k) {
      const std::string name = "base_network.layer" + std::to_string(stage + 1) + '.' + std::to_string(k);
      Block b{};
      b.stride = k == 0 && stage > 0 ? 2 : 1;
      const int channels[] = {in, inner, inner, out};
      for (int i = 0; i < 3; ++i) {
        const std::string number = std::to_string(i + 1);
        b.conv[i] =
            layers_.add_conv_without_bias(name + ".conv" + number, channels[i], channels[i + 1], i == 1 ? 3 : 1);
        b.norm[i] = layers_.add_norm(name + ".bn" + number, channels[i + 1]);
      }
      b.has_shortcut = k == 0;
      if (b.has_shortcut) {
        b.shortcut = layers_.add_conv_without_bias(name + ".downsample.0", in, out, 1);
        b.shortcut_norm = layers_.add_norm(name + ".downsample.1", out);
      }
      stages_[stage].push_back(b);
      in = out;
    }
  }
  for (int k = 0; k < 3; ++k) {
    const int fine = 4 * w << k;
    combinations_[k] = layers_.add_combination("dec_c" + std::to_string(k + 2), 2 * fine, fine, true);
  }
  full_[0] = layers_.add_conv("c0_conv.0", options.in_channels, w, 3);
  full_[1] = layers_.add_conv("c0_conv.2", w, w, 3);
  heat_[0] = layers_.add_conv("hm.0", 4 * w, 4 * w, 3);
  heat_[1] = layers_.add_conv("hm.2", 4 * w, 1, 1, -2.19);  // a probability of 0.1
  size_[0] = layers_.add_conv("wh.0", 4 * w, 4 * w, 7, 0);
  size_[1] = layers_.add_conv("wh.2", 4 * w, 2, 7, 0);
  offset_[0] = layers_.add_conv("reg.0", 4 * w, 4 * w, 3, 0);
  offset_[1] = layers_.add_conv("reg.2", 4 * w, 2, 1, 0);
}

template <class F>
void OgDetector::for_each_norm(const F& f) const {
  f(stem_, stem_norm_);
  for (const std::vector<Block>& stage : stages_)
    for (const Block& b : stage) {
      for (int i = 0; i < 3; ++i)
        f(b.conv[i], b.norm[i]);
      if (b.has_shortcut) f(b.shortcut, b.shortcut_norm);
    }
  for (const OgLayers::Combination& c : combinations_) {
    f(c.up, c.up_norm);
    f(c.cat, c.cat_norm);
  }
}

void OgDetector::fold_norms(const Exec& exec) {
  for_each_norm([&](const OgLayers::Conv& c, const BatchNormLayer& n) {
    const Parameter weight = layers_.parameter(c.weight);
    const NormParameters norm = layers_.norm(n);
    const FoldedConv folded = fold(exec, weight, layers_.parameter(c.bias), norm, {}, 0);
    weight.value.copy_from(exec, folded.weight), norm.beta.value.copy_from(exec, folded.bias);
  });
  has_folded_norms_ = true;
}

Var OgDetector::conv_norm_relu(Tape& tape, const std::vector<Var>& parts, const OgLayers::Conv& c,
                               const BatchNormLayer& n, const ConvGeometry& geometry) const {
  if (!has_folded_norms_) return norm_relu(tape, layers_.conv(tape, parts, c, geometry), layers_.norm(n));
  return layers_.conv(tape, parts, {c.weight, n.beta}, geometry, true);
}

Var OgDetector::conv_norm_relu(Tape& tape, const std::vector<Var>& parts, const OgLayers::Conv& c,
                               const BatchNormLayer& n) const {
  const Tensor weight = layers_.parameter(c.weight).value;
  return conv_norm_relu(tape, parts, c, n, ConvGeometry::same(weight.dim(2), weight.dim(3)));
}

Var OgDetector::block(Tape& tape, const Var& x, const Block& b) const {
  Var y = conv_norm_relu(tape, {x}, b.conv[0], b.norm[0]);
  y = conv_norm_relu(tape, {y}, b.conv[1], b.norm[1], ConvGeometry::square(3, b.stride, 1));
  if (has_folded_norms_) return folded_block_end(tape, x, y, b);
  y = layers_.conv(tape, {y}, b.conv[2]);
  if (!b.has_shortcut) return norm_residual_relu(tape, y, layers_.norm(b.norm[2]), x);
  const Var shortcut = layers_.conv(tape, {x}, b.shortcut, ConvGeometry::square(1, b.stride, 0));
  return norm_add_relu(tape, y, layers_.norm(b.norm[2]), shortcut, layers_.norm(b.shortcut_norm));
}

Var OgDetector::folded_block_end(Tape& tape, const Var& x, const Var& inner, const Block& b) const {
  // Added in place: without a shortcut, x is the value of the block before, which nothing else reads.
  const Var sum = !b.has_shortcut ? x
                                  : layers_.conv(tape, {x}, {b.shortcut.weight, b.shortcut_norm.beta},
                                                 ConvGeometry::square(1, b.stride, 0));
  const FoldedConv last{layers_.parameter(b.conv[2].weight).value, layers_.norm(b.norm[2]).beta.value,
                        ConvGeometry::same(1, 1)};
  return {
      conv_folded(tape.exec(), inner.value, last, layers_.layout(tape.exec()), {.add = true, .relu = true}, sum.value)};
}

Var OgDetector::combine(Tape& tape, const Var& coarse, const Var& fine, const OgLayers::Combination& c) const {
  const Var up = resize_bilinear(tape, coarse, fine.value.dim(2), fine.value.dim(3));
  return conv_norm_relu(tape, {fine, conv_norm_relu(tape, {up}, c.up, c.up_norm)}, c.cat, c.cat_norm);
}

OgDetector::Result OgDetector::forward(Tape& tape, const Var& given) const {
  BASIN_CHECK(given.value.dim(2) % multiple == 0 && given.value.dim(3) % multiple == 0, "image ", given.value.shape());
  BASIN_CHECK(!has_folded_norms_ || !tape.training(), "batch norms are folded for inference");
  const Var image = layers_.readable(tape, given);
  std::optional<Tape::Evaluating> frozen;
  if (layers_.frozen(stem_)) frozen.emplace(tape);
  const Var stem = conv_norm_relu(tape, {image}, stem_, stem_norm_, ConvGeometry::square(7, 2, 3));
  Var x = max_pool_3x3(tape, stem), stages[4];
  for (int stage = 0; stage < 4; ++stage) {
    for (const Block& b : stages_[stage])
      x = block(tape, x, b);
    stages[stage] = x;
  }
  frozen.reset();
  Var combined[4];
  combined[3] = stages[3];
  for (int k = 2; k >= 0; --k)
    combined[k] = combine(tape, combined[k + 1], stages[k], combinations_[k]);
  const Var& top = combined[0];
  Result r;
  r.heat = layers_.pointwise(tape, layers_.conv(tape, {top}, heat_[0], true), heat_[1]);
  r.size = to_layout(tape, layers_.conv(tape, {layers_.conv(tape, {top}, size_[0], true)}, size_[1]), Layout::nchw);
  r.offset = layers_.pointwise(tape, layers_.conv(tape, {top}, offset_[0], true), offset_[1]);
  const Var full = layers_.conv(tape, {layers_.conv(tape, {image}, full_[0], true)}, full_[1], true);
  r.pyramid = {full, stem, combined[0], combined[1], combined[2]};
  return r;
}

}  // namespace basin

#pragma once
#include "models/networks/og_layers.h"

namespace basin {

/// The detector of object-guided segmentation (Yi et al., IEEE TMI 40 (2021), public code): a ResNet-50 (He et al.,
/// CVPR 2016; strides in the 3x3 convolutions) whose coarse maps are combined with finer ones, and three heads at a
/// quarter of the image's resolution. Tensors have the names of the public code's state_dict.
class OgDetector {
 public:
  OgDetector(Params& params, const OgOptions&);
  OgDetector(const OgDetector&) = delete;
  OgDetector& operator=(const OgDetector&) = delete;

  struct Result {
    /// Logits of object centres [N, 1, H / 4, W / 4]; width and height of the object, and the offset (x, y) of its
    /// centre within the pixel, both [N, 2, H / 4, W / 4] in px of these maps. Plain nchw.
    Var heat, size, offset;
    /// Feature pyramid for the mask branch: level l is smaller than the image by a factor of 2^l. The levels have 1, 1,
    /// 4, 8 and 16 times `width` channels, in the layout of the network.
    std::vector<Var> pyramid;
  };
  /// Runs the detector on images [N, C, H, W], H and W multiples of 32. On a training tape with batch statistics.
  Result forward(Tape&, const Var& image) const;

  /// Folds the batch norms, with their present running statistics, into the weights and biases of the convolutions.
  /// Afterwards the network can only be used for inference; its maps change only by rounding.
  void fold_norms(const Exec&);

  static constexpr int multiple = 32;  // of H and W
  static constexpr int levels = 5;     // of the feature pyramid

 private:
  struct Block {  // a bottleneck
    OgLayers::Conv conv[3], shortcut;
    BatchNormLayer norm[3], shortcut_norm;
    int stride;
    bool has_shortcut;  // whether there is a convolution in its shortcut
  };
  /// Calls f(convolution, its norm) for each pair in the network.
  template <class F>
  void for_each_norm(const F& f) const;
  /// relu(norm(conv(parts))).
  Var conv_norm_relu(Tape&, const std::vector<Var>& parts, const OgLayers::Conv&, const BatchNormLayer&,
                     const kernels::ConvGeometry&) const;
  Var conv_norm_relu(Tape&, const std::vector<Var>& parts, const OgLayers::Conv&, const BatchNormLayer&) const;
  Var block(Tape&, const Var& x, const Block&) const;
  Var folded_block_end(Tape&, const Var& x, const Var& inner, const Block&) const;
  Var combine(Tape&, const Var& coarse, const Var& fine, const OgLayers::Combination&) const;

  OgLayers layers_;
  OgLayers::Conv stem_;
  BatchNormLayer stem_norm_;
  std::vector<Block> stages_[4];
  OgLayers::Combination combinations_[3];  // of stages 0 and 1, 1 and 2, 2 and 3
  OgLayers::Conv full_[2];                 // at full resolution, for the pyramid
  OgLayers::Conv heat_[2], size_[2], offset_[2];
  bool has_folded_norms_ = false;  // each convolution with a norm then has the bias `beta` of its norm
};

}  // namespace basin

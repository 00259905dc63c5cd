#pragma once
#include <string>
#include <vector>

#include "engine/ops/maps.h"
#include "engine/ops/nn.h"

namespace basin {

/// The U-Net of W-Net and FCRNet: 3x3 convolutions with bias and ReLU, no normalisation, five stages of `width`,
/// 2 width, ..., 16 width channels, and nearest-neighbour up-sampling followed by a 2x2 convolution.
struct PlainUNetOptions {
  int in_channels = 1;  // total over all inputs
  int width = 16;
};

class PlainUNet {
 public:
  /// Adds its tensors to `params`, which must outlive it, under names that begin with `prefix`.
  PlainUNet(Params& params, const std::string& prefix, const PlainUNetOptions&);
  PlainUNet(const PlainUNet&) = delete;
  PlainUNet& operator=(const PlainUNet&) = delete;

  /// Maps [N, width, H, W] in network_layout() from inputs [N, C, H, W], which are treated as concatenated along their
  /// channels; H and W are multiples of 16. `dropout`: of the features of the two coarsest stages, whose masks are
  /// those of layers `dropout.layer` and `dropout.layer` + 1.
  Var forward(Tape&, const std::vector<Var>& inputs, const DropoutOptions& dropout = {.p = 0},
              const StepState* = nullptr) const;
  /// The layout of the network's maps.
  Layout layout(const Exec&) const;

  static constexpr int multiple = 16;  // of H and W
  /// The largest distance, along either axis in pixels, at which an input pixel influences an output pixel.
  static constexpr int receptive_radius = 122;

 private:
  struct Conv {
    int weight, bias;  // handles
  };
  Conv add(const std::string& name, int in, int out, int kernel);
  Parameter parameter(int handle) const { return params_.parameter(handle); }
  Var conv_relu(Tape&, const std::vector<Var>& parts, const Conv&) const;

  static constexpr int stages = 5;
  Params& params_;
  PlainUNetOptions options_;
  Conv encoder_[stages][2];
  Conv up_[stages - 1], decoder_[stages - 1][2];
};

/// Element-wise dropout, where it is wanted: not if its probability is 0, and only on a training tape.
Var optional_dropout(Tape&, const Var& x, const DropoutOptions&, const StepState*);

/// A 3x3 convolution with bias that computes maps from the features of a network.
class MapHead {
 public:
  MapHead(Params& params, const std::string& name, int in, int out);
  /// Returns [N, out, H, W] in this layout.
  Var forward(Tape&, const Var& x, Layout, bool relu = false) const;

 private:
  Params& params_;
  int weight_, bias_;
};

}  // namespace basin

#pragma once
#include <string>
#include <vector>

#include "engine/ops/nn.h"
#include "models/networks/batch_norm_layer.h"

namespace basin {

/// Branched ERFNet (Romera et al. 2018; Neven et al. 2019): one encoder, and one decoder per group of outputs. Tensors
/// have the names of the public code's state_dict.
struct ErfNetOptions {
  int in_channels = 1;
  int width = 16;                  // channels of the first stage; later stages have 4 and 8 times as many
  std::vector<int> outputs{4, 1};  // channels of each decoder
  uint64_t seed = 0;               // of the dropout masks
};

class ErfNet {
 public:
  ErfNet(Params& params, const ErfNetOptions&);
  ErfNet(const ErfNet&) = delete;
  ErfNet& operator=(const ErfNet&) = delete;

  /// The concatenated maps of all decoders, [N, sum of outputs, H, W] in plain nchw, from x [N, C, H, W]; H and W are
  /// multiples of 8. On a training tape with batch statistics and channel dropout, except in a frozen encoder.
  Var forward(Tape&, const Var& x, const StepState*) const;

  /// For inference: folds the batch norms into the parameters of the convolutions before them, which are overwritten.
  /// Afterwards forward() only accepts tapes for evaluation; its maps are the same up to rounding, and take less time.
  void fold_norms(const Exec&);

  static constexpr int multiple = 8;  // of H and W
  /// The largest distance, along either axis in pixels, at which an input pixel influences an output pixel.
  static constexpr int receptive_radius = 624;

 private:
  struct Conv {
    int weight, bias;  // handles
  };
  struct Down {
    Conv conv;
    BatchNormLayer norm;
  };
  struct Block {  // factorised convolutions with a residual
    Conv conv[4];
    BatchNormLayer norm[2];
    double dropout;
    int dilation;
  };
  struct Up {
    Conv conv;
    BatchNormLayer norm;
  };
  struct Decoder {
    Up up[2];
    Block blocks[2][2];
    Conv out;
  };
  Conv add_conv(const std::string& name, Shape weight, int out);
  Down add_down(const std::string& name, int in, int out);
  Block add_block(const std::string& name, int channels, double dropout, int dilation);
  Up add_up(const std::string& name, int in, int out);

  Parameter parameter(int handle) const { return params_.parameter(handle); }
  NormParameters norm(const BatchNormLayer& n) const { return n.in(params_, 1e-3); }
  void fold_norm(const Exec&, const Conv&, const BatchNormLayer&, int output_axis) const;
  Var down(Tape&, const Var& x, const Down&) const;
  Var block(Tape&, const Var& x, const Block&, uint32_t layer, const StepState*) const;

  Params& params_;
  ErfNetOptions options_;
  Down down_[3];
  std::vector<Block> blocks_[2];  // after the second and third downsampling
  std::vector<Decoder> decoders_;
  bool has_folded_norms_ = false;
};

}  // namespace basin

#pragma once
#include <optional>

#include "engine/ops/nn.h"
#include "models/networks/batch_norm_layer.h"

namespace basin {

/// The networks of the vector-field method: a residual encoder, decoders with nearest-neighbour up-sampling and skip
/// connections, and one head per output. H1 has one decoder for both heads, H2 one for each.
struct UNetOptions {
  int in_channels = 1;
  int decoders = 1;              // 1: H1, 2: H2
  int width = 32;                // channels of the first stage; they double from stage to stage
  std::vector<int> heads{1, 2};  // output channels of each head: foreground logit, field (x, y)
  uint64_t seed = 0;             // of the dropout masks
};

class UNet {
  struct FoldedNet;

 public:
  /// Adds its tensors, under the names of the public torchvf state_dict, to `params`, which must outlive it.
  UNet(Params& params, const UNetOptions&);
  UNet(const UNet&) = delete;
  UNet& operator=(const UNet&) = delete;

  /// One plain nchw map per head from x [N, C, H, W], H and W multiples of 8. Requires Params::allocate(). On a
  /// training tape: with batch statistics and dropout, except in a frozen encoder. On the GPU, maps have
  /// Exec::precision unless the image needs a gradient.
  std::vector<Var> forward(Tape&, const Var& x, const StepState*) const;

  /// The network with batch norm folded into the convolutions, built from the present values of the parameters.
  class Folded {
   public:
    Folded(const Exec&, const UNet&);
    ~Folded();
    Folded(Folded&&) noexcept;
    /// Like forward(), for inference: maps have Exec::precision where the library's layouts are used; input and output
    /// are float32.
    std::vector<Tensor> operator()(const Exec&, const Tensor& x) const;

   private:
    std::unique_ptr<FoldedNet> net_;
  };

  const UNetOptions& options() const { return options_; }
  static constexpr int multiple = 8;  // of H and W
  /// The largest distance, along either axis in pixels, at which an input pixel influences an output pixel.
  static constexpr int receptive_radius = 51;

 private:
  struct ConvNorm {
    int weight;  // a handle
    BatchNormLayer norm;
  };
  struct ResBlock {
    ConvNorm conv1, conv2, shortcut;
  };
  struct Decoder {
    ConvNorm conv[3][2];
  };
  struct Head {
    ConvNorm conv[2];
    int weight, bias;
  };
  ConvNorm add_conv_norm(const std::string& conv, const std::string& norm, int in, int out, int kernel);
  NormParameters norm(const ConvNorm&) const;
  Layout layout(const Exec&) const;
  Var conv_norm_relu(Tape&, const Var& x, const ConvNorm&) const;

  Params* params_;
  UNetOptions options_;
  ResBlock encoder_[3];
  ConvNorm middle_[2];
  std::vector<Decoder> decoders_;
  std::vector<Head> heads_;
};

}  // namespace basin

#pragma once
#include <string>
#include <vector>

#include "engine/ops/nn.h"
#include "models/networks/batch_norm_layer.h"

// The layers of the detector and the mask branch of object-guided segmentation: handles to parameters in a Params, and
// functions that run them.

namespace basin {

struct OgOptions {
  int in_channels = 3;
  int width = 64;  // channels of the first stage; all others are multiples of it
};

class OgLayers {
 public:
  OgLayers(Params& params, const OgOptions& options) : params_(params), options_(options) {}

  struct Conv {
    int weight, bias;  // bias: -1 for none
  };
  /// The convolutions that combine coarse with fine maps: `up` is applied to the resized coarse maps, `cat` to the fine
  /// maps and the result of `up`. Each has a batch normalisation unless instance norm is used.
  struct Combination {
    Conv up, cat;
    BatchNormLayer up_norm, cat_norm;
  };

  /// Weight and bias have PyTorch's default initialisation.
  Conv add_conv(const std::string& name, int in, int out, int kernel);
  /// The same, but the bias is initialised with a constant.
  Conv add_conv(const std::string& name, int in, int out, int kernel, double bias);
  /// Without bias; the variance is 2 / (out * kernel^2) (He et al., ICCV 2015), as in a ResNet.
  Conv add_conv_without_bias(const std::string& name, int in, int out, int kernel);
  /// A layer from `in` channels at points to one output: a weight [1, in, 1].
  Conv add_pointwise(const std::string& name, int in);
  BatchNormLayer add_norm(const std::string& name, int channels) {
    return BatchNormLayer::add(params_, name, channels);
  }
  Combination add_combination(const std::string& name, int coarse, int fine, bool with_norm);

  Parameter parameter(int handle) const { return handle < 0 ? Parameter() : params_.parameter(handle); }
  bool frozen(const Conv& c) const { return params_.frozen(c.weight); }
  NormParameters norm(const BatchNormLayer& n) const { return n.in(params_); }
  Layout layout(const Exec& exec) const { return network_layout(exec, params_.dtype(), options_.width); }
  /// The result is in the layout of the network; `parts` are in that layout or plain.
  Var conv(Tape&, const std::vector<Var>& parts, const Conv&, const kernels::ConvGeometry&, bool relu = false) const;
  /// The same with stride 1 and the padding that preserves the size.
  Var conv(Tape&, const std::vector<Var>& parts, const Conv&, bool relu = false) const;
  Var pointwise(Tape&, const Var& x, const Conv&) const;
  /// The image in a layout that the library's convolutions can read.
  Var readable(Tape&, const Var& image) const;

 private:
  Params& params_;
  OgOptions options_;
};

}  // namespace basin

#pragma once
#include <string>
#include <vector>

#include "engine/ops/nn.h"
#include "models/networks/batch_norm_layer.h"

// The layers that the detector and the mask branch of object-guided segmentation are made of: handles into a Params,
// and what runs them.

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
  /// The convolutions that combine coarse with fine maps: `up` of the coarse ones after they are resized, `cat` of the
  /// fine ones and those. Without instance norm each has a batch normalisation.
  struct Combination {
    Conv up, cat;
    BatchNormLayer up_norm, cat_norm;
  };

  /// Weight and bias are drawn as PyTorch does by default.
  Conv add_conv(const std::string& name, int in, int out, int kernel);
  /// The same with a bias that is constant at first.
  Conv add_conv(const std::string& name, int in, int out, int kernel, double bias);
  /// Without bias; the variance is 2 / (out * kernel^2) (He et al., ICCV 2015), as in a ResNet.
  Conv add_conv_without_bias(const std::string& name, int in, int out, int kernel);
  /// To one output from `in` channels of points: a weight [1, in, 1].
  Conv add_pointwise(const std::string& name, int in);
  BatchNormLayer add_norm(const std::string& name, int channels) {
    return BatchNormLayer::add(params_, name, channels);
  }
  Combination add_combination(const std::string& name, int coarse, int fine, bool with_norm);

  Parameter parameter(int handle) const { return handle < 0 ? Parameter() : params_.parameter(handle); }
  bool frozen(const Conv& c) const { return params_.frozen(c.weight); }
  NormParameters norm(const BatchNormLayer& n) const { return n.in(params_); }
  Layout layout(const Exec& exec) const { return network_layout(exec, params_.dtype(), options_.width); }
  /// In the layout of the network. x: in that layout, or plain.
  Var conv(Tape&, const std::vector<Var>& parts, const Conv&, const kernels::ConvGeometry&, bool relu = false) const;
  /// Stride 1 and the padding that keeps the size.
  Var conv(Tape&, const std::vector<Var>& parts, const Conv&, bool relu = false) const;
  Var pointwise(Tape&, const Var& x, const Conv&) const;
  /// An image in a layout that convolutions of the library read.
  Var readable(Tape&, const Var& image) const;

  const OgOptions& options() const { return options_; }

 private:
  Params& params_;
  OgOptions options_;
};

}  // namespace basin

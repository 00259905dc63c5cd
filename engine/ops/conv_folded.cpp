#include <cmath>

#include "engine/ops/convolution.h"
#include "engine/ops/nn.h"

namespace basin {

using kernels::ConvGeometry;

FoldedConv fold(const Exec& exec, const Parameter& weight, const NormParameters& p) {
  return fold(exec, weight, {}, p, same_geometry(weight.value), 0);
}

FoldedConv fold(const Exec& exec, const Parameter& weight, const Parameter& old_bias, const NormParameters& p,
                const ConvGeometry& geometry, int output_axis) {
  const Shape shape = weight.value.shape();
  const int outputs = shape[output_axis];
  std::vector<float> w = weight.value.to_host<float>(exec), bias(size_t(outputs), 0.f);
  if (old_bias.value) bias = old_bias.value.to_host<float>(exec);
  const std::vector<float> gamma = p.gamma.value.to_host<float>(exec), beta = p.beta.value.to_host<float>(exec);
  const std::vector<float> mean = p.running_mean.to_host<float>(exec), var = p.running_var.to_host<float>(exec);
  std::vector<double> scale;
  for (size_t o = 0; o < bias.size(); ++o) {
    scale.push_back(double(gamma[o]) / std::sqrt(double(var[o]) + p.epsilon));
    bias[o] = float(double(beta[o]) + (double(bias[o]) - double(mean[o])) * scale[o]);
  }
  size_t inner = size_t(shape[2]) * size_t(shape[3]);  // consecutive weights of one output
  if (output_axis == 0) inner *= size_t(shape[1]);
  for (size_t i = 0; i < w.size(); ++i)
    w[i] = float(double(w[i]) * scale[i / inner % scale.size()]);
  return {Tensor::from(exec, shape, w), Tensor::from(exec, {outputs}, bias), geometry};
}

Tensor conv_folded(const Exec& exec, const Tensor& x, const FoldedConv& conv, Layout layout,
                   const kernels::ConvEpilogue& epilogue, Tensor out) {
  const ConvGeometry& g = conv.geometry;
  if (!out)
    out = Tensor::empty(exec, {x.dim(0), conv.weight.dim(0), g.out_h(x.dim(2)), g.out_w(x.dim(3))}, x.dtype(), layout);
  Convolution(exec, x, out, g).forward(x, conv.weight, 0, conv.bias, epilogue, out);
  return out;
}

}  // namespace basin

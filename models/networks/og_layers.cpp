#include "models/networks/og_layers.h"

#include <cmath>

namespace basin {

using kernels::ConvGeometry;

OgLayers::Conv OgLayers::add_conv(const std::string& name, int in, int out, int kernel) {
  const Shape shape{out, in, kernel, kernel};
  const double bound = pytorch_bound(shape);
  const int weight = params_.add(name + ".weight", shape, bound);
  return {weight, params_.add(name + ".bias", {out}, bound)};
}

OgLayers::Conv OgLayers::add_conv(const std::string& name, int in, int out, int kernel, double bias) {
  const Shape shape{out, in, kernel, kernel};
  const int weight = params_.add(name + ".weight", shape, pytorch_bound(shape));
  return {weight, params_.add(name + ".bias", {out}, 0, bias)};
}

OgLayers::Conv OgLayers::add_conv_without_bias(const std::string& name, int in, int out, int kernel) {
  // U(-b, b) has the variance b^2 / 3.
  const double bound = std::sqrt(6.0 / (double(out) * kernel * kernel));
  return {params_.add(name + ".weight", {out, in, kernel, kernel}, bound), -1};
}

OgLayers::Conv OgLayers::add_pointwise(const std::string& name, int in) {
  const Shape shape{1, in, 1};
  const double bound = pytorch_bound(shape);
  const int weight = params_.add(name + ".weight", shape, bound);
  return {weight, params_.add(name + ".bias", {1}, bound)};
}

OgLayers::Combination OgLayers::add_combination(const std::string& name, int coarse, int fine, bool with_norm) {
  Combination c{};
  c.up = add_conv(name + ".up.0", coarse, fine, 3);
  if (with_norm) c.up_norm = add_norm(name + ".up.1", fine);
  c.cat = add_conv(name + ".cat_conv.0", 2 * fine, fine, 1);
  if (with_norm) c.cat_norm = add_norm(name + ".cat_conv.1", fine);
  return c;
}

Var OgLayers::conv(Tape& tape, const std::vector<Var>& parts, const Conv& c, const ConvGeometry& geometry,
                   bool relu) const {
  return basin::conv(tape, parts, parameter(c.weight), parameter(c.bias),
                     {.geometry = geometry, .layout = layout(tape.exec()), .relu = relu});
}

Var OgLayers::conv(Tape& tape, const std::vector<Var>& parts, const Conv& c, bool relu) const {
  const Tensor weight = parameter(c.weight).value;
  return conv(tape, parts, c, ConvGeometry::same(weight.dim(2), weight.dim(3)), relu);
}

Var OgLayers::pointwise(Tape& tape, const Var& x, const Conv& c) const {
  return basin::pointwise(tape, x, parameter(c.weight), parameter(c.bias));
}

Var OgLayers::readable(Tape& tape, const Var& image) const {
  const Layout to = layout(tape.exec());
  return image.value.dim(1) > (to == Layout::nhwc ? 1 : 3) ? to_layout(tape, image, to) : image;
}

}  // namespace basin

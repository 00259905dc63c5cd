#include "engine/ops/nn.h"
#include "kernels/conv/conv_cpu.h"
#include "kernels/conv/conv_onednn.h"
#include "kernels/runtime/prepared_weights.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
using kernels::ConvGeometry;

namespace {

/// A convolution of `channels` to 24 channels in the layout of this processor; the weight has three more input channels
/// than x.
struct Layer {
  Exec cpu;
  Layout layout = kernels::onednn_block() == 16 ? Layout::blocked16 : Layout::blocked8;
  ConvGeometry geometry;
  int channels;
  Tensor weight;

  Layer(const ConvGeometry& g, int from) : geometry(g), channels(from) {
    const Shape shape{24, channels + 3, g.kernel_h, g.kernel_w};
    weight = Tensor::from(cpu, shape, uniform<float>(size_t(shape.size()), -1, 1, 2));
  }
  std::vector<float> run(PreparedWeights* prepared, int side, int first = 0) const {
    Exec exec = cpu;
    exec.prepared = prepared;
    const Shape shape{1, channels, side, side};
    const Tensor x = to_layout(cpu, Tensor::from(cpu, shape, uniform<float>(size_t(shape.size()), -1, 1, 1)), layout);
    const Tensor out = Tensor::empty(cpu, {1, 24, geometry.out_h(side), geometry.out_w(side)}, DType::f32, layout);
    kernels::conv_cpu<float>(exec, x.features<const float>(), {weight.view<const float, 4>(), first, geometry}, {}, {},
                             out.features<float>());
    return to_layout(cpu, out, Layout::nchw).to_host<float>(cpu);
  }
  PreparedWeights prepared() const { return {weight.data<const float>(), weight.shape().size()}; }
  void double_weight() const {
    for (int64_t i = 0; i < weight.shape().size(); ++i)
      weight.data<float>()[i] *= 2;
  }
};

// Two by oneDNN, and four by our Winograd kernels: square and along one axis.
const ConvGeometry geometries[] = {ConvGeometry::square(3, 2, 1), ConvGeometry::same(3, 3),
                                   ConvGeometry::same(1, 1),      ConvGeometry::same(7, 7),
                                   ConvGeometry::same(1, 3),      ConvGeometry::same(3, 1, 2)};

}  // namespace

TEST_CASE("prepared weights: convolutions give the same maps for every size and part of the weight") {
  for (const ConvGeometry& g : geometries) {
    CAPTURE(g);
    const Layer layer(g, 20);
    PreparedWeights prepared = layer.prepared();
    for (const int side : {24, 17, 24})
      for (const int first : {0, 3}) {
        CAPTURE(side);
        CAPTURE(first);
        check_close(layer.run(&prepared, side, first), layer.run(nullptr, side, first), 1e-5, 1e-5);
      }
  }
}

TEST_CASE("prepared weights: a form is made once, and only of weights among the given values") {
  const Tensor others = Tensor::from(Exec(), {8}, std::vector<float>(8, 0.f));
  for (const ConvGeometry& g : geometries) {
    CAPTURE(g);
    const Layer layer(g, 32);  // whole blocks: others are convolved with a copy of the weight
    PreparedWeights prepared = layer.prepared(), of_others(others.data<const float>(), 8);
    const std::vector<float> once = layer.run(&prepared, 24), other = layer.run(&of_others, 24);
    layer.double_weight();  // not allowed, but shows whether the old form is used
    std::vector<float> twice = other;
    for (float& v : twice)
      v *= 2;
    CHECK(layer.run(&of_others, 24) == twice);
    CHECK(layer.run(&prepared, 24) == once);
  }
}

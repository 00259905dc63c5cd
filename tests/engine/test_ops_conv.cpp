#include "engine/ops/nn.h"
#include "tests/support/gradient_support.h"

using namespace basin;
using namespace basin::test;
using kernels::ConvGeometry;

namespace {

/// oneDNN's layout on this machine for maps whose channels fill whole blocks of 8.
const Layout blocked = Layout::blocked8;

/// A piece of a network and the shapes of the inputs and parameters to check it with.
struct Case {
  std::function<Subgraph(Layout)> piece;
  std::vector<Shape> inputs, parameters;
};

void check_case(const Case& c) {
  for (const Layout layout : {Layout::nchw, Layout::blocked8, Layout::nhwc}) {
    CAPTURE(int(layout));
    check_piece(c.piece(layout), c.inputs, c.parameters);
  }
}

}  // namespace

TEST_CASE("conv: gradients match finite differences in double for every geometry, with and without bias and ReLU") {
  for (const ConvGeometry& g :
       {ConvGeometry::square(3, 2, 1), ConvGeometry::square(2, 2, 0), ConvGeometry::same(3, 1, 4),
        ConvGeometry::same(1, 3), ConvGeometry::same(2, 2), ConvGeometry{2, 3, 2, 2, 0, 1, 2, 3}})
    for (const bool relu : {false, true}) {
      CAPTURE(g.kernel_h);
      CAPTURE(g.kernel_w);
      const auto piece = [&](bool bias) {
        return [&g, relu, bias](Layout layout) -> Subgraph {
          return [=](Tape& tape, const std::vector<Var>& in, const std::vector<Parameter>& p) {
            return conv(tape, to_layout(tape, in[0], layout), p[0], bias ? p[1] : Parameter(), {g, layout, relu});
          };
        };
      };
      check_case({piece(true), {{2, 3, 7, 6}}, {{5, 3, g.kernel_h, g.kernel_w}, {5}}});
      check_case({piece(false), {{1, 3, 6, 7}}, {{4, 3, g.kernel_h, g.kernel_w}}});
    }
}

TEST_CASE("conv: the libraries give the plain kernels' results for every geometry") {
  for (const ConvGeometry& g :
       {ConvGeometry::square(3, 2, 1), ConvGeometry::square(2, 2, 0), ConvGeometry::square(1, 2, 0),
        ConvGeometry::same(3, 1), ConvGeometry::same(1, 3), ConvGeometry::same(3, 1, 16), ConvGeometry::same(1, 3, 16),
        ConvGeometry::same(2, 2), ConvGeometry::same(1, 2), ConvGeometry::same(7, 7), ConvGeometry::square(7, 2, 3)})
    for (const int channels : {3, 16}) {
      CAPTURE(g.kernel_h);
      CAPTURE(g.kernel_w);
      CAPTURE(g.stride);
      CAPTURE(channels);
      const auto piece = [&](Layout layout) -> Subgraph {
        return [=](Tape& tape, const std::vector<Var>& in, const std::vector<Parameter>& p) {
          const Var x = channels > 3 ? to_layout(tape, in[0], layout) : in[0];
          return conv(tape, x, p[0], p[1], {g, layout, true});
        };
      };
      check_paths(piece, blocked, {{2, channels, 18, 21}}, {{24, channels, g.kernel_h, g.kernel_w}, {24}});
    }
}

TEST_CASE("conv: convolving parts equals convolving their concatenation") {
  const ConvGeometry g = ConvGeometry::same(3, 3);
  const auto joined = [&](Layout layout) -> Subgraph {
    return [=](Tape& tape, const std::vector<Var>& in, const std::vector<Parameter>& p) {
      return conv(tape, concat(tape, in, layout), p[0], p[1], {g, layout, true});
    };
  };
  const auto parts = [&](Layout layout) -> Subgraph {
    return [=](Tape& tape, const std::vector<Var>& in, const std::vector<Parameter>& p) {
      return conv(tape, {in[0], to_layout(tape, in[1], layout)}, p[0], p[1], {g, layout, true});
    };
  };
  const std::vector<Shape> inputs{{2, 3, 6, 5}, {2, 8, 6, 5}}, parameters{{8, 11, 3, 3}, {8}};
  check_case({joined, inputs, parameters});
  check_case({parts, inputs, parameters});
  check_paths(joined, blocked, inputs, parameters);
  check_paths(parts, blocked, inputs, parameters);
  const Exec cpu;
  const std::vector<Parameter> p = random_parameters<double>(cpu, parameters);
  std::vector<Tensor> at;
  for (const Shape& shape : inputs)
    at.push_back(Tensor::from(cpu, shape, uniform<double>(size_t(shape.size()), -1, 1, 3)));
  const PieceRun<double> a(cpu, joined(Layout::nchw), at, p), b(cpu, parts(Layout::blocked8), at, p);
  check_close(b.value, a.value, 1e-12, 1e-12);
  CHECK_THROWS_AS(PieceRun<double>(cpu, parts(Layout::nchw), at, random_parameters<double>(cpu, {{8, 12, 3, 3}, {8}})),
                  Error);
}

TEST_CASE("conv: transposed convolution: values by hand, gradients, and agreement with the libraries") {
  const Exec cpu;
  // Each pixel of x adds the kernel, 3x3, around twice its position; the padding removes the first row and column,
  // and the output padding keeps the last ones.
  Tape tape(cpu);
  const Parameter w{Tensor::from<double>(cpu, {1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}),
                    Tensor::zeros(cpu, {1, 1, 3, 3}, DType::f64)};
  const Var x = tape.leaf(Tensor::from<double>(cpu, {1, 1, 1, 2}, {1, 10}));
  const Var y = conv_transposed(tape, x, w, {}, {ConvGeometry::square(3, 2, 1), Layout::nchw}, 1);
  CHECK(y.value.shape() == Shape{1, 1, 2, 4});
  CHECK(y.value.to_host<double>(cpu) == std::vector<double>{5, 46, 50, 60, 8, 79, 80, 90});
  CHECK_THROWS_AS(conv_transposed(tape, x, w, {}, {ConvGeometry::square(3, 2, 1), Layout::nchw}, 2), Error);

  for (const auto& [g, output_padding] : {std::pair(ConvGeometry::square(3, 2, 1), 1),
                                          {ConvGeometry::square(3, 2, 1), 0},
                                          {ConvGeometry::square(2, 2, 0), 0}})
    for (const bool relu : {false, true}) {
      const auto piece = [g = g, padding = output_padding, relu](Layout layout) -> Subgraph {
        return [=](Tape& t, const std::vector<Var>& in, const std::vector<Parameter>& p) {
          return conv_transposed(t, to_layout(t, in[0], layout), p[0], p.size() > 1 ? p[1] : Parameter(),
                                 {g, layout, relu}, padding);
        };
      };
      check_case({piece, {{2, 3, 4, 5}}, {{3, 5, g.kernel_h, g.kernel_w}, {5}}});
      check_case({piece, {{2, 3, 4, 5}}, {{3, 2, g.kernel_h, g.kernel_w}}});
      check_paths(piece, blocked, {{2, 16, 9, 7}}, {{16, 8, g.kernel_h, g.kernel_w}, {8}});
      check_paths(piece, blocked, {{2, 16, 9, 7}}, {{16, 4, g.kernel_h, g.kernel_w}, {4}});
    }
}

TEST_CASE("conv: the fused 2x2 convolution of up-sampled maps equals up-sampling, then convolving") {
  const Exec cpu;
  const std::vector<Shape> inputs{{2, 3, 3, 4}}, parameters{{5, 3, 2, 2}, {5}};
  for (const bool relu : {false, true}) {
    const auto fused = [&](Layout layout) -> Subgraph {
      return [=](Tape& tape, const std::vector<Var>& in, const std::vector<Parameter>& p) {
        return conv_upsampled_2x2(tape, to_layout(tape, in[0], layout), p[0], p.size() > 1 ? p[1] : Parameter(), layout,
                                  relu);
      };
    };
    // A transposed convolution with a kernel of ones repeats each pixel; the weight keeps the channels separate.
    const auto composed = [&](Layout layout) -> Subgraph {
      return [=](Tape& tape, const std::vector<Var>& in, const std::vector<Parameter>& p) {
        std::vector<double> same(3 * 3 * 4, 0.);
        for (size_t c = 0; c < 3; ++c)
          std::fill_n(same.begin() + long((c * 3 + c) * 4), 4, 1.);
        const Parameter repeat{Tensor::from(cpu, {3, 3, 2, 2}, same), Tensor::zeros(cpu, {3, 3, 2, 2}, DType::f64)};
        const Var up = conv_transposed(tape, in[0], repeat, {}, {ConvGeometry::square(2, 2, 0), layout});
        return conv(tape, up, p[0], p[1], {ConvGeometry::same(2, 2), layout, relu});
      };
    };
    const std::vector<Tensor> at{Tensor::from(cpu, inputs[0], uniform<double>(2 * 3 * 3 * 4, -1, 1, 5))};
    const std::vector<Parameter> p = random_parameters<double>(cpu, parameters);
    const PieceRun<double> want(cpu, composed(Layout::nchw), at, p);
    for (const Layout layout : {Layout::nchw, Layout::blocked8, Layout::nhwc}) {
      const PieceRun<double> got(cpu, fused(layout), at, p);
      check_close(got.value, want.value, 1e-12, 1e-12);
      for (size_t k = 0; k < want.gradients.size(); ++k)
        check_close(got.gradients[k], want.gradients[k], 1e-12, 1e-12);
    }
    check_case({fused, inputs, parameters});
    check_case({fused, inputs, {{5, 3, 2, 2}}});
    check_paths(fused, blocked, {{2, 16, 6, 9}}, {{8, 16, 2, 2}, {8}});
  }
}

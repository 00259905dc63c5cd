#include "engine/ops/nn.h"
#include "tests/support/gradient_support.h"

// The building blocks of the networks of EmbedSeg, W-Net, FCRNet and object-guided segmentation, each as a small
// network.

using namespace basin;
using namespace basin::test;
using kernels::ConvGeometry;

namespace {

using Parameters = std::vector<Parameter>;
using Vars = std::vector<Var>;

/// Parameters k and k + 1 as gamma and beta of a batch normalisation whose running statistics are not used.
NormParameters norm_of(Tape& tape, const Parameters& p, size_t k) {
  const auto statistic = [&] { return Tensor::zeros(tape.exec(), p[k].value.shape(), p[k].value.dtype()); };
  return {p[k], p[k + 1], statistic(), statistic()};
}

const StepState* first_step(Tape& tape) {
  static const StepState host;
  if (tape.exec().device == Device::cpu) return &host;
  static const Tensor there = [&] {
    const Tensor t = Tensor::empty(tape.exec(), {int64_t(sizeof host)}, DType::u8);
    t.copy_from_host(tape.exec(), &host);
    return t;
  }();
  return reinterpret_cast<const StepState*>(there.data<uint8_t>());
}

void check_network(const std::function<Subgraph(Layout)>& piece, const std::vector<Shape>& inputs,
                   const std::vector<Shape>& parameters, double tolerance = 1e-4) {
  for (const Layout layout : {Layout::nchw, Layout::blocked8})
    check_piece(piece(layout), inputs, parameters, 2e-5);
  check_paths(piece, Layout::blocked8, inputs, parameters, tolerance);
}

}  // namespace

TEST_CASE("ERFNet: gradients of a downsampler") {
  for (const auto& [in, out] : {std::pair(1, 16), {8, 24}})
    check_network(
        [in = in](Layout layout) -> Subgraph {
          return [=](Tape& t, const Vars& x, const Parameters& p) {
            const Var image = in > 3 ? to_layout(t, x[0], layout) : x[0];
            const Var convolved = conv(t, image, p[0], p[1], {ConvGeometry::square(3, 2, 1), layout});
            return norm_relu(t, concat(t, {convolved, max_pool(t, image)}, layout), norm_of(t, p, 2));
          };
        },
        {{2, in, 8, 6}}, {{out - in, in, 3, 3}, {out - in}, {out}, {out}});
}

TEST_CASE("ERFNet: gradients of a non-bottleneck block with dilation 16 and channel dropout") {
  check_network(
      [](Layout layout) -> Subgraph {
        return [=](Tape& t, const Vars& in, const Parameters& p) {
          const Var x = to_layout(t, in[0], layout);
          Var y = conv(t, x, p[0], p[1], {ConvGeometry::same(3, 1), layout, true});
          y = norm_relu(t, conv(t, y, p[2], p[3], {ConvGeometry::same(1, 3), layout}), norm_of(t, p, 4));
          y = conv(t, y, p[6], p[7], {ConvGeometry::same(3, 1, 16), layout, true});
          y = conv(t, y, p[8], p[9], {ConvGeometry::same(1, 3, 16), layout});
          return norm_residual_relu(t, y, norm_of(t, p, 10), x, {.p = .3, .seed = 1, .layer = 2}, first_step(t));
        };
      },
      {{1, 8, 18, 6}},
      {{8, 8, 3, 1}, {8}, {8, 8, 1, 3}, {8}, {8}, {8}, {8, 8, 3, 1}, {8}, {8, 8, 1, 3}, {8}, {8}, {8}});
}

TEST_CASE("ERFNet: gradients of an upsampler and of a decoder's last transposed convolution") {
  check_network(
      [](Layout layout) -> Subgraph {
        return [=](Tape& t, const Vars& in, const Parameters& p) {
          Var y =
              conv_transposed(t, to_layout(t, in[0], layout), p[0], p[1], {ConvGeometry::square(3, 2, 1), layout}, 1);
          y = norm_relu(t, y, norm_of(t, p, 2));
          return conv_transposed(t, y, p[4], p[5], {ConvGeometry::square(2, 2, 0), layout});
        };
      },
      {{2, 16, 4, 5}}, {{16, 8, 3, 3}, {8}, {8}, {8}, {8, 4, 2, 2}, {4}});
}

TEST_CASE("ResNet: gradients of the stem and of bottlenecks with and without a convolution in the shortcut") {
  check_network(
      [](Layout layout) -> Subgraph {
        return [=](Tape& t, const Vars& in, const Parameters& p) {
          const auto conv_norm = [&](const Var& x, size_t k, const ConvGeometry& g) {
            return norm_relu(t, conv(t, x, p[k], {}, {g, layout}), norm_of(t, p, k + 1));
          };
          Var x = max_pool_3x3(t, conv_norm(in[0], 0, ConvGeometry::square(7, 2, 3)));
          Var y = conv_norm(conv_norm(x, 3, ConvGeometry::same(1, 1)), 6, ConvGeometry::square(3, 2, 1));
          x = norm_add_relu(t, conv(t, y, p[9], layout), norm_of(t, p, 10),
                            conv(t, x, p[12], {}, {ConvGeometry::square(1, 2, 0), layout}), norm_of(t, p, 13));
          y = conv_norm(conv_norm(x, 15, ConvGeometry::same(1, 1)), 18, ConvGeometry::same(3, 3));
          return norm_residual_relu(t, conv(t, y, p[21], layout), norm_of(t, p, 22), x);
        };
      },
      {{2, 3, 15, 18}},
      {{8, 3, 7, 7},  {8},  {8},  {8, 8, 1, 1},  {8}, {8}, {8, 8, 3, 3}, {8}, {8}, {16, 8, 1, 1}, {16}, {16},
       {16, 8, 1, 1}, {16}, {16}, {8, 16, 1, 1}, {8}, {8}, {8, 8, 3, 3}, {8}, {8}, {16, 8, 1, 1}, {16}, {16}},
      1e-3);
}

TEST_CASE("object-guided: gradients of a combination of two scales with instance norm, and of a pointwise head") {
  check_network(
      [](Layout layout) -> Subgraph {
        return [=](Tape& t, const Vars& in, const Parameters& p) {
          const Var low = to_layout(t, in[0], layout), up = to_layout(t, in[1], layout);
          const Var resized = resize_bilinear(t, low, up.value.dim(2), up.value.dim(3));
          const Var y = instance_norm_relu(t, conv(t, resized, p[0], p[1], {ConvGeometry::same(3, 3), layout}));
          const Var z = instance_norm_relu(t, conv(t, {up, y}, p[2], p[3], {ConvGeometry::same(1, 1), layout}));
          return sigmoid(t, conv(t, z, p[4], p[5], {ConvGeometry::same(3, 3), layout}));
        };
      },
      {{2, 16, 3, 4}, {2, 8, 6, 7}}, {{8, 16, 3, 3}, {8}, {8, 16, 1, 1}, {8}, {1, 8, 3, 3}, {1}});
}

TEST_CASE("W-Net and FCRNet: gradients of a decoder stage and of normalised features fed to a second network") {
  check_network(
      [](Layout layout) -> Subgraph {
        return [=](Tape& t, const Vars& in, const Parameters& p) {
          const ConvGeometry three = ConvGeometry::same(3, 3);
          const Var up = conv_upsampled_2x2(t, to_layout(t, in[0], layout), p[0], p[1], layout, true);
          Var x = conv(t, {to_layout(t, in[1], layout), up}, p[2], p[3], {three, layout, true});
          x = conv(t, x, p[4], p[5], {three, layout});
          return conv(t, {in[2], normalise_pixels(t, x)}, p[6], p[7], {three, layout, true});
        };
      },
      {{2, 16, 3, 4}, {2, 8, 6, 8}, {2, 3, 6, 8}},
      {{8, 16, 2, 2}, {8}, {8, 16, 3, 3}, {8}, {8, 8, 3, 3}, {8}, {8, 11, 3, 3}, {8}});
}

TEST_CASE("network: batch norm uses the running statistics on a tape in evaluation mode") {
  for (const Exec& exec : execs()) {
    const Shape shape{2, 8, 3, 5};
    const auto random = [&](const Shape& s, double lo, unsigned seed) {
      return Tensor::from(exec, s, uniform<float>(size_t(s.size()), lo, 2, seed));
    };
    const Tensor x = random(shape, -2, 1), residual = random(shape, -2, 2);
    NormParameters p{{random({8}, -2, 3), {}}, {random({8}, -2, 4), {}}, random({8}, -2, 5), random({8}, .5, 6)};
    p.epsilon = 1e-3;
    const auto host = [&](const Tensor& t) { return t.to_host<float>(exec); };
    const std::vector<float> gamma = host(p.gamma.value), beta = host(p.beta.value), mean = host(p.running_mean),
                             var = host(p.running_var), from = host(x), added = host(residual);
    std::vector<float> plain(from.size()), opened(from.size()), tail(from.size());
    for (size_t i = 0; i < from.size(); ++i) {
      const size_t c = i / 15 % 8;
      plain[i] = gamma[c] * (from[i] - mean[c]) / std::sqrt(var[c] + 1e-3f) + beta[c];
      opened[i] = std::max(plain[i], 0.f), tail[i] = std::max(plain[i] + added[i], 0.f);
    }
    Tape tape(exec, Tape::Mode::evaluate);
    check_close(host(norm(tape, {x}, p).value), plain, 1e-5, 1e-5);
    check_close(host(norm_relu(tape, {x}, p).value), opened, 1e-5, 1e-5);
    check_close(host(norm_residual_relu(tape, {x}, p, {residual}).value), tail, 1e-5, 1e-5);
    check_close(host(norm_residual_relu(tape, {x}, p, {residual}, {.p = .5}, nullptr).value), tail, 1e-5, 1e-5);
    CHECK(host(p.running_mean) == mean);
    CHECK_THROWS_AS(norm_relu(tape, tape.leaf(x), p), Error);
  }
}

TEST_CASE("parameters: PyTorch's bound, and Keras's normal distribution truncated at two standard deviations") {
  CHECK(pytorch_bound({64, 16, 3, 1}) == doctest::Approx(1 / std::sqrt(48.)));
  const Exec cpu;
  Params params;
  const int a = params.add_he_normal("a", {32, 16, 3, 3});
  const int b = params.add_he_normal("b", {32, 16, 3, 3});
  params.allocate(cpu);
  params.init(cpu, 7);
  const std::vector<float> w = params.parameter(a).value.to_host<float>(cpu);
  CHECK(w != params.parameter(b).value.to_host<float>(cpu));
  const double variance = 2. / (16 * 9), cut = 2 * std::sqrt(variance) / 0.87962566103423978;
  double sum = 0, square = 0, largest = 0;
  for (const double v : w)
    sum += v, square += v * v, largest = std::max(largest, std::abs(v));
  const double n = double(w.size());
  CHECK(std::abs(sum / n) < 4 * std::sqrt(variance / n));
  CHECK(square / n == doctest::Approx(variance).epsilon(0.05));
  CHECK(largest <= cut * (1 + 1e-6));
  CHECK(largest > .98 * cut);
  params.init(cpu, 7);
  CHECK(params.parameter(a).value.to_host<float>(cpu) == w);
}

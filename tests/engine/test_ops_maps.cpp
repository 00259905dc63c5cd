#include <algorithm>

#include "engine/ops/nn.h"
#include "kernels/nn/resize.h"
#include "tests/support/gradient_support.h"

using namespace basin;
using namespace basin::test;

namespace {

using MapOp = std::function<Var(Tape&, const std::vector<Var>&)>;

/// Checks an operation on maps in three layouts: its gradient in double, and in float32 on every device against the
/// plain kernels.
void check_op(const MapOp& op, const std::vector<Shape>& inputs) {
  const auto piece = [&](Layout layout) -> Subgraph {
    return [&op, layout](Tape& tape, const std::vector<Var>& in, const std::vector<Parameter>&) {
      std::vector<Var> maps;
      for (const Var& v : in)
        maps.push_back(to_layout(tape, v, layout));
      return op(tape, maps);
    };
  };
  for (const Layout layout : {Layout::nchw, Layout::blocked8, Layout::blocked16, Layout::nhwc}) {
    CAPTURE(int(layout));
    check_piece(piece(layout), inputs, {});
  }
  check_paths(piece, Layout::blocked8, inputs, {});
}

std::vector<double> values(const std::function<Var(Tape&, const Var&)>& op, const Shape& shape,
                           const std::vector<double>& x, Layout layout) {
  const Exec cpu;
  Tape tape(cpu);
  const Var in = to_layout(tape, tape.leaf(Tensor::from(cpu, shape, x)), layout);
  return to_layout(tape, op(tape, in), Layout::nchw).value.to_host<double>(cpu);
}

}  // namespace

TEST_CASE("maps: gradients of activations, sums and concatenation") {
  const Shape shape{2, 11, 5, 4};
  check_op([](Tape& t, const std::vector<Var>& v) { return relu(t, v[0]); }, {shape});
  check_op([](Tape& t, const std::vector<Var>& v) { return sigmoid(t, v[0]); }, {shape});
  check_op([](Tape& t, const std::vector<Var>& v) { return tanh(t, v[0]); }, {shape});
  check_op([](Tape& t, const std::vector<Var>& v) { return add(t, v[0], v[1]); }, {shape, shape});
  check_op([](Tape& t, const std::vector<Var>& v) { return add_relu(t, v[0], v[1]); }, {shape, shape});
  // Gradients that are accumulated: a value used by two operations, and a value used twice by one operation.
  check_op([](Tape& t, const std::vector<Var>& v) { return add(t, add_relu(t, v[0], v[1]), add(t, v[0], v[0])); },
           {shape, shape});
  for (const int channels : {16, 5})
    check_op(
        [](Tape& t, const std::vector<Var>& v) {
          return concat(t, {v[0], v[1], v[0]}, v[0].value.layout());
        },
        {{2, channels, 5, 4}, {2, 8, 5, 4}});
  const double e = std::exp(-1.), one = 1 / (1 + e);
  CHECK(values([](Tape& t, const Var& x) { return sigmoid(t, x); }, {1, 3, 1, 1}, {0, 1, -1}, Layout::blocked8) ==
        std::vector<double>{.5, one, e * one});
}

TEST_CASE("maps: an activation keeps padding lanes at 0 and propagates NaN") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Var x{to_layout(exec, Tensor::from<float>(exec, {1, 3, 1, 1}, {NAN, 1, -1}), Layout::blocked8)};
    for (const Var& y : {sigmoid(tape, x), relu(tape, x), tanh(tape, x), add_relu(tape, x, x)}) {
      std::vector<float> lanes(8);
      y.value.copy_to_host(exec, lanes.data());
      CHECK(std::isnan(lanes[0]));
      CHECK(lanes[1] > 0);
      CHECK(std::vector<float>(lanes.begin() + 3, lanes.end()) == std::vector<float>(5, 0.f));
    }
  }
}

TEST_CASE("maps: bilinear resize: values by hand, and the gradient") {
  const auto resized = [](int h, int w) { return [=](Tape& t, const Var& x) { return resize_bilinear(t, x, h, w); }; };
  // Twice as wide: samples a quarter of the way to either neighbour, edges repeated. Half as wide: means of two.
  CHECK(values(resized(1, 6), {1, 1, 1, 3}, {0, 4, 8}, Layout::nchw) == std::vector<double>{0, 1, 3, 5, 7, 8});
  CHECK(values(resized(1, 2), {1, 1, 1, 4}, {0, 4, 8, 20}, Layout::nhwc) == std::vector<double>{2, 14});
  CHECK(values(resized(4, 1), {1, 1, 2, 1}, {0, 4}, Layout::blocked8) == std::vector<double>{0, 1, 3, 4});
  CHECK(values(resized(3, 2), {1, 1, 1, 1}, {5}, Layout::nchw) == std::vector<double>(6, 5.));
  for (const auto& [from, to] : {std::pair(std::pair(4, 5), std::pair(8, 10)),
                                 {{4, 5}, {9, 7}},
                                 {{9, 7}, {4, 3}},
                                 {{1, 6}, {5, 2}},
                                 {{5, 5}, {5, 5}}})
    check_op([to = to](Tape& t, const std::vector<Var>& v) { return resize_bilinear(t, v[0], to.first, to.second); },
             {{2, 9, from.first, from.second}});
}

TEST_CASE("maps: 3x3 max pooling: values by hand, and the gradient") {
  const auto pool = [](Tape& t, const Var& x) { return max_pool_3x3(t, x); };
  // The first window begins one pixel outside the image, and windows overlap by one pixel.
  CHECK(values(pool, {1, 1, 3, 4}, {1, 2, 3, 4, 8, 7, 6, 5, 0, 9, 1, -3}, Layout::nchw) ==
        std::vector<double>{8, 7, 9, 9});
  CHECK(values(pool, {1, 1, 1, 1}, {-2}, Layout::blocked8) == std::vector<double>{-2});
  check_op([](Tape& t, const std::vector<Var>& v) { return max_pool_3x3(t, v[0]); }, {{2, 9, 7, 6}});
  check_op([](Tape& t, const std::vector<Var>& v) { return max_pool_3x3(t, v[0]); }, {{1, 8, 4, 1}});
}

TEST_CASE("maps: each pixel's vector is divided by its length: values by hand, and the gradient") {
  const auto unit = [](Tape& t, const Var& x) { return normalise_pixels(t, x, 1e-6); };
  // Below epsilon the vector is divided by epsilon instead.
  const std::vector<double> got = values(unit, {1, 2, 1, 3}, {3, 0, 1e-7, -4, 0, 0}, Layout::blocked8);
  check_close(got, std::vector<double>{.6, 0, .1, -.8, 0, 0}, 1e-12, 0);
  check_op([](Tape& t, const std::vector<Var>& v) { return normalise_pixels(t, v[0]); }, {{2, 11, 4, 5}});
  check_op([](Tape& t, const std::vector<Var>& v) { return normalise_pixels(t, v[0], 100.); }, {{1, 3, 4, 5}});
}

TEST_CASE("maps: channel dropout drops whole channels of a sample, the same ones in any layout") {
  const Shape shape{40, 11, 3, 2};
  StepState host;
  host.batch = 5;
  for (const Exec& exec : execs()) {
    const Tensor state = Tensor::empty(exec, {int64_t(sizeof host)}, DType::u8);
    state.copy_from_host(exec, &host);
    const auto* on_device = reinterpret_cast<const StepState*>(state.data<uint8_t>());
    const auto dropped = [&](Layout layout, double p, uint32_t layer) {
      Tape tape(exec);
      const Var x = tape.leaf(Tensor::from(exec, shape, std::vector<float>(size_t(shape.size()), 1.f)));
      const Var y = to_layout(
          tape, channel_dropout(tape, to_layout(tape, x, layout), {.p = p, .seed = 3, .layer = layer}, on_device),
          Layout::nchw);
      const std::vector<float> out = y.value.to_host<float>(exec);
      tape.backward(y, Tensor::from(exec, shape, std::vector<float>(out.size(), 1.f)));
      CHECK(tape.grad(x).to_host<float>(exec) == out);  // the gradient goes through the same mask
      return out;
    };
    const std::vector<float> want = dropped(Layout::nchw, .25, 1);
    int kept = 0;
    for (size_t plane = 0; plane < 40 * 11; ++plane) {
      const float first = want[plane * 6];
      CHECK((first == 0 || first == 1 / .75f));
      CHECK(std::count(want.begin() + long(plane * 6), want.begin() + long(plane * 6 + 6), first) == 6);
      kept += first > 0;
    }
    CHECK(std::abs(kept - 330) < 36);  // four standard deviations
    CHECK(dropped(Layout::blocked8, .25, 1) == want);
    CHECK(dropped(Layout::nhwc, .25, 1) == want);
    CHECK(dropped(Layout::nchw, .25, 2) != want);
    CHECK(dropped(Layout::nchw, 0, 1) == std::vector<float>(want.size(), 1.f));
    CHECK_THROWS_AS(dropped(Layout::nchw, 1, 1), Error);
  }
}

TEST_CASE("maps: instance norm gives mean 0 and variance 1 in each channel of each sample; its gradient") {
  const Shape shape{3, 11, 5, 4};
  const std::vector<double> x = uniform<double>(size_t(shape.size()), -2, 7, 9);
  for (const Layout layout : {Layout::nchw, Layout::blocked8, Layout::nhwc}) {
    const std::vector<double> y = values([](Tape& t, const Var& v) { return instance_norm(t, v); }, shape, x, layout);
    for (size_t plane = 0; plane < 33; ++plane) {
      double mean = 0, square = 0, before = 0, before_square = 0;
      for (size_t i = plane * 20; i < plane * 20 + 20; ++i)
        mean += y[i] / 20, square += y[i] * y[i] / 20, before += x[i] / 20, before_square += x[i] * x[i] / 20;
      const double variance = before_square - before * before;
      CHECK(mean == doctest::Approx(0).scale(1));
      CHECK(square == doctest::Approx(variance / (variance + 1e-5)));
    }
  }
  check_op([](Tape& t, const std::vector<Var>& v) { return instance_norm(t, v[0]); }, {shape});
  check_op([](Tape& t, const std::vector<Var>& v) { return instance_norm_relu(t, v[0]); }, {shape});
}

#include <map>

#include "engine/ops/nn.h"
#include "kernels/nn/dropout.h"
#include "kernels/nn/resample.h"
#include "models/methods/vector_fields.h"
#include "models/training/stepper.h"
#include "tests/support/gpu_support.h"

// Maps in bfloat16 with parameters in float32, and nhwc compared with nchw.

using namespace basin;
using namespace basin::test;

namespace {

/// Largest relative error of a number stored in bfloat16.
constexpr double rounding = 0x1p-8;
/// Sums in float32 may be computed in a different order.
constexpr double sums = 1e-6;

/// Values that bfloat16 represents exactly, so that both element types start from the same input.
std::vector<float> random_values(const Shape& shape, unsigned seed) {
  std::vector<float> values = uniform<float>(size_t(shape.size()), -1, 1, seed);
  for (float& v : values)
    v = bfloat16(v);
  return values;
}

Tensor maps(const Exec& exec, DType type, const Shape& shape, unsigned seed, Layout layout) {
  const Tensor plain = Tensor::from(exec, shape, random_values(shape, seed));
  return type == DType::bf16 ? to_bfloat16(exec, plain, layout) : to_layout(exec, plain, layout);
}
std::vector<double> numbers(const Exec& exec, const Tensor& t) {
  std::vector<double> all;
  with_map(t.dtype(), [&]<class X>(X) {
    const std::vector<X> values = to_layout(exec, t, Layout::nchw).to_host<X>(exec);
    all.assign(values.begin(), values.end());
  });
  return all;
}

/// An operation on two maps of the same shape, with two parameters whose shape the operation chooses.
struct Op {
  const char* name;
  Shape parameter;
  std::function<Var(Tape&, const Var& a, const Var& b, const Parameter& p, const Parameter& q)> run;
};

/// The operation's output, the gradients of its inputs and the gradients of its parameters.
struct Result {
  std::map<std::string, std::vector<double>> maps, gradients;
};
Result result_of(const Exec& exec, const Op& op, DType type, Layout layout) {
  const Shape shape{2, 5, 6, 10};
  Tape tape(exec);
  const Var a = tape.leaf(maps(exec, type, shape, 1, layout)), b = tape.leaf(maps(exec, type, shape, 2, layout));
  const auto parameter = [&](unsigned seed) {
    return Parameter{Tensor::from(exec, op.parameter, random_values(op.parameter, seed)),
                     Tensor::zeros(exec, op.parameter)};
  };
  const Parameter p = parameter(3), q = parameter(4);
  const Var out = op.run(tape, a, b, p, q);
  Result r;
  r.maps["out"] = numbers(exec, out.value);
  const Tensor seed = maps(exec, out.value.dtype(), out.value.shape(), 5, out.value.layout());
  tape.backward(out, seed);
  for (const auto& [name, v] : {std::pair("d_a", a), {"d_b", b}})
    if (const Tensor& d = tape.grad(v)) {
      CHECK(d.dtype() == type);
      CHECK(d.layout() == layout);
      r.maps[name] = numbers(exec, d);
    }
  r.gradients["p"] = numbers(exec, p.gradient), r.gradients["q"] = numbers(exec, q.gradient);
  return r;
}

/// A training step's losses, the gradient of all parameters, and the running statistics of batch norm.
struct Step {
  std::vector<float> losses, gradient, running;
};

/// Waves and their slopes: a learnable task, so that the gradients of the pixels point the same way.
Batch batch_of(const Exec& exec, const Shape& image) {
  const int height = image[2], width = image[3];
  const Shape one{image[0], 1, height, width}, two{image[0], 2, height, width};
  std::vector<float> pixels, mask, target(size_t(two.size()));
  for (int n = 0; n < image[0]; ++n)
    for (int c = 0; c < image[1]; ++c)
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
          const double u = 0.5 * x + n, v = 0.4 * y + n;
          pixels.push_back(float(0.5 + 0.25 * (std::sin(u) + std::sin(v)) + 0.1 * c * std::sin(u * v)));
          if (c > 0) continue;
          mask.push_back(std::sin(u) + std::sin(v) > 0 ? 1.f : 0.f);
          target[size_t(((n * 2) * height + y) * width + x)] = float(std::cos(u));
          target[size_t(((n * 2 + 1) * height + y) * width + x)] = float(std::cos(v));
        }
  return {{{"image", Tensor::from(exec, image, pixels)},
           {"mask", Tensor::from(exec, one, mask)},
           {"target", Tensor::from(exec, two, target)}}};
}

VectorFieldOptions small(int channels, int decoders) {
  VectorFieldOptions o;
  o.net = {.in_channels = channels, .decoders = decoders, .width = 8};
  return o;
}

/// Each parameter is changed by a random relative amount of up to `noise`.
Step step_of(const Exec& exec, int channels, int decoders, double noise = 0) {
  VectorFields method(small(channels, decoders));
  method.params().allocate(exec);
  method.params().init(exec, 3);
  std::vector<float> values = method.params().values().to_host<float>(exec);
  const std::vector<double> off = uniform<double>(values.size(), -noise, noise, 11);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = float(values[i] * (1 + off[i]));
  method.params().values().copy_from_host(exec, values.data());
  const Tensor state = Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8);
  const StepState fresh;
  state.copy_from_host(exec, &fresh);
  Tape tape(exec);
  const LossTerms loss =
      method.loss(tape, batch_of(exec, {2, channels, 24, 32}), static_cast<const StepState*>(state.raw()));
  Step step;
  for (const auto& term : loss.terms)
    step.losses.push_back(term.second.value.to_host<float>(exec)[0]);
  tape.backward(loss.total, Tensor::from<float>(exec, {1}, {1}));
  step.gradient = method.params().gradients().to_host<float>(exec);
  step.running = method.params().running().to_host<float>(exec);
  return step;
}

/// |got - want| / |want|
double difference(const std::vector<float>& got, const std::vector<float>& want) {
  REQUIRE(got.size() == want.size());
  double off = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i)
    off += std::pow(double(got[i]) - double(want[i]), 2), norm += std::pow(double(want[i]), 2);
  return std::sqrt(off / norm);
}

}  // namespace

TEST_CASE("mixed precision: each operation in bfloat16 equals the one in float32, rounded once") {
  for (const Exec& exec : execs()) {
    const Tensor state = Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8);
    const StepState third{.step = 3, .batch = 3};
    state.copy_from_host(exec, &third);
    const auto norm = [&](const Parameter& gamma, const Parameter& beta) {
      return NormParameters{gamma, beta, Tensor::zeros(exec, {5}), Tensor::zeros(exec, {5})};
    };
    std::vector<Op> ops{
        {"norm_relu",
         {5},
         [&](Tape& t, const Var& a, const Var&, const Parameter& p, const Parameter& q) {
           return norm_relu(t, a, norm(p, q));
         }},
        {"norm_add_relu",
         {5},
         [&](Tape& t, const Var& a, const Var& b, const Parameter& p, const Parameter& q) {
           return norm_add_relu(t, a, norm(p, q), b, norm(q, p));
         }},
        {"max_pool",
         {1},
         [&](Tape& t, const Var& a, const Var&, const Parameter&, const Parameter&) { return max_pool(t, a); }},
        {"dropout",
         {1},
         [&](Tape& t, const Var& a, const Var&, const Parameter&, const Parameter&) {
           return dropout(t, a, {0.2, 7, 1}, static_cast<const StepState*>(state.raw()));
         }},
        {"pointwise", {3, 5, 1, 1}, [&](Tape& t, const Var& a, const Var&, const Parameter& p, const Parameter&) {
           const Parameter bias{Tensor::zeros(exec, {3}), Tensor::zeros(exec, {3})};
           return pointwise(t, a, p, bias);
         }}};
    for (const Op& op : ops)
      for (const Layout layout : {Layout::nhwc, Layout::nchw}) {
        CAPTURE(op.name);
        const Result want = result_of(exec, op, DType::f32, layout), got = result_of(exec, op, DType::bf16, layout);
        REQUIRE(got.maps.size() == want.maps.size());
        for (const auto& [name, values] : want.maps) {
          CAPTURE(name);
          check_close(got.maps.at(name), values, sums, sums + rounding);
        }
        for (const auto& [name, values] : want.gradients)
          check_close(got.gradients.at(name), values, 1e-5, 1e-5);
      }
  }
}

TEST_CASE("mixed precision: up-sampling and accumulated gradients in bfloat16 are rounded once") {
  for (const Exec& exec : execs())
    for (const Layout layout : {Layout::nhwc, Layout::nchw}) {
      const auto same = [&](const Shape& from, const Shape& to, const auto& run) {
        std::vector<double> result[2];
        for (const DType type : {DType::f32, DType::bf16}) {
          const Tensor a = maps(exec, type, from, 1, layout), b = maps(exec, type, to, 2, layout);
          with_map(type, [&]<class X>(X) { run(a.features<const X>(), b.features<X>(), X()); });
          result[type == DType::bf16] = numbers(exec, b);
        }
        check_close(result[1], result[0], 0, rounding);
      };
      const Shape low{2, 5, 3, 7}, high{2, 5, 6, 14};
      same(low, high, [&]<class X>(auto a, auto b, X) { kernels::upsample<X>(exec, a, 0, b); });
      same(high, low, [&]<class X>(auto a, auto b, X) { kernels::upsample_backward<X>(exec, a, 0, b); });
      same(low, low, [&]<class X>(auto a, auto b, X) { kernels::add_to<X>(exec, a, b); });
      same(low, high, [&]<class X>(auto a, auto b, X) {
        const Tensor chosen = Tensor::zeros(exec, low, DType::u8, layout);
        kernels::max_pool_backward<X>(exec, a, chosen.features<const uint8_t>(), b, true);
      });
    }
}

TEST_CASE("mixed precision: on a GPU a step in nhwc equals the step in nchw, and is close to it in bfloat16") {
  for (const Exec& exec : execs()) {
    if (!has_tensor_cores(exec)) continue;
    for (const auto& [channels, decoders] : {std::pair(1, 1), {3, 2}}) {
      CAPTURE(channels);
      Exec tf32 = exec, bf16 = exec;
      tf32.precision = Precision::tf32, bf16.precision = Precision::bf16;
      CHECK(network_layout(exec, DType::f32, 8) == Layout::nchw);
      CHECK(network_layout(tf32, DType::f32, 8) == Layout::nhwc);
      const Step want = step_of(exec, channels, decoders), same = step_of(tf32, channels, decoders),
                 near = step_of(bf16, channels, decoders), moved = step_of(exec, channels, decoders, rounding);
      // A ReLU whose input changes sign changes a gradient by far more than the perturbation that caused it, also in
      // float32. In bfloat16 the gradient may change as much as in float32 with parameters perturbed by one rounding,
      // plus an allowance for the rounding of the maps.
      CHECK(difference(near.losses, want.losses) < 0.02);
      CHECK(difference(near.running, want.running) < 0.002);
      CHECK(difference(near.gradient, want.gradient) > 1e-3);
      CHECK(difference(near.gradient, want.gradient) < 2.5 * difference(moved.gradient, want.gradient));
      if (is_emulated()) {
        CHECK(difference(same.losses, want.losses) < 1e-5);
        CHECK(difference(same.running, want.running) < 1e-5);
        CHECK(difference(same.gradient, want.gradient) < 1e-4);
      } else {  // TF32 rounds to 2^-11
        CHECK(difference(same.losses, want.losses) < 0.005);
        CHECK(difference(same.gradient, want.gradient) < difference(near.gradient, want.gradient));
      }
    }
  }
}

TEST_CASE("mixed precision: training in bfloat16 on a GPU lowers the loss as much as in float32") {
  for (Exec exec : execs()) {
    if (!has_tensor_cores(exec)) continue;
    const Batch batch = batch_of(exec, {2, 1, 16, 16});
    double fall[2];
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      exec.precision = precision;
      VectorFields method(small(1, 1));
      method.params().allocate(exec);
      method.params().init(exec, 3);
      Stepper stepper(exec, method);
      const auto loss_of = [&](int64_t first) {
        for (int64_t step = first; step < first + 3; ++step)
          stepper.step(batch, step, 1e-2);
        return stepper.take_sums().back() / 3;
      };
      const double before = loss_of(0);
      for (int64_t step = 3; step < 12; step += 3)
        loss_of(step);
      const double after = loss_of(12);
      CHECK(stepper.first_bad() == -1);
      fall[precision == Precision::bf16] = before - after;
      CHECK(after < 0.8 * before);
    }
    CHECK(fall[1] > 0.8 * fall[0]);
  }
}

#include <cmath>

#include "engine/ops/loss.h"
#include "engine/tensor.h"
#include "kernels/flow/integrate.h"
#include "kernels/runtime/philox.h"
#include "tools/bench/bench.h"
#include "tools/cli/arrays.h"

namespace basin::tools {
namespace {

using kernels::IntegrateOptions;
using kernels::Interpolation;
using kernels::Solver;

/// A field of vortices with |v| <= 1: points move a few pixels and neighbours stay neighbours in raster order, as in an
/// image.
template <class T>
std::vector<T> vortices(int height, int width, double phase) {
  std::vector<T> field;
  for (int component = 0; component < 2; ++component)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        field.push_back(T(component ? std::cos(x * 0.05 + y * 0.09 + phase) : std::sin(x * 0.11 + y * 0.03 + phase)));
  return field;
}

template <class T>
std::vector<T> pixels(int height, int width) {
  std::vector<T> points;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      points.push_back(T(x));
      points.push_back(T(y));
    }
  return points;
}

template <class T>
std::vector<T> moved(Exec exec, Variant variant, const Tensor& field, const Tensor& start,
                     const IntegrateOptions& options) {
  exec.variant = variant;
  const Tensor points = Tensor::from(exec, start.shape(), start.to_host<T>(exec));
  kernels::integrate<T>(exec, field.view<const T, 3>(), points.view<T, 2>(), options);
  return points.to_host<T>(exec);
}

/// For the pixels of a field [2, height, width].
template <class T>
BenchResult time_integrate(const BenchOptions& options, const std::string& name, int height, int width,
                           const std::vector<T>& vectors, const IntegrateOptions& how) {
  const Exec& exec = options.exec;
  {
    const Tensor field = Tensor::from(exec, {2, 97, 61}, vortices<T>(97, 61, 1)),
                 points = Tensor::from(exec, {97 * 61, 2}, pixels<T>(97, 61));
    const std::vector<T> got = moved<T>(exec, Variant::automatic, field, points, how);
    const std::vector<T> want =
        moved<T>(Exec{}, Variant::plain, Tensor::from(Exec{}, {2, 97, 61}, vortices<T>(97, 61, 1)),
                 Tensor::from(Exec{}, {97 * 61, 2}, pixels<T>(97, 61)), how);
    for (size_t i = 0; i < got.size(); ++i)
      BASIN_CHECK(std::abs(got[i] - want[i]) < 1e-3, name, " differs from the plain version");
  }
  const Tensor field = Tensor::from(exec, {2, height, width}, vectors),
               starts = Tensor::from(exec, {int64_t(height) * width, 2}, pixels<T>(height, width)),
               points = Tensor::empty(exec, starts.shape(), starts.dtype());
  // Points move in place and converge, after which they are faster to read; so each call starts from the pixels, and
  // its time includes copying them.
  BenchResult r = time_it(
      options, name, std::to_string(int64_t(height) * width) + " points, float" + std::to_string(8 * sizeof(T)), [&] {
        copy_bytes(exec, reinterpret_cast<const std::byte*>(starts.data<T>()),
                   reinterpret_cast<std::byte*>(points.data<T>()), int64_t(starts.bytes()));
        kernels::integrate<T>(exec, field.view<const T, 3>(), points.view<T, 2>(), how);
      });
  // The field is read once and the points are read and written, two numbers each. The copy is not counted.
  r.bytes = 6.0 * sizeof(T) * height * width;
  return r;
}

template <class T>
BenchResult time_integrate(const BenchOptions& options, const std::string& name, int height, int width,
                           const IntegrateOptions& how) {
  return time_integrate<T>(options, name, height, width, vortices<T>(height, width, 0), how);
}

}  // namespace

std::vector<BenchResult> bench_integrate(const BenchOptions& options) {
  if (!options.input.empty()) {
    const Array field = read_real(options.input, {3});
    if (field.shape[0] != 2 || field.size() == 0) refuse(options.input, ": expected a field [2, H, W]");
    const int height = int(field.shape[1]), width = int(field.shape[2]);
    return {time_integrate<float>(options, "integrate, Euler, input", height, width, field.values<float>(), {})};
  }
  const IntegrateOptions euler, nearest{Solver::euler, Interpolation::nearest}, rk4{Solver::rk4},
      dopri5{Solver::dopri5};
  return {time_integrate<float>(options, "integrate, Euler", 1000, 1000, euler),
          time_integrate<float>(options, "integrate, Euler", 2000, 1000, euler),
          time_integrate<double>(options, "integrate, Euler", 1000, 1000, euler),
          time_integrate<float>(options, "integrate, Euler, nearest", 1000, 1000, nearest),
          time_integrate<float>(options, "integrate, RK4", 1000, 1000, rk4),
          time_integrate<float>(options, "integrate, dopri5", 1000, 1000, dopri5)};
}

std::vector<BenchResult> bench_losses(const BenchOptions& options) {
  const Exec& exec = options.exec;
  const Shape fields{2, 2, 256, 256}, logits{2, 1, 256, 256};
  std::vector<float> truth = vortices<float>(512, 256, 0), predicted = vortices<float>(512, 256, 1), mask, logit;
  Random random(options.seed, Purpose::noise);
  for (int64_t i = 0; i < logits.size(); ++i) {
    logit.push_back(random.uniform(-3, 3));
    mask.push_back(random.uniform() < 0.3f ? 1.f : 0.f);
  }
  const Tensor t = Tensor::from(exec, fields, truth), p = Tensor::from(exec, fields, predicted);
  const Tensor m = Tensor::from(exec, logits, mask), z = Tensor::from(exec, logits, logit);
  const Tensor one = Tensor::from<float>(exec, {1}, {1});
  auto value_of = [&](Exec with) {
    Tape tape(with);
    return ivp_loss(tape, {p}, t, {}).value.to_host<float>(with).at(0);
  };
  Exec plain = exec;
  plain.variant = Variant::plain;
  BASIN_CHECK(std::abs(value_of(exec) / value_of(plain) - 1) < 1e-5f, "the IVP loss differs from the plain version");
  // Bytes per pixel: prediction and truth read once, gradient written.
  constexpr double of_field = 2 * 3 * sizeof(float), of_logit = 3 * sizeof(float);
  auto timed = [&](const std::string& name, double bytes, auto loss) {
    BenchResult r = time_it(options, name, "batch 2, 256x256, float32", [&] {
      Tape tape(exec);
      const Var field = tape.leaf(p), score = tape.leaf(z);
      tape.backward(loss(tape, field, score), one);
    });
    r.bytes = bytes * double(logits.size());
    return r;
  };
  return {
      timed("IVP loss and gradient", of_field,
            [&](Tape& tape, Var field, Var) { return ivp_loss(tape, field, t, {}); }),
      timed("MSE loss and gradient", of_field, [&](Tape& tape, Var field, Var) { return mse_loss(tape, field, t); }),
      timed("Tversky loss and gradient", of_logit,
            [&](Tape& tape, Var, Var score) { return tversky_loss(tape, score, m); }),
      timed("all three", of_field + of_logit, [&](Tape& tape, Var field, Var score) {
        return weighted_sum(
            tape,
            {{ivp_loss(tape, field, t, {}), 1}, {mse_loss(tape, field, t), 1}, {tversky_loss(tape, score, m), 1}});
      })};
}

}  // namespace basin::tools

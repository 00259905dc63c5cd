#pragma once
#include <functional>
#include <vector>

#include "engine/ops/maps.h"
#include "engine/params.h"
#include "engine/tape.h"
#include "tests/support/support.h"

namespace basin::test {

/// Random parameters of these shapes, with zero gradients.
template <class T>
std::vector<Parameter> random_parameters(const Exec& exec, const std::vector<Shape>& shapes) {
  std::vector<Parameter> all;
  unsigned seed = 100;
  for (const Shape& shape : shapes) {
    const Tensor gradient = Tensor::zeros(exec, shape, dtype_of<T>);
    all.push_back({Tensor::from(exec, shape, uniform<T>(size_t(shape.size()), -1, 1, seed++)), gradient});
  }
  return all;
}

/// A piece of a network: a function from inputs and parameters to maps in any layout.
using Subgraph = std::function<Var(Tape&, const std::vector<Var>& inputs, const std::vector<Parameter>& parameters)>;

/// The results of one run of a piece: its value, and all gradients of <w, value> for random w, in nchw.
template <class T>
struct PieceRun {
  std::vector<T> value;
  std::vector<std::vector<T>> gradients;  // of the inputs, then of the parameters

  PieceRun(const Exec& exec, const Subgraph& piece, const std::vector<Tensor>& inputs,
           const std::vector<Parameter>& parameters, bool with_gradients = true) {
    Tape tape(exec);
    std::vector<Var> leaves;
    for (const Tensor& in : inputs)
      leaves.push_back(tape.leaf(in));
    for (const Parameter& p : parameters)
      p.gradient.zero(exec);
    const Var out = to_layout(tape, piece(tape, leaves, parameters), Layout::nchw);
    value = out.value.to_host<T>(exec);
    if (!with_gradients) return;
    tape.backward(out, Tensor::from(exec, out.value.shape(), weights(value.size())));
    for (const Var& leaf : leaves)
      gradients.push_back(tape.grad(leaf).to_host<T>(exec));
    for (const Parameter& p : parameters)
      gradients.push_back(p.gradient.to_host<T>(exec));
  }
  static std::vector<T> weights(size_t n) { return uniform<T>(n, -1, 1, 7); }
};

/// Checks the gradient of each input and parameter of a piece against finite differences, in double along a random
/// direction.
inline void check_piece(const Subgraph& piece, const std::vector<Shape>& inputs, const std::vector<Shape>& parameters,
                        double tolerance = 1e-5) {
  const Exec cpu;
  std::vector<Tensor> at;
  unsigned seed = 1;
  for (const Shape& shape : inputs)
    at.push_back(Tensor::from(cpu, shape, uniform<double>(size_t(shape.size()), -1, 1, seed++)));
  const std::vector<Parameter> values = random_parameters<double>(cpu, parameters);
  const PieceRun<double> analytic(cpu, piece, at, values);
  std::vector<Tensor> all = at;
  for (const Parameter& p : values)
    all.push_back(p.value);
  for (size_t k = 0; k < all.size(); ++k) {
    const std::vector<double> middle = all[k].to_host<double>(cpu);
    const std::vector<double> direction = uniform<double>(middle.size(), -1, 1, unsigned(50 + k));
    double expected = 0, numeric = 0;
    const double step = 1e-6;
    for (const double sign : {1., -1.}) {
      std::vector<double> moved = middle;
      for (size_t i = 0; i < moved.size(); ++i)
        moved[i] += sign * step * direction[i];
      all[k].copy_from_host(cpu, moved.data());
      const std::vector<double> y = PieceRun<double>(cpu, piece, at, values, false).value;
      const std::vector<double> w = PieceRun<double>::weights(y.size());
      for (size_t i = 0; i < y.size(); ++i)
        numeric += sign * w[i] * y[i] / (2 * step);
    }
    all[k].copy_from_host(cpu, middle.data());
    for (size_t i = 0; i < direction.size(); ++i)
      expected += analytic.gradients[k][i] * direction[i];
    CAPTURE(k);
    CHECK(numeric == doctest::Approx(expected).epsilon(tolerance).scale(1));
  }
}

/// On every device, compares a piece in float32, run by the libraries in their layouts, with the plain kernels in nchw.
/// Compares values and all gradients by their mean difference, because rounding may switch a ReLU near 0. Gradients
/// that are 0 up to rounding, such as that of a bias before a normalisation, are compared relative to 1.
inline void check_paths(const std::function<Subgraph(Layout)>& piece_in, Layout cpu_layout,
                        const std::vector<Shape>& inputs, const std::vector<Shape>& parameters,
                        double tolerance = 1e-5) {
  Exec plain;
  plain.variant = Variant::plain;
  const auto run = [&](const Exec& exec, Layout layout) {
    std::vector<Tensor> at;
    unsigned seed = 1;
    for (const Shape& shape : inputs)
      at.push_back(Tensor::from(exec, shape, uniform<float>(size_t(shape.size()), -1, 1, seed++)));
    return PieceRun<float>(exec, piece_in(layout), at, random_parameters<float>(exec, parameters));
  };
  const PieceRun<float> want = run(plain, Layout::nchw);
  const auto check = [&](const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    double off = 0, norm = 0;
    for (size_t i = 0; i < a.size(); ++i)
      off += std::pow(double(a[i]) - double(b[i]), 2), norm += std::pow(double(b[i]), 2);
    CHECK(std::sqrt(off) <= tolerance * (std::sqrt(norm) + 1));
  };
  for (const Exec& exec : execs()) {
    const PieceRun<float> got = run(exec, exec.device == Device::cpu ? cpu_layout : Layout::nchw);
    check(got.value, want.value);
    for (size_t k = 0; k < want.gradients.size(); ++k) {
      CAPTURE(k);
      check(got.gradients[k], want.gradients[k]);
    }
  }
}

}  // namespace basin::test

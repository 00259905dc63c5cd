#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>

#include "engine/tape.h"

namespace basin::test {

/// Whether the tests run under sanitizers; long tests then do less.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

/// The CPU with its plain functors.
inline Exec plain_exec() {
  Exec exec;
  exec.variant = Variant::plain;
  return exec;
}

/// The devices available to this run. A missing GPU is reported, or with BASIN_REQUIRE_GPU=1 a failure.
inline std::vector<Exec> execs() {
  std::vector<Exec> all{Exec{}};
#if BASIN_CUDA
  int n = 0;
  if (cudaGetDeviceCount(&n) == cudaSuccess && n > 0) {
    Exec gpu;
    gpu.device = Device::cuda;
    static const cudaStream_t stream = [] {
      cudaStream_t s = nullptr;
      REQUIRE(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking) == cudaSuccess);
      return s;
    }();
    gpu.stream = stream;
    all.push_back(gpu);
  }
#endif
  if (all.size() == 1) {
    if (std::getenv("BASIN_REQUIRE_GPU")) FAIL("no GPU");
    static const bool reported = [] {
      MESSAGE("no GPU: the CUDA part of the tests was not run");
      return true;
    }();
    (void)reported;
  }
  return all;
}

template <class T>
std::vector<T> uniform(size_t n, double lo, double hi, unsigned seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<double> d(lo, hi);
  std::vector<T> v(n);
  for (T& x : v)
    x = T(d(rng));
  return v;
}

template <class T>
void check_close(const std::vector<T>& got, const std::vector<T>& want, double atol, double rtol) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(double(got[i]) - double(want[i]));
    const bool close = error <= atol + rtol * std::abs(double(want[i]));  // false for NaN
    if (!close) {
      CHECK_MESSAGE(close, "element ", i, ": got ", got[i], ", want ", want[i]);
      return;
    }
  }
}

/// Compares every partial derivative of <w, f(inputs)>, for random w, with central differences, in double on the CPU.
/// With w = 1 instead of random numbers, a backward pass that mixes up its outputs would go unnoticed.
inline void check_gradient(const std::function<Var(Tape&, std::vector<Var>&)>& f, const std::vector<Shape>& shapes,
                           std::vector<std::vector<double>> at, double step = 1e-6, double tolerance = 1e-6) {
  const Exec cpu;
  std::vector<double> w;
  auto run = [&](std::vector<std::vector<double>>* gradients) {
    Tape tape(cpu);
    std::vector<Var> in;
    for (size_t k = 0; k < at.size(); ++k)
      in.push_back(tape.leaf(Tensor::from(cpu, shapes[k], at[k])));
    const Var out = f(tape, in);
    const std::vector<double> y = out.value.to_host<double>(cpu);
    if (w.empty()) w = uniform<double>(y.size(), -1, 1, 7);
    double dot = 0;
    for (size_t i = 0; i < y.size(); ++i)
      dot += w[i] * y[i];
    if (gradients) {
      tape.backward(out, Tensor::from(cpu, out.value.shape(), w));
      for (const Var& v : in)
        gradients->push_back(tape.grad(v).to_host<double>(cpu));
    }
    return dot;
  };
  std::vector<std::vector<double>> analytic;
  run(&analytic);
  for (size_t k = 0; k < at.size(); ++k) {
    std::vector<double> numeric(at[k].size());
    for (size_t i = 0; i < at[k].size(); ++i) {
      const double x = at[k][i];
      at[k][i] = x + step;
      const double up = run(nullptr);
      at[k][i] = x - step;
      const double down = run(nullptr);
      at[k][i] = x;
      numeric[i] = (up - down) / (2 * step);
    }
    CAPTURE(k);
    check_close(analytic[k], numeric, tolerance, tolerance);
  }
}

}  // namespace basin::test

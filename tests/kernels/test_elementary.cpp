#include <cmath>
#include <cstring>

#include "kernels/runtime/elementary.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// How many floats apart two positive or two negative numbers are.
int64_t floats_apart(float a, float b) {
  return std::abs(int64_t(kernels::order_key(a)) - int64_t(kernels::order_key(b)));
}

}  // namespace

TEST_CASE("elementary: the reproducible functions are accurate, also far out") {
  double exp_error = 0, tanh_error = 0, sigmoid_error = 0;
  int64_t from_tanhf = 0, from_expf = 0;
  const auto relative = [](double value, long double true_value) {
    return double(std::abs((static_cast<long double>(value) - true_value) / true_value));
  };
  for (const double scale : {1e-6, .05, .2, 1., 9., 80., 700.})
    for (const double x : uniform<double>(2000, -scale, scale, unsigned(1000 * scale))) {
      const auto wide = static_cast<long double>(x);
      exp_error = std::max(exp_error, relative(kernels::reproducible_exp(x), std::exp(wide)));
      tanh_error = std::max(tanh_error, relative(kernels::reproducible_tanh(x), std::tanh(wide)));
      sigmoid_error = std::max(sigmoid_error, relative(kernels::reproducible_sigmoid(x), 1 / (1 + std::exp(-wide))));
      const float z = float(x);
      from_tanhf = std::max(from_tanhf, floats_apart(float(kernels::reproducible_tanh(double(z))), std::tanh(z)));
      if (std::abs(x) < 80)
        from_expf = std::max(from_expf, floats_apart(float(kernels::reproducible_exp(double(z))), std::exp(z)));
    }
  CHECK(exp_error < 1e-15);
  CHECK(tanh_error < 1e-15);
  CHECK(sigmoid_error < 1e-15);
  CHECK(from_tanhf <= 2);  // those of C libraries are not exact
  CHECK(from_expf <= 1);
  CHECK(kernels::reproducible_exp(0) == 1);
  CHECK(kernels::reproducible_exp(INFINITY) == INFINITY);
  CHECK(kernels::reproducible_exp(-INFINITY) == 0);
  CHECK(kernels::reproducible_exp(1e300) == INFINITY);
  CHECK(kernels::reproducible_exp(-745) > 0);
  CHECK(kernels::reproducible_tanh(-INFINITY) == -1);
  CHECK(kernels::reproducible_sigmoid(INFINITY) == 1);
  CHECK(kernels::reproducible_sigmoid(-INFINITY) == 0);
  CHECK(kernels::reproducible_sigmoid(0) == .5);
  for (double (*f)(double) : {kernels::reproducible_exp, kernels::reproducible_tanh, kernels::reproducible_sigmoid})
    CHECK(std::isnan(f(NAN)));
}

TEST_CASE("elementary: the reproducible functions have the same bits on every machine") {
  uint64_t hash = 14695981039346656037u;
  for (double (*f)(double) : {kernels::reproducible_exp, kernels::reproducible_tanh, kernels::reproducible_sigmoid})
    for (int i = 0; i < 5000; ++i) {
      const double value = f((i - 2500) * 0.01171875);
      uint64_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      hash = (hash ^ bits) * 1099511628211u;
    }
  CHECK(hash == 14922363719683573774u);  // of the same formulas in Python
}

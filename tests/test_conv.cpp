#include <omp.h>

#include <bit>
#include <tuple>

#include "engine/ops_nn.h"
#include "kernels/conv_few.h"
#include "kernels/isa.h"
#include "tests/support.h"

using namespace basin;
using namespace basin::test;

namespace {

struct Case {
  int n, in, out, h, w, kernel, block, first;
};

/// The weight gradient, added to ones: by `run`, with d_out in the given layout.
template <class T, class F>
std::vector<T> weight_gradient(const Case& c, Layout layout, const F& run) {
  const Exec cpu;
  const Shape x_shape{c.n, c.in, c.h, c.w}, out_shape{c.n, c.out, c.h, c.w};
  const Shape weight_shape{c.out, c.first + c.in + 1, c.kernel, c.kernel};
  const Tensor x = Tensor::from(cpu, x_shape, uniform<T>(size_t(x_shape.size()), -1, 1, 1));
  const Tensor d_out = Tensor::from(cpu, out_shape, uniform<T>(size_t(out_shape.size()), -1, 1, 2));
  const Tensor d_weight = Tensor::from(cpu, weight_shape, std::vector<T>(size_t(weight_shape.size()), T(1)));
  const Tensor in_layout = to_layout(cpu, d_out, layout);
  run(x.features<const T>(), in_layout.features<const T>(), kernels::ConvWeight<T>(d_weight.view<T, 4>(), c.first));
  return d_weight.to_host<T>(cpu);
}

}  // namespace

TEST_CASE("conv: the weight gradient from few plain channels is the plain one in double") {
  const Exec cpu;
  // The float32 numbers of uniform() are those of double rounded: the tolerance holds their error too.
  for (const Case& c : {Case{2, 1, 32, 37, 19, 3, 16, 0}, Case{2, 1, 32, 37, 19, 3, 8, 0},
                        Case{1, 3, 8, 16, 9, 3, 8, 1}, Case{1, 2, 12, 5, 33, 1, 16, 2}, Case{3, 1, 20, 1, 1, 3, 8, 0},
                        Case{1, 1, 8, 1, 7, 3, 8, 0}, Case{1, 1, 8, 7, 2, 3, 16, 0}, Case{1, 3, 16, 18, 1, 1, 8, 0}}) {
    CAPTURE(c.kernel);
    CAPTURE(c.block);
    CAPTURE(c.h);
    CAPTURE(c.w);
    const std::vector<double> want = weight_gradient<double>(c, Layout::nchw, [&](auto x, auto d_out, auto d_weight) {
      kernels::conv_plain_backward_weight<double>(cpu, x, d_out, d_weight);
    });
    std::vector<float> first;
    for (const int threads : {1, 2, 7}) {
      const int before = omp_get_max_threads();
      omp_set_num_threads(threads);
      const Layout blocked = c.block == 8 ? Layout::blocked8 : Layout::blocked16;
      const std::vector<float> got = weight_gradient<float>(c, blocked, [&](auto x, auto d_out, auto d_weight) {
        CHECK(kernels::conv_few_backward_weight(cpu, x, d_out, d_weight));
      });
      omp_set_num_threads(before);
      check_close(std::vector<double>(got.begin(), got.end()), want, 1e-5, 1e-6);
      if (first.empty()) first = got;
      CHECK(got == first);
    }
  }
}

TEST_CASE("conv: the kernel for few plain channels leaves the others alone") {
  const Exec cpu;
  const auto takes = [&](const Case& c, Layout layout) {
    bool taken = true;
    const std::vector<float> left = weight_gradient<float>(c, layout, [&](auto x, auto d_out, auto d_weight) {
      taken = kernels::conv_few_backward_weight(cpu, x, d_out, d_weight);
    });
    if (!taken) CHECK(left == std::vector<float>(left.size(), 1.f));
    return taken;
  };
  CHECK(takes({1, 3, 8, 4, 4, 3, 8, 0}, Layout::blocked8));
  CHECK_FALSE(takes({1, 4, 8, 4, 4, 3, 8, 0}, Layout::blocked8));
  CHECK_FALSE(takes({1, 1, 8, 4, 4, 5, 8, 0}, Layout::blocked8));
  CHECK_FALSE(takes({1, 1, 8, 4, 4, 3, 8, 0}, Layout::nchw));
}

TEST_CASE("conv: bfloat16 rounds to nearest, ties to even, and keeps infinities and NaN") {
  const auto rounded = [](float v) { return float(bfloat16(v)); };
  CHECK(rounded(1) == 1);
  CHECK(rounded(1 + 0x1p-8f) == 1);                // a tie goes to the even neighbour
  CHECK(rounded(1 + 3 * 0x1p-8f) == 1 + 0x1p-6f);  // up, where that one is even
  CHECK(rounded(1 + 0x1p-8f + 0x1p-20f) == 1 + 0x1p-7f);
  CHECK(rounded(-3.14159f) == -3.140625f);
  CHECK(rounded(3.4e38f) == INFINITY);
  CHECK(rounded(-INFINITY) == -INFINITY);
  CHECK(std::isnan(rounded(NAN)));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7f800001))));
}

TEST_CASE("conv: in bfloat16 a convolution is the one in double, rounded once") {
  if (!multiplies_bfloat16()) {
    MESSAGE("this processor does not multiply bfloat16: its convolutions were not run");
    return;
  }
  const Exec cpu;
  const auto representable = [](Shape shape, unsigned seed) {
    std::vector<double> values = uniform<double>(size_t(shape.size()), -1, 1, seed);
    for (double& v : values)
      v = float(bfloat16(float(v)));
    return values;
  };
  const auto narrow = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
  for (const auto& [in, out, kernel] : {std::tuple(32, 64, 3), {1, 32, 3}, {3, 16, 1}, {16, 16, 1}}) {
    CAPTURE(in);
    CAPTURE(kernel);
    const Shape x_shape{2, in, 9, 21}, out_shape{2, out, 9, 21}, w_shape{out, in, kernel, kernel};
    const std::vector<double> x = representable(x_shape, 1), w = representable(w_shape, 2);
    const std::vector<float> bias = uniform<float>(size_t(out), -1, 1, 3);
    const Tensor want = Tensor::empty(cpu, out_shape, DType::f64);
    kernels::conv_plain<double>(
        cpu, Tensor::from(cpu, x_shape, x).features<const double>(),
        Tensor::from(cpu, w_shape, w).view<const double, 4>(),
        Tensor::from(cpu, {out}, std::vector<double>(bias.begin(), bias.end())).view<const double, 1>(), {.relu = true},
        want.features<double>());
    Exec bf16;
    bf16.precision = Precision::bf16;
    const Tensor image = to_bfloat16(cpu, Tensor::from(cpu, x_shape, narrow(x)), Layout::nhwc);
    const FoldedConv conv{Tensor::from(cpu, w_shape, narrow(w)), Tensor::from(cpu, {out}, bias)};
    const Tensor got = conv_folded(bf16, image, conv, Layout::nhwc, {.relu = true});
    const std::vector<double> truth = want.to_host<double>(cpu);
    const FeatureView<const bfloat16> values = got.features<const bfloat16>();
    std::vector<double> found;
    for (int n = 0; n < 2; ++n)
      for (int c = 0; c < out; ++c)
        for (int y = 0; y < 9; ++y)
          for (int xx = 0; xx < 21; ++xx)
            found.push_back(double(float(values(n, c, y, xx))));
    check_close(found, truth, 1e-5, 0x1p-8);
  }
}

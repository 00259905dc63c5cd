#include <omp.h>

#include "engine/ops_nn.h"
#include "kernels/conv_cudnn.h"
#include "kernels/conv_few.h"
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

TEST_CASE("conv: on a GPU the library's three passes are the plain ones in double") {
  const Exec cpu;
  for (Exec gpu : execs()) {
    if (gpu.device == Device::cpu) continue;
    for (const bool deterministic : {false, true})
      for (const Case& c : {Case{2, 1, 32, 37, 19, 3, 1, 0}, Case{1, 32, 16, 12, 20, 3, 1, 0},
                            Case{2, 16, 8, 9, 8, 1, 1, 0}, Case{2, 16, 8, 16, 16, 3, 1, 5}}) {
        CAPTURE(c.in);
        CAPTURE(c.first);
        gpu.deterministic = deterministic;
        const Shape x_shape{c.n, c.in, c.h, c.w}, out_shape{c.n, c.out, c.h, c.w};
        const Shape w_shape{c.out, c.first + c.in + 2 * (c.first > 0), c.kernel, c.kernel};
        const std::vector<double> x = uniform<double>(size_t(x_shape.size()), -1, 1, 1);
        const std::vector<double> w = uniform<double>(size_t(w_shape.size()), -1, 1, 2);
        const std::vector<double> d = uniform<double>(size_t(out_shape.size()), -1, 1, 3);
        const std::vector<double> b = uniform<double>(size_t(c.out), -1, 1, 4);
        // f(exec, T{}) on the same numbers: double by the plain kernels, float by the library.
        const auto both = [&](const auto& f) {
          const std::vector<float> got = f(gpu, float{});
          check_close(std::vector<double>(got.begin(), got.end()), f(cpu, double{}), 2e-5, 2e-5);
        };
        const auto on = [](const Exec& exec, const Shape& shape, const std::vector<double>& values, auto zero) {
          using T = decltype(zero);
          return Tensor::from(exec, shape, std::vector<T>(values.begin(), values.end()));
        };
        both([&]<class T>(const Exec& exec, T zero) {
          const Tensor in = on(exec, x_shape, x, zero), weight = on(exec, w_shape, w, zero),
                       out = on(exec, out_shape, d, zero);
          const Tensor bias = on(exec, {c.out}, b, zero);
          const kernels::ConvWeight<const T> part(weight.view<const T, 4>(), c.first);
          const kernels::ConvEpilogue end{.add = true, .relu = true};
          if constexpr (std::is_same_v<T, float>)
            kernels::conv_cudnn(exec, in.features<const T>(), part, bias.view<const T, 1>(), end, out.features<T>());
          else
            kernels::conv_plain<T>(exec, in.features<const T>(), part, bias.view<const T, 1>(), end, out.features<T>());
          return out.to_host<T>(exec);
        });
        both([&]<class T>(const Exec& exec, T zero) {
          const Tensor weight = on(exec, w_shape, w, zero), d_out = on(exec, out_shape, d, zero),
                       d_x = on(exec, x_shape, x, zero);
          const kernels::ConvWeight<const T> part(weight.view<const T, 4>(), c.first);
          if constexpr (std::is_same_v<T, float>)
            kernels::conv_cudnn_backward_data(exec, part, d_out.features<const T>(), d_x.features<T>());
          else
            kernels::conv_plain_backward_data<T>(exec, part, d_out.features<const T>(), d_x.features<T>());
          return d_x.to_host<T>(exec);
        });
        both([&]<class T>(const Exec& exec, T zero) {
          const Tensor in = on(exec, x_shape, x, zero), d_out = on(exec, out_shape, d, zero),
                       d_weight = on(exec, w_shape, w, zero);
          const kernels::ConvWeight<T> part(d_weight.view<T, 4>(), c.first);
          if constexpr (std::is_same_v<T, float>)
            kernels::conv_cudnn_backward_weight(exec, in.features<const T>(), d_out.features<const T>(), part);
          else
            kernels::conv_plain_backward_weight<T>(exec, in.features<const T>(), d_out.features<const T>(), part);
          return d_weight.to_host<T>(exec);
        });
      }
  }
}

#include <omp.h>

#include "engine/ops/nn.h"
#include "kernels/conv/conv_cudnn.h"
#include "kernels/conv/conv_first_layer.h"
#include "kernels/conv/conv_last_layer.h"
#include "tests/support/gpu_support.h"

using namespace basin;
using namespace basin::test;

namespace {

struct ConvCase {
  int n, in, out, h, w, kernel, block, first;
};

/// The weight gradient computed by `run`, added to ones; d_out has the given layout.
template <class T, class F>
std::vector<T> weight_gradient(const ConvCase& c, Layout layout, const F& run) {
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

Layout blocked_by(int block) { return block == 8 ? Layout::blocked8 : Layout::blocked16; }

/// Checks that `compute` gives what is wanted, and the same bits with any number of threads.
template <class F>
void check_at_any_thread_count(const std::vector<double>& want, const F& compute) {
  std::vector<float> first;
  for (const int threads : {1, 2, 7}) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    const std::vector<float> got = compute();
    omp_set_num_threads(before);
    check_close(std::vector<double>(got.begin(), got.end()), want, 1e-5, 1e-6);
    if (first.empty()) first = got;
    CHECK(got == first);
  }
}

}  // namespace

TEST_CASE("conv: the weight gradient from few channels in plain layout matches the plain kernel in double") {
  const Exec cpu;
  // uniform<float>() rounds the values of uniform<double>(): the tolerance includes that rounding.
  for (const ConvCase& c :
       {ConvCase{2, 1, 32, 37, 19, 3, 16, 0}, ConvCase{2, 1, 32, 37, 19, 3, 8, 0}, ConvCase{1, 3, 8, 16, 9, 3, 8, 1},
        ConvCase{1, 2, 12, 5, 33, 1, 16, 2}, ConvCase{3, 1, 20, 1, 1, 3, 8, 0}, ConvCase{1, 1, 8, 1, 7, 3, 8, 0},
        ConvCase{1, 1, 8, 7, 2, 3, 16, 0}, ConvCase{1, 3, 16, 18, 1, 1, 8, 0}}) {
    CAPTURE(c.kernel);
    CAPTURE(c.block);
    CAPTURE(c.h);
    CAPTURE(c.w);
    const std::vector<double> want = weight_gradient<double>(c, Layout::nchw, [&](auto x, auto d_out, auto d_weight) {
      kernels::conv_plain_backward_weight<double>(cpu, x, d_out, d_weight);
    });
    check_at_any_thread_count(want, [&] {
      return weight_gradient<float>(c, blocked_by(c.block), [&](auto x, auto d_out, auto d_weight) {
        CHECK(kernels::conv_first_layer_backward_weight(cpu, x, d_out, d_weight));
      });
    });
  }
}

TEST_CASE("conv: the kernel for few channels declines other cases and changes nothing") {
  const Exec cpu;
  const auto takes = [&](const ConvCase& c, Layout layout) {
    bool taken = true;
    const std::vector<float> left = weight_gradient<float>(c, layout, [&](auto x, auto d_out, auto d_weight) {
      taken = kernels::conv_first_layer_backward_weight(cpu, x, d_out, d_weight);
    });
    if (!taken) CHECK(left == std::vector<float>(left.size(), 1.f));
    return taken;
  };
  CHECK(takes({1, 3, 8, 4, 4, 3, 8, 0}, Layout::blocked8));
  CHECK_FALSE(takes({1, 4, 8, 4, 4, 3, 8, 0}, Layout::blocked8));
  CHECK_FALSE(takes({1, 1, 8, 4, 4, 5, 8, 0}, Layout::blocked8));
  CHECK_FALSE(takes({1, 1, 8, 4, 4, 3, 8, 0}, Layout::nchw));
}

namespace {

/// The transposed convolution of maps with `out` channels and h x w pixels, computed by `run` into a map that held
/// ones.
template <class T, class F>
std::vector<T> transposed(const ConvCase& c, int stride, Layout layout, const F& run) {
  const Exec cpu;
  const kernels::ConvGeometry geometry = kernels::ConvGeometry::square(c.kernel, stride, 0);
  const Shape out_shape{c.n, c.out, c.h, c.w}, weight_shape{c.out, c.first + c.in + 1, c.kernel, c.kernel};
  const Shape x_shape{c.n, c.in, geometry.transposed_h(c.h, 0), geometry.transposed_w(c.w, 0)};
  const Tensor d_out = Tensor::from(cpu, out_shape, uniform<T>(size_t(out_shape.size()), -1, 1, 1));
  const Tensor weight = Tensor::from(cpu, weight_shape, uniform<T>(size_t(weight_shape.size()), -1, 1, 2));
  const Tensor d_x = Tensor::from(cpu, x_shape, std::vector<T>(size_t(x_shape.size()), T(1)));
  const Tensor in_layout = to_layout(cpu, d_out, layout);
  run(kernels::ConvWeight<const T>(weight.view<const T, 4>(), c.first, geometry), in_layout.features<const T>(),
      d_x.features<T>());
  return d_x.to_host<T>(cpu);
}

}  // namespace

TEST_CASE("conv: the transposed convolution to few channels in plain layout matches the plain kernel in double") {
  const Exec cpu;
  for (const ConvCase& c :
       {ConvCase{2, 5, 16, 7, 19, 2, 16, 0}, ConvCase{1, 1, 16, 3, 8, 2, 16, 1}, ConvCase{1, 8, 20, 4, 24, 2, 16, 0},
        ConvCase{2, 5, 12, 5, 9, 2, 8, 2}, ConvCase{1, 3, 8, 1, 1, 2, 8, 0}, ConvCase{1, 8, 40, 6, 7, 2, 8, 0}}) {
    CAPTURE(c.in);
    CAPTURE(c.block);
    CAPTURE(c.w);
    const std::vector<double> want = transposed<double>(c, 2, Layout::nchw, [&](auto weight, auto d_out, auto d_x) {
      kernels::conv_plain_backward_data<double>(cpu, weight, d_out, d_x);
    });
    check_at_any_thread_count(want, [&] {
      return transposed<float>(c, 2, blocked_by(c.block), [&](auto weight, auto d_out, auto d_x) {
        CHECK(kernels::conv_last_layer_backward_data(cpu, weight, d_out, d_x));
      });
    });
  }
}

TEST_CASE("conv: the kernel for a last layer of few channels declines other cases and changes nothing") {
  const Exec cpu;
  const auto takes = [&](const ConvCase& c, int stride, Layout layout) {
    bool taken = true;
    const std::vector<float> left = transposed<float>(c, stride, layout, [&](auto weight, auto d_out, auto d_x) {
      taken = kernels::conv_last_layer_backward_data(cpu, weight, d_out, d_x);
    });
    if (!taken) CHECK(left == std::vector<float>(left.size(), 1.f));
    return taken;
  };
  CHECK(takes({1, 3, 8, 4, 4, 2, 8, 0}, 2, Layout::blocked8));
  CHECK_FALSE(takes({1, 9, 8, 4, 4, 2, 8, 0}, 2, Layout::blocked8));
  CHECK_FALSE(takes({1, 3, 8, 4, 4, 3, 8, 0}, 2, Layout::blocked8));
  CHECK_FALSE(takes({1, 3, 8, 4, 4, 2, 8, 0}, 1, Layout::blocked8));
  CHECK_FALSE(takes({1, 3, 8, 4, 4, 2, 8, 0}, 2, Layout::nchw));
}

namespace {

/// Random values that bfloat16 represents exactly.
std::vector<double> random_numbers(const Shape& shape, unsigned seed) {
  std::vector<double> values = uniform<double>(size_t(shape.size()), -1, 1, seed);
  for (double& v : values)
    v = float(bfloat16(float(v)));
  return values;
}
template <class T>
Tensor plain_on(const Exec& exec, const Shape& shape, const std::vector<double>& values) {
  return Tensor::from(exec, shape, std::vector<T>(values.begin(), values.end()));
}
template <class X>
Tensor maps_on(const Exec& exec, const Shape& shape, const std::vector<double>& values, Layout layout) {
  const Tensor plain = plain_on<float>(exec, shape, values);
  return std::is_same_v<X, bfloat16> ? to_bfloat16(exec, plain, layout) : to_layout(exec, plain, layout);
}
template <class X>
std::vector<double> numbers(const Exec& exec, const Tensor& t) {
  const std::vector<X> values = to_layout(exec, t, Layout::nchw).to_host<X>(exec);
  return {values.begin(), values.end()};
}

/// Compares cuDNN's three passes on maps of element type X with the plain ones in double.
template <class X>
void check_passes(const Exec& gpu, const ConvCase& c, Layout in_layout, Layout out_layout) {
  const Exec cpu;
  const Shape x_shape{c.n, c.in, c.h, c.w}, out_shape{c.n, c.out, c.h, c.w};
  const Shape w_shape{c.out, c.first + c.in + 2 * (c.first > 0), c.kernel, c.kernel};
  const std::vector<double> x = random_numbers(x_shape, 1), w = random_numbers(w_shape, 2);
  const std::vector<double> d = random_numbers(out_shape, 3), b = random_numbers({c.out}, 4);
  const Tensor in = maps_on<X>(gpu, x_shape, x, in_layout), out = maps_on<X>(gpu, out_shape, d, out_layout);
  const Tensor x_true = plain_on<double>(cpu, x_shape, x), d_true = plain_on<double>(cpu, out_shape, d);
  const Tensor w_true = plain_on<double>(cpu, w_shape, w), weight = plain_on<float>(gpu, w_shape, w);
  const kernels::ConvWeight<const double> part_true(w_true.view<const double, 4>(), c.first);
  const kernels::ConvWeight<const float> part(weight.view<const float, 4>(), c.first);
  // A value stored in bfloat16 has a relative error of at most 2^-8; a sum in float32 one of 2e-5.
  const double rounding = std::is_same_v<X, bfloat16> ? 0x1p-8 : 0, sums = 2e-5;

  for (const bool bias : {true, false})
    for (const bool add : {true, false}) {
      const kernels::ConvEpilogue end{.add = add, .relu = bias};
      const Tensor got = maps_on<X>(gpu, out_shape, d, out_layout), want = plain_on<double>(cpu, out_shape, d);
      const Tensor b_got = plain_on<float>(gpu, {c.out}, b), b_true = plain_on<double>(cpu, {c.out}, b);
      kernels::conv_cudnn<X>(gpu, in.features<const X>(), part,
                             bias ? b_got.view<const float, 1>() : View<const float, 1>(), end, got.features<X>());
      kernels::conv_plain<double>(cpu, x_true.features<const double>(), part_true,
                                  bias ? b_true.view<const double, 1>() : View<const double, 1>(), end,
                                  want.features<double>());
      // Rounded before and after adding the bias. The bias is at most 1, so the sum before it is larger by at most 1.
      const double roundings = bias ? 2.02 : 1;
      check_close(numbers<X>(gpu, got), want.to_host<double>(cpu), sums + (bias ? rounding : 0),
                  sums + roundings * rounding);
    }
  {
    const Tensor got = maps_on<X>(gpu, x_shape, x, in_layout), want = plain_on<double>(cpu, x_shape, x);
    kernels::conv_cudnn_backward_data<X>(gpu, part, out.features<const X>(), got.features<X>());
    kernels::conv_plain_backward_data<double>(cpu, part_true, d_true.features<const double>(), want.features<double>());
    check_close(numbers<X>(gpu, got), want.to_host<double>(cpu), sums, sums + rounding);
  }
  {
    const Tensor got = plain_on<float>(gpu, w_shape, w), want = plain_on<double>(cpu, w_shape, w);
    kernels::conv_cudnn_backward_weight<X>(gpu, in.features<const X>(), out.features<const X>(),
                                           kernels::ConvWeight<float>(got.view<float, 4>(), c.first));
    kernels::conv_plain_backward_weight<double>(cpu, x_true.features<const double>(), d_true.features<const double>(),
                                                kernels::ConvWeight<double>(want.view<double, 4>(), c.first));
    // The term that is added is rounded; it exceeds the final sum by at most 1, the previous value.
    check_close(numbers<float>(gpu, got), want.to_host<double>(cpu), sums + rounding, sums + rounding);
  }
}

}  // namespace

TEST_CASE("conv: on a GPU cuDNN's three passes match the plain ones in double" * skip_without_gpu()) {
  for (Exec gpu : execs()) {
    if (gpu.device == Device::cpu) continue;
    const bool bf16 = has_tensor_cores(gpu);
    for (const bool deterministic : {false, true})
      for (const ConvCase& c : {ConvCase{2, 1, 32, 37, 19, 3, 1, 0}, ConvCase{1, 32, 16, 12, 20, 3, 1, 0},
                                ConvCase{2, 16, 8, 9, 8, 1, 1, 0}, ConvCase{2, 16, 8, 16, 16, 3, 1, 5},
                                ConvCase{1, 8, 16, 9, 7, 1, 1, 8}, ConvCase{1, 3, 1, 8, 11, 3, 1, 0}}) {
        CAPTURE(c.in);
        CAPTURE(c.first);
        gpu.deterministic = deterministic;
        check_passes<float>(gpu, c, Layout::nchw, Layout::nchw);
        check_passes<float>(gpu, c, Layout::nhwc, Layout::nhwc);
        if (bf16) check_passes<bfloat16>(gpu, c, Layout::nhwc, Layout::nhwc);
      }
    const ConvCase one{2, 1, 8, 12, 9, 3, 1, 0}, to_one{2, 8, 1, 12, 9, 3, 1, 0};
    check_passes<float>(gpu, one, Layout::nchw, Layout::nhwc);
    if (bf16) check_passes<bfloat16>(gpu, to_one, Layout::nhwc, Layout::nchw);
    CHECK_THROWS_AS(check_passes<float>(gpu, {1, 2, 8, 8, 8, 3, 1, 0}, Layout::nchw, Layout::nhwc), Error);
    CHECK_THROWS_AS(check_passes<float>(gpu, {1, 16, 8, 8, 8, 3, 1, 0}, Layout::nhwc, Layout::nchw), Error);
    CHECK_THROWS_AS(check_passes<float>(gpu, {1, 16, 16, 8, 8, 3, 1, 0}, Layout::blocked8, Layout::blocked8), Error);
  }
}

TEST_CASE("conv: on a GPU choosing an algorithm uses none of a step's memory" * skip_without_gpu()) {
  for (Exec gpu : execs()) {
    if (gpu.device == Device::cpu) continue;
    const Shape shape{1, 24, 40, 56}, w_shape{24, 24, 3, 3};
    const std::vector<double> zeros(size_t(shape.size())), w(size_t(w_shape.size()));
    const Tensor x = plain_on<float>(gpu, shape, zeros), out = plain_on<float>(gpu, shape, zeros);
    const Tensor weight = plain_on<float>(gpu, w_shape, w);
    // The first call measures and chooses the algorithm; the second finds it in the cache.
    size_t held[2];
    for (size_t& bytes : held) {
      Pool pool(gpu.device);
      Exec with = gpu;
      with.scratch = &pool;
      kernels::conv_cudnn<float>(with, x.features<const float>(), weight.view<const float, 4>(), {}, {},
                                 out.features<float>());
      out.to_host<float>(gpu);
      bytes = pool.use().held;
    }
    CHECK(held[0] == held[1]);
  }
}

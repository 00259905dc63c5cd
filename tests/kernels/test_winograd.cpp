#include <omp.h>

#include "engine/ops/nn.h"
#include "kernels/conv/conv_cpu.h"
#include "kernels/conv/conv_onednn.h"
#include "kernels/conv/winograd.h"
#include "kernels/runtime/isa.h"
#include "kernels/runtime/prepared_weights.h"
#include "tests/support/gradient_support.h"

using namespace basin;
using namespace basin::test;
using kernels::ConvGeometry;

namespace {

struct WinogradCase {
  int n, in, out, h, w, first;
  ConvGeometry geometry = ConvGeometry::same(3, 3);
};

/// Results of one pass: by Winograd's algorithm, and by the plain kernels in double.
struct Results {
  std::vector<float> fast;
  std::vector<double> plain;
};

std::vector<float> rounded(const std::vector<double>& values) { return {values.begin(), values.end()}; }

/// The maps and the weight of a case, in double and in blocked float32. The weight has more input channels than x.
struct Problem {
  Exec cpu;
  Layout layout;
  int first;
  ConvGeometry geometry;
  Tensor x, out, weight, bias, x_blocked, out_blocked, weight_f32, bias_f32;

  Problem(const WinogradCase& c, int block)
      : layout(block == 8 ? Layout::blocked8 : Layout::blocked16), first(c.first), geometry(c.geometry) {
    unsigned seed = 0;
    const auto make = [&](const Shape& shape, Tensor& in_double) {
      // Values that float32 represents exactly, so that only the computation differs.
      const std::vector<float> values = rounded(uniform<double>(size_t(shape.size()), -1, 1, ++seed));
      in_double = Tensor::from(cpu, shape, std::vector<double>(values.begin(), values.end()));
      return Tensor::from(cpu, shape, values);
    };
    x_blocked = to_layout(cpu, make({c.n, c.in, c.h, c.w}, x), layout);
    out_blocked = to_layout(cpu, make({c.n, c.out, c.h, c.w}, out), layout);
    weight_f32 = make({c.out, c.first + c.in + 1, c.geometry.kernel_h, c.geometry.kernel_w}, weight);
    bias_f32 = make({c.out}, bias);
  }
  kernels::ConvWeight<const float> w32() const { return {weight_f32.view<const float, 4>(), first, geometry}; }
  kernels::ConvWeight<const double> w64() const { return {weight.view<const double, 4>(), first, geometry}; }
  std::vector<float> plain_layout(const Tensor& t) const { return to_layout(cpu, t, Layout::nchw).to_host<float>(cpu); }

  Results forward(const kernels::ConvEpilogue& end, bool with_bias) const {
    const Tensor got = Tensor::empty(cpu, out_blocked.shape(), DType::f32, layout);
    got.copy_from(cpu, out_blocked);
    const Tensor want = Tensor::from(cpu, out.shape(), out.to_host<double>(cpu));
    kernels::conv_winograd(cpu, x_blocked.features<const float>(), w32(),
                           with_bias ? bias_f32.view<const float, 1>() : View<const float, 1>(), end,
                           got.features<float>());
    kernels::conv_plain<double>(cpu, x.features<const double>(), w64(),
                                with_bias ? bias.view<const double, 1>() : View<const double, 1>(), end,
                                want.features<double>());
    return {plain_layout(got), want.to_host<double>(cpu)};
  }
  Results backward_data() const {
    const Tensor got = Tensor::empty(cpu, x_blocked.shape(), DType::f32, layout),
                 want = Tensor::zeros(cpu, x.shape(), DType::f64);
    kernels::conv_winograd_backward_data(cpu, w32(), out_blocked.features<const float>(), got.features<float>());
    kernels::conv_plain_backward_data<double>(cpu, w64(), out.features<const double>(), want.features<double>());
    return {plain_layout(got), want.to_host<double>(cpu)};
  }
  Results backward_weight() const {
    const Tensor got = Tensor::from(cpu, weight.shape(), std::vector<float>(size_t(weight.shape().size()), 1.f));
    const Tensor want = Tensor::from(cpu, weight.shape(), std::vector<double>(size_t(weight.shape().size()), 1.));
    kernels::conv_winograd_backward_weight(cpu, x_blocked.features<const float>(), out_blocked.features<const float>(),
                                           {got.view<float, 4>(), first, geometry});
    kernels::conv_plain_backward_weight<double>(cpu, x.features<const double>(), out.features<const double>(),
                                                {want.view<double, 4>(), first, geometry});
    return {got.to_host<float>(cpu), want.to_host<double>(cpu)};
  }
};

/// The largest difference must not exceed 2e-5 times the largest value.
void check_near(const Results& r) {
  REQUIRE(r.fast.size() == r.plain.size());
  double off = 0, largest = 0;
  for (size_t i = 0; i < r.plain.size(); ++i) {
    off = std::max(off, std::abs(double(r.fast[i]) - r.plain[i]));
    largest = std::max(largest, std::abs(r.plain[i]));
  }
  CHECK(off <= 2e-5 * largest);
}

/// Sizes that are and are not multiples of a tile, images smaller than a tile, channels that leave lanes unused,
/// kernels that are and are not a whole number of 3x3 ones, and those along one axis, with a dilation beyond the image
/// too.
const WinogradCase cases[] = {{1, 16, 16, 8, 8, 0},
                              {2, 16, 24, 9, 13, 1},
                              {1, 20, 12, 17, 6, 0},
                              {1, 40, 24, 33, 31, 2},
                              {3, 5, 3, 1, 1, 0},
                              {1, 8, 40, 3, 70, 0},
                              {2, 16, 24, 9, 13, 1, ConvGeometry::same(7, 7)},
                              {1, 20, 12, 17, 6, 0, ConvGeometry::same(5, 5)},
                              {1, 8, 16, 2, 3, 0, ConvGeometry::same(9, 9)},
                              {1, 32, 2, 13, 10, 0, ConvGeometry::same(7, 7)},
                              {2, 16, 24, 9, 13, 1, ConvGeometry::same(3, 1)},
                              {1, 20, 12, 17, 6, 0, ConvGeometry::same(1, 3)},
                              {2, 24, 16, 21, 10, 1, ConvGeometry::same(3, 1, 2)},
                              {1, 16, 16, 9, 35, 0, ConvGeometry::same(1, 3, 4)},
                              {1, 8, 16, 5, 3, 0, ConvGeometry::same(3, 1, 16)}};

}  // namespace

TEST_CASE("winograd: the three passes match the plain ones in double") {
  for (const WinogradCase& c : cases)
    for (const int block : {8, 16}) {
      CAPTURE(c.in);
      CAPTURE(c.h);
      CAPTURE(c.geometry);
      CAPTURE(block);
      const Problem p(c, block);
      check_near(p.forward({}, true));
      check_near(p.forward({.add = true, .relu = true}, false));
      check_near(p.forward({.relu = true}, true));
      check_near(p.backward_data());
      check_near(p.backward_weight());
    }
}

TEST_CASE("winograd: a convolution of up-sampled and other maps matches that of their concatenation in double") {
  struct UpsampledCase {
    int n, low, skip, out, h, w;  // h and w of `low`
  };
  for (const UpsampledCase& c : {UpsampledCase{1, 16, 16, 16, 4, 4},
                                 {2, 32, 20, 24, 5, 9},
                                 {1, 48, 16, 40, 1, 1},
                                 {1, 16, 3, 12, 7, 2},
                                 {3, 64, 32, 32, 6, 17}})
    for (const int block : {8, 16}) {
      CAPTURE(c.low);
      CAPTURE(c.h);
      CAPTURE(block);
      const Problem low({c.n, c.low, c.out, c.h, c.w, 0}, block);
      const Problem whole({c.n, c.low + c.skip, c.out, 2 * c.h, 2 * c.w, 0}, block);
      const std::vector<float> all = whole.plain_layout(whole.x_blocked), few = low.plain_layout(low.x_blocked);
      std::vector<float> joined = all, skip;
      const size_t plane = size_t(4) * c.h * c.w, channels = size_t(c.low + c.skip);
      for (size_t i = 0; i < all.size(); ++i) {
        const size_t image = i / plane / channels, channel = i / plane % channels;
        const size_t y = i % plane / (2 * c.w), x = i % (2 * c.w);
        if (channel < size_t(c.low))
          joined[i] = few[(image * c.low + channel) * (plane / 4) + y / 2 * c.w + x / 2];
        else
          skip.push_back(all[i]);
      }
      const Tensor x = Tensor::from(whole.cpu, whole.x.shape(), std::vector<double>(joined.begin(), joined.end()));
      const Tensor skip_blocked =
          to_layout(whole.cpu, Tensor::from(whole.cpu, {c.n, c.skip, 2 * c.h, 2 * c.w}, skip), whole.layout);
      for (const bool add : {false, true}) {
        const Tensor got = Tensor::empty(whole.cpu, whole.out_blocked.shape(), DType::f32, whole.layout);
        got.copy_from(whole.cpu, whole.out_blocked);
        const Tensor want = Tensor::from(whole.cpu, whole.out.shape(), whole.out.to_host<double>(whole.cpu));
        kernels::conv_winograd_upsampled(
            whole.cpu, low.x_blocked.features<const float>(), skip_blocked.features<const float>(), whole.w32(),
            whole.bias_f32.view<const float, 1>(), {.add = add, .relu = true}, got.features<float>());
        kernels::conv_plain<double>(whole.cpu, x.features<const double>(), whole.w64(),
                                    whole.bias.view<const double, 1>(), {.add = add, .relu = true},
                                    want.features<double>());
        check_near({whole.plain_layout(got), want.to_host<double>(whole.cpu)});
      }
    }
}

TEST_CASE("winograd: on a processor that it suits, a decoder stage is computed at once") {
  const int block = kernels::onednn_block();
  const Problem low({1, 16, 16, 4, 4, 0}, block), whole({1, 48, 16, 8, 8, 0}, block), x({1, 32, 16, 8, 8, 0}, block);
  const auto stage = [&](const kernels::ConvWeight<const float>& weight) {
    return kernels::conv_cpu_upsampled(whole.cpu, low.x_blocked.features<const float>(),
                                       x.x_blocked.features<const float>(), weight, {}, {},
                                       whole.out_blocked.features<float>());
  };
  CHECK(stage(whole.w32()) == (isa() != Isa::baseline));
  CHECK(!stage({whole.weight_f32.view<const float, 4>(), 0, ConvGeometry::same(1, 1)}));
}

TEST_CASE("winograd: a decoder stage uses weights that were prepared, and only of its own weight") {
  const int block = kernels::onednn_block();
  const Problem low({1, 32, 24, 9, 7, 0}, block), skip({1, 20, 24, 18, 14, 0}, block),
      whole({1, 52, 24, 18, 14, 0}, block);
  const auto stage = [&](PreparedWeights* prepared) {
    Exec exec = whole.cpu;
    exec.prepared = prepared;
    const Tensor out = Tensor::empty(whole.cpu, whole.out_blocked.shape(), DType::f32, whole.layout);
    kernels::conv_winograd_upsampled(exec, low.x_blocked.features<const float>(),
                                     skip.x_blocked.features<const float>(), whole.w32(), {}, {},
                                     out.features<float>());
    return whole.plain_layout(out);
  };
  float* weight = whole.weight_f32.data<float>();
  const int64_t count = whole.weight_f32.shape().size();
  PreparedWeights prepared(weight, count), of_others(low.weight_f32.data<const float>(), 8);
  const std::vector<float> first = stage(&prepared);
  CHECK(first == stage(nullptr));
  CHECK(first == stage(&of_others));
  for (int64_t i = 0; i < count; ++i)
    weight[i] *= 2;  // not allowed, but shows whether the old form is used
  CHECK(stage(&prepared) == first);
  CHECK(stage(&of_others) != first);
}

TEST_CASE("winograd: padding lanes stay 0") {
  const Problem p({1, 20, 12, 6, 5, 0}, 8);
  const Tensor out = Tensor::empty(p.cpu, p.out_blocked.shape(), DType::f32, p.layout);
  kernels::conv_winograd(p.cpu, p.x_blocked.features<const float>(), p.w32(), p.bias_f32.view<const float, 1>(), {},
                         out.features<float>());
  const FeatureView<const float> maps = out.features<const float>();
  for (int64_t i = 0; i < maps.pixels(); ++i)
    for (int lane = 4; lane < 8; ++lane)
      CHECK(maps.data[(maps.pixels() + i) * 8 + lane] == 0.f);
}

TEST_CASE("winograd: the same bits with any number of threads") {
  const Problem p({2, 32, 48, 45, 50, 0}, 8);
  std::vector<float> first;
  for (const int threads : {1, 2, 5}) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    std::vector<float> all = p.forward({}, true).fast;
    for (const Results& r : {p.backward_data(), p.backward_weight()})
      all.insert(all.end(), r.fast.begin(), r.fast.end());
    omp_set_num_threads(before);
    if (first.empty()) first = all;
    CHECK(all == first);
  }
}

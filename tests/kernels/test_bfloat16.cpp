#include <bit>
#include <tuple>

#include "engine/ops/nn.h"
#include "kernels/runtime/isa.h"
#include "models/networks/unet.h"
#include "tests/support/gpu_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("bfloat16: rounds to nearest, ties to even, and keeps infinities and NaN") {
  const auto rounded = [](float v) { return float(bfloat16(v)); };
  CHECK(rounded(1) == 1);
  CHECK(rounded(1 + 0x1p-8f) == 1);                // a tie goes to the even neighbour
  CHECK(rounded(1 + 3 * 0x1p-8f) == 1 + 0x1p-6f);  // up, because that one is even
  CHECK(rounded(1 + 0x1p-8f + 0x1p-20f) == 1 + 0x1p-7f);
  CHECK(rounded(-3.14159f) == -3.140625f);
  CHECK(rounded(3.4e38f) == INFINITY);
  CHECK(rounded(-INFINITY) == -INFINITY);
  CHECK(std::isnan(rounded(NAN)));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7f800001))));
}

TEST_CASE("bfloat16: a convolution equals the one in double, rounded once") {
  if (!multiplies_bfloat16()) {
    MESSAGE("this processor has no bfloat16 arithmetic: its convolutions were not tested");
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
    const Tensor image = to_bfloat16(cpu, Tensor::from(cpu, x_shape, narrow(x)), Layout::nhwc);
    const FoldedConv conv{Tensor::from(cpu, w_shape, narrow(w)), Tensor::from(cpu, {out}, bias),
                          kernels::ConvGeometry::same(w_shape[2], w_shape[3])};
    const Tensor got = conv_folded(cpu, image, conv, Layout::nhwc, {.relu = true});
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

TEST_CASE("bfloat16: the outputs of a network equal those in float32 within rounding") {
  const Exec cpu;
  for (Exec exec : execs()) {
    if (exec.device == Device::cpu && !multiplies_bfloat16()) {
      MESSAGE("this processor has no bfloat16 arithmetic: the network was not tested in bfloat16");
      continue;
    }
    if (exec.device != Device::cpu && !has_tensor_cores(exec)) continue;
    for (const auto& [channels, decoders, width] : {std::tuple(1, 1, 32), {3, 2, 16}, {5, 1, 8}}) {
      CAPTURE(channels);
      CAPTURE(width);
      exec.precision = Precision::fp32;
      Params params, on_cpu;
      const UNet net(params, {.in_channels = channels, .decoders = decoders, .width = width});
      const UNet plain(on_cpu, net.options());
      params.allocate(exec);
      on_cpu.allocate(cpu);
      params.init(exec, 3);
      on_cpu.init(cpu, 3);
      const Shape shape{2, channels, 24, 40};
      const std::vector<float> pixels = uniform<float>(size_t(shape.size()), -1, 1, 5);
      const Tensor image = Tensor::from(exec, shape, pixels);
      const std::vector<Tensor> want = UNet::Folded(cpu, plain)(cpu, Tensor::from(cpu, shape, pixels));
      const auto check = [&](Precision precision, double most) {
        exec.precision = precision;
        const std::vector<Tensor> got = UNet::Folded(exec, net)(exec, image);
        REQUIRE(got.size() == want.size());
        for (size_t h = 0; h < want.size(); ++h) {
          const std::vector<float> a = want[h].to_host<float>(cpu), b = got[h].to_host<float>(exec);
          double mean = 0, error = 0, spread = 0;
          for (const float v : a)
            mean += v / double(a.size());
          for (size_t i = 0; i < a.size(); ++i)
            error += (a[i] - b[i]) * (a[i] - b[i]), spread += (a[i] - mean) * (a[i] - mean);
          CHECK((error > 0 || precision != Precision::bf16));
          CHECK(std::sqrt(error / spread) < most);
        }
      };
      check(Precision::bf16, 0.03);
      // TF32 has three more mantissa bits than bfloat16.
      if (exec.device != Device::cpu) check(Precision::tf32, 0.004);
    }
  }
}

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "engine/pool.h"
#include "models/methods/vector_fields.h"
#include "models/training/trainer.h"
#include "tools/bench/bench.h"

namespace basin::tools {
namespace {

std::string shape_of(const BenchOptions& o, int batch) {
  const std::string side = std::to_string(o.side);
  return "H1, " + std::to_string(batch) + "x1x" + side + "x" + side;
}

/// Operations of H1 on a batch of the benchmark.
double flops_of(const BenchOptions& o, int batch) { return h1_flops * batch * o.side * o.side / (256.0 * 256.0); }

/// The batch size that torchvf trains with, and on a GPU a larger one that fills it.
std::vector<int> batches(const Exec& exec) {
  return exec.device == Device::cuda ? std::vector<int>{2, 32} : std::vector<int>{2};
}

Tensor random_tensor(const Exec& exec, Shape shape, Random& random, float lo, float hi) {
  std::vector<float> values(size_t(shape.size()));
  for (float& v : values)
    v = random.uniform(lo, hi);
  return Tensor::from(exec, shape, values);
}

/// Runs f with its own memory pool and records the peak of it in the result. The peak of the previous batch size
/// predicts whether there is enough memory.
template <class F>
std::vector<BenchResult> over_batches(const BenchOptions& asked, const std::string& name, const F& f) {
  std::vector<BenchResult> results;
  for (const int batch : batches(asked.exec)) {
    constexpr double workspace = double(1 << 28);  // for a library that measures its algorithms
    if (!results.empty()) {
      const double maps = std::max(results[0].peak_bytes - workspace, 0.0);
      const double grown = maps * batch / batches(asked.exec)[0] + workspace;
      if (!has_room(asked.exec, grown, name + ", " + shape_of(asked, batch))) continue;
    }
    Pool pool(asked.exec.device);
    BenchOptions o = asked;
    o.exec.scratch = &pool;
    BenchResult r = f(o, batch);
    r.peak_bytes = double(pool.use().peak_lent);
    results.push_back(r);
  }
  return results;
}

BenchResult time_train_step(const BenchOptions& asked, int batch) {
  BenchOptions o = asked;
  if (o.exec.device == Device::cpu) o.exec.precision = Precision::fp32;  // the CPU trains only in fp32
  const int side = o.side;
  Random random(o.seed, Purpose::test);
  VectorFields method{VectorFieldOptions{}};
  method.params().allocate(o.exec);
  method.params().init(o.exec, o.seed);
  Tensor mask = random_tensor(o.exec, {batch, 1, side, side}, random, 0, 1);
  std::vector<float> binary = mask.to_host<float>(o.exec);
  for (float& v : binary)
    v = v > 0.7f ? 1.f : 0.f;
  mask.copy_from_host(o.exec, binary.data());
  const Batch data{{{"image", random_tensor(o.exec, {batch, 1, side, side}, random, 0, 1)},
                    {"mask", mask},
                    {"target", random_tensor(o.exec, {batch, 2, side, side}, random, -2, 2)}}};
  Stepper stepper(o.exec, method, of_ranks());
  int64_t step = 0;
  const auto one = [&] { stepper.step(data, step++, 2e-4); };
  for (int k = 0; k < 3; ++k)
    one();
  const std::vector<double> first = stepper.take_sums();
  for (int k = 0; k < 3; ++k)
    one();
  BASIN_CHECK(stepper.first_bad() < 0 && stepper.take_sums().back() < first.back(), "the loss does not fall");
  BenchResult r = time_it(o, "train-step", shape_of(o, batch), one);
  r.flops = 3 * flops_of(o, batch);
  return r;
}

BenchResult time_infer(const BenchOptions& o, int batch) {
  Random random(o.seed, Purpose::test);
  Params params;
  const UNet net(params, {});
  params.allocate(o.exec);
  params.init(o.exec, o.seed);
  const UNet::Folded folded(o.exec, net);
  const Tensor image = random_tensor(o.exec, {batch, 1, o.side, o.side}, random, 0, 1);
  std::vector<Tensor> out = folded(o.exec, image);
  for (const Tensor& t : out)
    for (const float v : t.to_host<float>(o.exec))
      BASIN_CHECK(v - v == 0, "an output is not finite");
  const bool bf16 = o.exec.precision == Precision::bf16;
  BenchResult r = time_it(o, bf16 ? "infer bf16" : "infer", shape_of(o, batch), [&] { out = folded(o.exec, image); });
  r.flops = flops_of(o, batch);
  return r;
}

/// Checks some elements of the product w [K,K] x [K,pixels] against double. Elements are at most 1; the error grows as
/// sqrt(K) times the rounding error of the precision, so that a coarser precision does not pass for a finer one.
void check_product(const Exec& exec, const std::vector<float>& w, const std::vector<float>& x, const Tensor& product) {
  const int channels = product.dim(1), width = product.dim(3);
  const int64_t pixels = int64_t(product.dim(2)) * width;
  std::vector<std::byte> bytes(product.bytes());
  product.copy_to_host(exec, bytes.data());
  const double factor = product.dtype() == DType::bf16 ? 0x1p-8 : exec.precision == Precision::tf32 ? 0x1p-10 : 1e-5;
  with_map(product.dtype(), [&]<class T>(T) {
    const FeatureView<const T> got{
        reinterpret_cast<const T*>(bytes.data()), 1, channels, product.dim(2), width, product.block()};
    for (int k = 0; k < 64; ++k) {
      const int channel = int(int64_t(k) * 7919 % channels);
      const int64_t pixel = int64_t(k) * 104729 % pixels;
      double want = 0;
      for (int i = 0; i < channels; ++i)
        want += double(w[size_t(channel) * size_t(channels) + size_t(i)]) * x[size_t(i * pixels + pixel)];
      const double value = double(got(0, channel, int(pixel / width), int(pixel % width)));
      BASIN_CHECK(std::abs(value - want) < factor * std::sqrt(channels), "matrix: ", value, " instead of ", want);
    }
  });
}

}  // namespace

std::vector<BenchResult> bench_matrix(const BenchOptions& o) {
  // A 1x1 convolution in the network's layout and precision, by the library that the network uses.
  const bool gpu = o.exec.device == Device::cuda;
  const int channels = gpu ? 2048 : 512, width = gpu ? 128 : 64;
  Random random(o.seed, Purpose::test);
  const Tensor plain = random_tensor(o.exec, {1, channels, width, width}, random, -1, 1);
  const FoldedConv conv{
      random_tensor(o.exec, {channels, channels, 1, 1}, random, -1, 1), {}, kernels::ConvGeometry::same(1, 1)};
  Layout layout = network_layout(o.exec, DType::f32, channels);
  const bool bf16 = o.exec.precision == Precision::bf16 && layout != Layout::nchw;
  if (bf16) layout = Layout::nhwc;
  const Tensor x = bf16 ? to_bfloat16(o.exec, plain, layout) : to_layout(o.exec, plain, layout);
  const Tensor out = conv_folded(o.exec, x, conv, layout, {});
  check_product(o.exec, conv.weight.to_host<float>(o.exec), plain.to_host<float>(o.exec), out);
  const std::string k = std::to_string(channels);
  BenchResult r = time_it(o, "matrix",
                          k + "x" + k + " by " + k + "x" + std::to_string(width * width) + ", " +
                              name_of(bf16 ? Precision::bf16 : o.exec.precision),
                          [&] { conv_folded(o.exec, x, conv, layout, {}, out); });
  r.flops = 2.0 * channels * channels * width * width;
  return {r};
}

std::vector<BenchResult> bench_train_step(const BenchOptions& o) {
  return over_batches(o, "train-step", time_train_step);
}

std::vector<BenchResult> bench_infer(const BenchOptions& o) { return over_batches(o, "infer", time_infer); }

}  // namespace basin::tools

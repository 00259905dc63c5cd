#include "models/trainer.h"
#include "models/vector_fields.h"
#include "tools/bench.h"

namespace basin::tools {
namespace {

constexpr int batch = 2, side = 256;
constexpr const char* shape = "H1, 2x1x256x256";
constexpr double forward_flops = 2 * 10.93e9 * batch;  // multiply-adds of direct convolution, counted as two

Tensor random_tensor(const Exec& exec, Shape shape, Random& random, float lo, float hi) {
  std::vector<float> values(size_t(shape.size()));
  for (float& v : values)
    v = random.uniform(lo, hi);
  return Tensor::from(exec, shape, values);
}

}  // namespace

std::vector<BenchResult> bench_train_step(const BenchOptions& o) {
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
                    {"target", random_tensor(o.exec, {batch, 2, side, side}, random, -2, 2)}},
                   {}};
  Stepper stepper(o.exec, method);
  int64_t step = 0;
  const auto one = [&] { stepper.step(data, step++, 2e-4); };
  for (int k = 0; k < 3; ++k)
    one();
  const std::vector<double> first = stepper.take_sums();
  for (int k = 0; k < 3; ++k)
    one();
  BASIN_CHECK(stepper.first_bad() < 0 && stepper.take_sums().back() < first.back(), "the loss does not fall");
  BenchResult r = time_it(o, "train-step", shape, one);
  r.flops = 3 * forward_flops;
  return {r};
}

std::vector<BenchResult> bench_infer(const BenchOptions& o) {
  Random random(o.seed, Purpose::test);
  Params params;
  const UNet net(params, {});
  params.allocate(o.exec);
  params.init(o.exec, o.seed);
  const UNet::Folded folded(o.exec, net);
  const Tensor image = random_tensor(o.exec, {batch, 1, side, side}, random, 0, 1);
  std::vector<Tensor> out = folded(o.exec, image);
  for (const Tensor& t : out)
    for (const float v : t.to_host<float>(o.exec))
      BASIN_CHECK(v - v == 0, "an output is not finite");
  const bool bf16 = o.exec.precision == Precision::bf16;
  BenchResult r = time_it(o, bf16 ? "infer bf16" : "infer", shape, [&] { out = folded(o.exec, image); });
  r.flops = forward_flops;
  return {r};
}

}  // namespace basin::tools

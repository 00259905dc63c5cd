#include "data/synth/synth.h"
#include "engine/graph.h"
#include "kernels/runtime/parallel.h"
#include "models/methods/vector_fields.h"
#include "models/training/stepper.h"
#include "tests/support/gpu_support.h"

using namespace basin;
using namespace basin::test;

namespace {

VectorFieldOptions small() {
  VectorFieldOptions o;
  o.net.width = 4;
  return o;
}

/// A batch in its own memory; its values depend on the seed.
Batch batch_of(const Exec& exec, unsigned seed) {
  std::vector<float> mask = uniform<float>(2 * 16 * 16, 0, 1, seed + 1);
  for (float& v : mask)
    v = v > 0.5f ? 1.f : 0.f;
  return {{{"image", Tensor::from(exec, {2, 1, 16, 16}, uniform<float>(2 * 16 * 16, 0, 1, seed))},
           {"mask", Tensor::from(exec, {2, 1, 16, 16}, mask)},
           {"target", Tensor::from(exec, {2, 2, 16, 16}, uniform<float>(2 * 2 * 16 * 16, -2, 2, seed + 2))}}};
}

/// Records the numbers of its batches.
class NumberedBatches : public VectorFields {
 public:
  using VectorFields::VectorFields;
  mutable std::vector<int64_t> numbers;

  LossTerms loss(Tape& tape, const Batch& batch, const StepState* state) const override {
    StepState host;
    Tensor::borrow({}, const_cast<StepState*>(state), tape.exec().device, {int64_t(sizeof host)}, DType::u8)
        .copy_to_host(tape.exec(), &host);
    numbers.push_back(host.batch);
    return VectorFields::loss(tape, batch, state);
  }
};

struct Trained {
  std::vector<float> values;
  std::vector<double> sums;
  size_t recorded;
};

/// Seven steps with `batches` alternating batches.
Trained train_with(const Exec& exec, bool graph, const std::vector<Batch>& batches) {
  VectorFields method(small());
  method.params().allocate(exec);
  method.params().init(exec, 3);
  Stepper stepper(exec, method, {.graph = graph});
  for (int step = 0; step < 5; ++step)
    stepper.step(batches[size_t(step) % batches.size()], step, 1e-3 / (step + 1));
  CHECK(stepper.first_bad() == -1);
  return {method.params().values().to_host<float>(exec), stepper.take_sums(), stepper.recorded()};
}

}  // namespace

TEST_CASE("graph: replayed training steps give the same results as steps launched kernel by kernel") {
  for (Exec exec : execs())
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      if (precision != Precision::fp32 && !has_tensor_cores(exec)) continue;
      exec.precision = precision;
      exec.deterministic = true;
      std::vector<Batch> batches{batch_of(exec, 1), batch_of(exec, 2)};
      const Trained plain = train_with(exec, false, batches), recorded = train_with(exec, true, batches);
      CHECK(plain.recorded == 0);
      CHECK(recorded.recorded == (exec.device == Device::cpu ? 0 : 2));
      CHECK(recorded.values == plain.values);
      CHECK(recorded.sums == plain.sums);
      CHECK(plain.sums.size() == 4);

      // A batch at a third address is not recorded: its step is launched kernel by kernel.
      batches.push_back(batch_of(exec, 3));
      CHECK(train_with(exec, true, batches).values == train_with(exec, false, batches).values);
    }
}

TEST_CASE("graph: with several batches a step, each part is recorded after it has run once") {
  for (Exec exec : execs()) {
    exec.deterministic = true;
    const Batch batches[] = {batch_of(exec, 1), batch_of(exec, 2)};
    const auto values_with = [&](bool graph) {
      VectorFields method(small());
      method.params().allocate(exec);
      method.params().init(exec, 3);
      Stepper stepper(exec, method, {.graph = graph, .accumulate = 3, .clip = 1});
      for (int k = 0; k < 12; ++k)
        stepper.step(batches[k % 2], k / 3, 1e-3, 0, k % 3);
      CHECK((stepper.recorded() > 0) == (graph && exec.device != Device::cpu));
      return method.params().values().to_host<float>(exec);
    };
    CHECK(values_with(true) == values_with(false));
  }
}

TEST_CASE("graph: every batch of a step has its own number, by which dropout draws") {
  for (const Exec& exec : execs()) {
    const Batch batch = batch_of(exec, 1);
    NumberedBatches method(small());
    method.params().allocate(exec);
    method.params().init(exec, 3);
    Stepper stepper(exec, method, {.graph = false, .accumulate = 3});
    for (int k = 0; k < 6; ++k)
      stepper.step(batch, 7 + k / 3, 1e-3, 0, k % 3);
    CHECK(method.numbers == std::vector<int64_t>{21, 22, 23, 24, 25, 26});
  }
}

TEST_CASE("graph: a replayed step detects a NaN loss and reports the step at which it occurred") {
  for (const Exec& exec : execs()) {
    const Batch batch = batch_of(exec, 1);
    VectorFields method(small());
    method.params().allocate(exec);
    method.params().init(exec, 3);
    Stepper stepper(exec, method);
    for (int step = 0; step < 4; ++step)
      stepper.step(batch, step, 1e-3);
    const std::vector<float> before = method.params().values().to_host<float>(exec);
    batch["image"].copy_from_host(exec, std::vector<float>(2 * 16 * 16, NAN).data());
    for (int step = 4; step < 6; ++step)
      stepper.step(batch, step, 1e-3);
    CHECK(stepper.first_bad() == 4);
    CHECK(method.params().values().to_host<float>(exec) == before);
  }
}

TEST_CASE("graph: recording executes nothing, and the stream remains usable after a recording fails") {
  for (const Exec& exec : execs()) {
    if (exec.device == Device::cpu) {
      CHECK_THROWS_AS(Graph::record(exec, [] {}), Error);
      continue;
    }
    const Tensor t = Tensor::zeros(exec, {5});
    const auto ones = [&] { t.copy_from_host(exec, std::vector<float>(5, 1.f).data()); };
    ones();
    const Graph zero = Graph::record(exec, [&] { t.zero(exec); });
    CHECK(t.to_host<float>(exec) == std::vector<float>(5, 1.f));
    zero.run(exec);
    CHECK(t.to_host<float>(exec) == std::vector<float>(5, 0.f));
    CHECK_THROWS_AS(Graph::record(exec, [&] { t.to_host<float>(exec); }), Error);  // waits
    CHECK_THROWS_AS(Graph::record(exec,
                                  [&] {
                                    try {
                                      t.to_host<float>(exec);
                                    } catch (const Error&) {  // catching the error does not rescue the recording
                                    }
                                  }),
                    Error);
    for_each(exec, 5, Fill<float>{t.data<float>(), 2});  // the earlier failure is not reported again
    CHECK(t.to_host<float>(exec) == std::vector<float>(5, 2.f));
    ones();
    zero.run(exec);
    CHECK(t.to_host<float>(exec) == std::vector<float>(5, 0.f));
  }
}

#include <doctest/doctest.h>

#include "data/synth/synth.h"
#include "engine/json.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "models/training/trainer.h"
#include "tests/support/command_support.h"
#include "tests/support/file_support.h"
#include "tests/support/gpu_support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<Example> two_nuclei_images() {
  std::vector<Example> examples;
  for (int i = 0; i < 3; ++i) {
    Synthetic s = make_synthetic({.kind = SynthKind::nuclei, .size = 64, .seed = 8}, i);
    examples.push_back(
        {"image" + std::to_string(i), Source(std::move(s.image), 1, {}, "nuclei"), StoredLabels(s.labels)});
  }
  return examples;
}

std::unique_ptr<Method> small(const std::string& name, const Exec& exec) {
  std::unique_ptr<Method> method = make_method(name, {parse_assignment("width=4"), parse_assignment("channels=1")});
  method->params().allocate(exec);
  return method;
}

TrainOptions steps_from(const Params& start, int64_t steps) {
  TrainOptions o;
  o.steps = steps, o.save_every = 1, o.crop = 32;
  o.rate.rate = 1e-2;
  o.step.adam.weight_decay = 0.1;  // would change weights without a gradient too
  o.augment = parse_augmentation("flip");
  o.start = &start, o.freeze_encoder = true;
  return o;
}

/// The value of a tensor of a model.
std::vector<float> value_of(const Params& params, const Params::Named& named, const Exec& exec) {
  return params.value_slice(named).to_host<float>(exec);
}

}  // namespace

TEST_CASE("freezing: the encoder keeps exactly its weights and statistics, and everything else changes") {
  for (const Exec& any : execs())
    for (const std::string name : {"vf-h1", "vf-h2", "es", "fc", "og"}) {
      CAPTURE(name);
      Exec exec = any;
      exec.deterministic = true;
      const std::unique_ptr<Method> start = small(name, exec), method = small(name, exec);
      start->init(exec, 3);
      const std::string encoder = start->encoder();
      const Folder folder;
      train(exec, *method, two_nuclei_images(), {}, steps_from(start->params(), 2), {folder.path()}, false);
      int kept = 0, changed = 0;
      for (const Params::Named& named : method->params().learnt()) {
        const bool same = value_of(method->params(), named, exec) == value_of(start->params(), named, exec);
        CHECK_MESSAGE(same == named.name.starts_with(encoder), named.name);
        ++(same ? kept : changed);
      }
      CHECK(kept > 5);
      CHECK(changed > 5);
      for (const Params::Named& named : method->params().statistics()) {
        const bool same = method->params().statistic_slice(named).to_host<float>(exec) ==
                          start->params().statistic_slice(named).to_host<float>(exec);
        CHECK_MESSAGE(same == named.name.starts_with(encoder), named.name);
      }
    }
}

TEST_CASE("freezing: a resumed run gives the same bytes, and resuming without freezing is refused") {
  const Exec cpu;
  const std::unique_ptr<Method> start = small("vf-h1", cpu);
  start->init(cpu, 3);
  const auto run = [&](const Folder& folder, int64_t steps, bool resume, bool frozen = true) {
    const std::unique_ptr<Method> method = small("vf-h1", cpu);
    TrainOptions o = steps_from(start->params(), steps);
    o.freeze_encoder = frozen;
    train(cpu, *method, two_nuclei_images(), {}, o, {folder.path()}, resume);
  };
  const Folder whole, parts;
  run(whole, 4, false);
  run(parts, 2, false);
  CHECK(contains(refusal([&] { run(parts, 4, true, false); }), "freeze is unset, was \"encoder\""));
  run(parts, 4, true);
  for (const char* name : {"last.safetensors", "last.state.safetensors", "metrics.csv"})
    CHECK_MESSAGE(read_bytes(whole / name) == read_bytes(parts / name), name);
}

TEST_CASE("freezing: the ranges of trained parameters") {
  const std::unique_ptr<Method> method = small("vf-h1", {});
  Params& params = method->params();
  const int64_t size = params.values().shape().size();
  REQUIRE(params.trained().size() == 1);
  CHECK(params.trained()[0].first == 0);
  CHECK(params.trained()[0].last == size);
  params.freeze("backbone.");
  const auto first_of = [&](const std::string& prefix) {
    for (const Params::Named& named : params.learnt())
      if (named.name.starts_with(prefix)) return named.offset;
    return int64_t(-1);
  };
  REQUIRE(params.trained().size() == 1);  // the encoder comes first
  CHECK(params.trained()[0].first == first_of("head_0."));
  CHECK(params.trained()[0].last == size);
  params.freeze("final_0.");
  REQUIRE(params.trained().size() == 2);
  CHECK(params.trained()[0].last == first_of("final_0."));
  CHECK(params.trained()[1].first == first_of("final_1."));
  CHECK(params.trained()[1].last == size);
  params.freeze("");
  CHECK(params.trained().empty());
}

TEST_CASE("train: --freeze needs trained weights and a method with a single encoder") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --count 3 --size 64 --out data").code == 0);
  const std::string few = "train --data data --crop 32 --batch 1 --steps 1 --device cpu --freeze encoder --out run ";
  const Ran fresh = run_basin(folder, few + "--width 8");
  CHECK(fresh.code == 1);
  CHECK_MESSAGE(contains(fresh.err, "--freeze encoder: a frozen encoder needs trained weights"), fresh.err);
  const std::unique_ptr<Method> wn = small("wn", {});
  wn->init({}, 1);
  save_model(folder / "wn.safetensors", {}, *wn, Json::object());
  const Ran two = run_basin(folder, few + "--finetune wn.safetensors");
  CHECK(two.code == 1);
  CHECK_MESSAGE(contains(two.err, "--freeze encoder: the method wn has no single encoder"), two.err);
  CHECK(!std::filesystem::exists(folder.path() / "run"));
}

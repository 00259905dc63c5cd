#include <doctest/doctest.h>

#include "engine/json.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "tests/support/support.h"
#include "tests/support/thread_ranks.h"
#include "tests/support/training_support.h"

// Training by several ranks, which are threads here.

using namespace basin;
using namespace basin::test;

namespace {

TrainOptions options_of(const Method& method, int batch, int accumulate) {
  TrainOptions o = few_steps(4);
  const TrainingDefaults d = method.training_defaults();
  o.crop = 32, o.batch = batch, o.rate = d.rate, o.step.adam = d.adam, o.step.accumulate = accumulate;
  o.step.clip = 1, o.step.average = 0.9;
  return o;
}

std::unique_ptr<Method> small_method(const std::string& name) {
  std::unique_ptr<Method> method =
      make_method(name, {parse_assignment("width=4"), parse_assignment("channels=1"), parse_assignment("seed=3")});
  method->params().allocate({});
  return method;
}

/// The files of a run of `accumulate` batches a step on so many ranks; 0: without ranks.
void run(const Folder& folder, const std::string& name, int ranks, int batch, int accumulate, int64_t stop = 0,
         bool resume = false) {
  const std::vector<Example> examples = synthetic(5, 64), held(examples.begin(), examples.begin() + 1);
  const auto train_with = [&](Ranks* rank) {
    const std::unique_ptr<Method> method = small_method(name);
    TrainOptions o = options_of(*method, batch, accumulate);
    o.step.ranks = rank, o.stop_after = stop;
    train({}, *method, examples, held, o, {folder.path()}, resume);
  };
  if (ranks == 0) return train_with(nullptr);
  ThreadRanks(ranks).run([&](Ranks& rank) { train_with(&rank); });
}

}  // namespace

TEST_CASE("ranks: sums of values are those of one process that adds them in the order of the ranks") {
  for (const int count : {1, 2, 3, 7})
    for (const int64_t n : {0, 1, 5, 1000}) {
      CAPTURE(count);
      CAPTURE(n);
      std::vector<std::vector<float>> given;
      for (int r = 0; r < count; ++r)
        given.push_back(uniform<float>(size_t(n), -1, 1, uint64_t(r)));
      std::vector<float> expected(size_t(n), 0.25f);
      for (const std::vector<float>& values : given)
        for (size_t i = 0; i < values.size(); ++i)
          expected[i] += values[i];
      ThreadRanks(count).run([&](Ranks& rank) {
        std::vector<float> sum(size_t(n), 0.25f);
        rank.add_in_order(given[size_t(rank.rank())].data(), sum.data(), n);
        if (sum != expected) throw std::runtime_error("rank " + std::to_string(rank.rank()));
      });
    }
}

TEST_CASE("ranks: a batch shared by ranks gives the bytes of one process that averages over the same parts") {
  for (const std::string name : {"vf-h1", "es", "fc"})
    for (const auto& [ranks, accumulate] : {std::pair(2, 2), std::pair(3, 3), std::pair(2, 4), std::pair(1, 2)}) {
      CAPTURE(name);
      CAPTURE(ranks);
      CAPTURE(accumulate);
      const Folder one, many;
      run(one, name, 0, 1, accumulate);
      run(many, name, ranks, 1, accumulate);
      for (const char* file : {"last.safetensors", "best.safetensors", "last.state.safetensors", "metrics.csv"}) {
        CAPTURE(file);
        CHECK(read_bytes(one / file) == read_bytes(many / file));
      }
    }
}

TEST_CASE("ranks: a run is resumed with the same bytes, and by another number of ranks") {
  const Folder whole, parts, other;
  run(whole, "vf-h1", 2, 2, 2);
  run(parts, "vf-h1", 2, 2, 2, 2);
  run(parts, "vf-h1", 2, 2, 2, 0, true);
  CHECK(read_bytes(whole / "last.safetensors") == read_bytes(parts / "last.safetensors"));
  run(other, "vf-h1", 2, 2, 2, 2);
  CHECK_NOTHROW(run(other, "vf-h1", 4, 1, 4, 0, true));  // the same four crops a step
  CHECK(load_model(other / "last.safetensors", {}).info["step"] == 4);
  CHECK_THROWS_WITH_AS(run(other, "vf-h1", 3, 1, 3, 0, true), doctest::Contains("accumulate is 3, was 4"), Error);
}

TEST_CASE("ranks: a rank that reads other images is named in the error") {
  const Folder folder;
  const std::vector<Example> examples = synthetic(5, 64);
  const auto train_on = [&](Ranks& rank) {
    const std::unique_ptr<Method> method = small_method("vf-h1");
    TrainOptions o = options_of(*method, 1, 3);
    o.step.ranks = &rank;
    train({}, *method, rank.rank() == 2 ? synthetic(4, 64) : examples, {}, o, {folder.path()}, false);
  };
  CHECK_THROWS_WITH_AS(ThreadRanks(3).run(train_on), doctest::Contains("rank 2 has read other images"), Error);
}

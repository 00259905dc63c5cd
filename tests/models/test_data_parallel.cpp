#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/json.h"
#include "engine/ops/norm.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "models/training/data_parallel.h"
#include "tests/support/gradient_support.h"
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
         bool resume = false, bool joins = false) {
  const std::vector<Example> examples = synthetic(5, 64), held(examples.begin(), examples.begin() + 1);
  const auto train_with = [&](Ranks* rank) {
    const std::unique_ptr<Method> method = small_method(name);
    TrainOptions o = options_of(*method, batch, accumulate);
    o.step.ranks = rank, o.stop_after = stop;
    o.step.join_batches = joins;
    o.step.bucket = 500;  // gradients: several buckets even of such small networks
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
        OrderedSums sums(rank);
        const float* mine = given[size_t(rank.rank())].data();
        sums.start(mine + n / 2, sum.data() + n / 2, n - n / 2);  // in two parts
        sums.start(mine, sum.data(), n / 2);
        sums.advance();
        sums.finish();
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

namespace {

/// Every batch normalisation once: x and y are maps of the same shape, p has pairs of gamma and beta.
Var every_norm(Tape& tape, const Var& x, const Var& y, const std::vector<Parameter>& p,
               const std::vector<Tensor>& running) {
  const auto at = [&](size_t k) { return NormParameters{p[2 * k], p[2 * k + 1], running[2 * k], running[2 * k + 1]}; };
  const Var a = norm_relu(tape, x, at(0)), b = norm_add_relu(tape, a, at(1), y, at(2));
  return norm(tape, norm_residual_relu(tape, norm_residual(tape, b, at(3), a), at(4), b), at(5));
}

/// The value, the gradients of x and y and of the parameters, and the running statistics.
struct Normed {
  std::vector<double> value, d_x, d_y, d_parameters, running;

  Normed(int first, int count, kernels::JoinedBatches* joined) {
    const Exec cpu;
    constexpr int channels = 5, height = 4, width = 6, size = channels * height * width;
    const auto map = [&](unsigned seed) {
      std::vector<double> all = uniform<double>(size_t(4 * size), -1, 1, seed);
      for (double& v : all)
        v += 3;  // a mean that differs from 0
      return Tensor::from(cpu, {count, channels, height, width},
                          std::vector<double>(all.begin() + first * size, all.begin() + (first + count) * size));
    };
    const std::vector<Parameter> parameters = random_parameters<double>(cpu, std::vector<Shape>(12, Shape{channels}));
    std::vector<Tensor> statistics;
    for (int k = 0; k < 12; ++k)
      statistics.push_back(Tensor::from(cpu, {channels}, std::vector<double>(channels, k % 2)));
    Tape tape(cpu);
    tape.join_batches(joined);
    const Var x = tape.leaf(map(1)), y = tape.leaf(map(2)), out = every_norm(tape, x, y, parameters, statistics);
    value = out.value.to_host<double>(cpu);
    tape.backward(out, map(3));
    d_x = tape.grad(x).to_host<double>(cpu), d_y = tape.grad(y).to_host<double>(cpu);
    for (const Parameter& p : parameters)
      append(d_parameters, p.gradient.to_host<double>(cpu));
    for (const Tensor& t : statistics)
      append(running, t.to_host<double>(cpu));
  }
  static void append(std::vector<double>& all, const std::vector<double>& more) {
    all.insert(all.end(), more.begin(), more.end());
  }
};

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

TEST_CASE("ranks: batch normalisations that join the batches of ranks compute what one process does with all") {
  const Normed one(0, 4, nullptr);
  for (const int count : {1, 2, 4}) {
    CAPTURE(count);
    std::vector<std::optional<Normed>> of(static_cast<size_t>(count));
    ThreadRanks(count).run([&](Ranks& ranks) {
      const std::unique_ptr<kernels::JoinedBatches> joined = joined_batches(ranks);
      of[size_t(ranks.rank())].emplace(4 / count * ranks.rank(), 4 / count, joined.get());
    });
    std::vector<double> value, d_x, d_y, d_parameters(one.d_parameters.size());
    for (const std::optional<Normed>& part : of) {
      Normed::append(value, part->value), Normed::append(d_x, part->d_x), Normed::append(d_y, part->d_y);
      for (size_t i = 0; i < d_parameters.size(); ++i)
        d_parameters[i] += part->d_parameters[i];
      CHECK(largest_difference(part->running, one.running) < 1e-12);
    }
    CHECK(largest_difference(value, one.value) < 1e-12);
    CHECK(largest_difference(d_x, one.d_x) < 1e-11);
    CHECK(largest_difference(d_y, one.d_y) < 1e-11);
    CHECK(largest_difference(d_parameters, one.d_parameters) < 1e-10);
  }
}

TEST_CASE("ranks: training that joins batches is resumed only if the joined batch has the same size") {
  const Folder joined, separate;
  run(separate, "vf-h1", 2, 2, 2, 2);
  run(joined, "vf-h1", 2, 2, 2, 2, false, true);
  CHECK(read_bytes(joined / "last.safetensors") != read_bytes(separate / "last.safetensors"));
  CHECK_NOTHROW(run(joined, "vf-h1", 4, 1, 4, 0, true, true));
  CHECK_THROWS_WITH_AS(run(separate, "vf-h1", 2, 2, 2, 0, true, true),
                       doctest::Contains("joined_batch is 4, was unset"), Error);
}

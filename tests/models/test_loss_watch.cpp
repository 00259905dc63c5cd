#include <cmath>

#include "models/training/loss_watch.h"
#include "tests/support/command_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

struct Said {
  std::string during, at_end;  // the sentences during the run, each followed by its step, and the one at its end
};

/// Watches a run with these losses, looked at after the first step and then after every `every` steps, and at the end.
Said watched(const std::vector<double>& losses, size_t every) {
  LossWatch watch;
  Said said;
  double sum = 0;
  int64_t steps = 0;
  for (size_t k = 0; k < losses.size(); ++k) {
    sum += losses[k], ++steps;
    if (k + 1 < losses.size() && steps < int64_t(every) && !watch.needs_first()) continue;
    said.during += watch.add({"loss"}, {sum / double(steps)}, steps, int64_t(k) + 1);
    sum = 0, steps = 0;
  }
  said.at_end = watch.at_end();
  return said;
}

std::vector<double> repeated(std::vector<double> first, double loss, size_t times) {
  first.insert(first.end(), times, loss);
  return first;
}

}  // namespace

TEST_CASE("loss watch: a loss that grows to many times its first values is reported, once and at the end") {
  for (const size_t every : {1, 2, 8, 11}) {
    CAPTURE(every);
    // From the second step on, as with a learning rate that is far too high; also in runs of a few steps.
    for (const size_t steps : {1, 2, 7, 8, 15, 16, 100}) {
      CAPTURE(steps);
      const Said said = watched(repeated({2.5}, 7e9, steps), every);
      const bool says_so = contains(said.during, "the training diverges; stop it and try a lower --lr, or --clip");
      if (steps < 15 || steps > 30) CHECK(says_so == (steps > 30));
      CHECK(occurrences(said.during, "diverges") == size_t(says_so));
      CHECK_MESSAGE(contains(said.at_end, "the training has diverged: its last loss is "), said.at_end);
      CHECK(contains(said.at_end, "e+09, and at step 1 it was 2.5; train again with a lower --lr, or with --clip"));
    }
    // Later.
    const Said late = watched(repeated(repeated({}, 2, 50), 30, 50), every);
    CHECK(contains(late.during, "the loss is 30, and at step 1 it was 2"));
    CHECK(contains(late.at_end, "has diverged"));
    // It may recover.
    const Said better = watched(repeated(repeated(repeated({}, 2, 50), 30, 50), 1, 50), every);
    CHECK(contains(better.during, "diverges"));
    CHECK(better.at_end.empty());
  }
}

TEST_CASE("loss watch: falling, noisy, stepwise and empty losses are no divergence") {
  std::vector<double> falling, noisy, spike, stepwise;
  for (int k = 0; k < 400; ++k) {
    falling.push_back(20 * std::exp(-k / 40.));
    noisy.push_back(k % 7 == 0 ? 9 : .5);
    spike.push_back(k == 200 || k == 399 ? 900 : 1);
    stepwise.push_back(k < 100 ? 1.5 : 5);
  }
  const std::vector<double> nothing_at_first = repeated({0, 0, 0.01}, 3, 60);  // crops without objects
  for (const size_t every : {1, 2, 8, 11})
    for (const std::vector<double>& losses :
         {falling, noisy, spike, stepwise, nothing_at_first, repeated({}, 0, 30), std::vector<double>{2, 40}}) {
      const Said said = watched(losses, every);
      CHECK_MESSAGE(said.during.empty(), said.during);
      CHECK_MESSAGE(said.at_end.empty(), said.at_end);
    }
}

TEST_CASE("loss watch: a term that is not finite is reported although the sum is finite") {
  LossWatch watch;
  const std::vector<std::string> names{"mask", "size", "loss"};
  CHECK(watch.add(names, {1, 2, 3}, 1, 1).empty());
  CHECK(watch.add(names, {1, NAN, 3}, 8, 9) ==
        "by step 9 the loss term size is no longer finite, although the sum of the terms is: try a lower --lr, or "
        "--clip");
  CHECK(watch.add(names, {1, NAN, 3}, 8, 17).empty());
  CHECK(contains(watch.add(names, {INFINITY, NAN, 3}, 8, 25), "the loss term mask is no longer finite"));
  CHECK(watch.at_end() == "loss terms that were not finite: size, mask; train again with a lower --lr, or with --clip");
}

TEST_CASE("train: a run with a far too high learning rate says that it diverged, and no method's normal run does") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --kind nuclei --count 3 --size 64 --out data").code == 0);
  const std::string few =
      "train --data data --val-fraction 0 --crop 32 --batch 1 --accumulate 1 --device cpu --steps 40 --save-every 20 ";
  const Ran high = run_basin(folder, few + "--width 4 --lr 1e4 --out high");
  REQUIRE_MESSAGE(high.code == 0, high.err);
  CHECK_MESSAGE(contains(high.err, "the training diverges; stop it and try a lower --lr, or --clip\n"), high.err);
  CHECK_MESSAGE(contains(high.err, "the training has diverged: its last loss is "), high.err);
  for (const std::string method : {"vf-h1", "vf-h2", "es", "og", "wn", "fc"}) {
    const std::string width = method == "og" ? " --width 2" : " --width 4";
    const Ran normal = run_basin(folder, few + "--model " + method + width + " --out " + method);
    REQUIRE_MESSAGE(normal.code == 0, normal.err);
    CHECK_MESSAGE(!contains(normal.err, "diverge"), normal.err);
    CHECK_MESSAGE(!contains(normal.err, "not finite"), normal.err);
  }
}

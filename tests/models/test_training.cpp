#include <omp.h>

#include <cmath>
#include <sstream>
#include <tuple>

#include "data/metrics/metrics.h"
#include "kernels/conv/conv_plan_cudnn.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"
#include "tests/support/gpu_support.h"
#include "tests/support/training_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// The available devices, set to give the same results in every run.
std::vector<Exec> deterministic_execs() {
  std::vector<Exec> all = execs();
  for (Exec& exec : all)
    exec.deterministic = true;
  return all;
}

/// A training run that starts from the weights of a model file.
void finetune(const std::filesystem::path& folder, const std::filesystem::path& from, TrainOptions options,
              bool resume = false) {
  const Model start = load_model(from, {});
  VectorFields method(small_options());
  method.params().allocate({});
  options.start = &start.method->params();
  train({}, method, synthetic(5, 64), {}, options, {folder}, resume);
}

}  // namespace

TEST_CASE("training: a stopped and resumed run ends with the same bytes as an uninterrupted one") {
  for (const Exec& exec : deterministic_execs()) {
    const Folder whole, parts;
    run(whole.path(), few_steps(8), false, exec);
    run(parts.path(), few_steps(4), false, exec);
    write_bytes(parts / "metrics.csv", read_bytes(parts / "metrics.csv") + "6,1,a row of a later step that was lost\n");
    run(parts.path(), few_steps(8), true, exec);
    CHECK(load_model(whole / "last.safetensors", {}).info["trained_on"] == Json(image_fingerprints(synthetic(5, 64))));
    for (const char* name : {"last.safetensors", "best.safetensors", "last.state.safetensors", "metrics.csv"}) {
      CAPTURE(name);
      CHECK(read_bytes(whole / name) == read_bytes(parts / name));
    }
  }
}

TEST_CASE("training: a damaged metrics.csv is reported before a resumed run goes on") {
  const Folder folder;
  run(folder.path(), few_steps(2), false);
  write_bytes(folder / "metrics.csv", "x\n");
  CHECK(contains(refusal([&] { run(folder.path(), few_steps(4), true); }),
                 "metrics.csv is damaged: its first line does not name its columns"));
  std::filesystem::remove(folder / "metrics.csv");
  CHECK_NOTHROW(run(folder.path(), few_steps(4), true));
}

TEST_CASE("training: a run resumed on a GPU uses the cuDNN algorithms that were chosen before the stop" *
          skip_without_gpu()) {
  for (const Exec& exec : deterministic_execs()) {
    if (exec.device == Device::cpu) continue;
    kernels::ConvAlgorithmCache& cache = kernels::conv_algorithm_cache();
    const int cudnn = kernels::cudnn_versions().found;
    const auto forget = [&] { cache.restore({}, cudnn); };  // as in a new process
    const auto steps = [](int64_t n) {
      TrainOptions o = few_steps(n);
      o.validate_every = 2;
      return o;
    };
    const Folder measured, whole, parts;
    forget();
    run(measured.path(), steps(2), false, exec);
    // Simulates that cuDNN chose other algorithms before the stop than it would choose now.
    kernels::ConvAlgorithms other = cache.choices();
    for (auto& [key, choice] : other)
      if (key.problem.pass == kernels::ConvPass::forward) choice.algorithm = 1, choice.workspace = 64 << 20;
    cache.restore(other, cudnn);
    run(whole.path(), steps(4), false, exec);
    const kernels::ConvAlgorithms taken = cache.choices();
    run(parts.path(), steps(2), false, exec);
    if (is_emulated()) {
      CHECK(taken == other);
      CHECK(read_bytes(parts / "last.safetensors") != read_bytes(measured / "last.safetensors"));
    }
    forget();
    run(parts.path(), steps(4), true, exec);
    CHECK(cache.choices() == taken);
    for (const char* name : {"last.safetensors", "last.state.safetensors"}) {
      CAPTURE(name);
      CHECK(read_bytes(whole / name) == read_bytes(parts / name));
    }
  }
}

TEST_CASE("training: the state contains cuDNN algorithms only after deterministic runs on a GPU") {
  for (const Exec& exec : execs())
    for (const bool deterministic : {false, true}) {
      Exec with = exec;
      with.deterministic = deterministic;
      const Folder folder;
      run(folder.path(), few_steps(1), false, with);
      const SafeTensors state = read_state(folder);
      const bool kept = deterministic && exec.device == Device::cuda;
      CHECK(state.metadata.contains("cudnn") == kept);
      if (!kept) continue;
      const Json choices = parse_json(state.metadata.at("cudnn"));
      CHECK(!choices.empty());
      for (const Json& choice : choices)
        CHECK(choice["deterministic"] == true);
    }
}

TEST_CASE("training: replayed steps and prefetched batches on a GPU give the bytes of steps launched singly") {
  for (const Exec& exec : deterministic_execs()) {
    const Folder recorded, launched;
    TrainOptions o = few_steps(8);
    run(recorded.path(), o, false, exec);
    o.step.graph = false;
    run(launched.path(), o, false, exec);
    CHECK(read_bytes(recorded / "last.state.safetensors") == read_bytes(launched / "last.state.safetensors"));
    CHECK(read_bytes(recorded / "metrics.csv") == read_bytes(launched / "metrics.csv"));
  }
}

TEST_CASE("training: a GPU trains on the same batches as the CPU and reaches the same losses") {
  std::vector<std::vector<double>> rows;
  for (const Exec& exec : deterministic_execs()) {
    const Folder folder;
    TrainOptions o = few_steps(8);
    o.validate_every = 0, o.save_every = 8;  // no earlier synchronisation, so that the GPU's streams may drift apart
    run(folder.path(), o, false, exec);
    std::istringstream lines(read_bytes(folder / "metrics.csv"));
    std::vector<double>& numbers = rows.emplace_back();
    std::string line, number;
    for (std::getline(lines, line); std::getline(lines, line);) {
      std::istringstream parts(line);
      for (int k = 0; k < 7 && std::getline(parts, number, ',');
           ++k)  // only the columns up to the losses: scores may jump
        numbers.push_back(std::stod(number));
    }
    REQUIRE(numbers.size() == 7);
  }
  for (const std::vector<double>& row : rows)
    // A GPU sums in another order, and Adam's first steps follow a gradient's sign, however small the gradient is.
    check_close(row, rows[0], is_emulated() ? 1e-4 : 1e-2, is_emulated() ? 1e-4 : 2e-2);
}

TEST_CASE("training: the learning rate falls along half a cosine or is constant") {
  for (const Schedule schedule : {Schedule::cosine, Schedule::constant}) {
    const Folder folder;
    TrainOptions o = few_steps(8);
    o.rate.schedule = schedule, o.rate.rate = 1e-3, o.validate_every = 0;
    run(folder.path(), o, false);
    std::istringstream rows(read_bytes(folder / "metrics.csv"));
    std::string row;
    std::getline(rows, row);
    CHECK(row.rfind("step,epoch,rate,", 0) == 0);
    for (int step = 2; step <= 8; step += 2) {
      std::getline(rows, row);
      const size_t begin = row.find(',', row.find(',') + 1) + 1;
      const double pi = 3.14159265358979323846;
      const double want = schedule == Schedule::constant ? 1e-3 : 1e-3 * (1 + std::cos(pi * (step - 1) / 8)) / 2;
      CHECK(std::stod(row.substr(begin)) == doctest::Approx(want).epsilon(1e-8));
    }
  }
}

namespace {

/// The steps and values of a column of metrics.csv, for the rows that have a value.
std::vector<std::pair<int64_t, double>> column_of(const std::filesystem::path& path, const std::string& name) {
  std::istringstream lines(read_bytes(path));
  std::string line, cell;
  std::getline(lines, line);
  std::vector<std::pair<int64_t, double>> values;
  const std::string before = line.substr(0, line.find(name));
  const auto column = std::count(before.begin(), before.end(), ',');
  while (std::getline(lines, line)) {
    std::istringstream cells(line);
    cell.clear();
    for (int k = 0; k <= column; ++k)
      if (!std::getline(cells, cell, ',')) cell.clear();
    if (!cell.empty()) values.emplace_back(std::stoll(line), std::stod(cell));
  }
  return values;
}

}  // namespace

TEST_CASE("training: --patience counts validations without improvement, also those before it was given") {
  const Folder folder;
  TrainOptions o = few_steps(100);
  o.rate.rate = 1e-12;  // so that all validations have the same score
  o.save_every = 1, o.validate_every = 2;
  o.stop_after = 4;
  run(folder.path(), o, false);
  o.stop_after = 0, o.patience = 3;
  run(folder.path(), o, true);
  CHECK(column_of(folder / "metrics.csv", "val_AP50_95").back().first == 8);  // best: 2; then 4, 6 and 8
  CHECK(load_model(folder / "best.safetensors", {}).info["step"] == 2);
}

TEST_CASE("training: the best model is the first with the best AP50:95") {
  const Folder folder;
  VectorFields method(small_options());
  method.params().allocate({});
  const std::vector<Example> examples = synthetic(1, 64);
  TrainOptions o;
  o.steps = 100, o.crop = 64, o.save_every = o.validate_every = 4, o.rate.rate = 5e-3;
  o.augment = parse_augmentation("none");
  o.segment.tiling.tile = 64;
  train({}, method, examples, examples, o, {folder.path()}, false);
  const auto first_best = [&](const char* name) {
    std::pair<int64_t, double> best{0, -1};
    for (const auto& row : column_of(folder / "metrics.csv", name))
      if (row.second > best.second) best = row;
    return best.first;
  };
  CHECK(load_model(folder / "best.safetensors", {}).info["step"] == first_best("val_AP50_95"));
  CHECK(first_best("val_AP50_95") != first_best("val_AP50,"));  // this run can tell them apart
}

TEST_CASE("training: extending a finished run gives the model of one longer run") {
  const Folder whole, parts;
  run(whole.path(), few_steps(8), false);
  run(parts.path(), few_steps(2), false);  // the longer run does not validate at this step
  run(parts.path(), few_steps(8), true);
  CHECK(read_bytes(whole / "last.safetensors") == read_bytes(parts / "last.safetensors"));
}

TEST_CASE("training: resuming with changed settings is refused by name and does not touch the run") {
  const Folder folder;
  run(folder.path(), few_steps(2), false);
  const auto never = [] { FAIL("a refused run was accepted"); };
  TrainOptions other = few_steps(4);
  other.rate.rate = 1e-3, other.accepted = never;
  CHECK(contains(refusal([&] { run(folder.path(), other, true); }), ": lr is 0.001, was 0.0002"));
  other = few_steps(4);
  other.seed = 9, other.batch = 1, other.accepted = never;
  const std::string both = refusal([&] { run(folder.path(), other, true); });
  CHECK(contains(both, "batch is 1, was 2"));
  CHECK(contains(both, "seed is 9, was 0"));

  // Settings that are stored only if they differ from the default.
  for (const Exec& exec : deterministic_execs()) {
    if (exec.device == Device::cpu) continue;
    Exec any = exec;
    any.deterministic = false;
    for (const auto& [first, second, text] : {std::tuple(exec, any, ": deterministic is unset, was true"),
                                              {any, exec, ": deterministic is true, was unset"}}) {
      const Folder other_folder;
      run(other_folder.path(), few_steps(1), false, first);
      other = few_steps(2);
      other.accepted = never;
      CHECK(contains(refusal([&] { run(other_folder.path(), other, true, second); }), text));
    }
  }
}

TEST_CASE("training: a network can overfit a single image") {
  const Exec cpu;
  const Folder folder;
  VectorFieldOptions options = small_options();
  options.net.width = 8;
  VectorFields method(options);
  method.params().allocate(cpu);
  const std::vector<Example> examples = synthetic(1, 64);
  TrainOptions o;
  o.steps = 60, o.crop = 64, o.rate.rate = 5e-3, o.rate.schedule = Schedule::cosine;
  o.augment = parse_augmentation("none");
  train(cpu, method, examples, {}, o, {folder.path()}, false);
  const std::unique_ptr<Predictor> predictor = method.predictor(cpu);
  const Labels found =
      segment_source(cpu, method, *predictor, examples[0].source, {{.tile = 64, .overlap = 0}}).instances.labels;
  const Labels truth = make_synthetic({.size = 64, .seed = 4}, 0).labels;
  CHECK(average_precision(score(truth, found), 0.5, Dialect::stardist).value_or(0) > 0.7);
}

TEST_CASE("vector fields: decoding the maps of a perfect network gives back the labels") {
  VectorFields method(small_options());
  std::vector<ImageScore> scores;
  for (const SynthKind kind : {SynthKind::bacteria, SynthKind::nuclei})
    for (int i = 0; i < 3; ++i) {
      const Labels truth = make_synthetic({.kind = kind, .size = 192, .seed = 1}, i).labels;
      std::vector<Labels> found;
      for (const Exec& exec : execs())
        found.push_back(method.decode(exec, method.oracle(exec, truth)).labels);
      for (const Labels& labels : found)
        CHECK(labels.ids == found[0].ids);
      scores.push_back(score(truth, found[0]));
    }
  CHECK(mean_average_precision(scores, 0.5).value_or(0) > 0.95);
  CHECK(mean_average_precision(scores, 0.75).value_or(0) > 0.9);
}

TEST_CASE("vector fields: an image without foreground has no objects") {
  const Exec cpu;
  VectorFields method(small_options());
  const Labels none{5, 7, 0, std::vector<int32_t>(35)};
  const Labels found = method.decode(cpu, method.oracle(cpu, none)).labels;
  CHECK(found.count == 0);
  CHECK(found.ids == none.ids);
}

TEST_CASE("training: fine-tuning starts from the weights of a model") {
  const Folder first, tuned, parts;
  run(first.path(), few_steps(4), false);
  TrainOptions options = few_steps(4);
  options.rate.rate = 1e-12;  // leaves the weights practically unchanged
  finetune(tuned.path(), first / "last.safetensors", options);
  const std::vector<float> before =
      load_model(first / "last.safetensors", {}).method->params().values().to_host<float>({});
  const std::vector<float> after =
      load_model(tuned / "last.safetensors", {}).method->params().values().to_host<float>({});
  REQUIRE(before.size() == after.size());
  for (size_t i = 0; i < before.size(); ++i)
    REQUIRE(after[i] == doctest::Approx(before[i]).epsilon(1e-6));

  options.steps = 2;
  finetune(parts.path(), first / "last.safetensors", options);
  options.steps = 4;
  finetune(parts.path(), first / "last.safetensors", options, true);
  CHECK(read_bytes(parts / "last.safetensors") == read_bytes(tuned / "last.safetensors"));
  // A run cannot be resumed with other starting weights.
  options.steps = 6;
  CHECK_THROWS_WITH(finetune(parts.path(), tuned / "last.safetensors", options, true), doctest::Contains("finetune"));
}

TEST_CASE("training: fine-tuning refuses weights of a different shape and names the tensor") {
  const Folder first, tuned;
  run(first.path(), few_steps(2), false);
  const Model start = load_model(first / "last.safetensors", {});
  VectorFieldOptions wider = small_options();
  wider.net.width = 16;
  VectorFields method(wider);
  method.params().allocate({});
  TrainOptions options = few_steps(2);
  options.start = &start.method->params();
  CHECK_THROWS_WITH(train({}, method, synthetic(5, 64), {}, options, {tuned.path()}, false),
                    doctest::Contains("has the shape [8x1x1x1], expected [16x1x1x1]"));
  CHECK(std::filesystem::is_empty(tuned.path()));
}

#include "models/training/trainer.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <sstream>

#include "data/dataset/loader.h"
#include "engine/json.h"
#include "engine/pool.h"
#include "kernels/nn/adam.h"
#include "kernels/nn/training_step.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"
#include "models/inference/validation.h"
#include "models/training/checkpoint.h"
#include "models/training/feed.h"
#include "models/training/training_log.h"

namespace basin {
namespace {

constexpr size_t remembered_batches = 64;
constexpr int64_t check_every = 8;  // steps between looks at what the device noticed
constexpr size_t max_recorded = 2;  // batches that take turns in memory

double rate_at(const TrainOptions& o, int64_t step) {
  if (o.schedule == Schedule::constant) return o.rate;
  return o.rate * 0.5 * (1 + std::cos(3.14159265358979323846 * double(step) / double(o.steps)));
}

/// The settings that decide the bytes of a run.
Json settings(const TrainOptions& o, const Exec& exec, const Method& method, const std::string& data,
              const std::string& validation) {
  Json j{{"batch", o.batch},
         {"crop", o.crop},
         {"lr", o.rate},
         {"schedule", o.schedule == Schedule::cosine ? "cosine" : "constant"},
         {"augment", to_string(o.augment)},
         {"seed", o.seed},
         {"save-every", o.save_every},
         {"validate-every", o.validate_every},
         {"data", data},
         {"validation", validation}};
  if (o.schedule == Schedule::cosine) j["steps"] = o.steps;
  if (o.draw_by != DrawBy::images) j["sampling"] = to_string(o.draw_by);
  if (o.draws > 0) j["draws"] = o.draws;
  if (exec.precision != Precision::fp32) j["precision"] = name_of(exec.precision);
  if (exec.device == Device::cuda && exec.deterministic) j["deterministic"] = true;
  const Json config = method.config();
  for (const auto& [key, value] : config.items())
    j["model " + key] = value;
  return j;
}

ValidationScores validate(const Exec& exec, Method& method, const std::vector<Example>& examples,
                          const TilingOptions& tiling) {
  method.refresh(exec);
  std::vector<ImageScore> scores;
  for (const Example& e : examples)
    with_name(e.stem,
              [&] { scores.push_back(score(true_labels(e), segment_source(exec, method, e.source, tiling).labels)); });
  return validation_scores(scores);
}

[[noreturn]] void stop_on_bad_loss(const Exec& exec, const Method& method, int64_t bad,
                                   const std::deque<std::pair<int64_t, std::string>>& recent) {
  double square = 0;
  for (const float v : method.params().values().to_host<float>(exec))
    square += double(v) * double(v);
  std::string images = "an earlier batch";
  for (const auto& [step, names] : recent)
    if (step == bad) images = names;
  refuse("the loss or its gradient became NaN or infinite at step ", bad, " (images ", images, "; parameter norm ",
         std::sqrt(square), "): try a lower --lr, or look at these images");
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& n : names)
    all += (all.empty() ? "" : ", ") + n;
  return all;
}

}  // namespace

Stepper::Stepper(const Exec& exec, Method& method, bool graph)
    : exec_(exec),
      method_(method),
      pool_(exec.device),
      m_(Tensor::zeros(exec, method.params().values().shape())),
      v_(Tensor::zeros(exec, method.params().values().shape())),
      state_(Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8)),
      sums_(Tensor::zeros(exec, {8}, DType::f64)),
      one_(Tensor::from<float>(exec, {1}, {1})),
      graph_(graph && exec.device == Device::cuda && exec.stream && method.capturable()) {
  const StepState fresh;
  state_.copy_from_host(exec, &fresh);
  if (exec.device != Device::cpu && !exec.scratch) exec_.scratch = &pool_;
  memory_ = exec_.scratch ? dynamic_cast<Pool*>(exec_.scratch) : &pool_of(exec.device);
}

void Stepper::step(const Batch& batch, int64_t step, double rate) {
  kernels::begin_step(exec_, step, float(rate), static_cast<StepState*>(state_.raw()));
  if (const Graph* graph = graph_for(batch)) return graph->run(exec_);
  const size_t before = memory_ ? memory_->use().system_calls : 0;
  put_step(batch);
  settled_ = memory_ && memory_->use().system_calls == before;
  if (!settled_) recorded_.clear();  // the pool may have given back what they write to
}

/// Null where the step is not to be recorded, or not yet: while it is, nothing can be taken from the system, and cuDNN
/// cannot choose.
const Graph* Stepper::graph_for(const Batch& batch) {
  if (!graph_ || !settled_) return nullptr;
  const auto same = [&](const Recorded& r) {
    return std::equal(r.batch.tensors.begin(), r.batch.tensors.end(), batch.tensors.begin(), batch.tensors.end(),
                      [](const auto& a, const auto& b) {
                        return a.first == b.first && a.second.raw() == b.second.raw() &&
                               a.second.shape() == b.second.shape();
                      });
  };
  const auto at = std::find_if(recorded_.begin(), recorded_.end(), same);
  if (at != recorded_.end()) return &at->graph;
  if (recorded_.size() == max_recorded) return nullptr;
  recorded_.push_back({batch, Graph::record(exec_, [&] { put_step(batch); })});
  return &recorded_.back().graph;
}

void Stepper::release() {
  recorded_.clear();
  settled_ = false;
  if (memory_) memory_->trim();
}

void Stepper::put_step(const Batch& batch) {
  auto* state = static_cast<StepState*>(state_.raw());
  Params& params = method_.params();
  params.gradients().zero(exec_);
  Tape tape(exec_);
  const LossTerms loss = method_.loss(tape, batch, state);
  const float* values[8];
  int count = 0;
  if (names_.empty()) {
    for (const auto& term : loss.terms)
      names_.push_back(term.first);
    names_.push_back("loss");
  }
  for (const auto& term : loss.terms)
    values[count++] = term.second.value.data<const float>();
  values[count++] = loss.total.value.data<const float>();
  kernels::add_losses(exec_, values, count, sums_.data<double>());
  kernels::note_bad(exec_, values[count - 1], 1, state);
  tape.backward(loss.total, one_);
  kernels::note_bad(exec_, params.gradients().data<const float>(), params.gradients().shape().size(), state);
  kernels::adam<float>(exec_, {}, state, params.gradients().view<const float, 1>(), params.values().view<float, 1>(),
                       m_.view<float, 1>(), v_.view<float, 1>());
}

std::vector<double> Stepper::take_sums() {
  std::vector<double> sums = sums_.to_host<double>(exec_);
  sums.resize(names_.size());
  sums_.zero(exec_);
  return sums;
}

int64_t Stepper::first_bad() const {
  StepState state;
  state_.copy_to_host(exec_, &state);
  return state.first_bad;
}

void train(const Exec& exec, Method& method, const std::vector<Example>& examples,
           const std::vector<Example>& validation, const TrainOptions& o, const RunFiles& files, bool resume) {
  const SampleSpec spec = method.sample_spec();
  if (o.crop % spec.multiple != 0 || o.crop < spec.multiple)
    refuse("--crop ", o.crop, ": expected a multiple of ", spec.multiple);
  const Json chosen = settings(o, exec, method, fingerprint(examples), fingerprint(validation));
  const std::vector<std::string> seen = image_fingerprints(examples);
  Stepper stepper(exec, method, o.graph);
  Checkpoint at{.m = stepper.first_moment(), .v = stepper.second_moment()};
  if (resume && std::filesystem::exists(files.state()))
    load_checkpoint(files.state(), exec, method.params(), at, chosen);
  else
    method.params().init(exec, o.seed);
  if (at.step >= o.steps) {
    std::fprintf(stderr, "nothing to do: %lld steps are done\n", static_cast<long long>(at.step));
    return;
  }
  if (o.accepted) o.accepted();
  // Wherever there are models there is a state, so that models without one are known to be an older run's.
  if (at.step == 0) save_checkpoint(files.state(), exec, method.params(), at, chosen);

  LoaderOptions load;
  load.batch = o.batch, load.crop = o.crop, load.margin = spec.margin, load.targets = method.targets();
  load.whole_image = spec.whole_objects;
  load.sampling = spec.sampling, load.draw_by = o.draw_by, load.draws = o.draws;
  load.seed = o.seed, load.augment = o.augment, load.workers = std::max(1, o.workers);
  if (exec.device != Device::cpu) {
    load.memory = &pinned_memory();
    load.raw = !spec.whole_objects;
    if (o.workers == 0) load.workers = std::clamp(omp_get_max_threads() - 1, 1, 8);
  }
  const MakeTargets targets = [&](const Exec& where, View<const int32_t, 2> labels, const SampleTargets& to) {
    method.make_targets(where, labels, to);
  };
  Loader loader(examples, load, targets, at.step);
  Feed feed(exec, loader);
  MetricsFile metrics(files.metrics(), at.step);
  Progress progress(at.step, o.steps);
  std::deque<std::pair<int64_t, std::string>> recent;
  // A step's memory is idle between steps: what a validation and a save need comes out of it, not on top.
  const auto release = [&] {
    stepper.release();
    pool_of(exec.device).trim();
  };
  int64_t since_row = 0, since_look = 0;
  std::vector<double> row_sums;

  for (int64_t step = at.step; step < o.steps; ++step) {
    const Feed::Item& item = feed.next();
    recent.emplace_back(step, joined(item.stems));
    if (recent.size() > remembered_batches) recent.pop_front();
    stepper.step(item.batch, step, rate_at(o, step));
    if (step + 1 < o.steps) feed.prefetch();
    ++since_look, ++since_row;

    const bool last = step + 1 == o.steps, save = last || (o.save_every > 0 && (step + 1) % o.save_every == 0);
    if (!save && since_look < check_every) continue;
    if (stepper.first_bad() >= 0) stop_on_bad_loss(exec, method, stepper.first_bad(), recent);
    const std::vector<double> sums = stepper.take_sums();
    row_sums.resize(sums.size());
    for (size_t k = 0; k < sums.size(); ++k)
      row_sums[k] += sums[k];
    progress.show(step + 1, sums.back() / double(since_look), o.batch);
    since_look = 0;
    if (!save) continue;

    release();
    at.step = step + 1;
    const bool scored = !validation.empty() && (last || (o.validate_every > 0 && at.step % o.validate_every == 0));
    Json info{{"training", chosen}, {"trained_on", seen}, {"step", at.step}, {"software", "basin " BASIN_VERSION}};
    std::string header = "step,epoch,rate";
    std::ostringstream line;
    line.precision(9);
    line << at.step << ',' << (at.step - 1) / loader.steps_per_epoch() << ',' << rate_at(o, step);
    for (size_t k = 0; k < row_sums.size(); ++k) {
      header += ',' + stepper.names()[k];
      line << ',' << row_sums[k] / double(since_row);
      row_sums[k] = 0;
    }
    since_row = 0;
    header += ",val_AP50,val_AP75,val_AP90,val_AP50_95";
    if (scored) {
      const ValidationScores s = validate(exec, method, validation, o.tiling);
      release();
      line << ',' << s.ap50 << ',' << s.ap75 << ',' << s.ap90 << ',' << s.ap;
      std::fprintf(stderr, "step %lld  validation AP50 %.4f  AP75 %.4f  AP90 %.4f\n", static_cast<long long>(at.step),
                   s.ap50, s.ap75, s.ap90);
      info["validation"] = to_json(s);
      if (s.ap50 > at.best) {
        at.best = s.ap50;
        save_model(files.best(), exec, method, info);
      }
    } else {
      line << ",,,,";
    }
    save_model(files.last(), exec, method, info);
    metrics.add(header, line.str());
    save_checkpoint(files.state(), exec, method.params(), at, chosen);
  }
}

}  // namespace basin

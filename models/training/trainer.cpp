#include "models/training/trainer.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <span>
#include <utility>

#include "data/dataset/loader.h"
#include "engine/fingerprint.h"
#include "engine/json.h"
#include "engine/text.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/training/checkpoint.h"
#include "models/training/feed.h"
#include "models/training/learning_rate.h"
#include "models/training/loss_watch.h"
#include "models/training/recorder.h"
#include "models/training/scaled_examples.h"
#include "models/training/training_log.h"

namespace basin {
namespace {

constexpr int64_t check_every = 8;  // steps between checks for NaN and infinity, which the device records
constexpr size_t remembered_steps = 64;

/// A hash of the values and running statistics, as 16 hexadecimal digits.
std::string fingerprint_of(const Exec& exec, const Params& params) {
  Fingerprint hash;
  for (const Tensor* flat : {&params.values(), &params.running()}) {
    const std::vector<float> values = flat->to_host<float>(exec);
    hash.add(std::as_bytes(std::span(values)));
  }
  return hash.digits();
}

/// The settings that affect the results of a run.
Json settings(const TrainOptions& o, const Exec& exec, const Method& method, const std::string& data,
              const std::string& validation) {
  Json j{{"batch", o.batch},
         {"crop", o.crop},
         {"lr", o.rate.rate},
         {"schedule", to_string(o.rate.schedule)},
         {"augment", to_string(o.augment)},
         {"seed", o.seed},
         {"save-every", o.save_every},
         {"validate-every", o.validate_every},
         {"data", data},
         {"validation", validation}};
  if (depends_on_length(o.rate) || method.is_scheduled()) j["steps"] = o.steps;
  if (o.rate.schedule == Schedule::polynomial) j["power"] = o.rate.power;
  if (o.rate.schedule == Schedule::step) j["factor"] = o.rate.factor, j["every"] = o.rate.every;
  if (o.rate.warm_up > 0) j["warm-up"] = o.rate.warm_up;
  if (o.step.accumulate > 1) j["accumulate"] = o.step.accumulate;
  if (o.step.join_batches) j["joined_batch"] = o.batch * (o.step.ranks ? o.step.ranks->count() : 1);
  if (o.step.clip > 0) j["clip"] = o.step.clip;
  if (o.step.average > 0) j["ema"] = o.step.average;
  if (o.step.adam.weight_decay > 0) j["weight-decay"] = o.step.adam.weight_decay;
  if (o.draw_by != DrawBy::images) j["sampling"] = to_string(o.draw_by);
  if (o.draws > 0) j["draws"] = o.draws;
  if (o.segment.scale != 1) j["scale"] = o.segment.scale;
  if (o.pixel_size > 0) j["pixel-size"] = o.pixel_size;
  if (exec.precision != Precision::fp32) j["precision"] = name_of(exec.precision);
  if (exec.device == Device::cuda && exec.deterministic) j["deterministic"] = true;
  if (o.ignore_label) j["ignore-label"] = *o.ignore_label;
  if (o.freeze_encoder) j["freeze"] = "encoder";
  if (o.start) j["finetune"] = fingerprint_of(exec, *o.start);
  Json config = method.config();
  for (const Setting& setting : method.settings().all())
    if (setting.only_limits) config.erase(setting.key);  // so that a run may continue with another limit
  for (const auto& [key, value] : config.items())
    j["model " + key] = value;
  return j;
}

/// What model files say about the run; the step is given at each save.
Json description_of(const std::vector<Example>& originals, const std::vector<Example>& examples, const TrainOptions& o,
                    const Json& chosen) {
  Appearance appearance = appearance_of(examples);
  appearance.pixel_size = (o.pixel_size > 0 ? o.pixel_size : common_pixel_size(originals)) / o.segment.scale;
  Json info{{"training", chosen},
            {"trained_on", image_fingerprints(originals)},
            {"appearance", to_json(appearance)},
            {"step", 0},
            {"software", "basin " BASIN_VERSION}};
  if (o.segment.scale != 1) info["scale"] = o.segment.scale;
  return info;
}

/// The images of all batches of a step.
struct StepImages {
  int64_t step;
  std::vector<std::string> images;
};

[[noreturn]] void stop_on_bad_loss(const Exec& exec, const Method& method, int64_t bad,
                                   const std::deque<StepImages>& recent) {
  double square = 0;
  for (const float v : method.params().values().to_host<float>(exec))
    square += double(v) * double(v);
  std::string images = "an earlier batch";
  for (const StepImages& step : recent)
    if (step.step == bad) images = joined(step.images);
  refuse(
      "training diverged: the loss, its gradient, a running statistic or Adam's moments became NaN or infinite at "
      "step ",
      bad, " (images ", images, "; parameter norm ", std::sqrt(square),
      "): try a lower --lr, lower weights of the losses or less --weight-decay, or check these images");
}

/// Why a model that the run wrote cannot be used: it is missing or damaged. Empty if it can be used.
std::string fault_of_model(const std::filesystem::path& path) {
  try {
    load_model(path, {});
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

/// Checks the models of a run that is resumed at this state. If the best one cannot be used, the best of the remaining
/// steps replaces it. Throws one sentence if no steps remain to write a missing or damaged model again.
void check_models(const RunFiles& files, Checkpoint& at, int64_t steps) {
  const std::string lost = at.best >= 0 ? fault_of_model(files.best()) : "";
  if (at.step >= steps)
    for (const std::string& fault : {lost, fault_of_model(files.last())})
      if (!fault.empty())
        refuse(fault, ". All ", at.step, " steps are done, so that no step would write it again; give more --steps");
  if (lost.empty()) return;
  std::fprintf(stderr, "basin: %s. It was the best model, of step %lld; the best of the remaining steps replaces it\n",
               lost.c_str(), static_cast<long long>(at.best_step));
  at.best = -1, at.best_step = 0;
}

/// The first values of parameters and averages, or those of the run that is resumed.
void start_or_resume(const Exec& exec, Method& method, Stepper& stepper, const TrainOptions& o, const RunFiles& files,
                     const Json& chosen, bool resume, Checkpoint& at) {
  at.m = stepper.first_moment(), at.v = stepper.second_moment();
  at.average_values = stepper.average_values(), at.average_running = stepper.average_running();
  if (resume && std::filesystem::exists(files.state())) {
    load_checkpoint(files.state(), exec, method.params(), at, chosen);
    check_models(files, at, o.steps);
    return;
  }
  if (o.start)
    method.params().copy_from(exec, *o.start);
  else
    method.init(exec, o.seed);
  stepper.start_average();
}

/// The batches of this rank.
LoaderOptions loader_options(const Exec& exec, const Method& method, const TrainOptions& o) {
  LoaderOptions load = loader_options(exec, method);
  load.batch = o.batch, load.crop = o.crop, load.draw_by = o.draw_by, load.draws = o.draws;
  load.seed = o.seed, load.augment = o.augment, load.workers = std::max(1, o.workers);
  if (exec.device != Device::cpu && o.workers == 0) load.workers = std::clamp(omp_get_max_threads() - 1, 1, 8);
  if (o.step.ranks) load.stride = o.step.ranks->count(), load.offset = o.step.ranks->rank();
  return load;
}

/// Sums of losses over the batches since the last look at them, and since the last row of metrics.
class LossSums {
 public:
  void count(int batches) { since_look_ += batches, since_row_ += batches; }
  int64_t since_look() const { return since_look_; }
  /// Adds the sums since the last look; returns the means since then.
  std::vector<double> look(std::vector<double> sums) {
    sums_.resize(sums.size());
    for (size_t k = 0; k < sums.size(); ++k)
      sums_[k] += sums[k], sums[k] /= double(since_look_);
    since_look_ = 0;
    return sums;
  }
  /// Adds the mean losses to a row, and starts the next one.
  void finish(const std::vector<std::string>& names, MetricsRow& row) {
    for (size_t k = 0; k < sums_.size(); ++k)
      row.values.emplace_back(names[k], sums_[k] / double(since_row_));
    std::fill(sums_.begin(), sums_.end(), 0);
    since_row_ = 0;
  }

 private:
  int64_t since_look_ = 0, since_row_ = 0;
  std::vector<double> sums_;
};

}  // namespace

void leave_out_label(Method& method, std::optional<int64_t> value) {
  if (value && !method.ignore_negative_labels())
    refuse("--ignore-label ", *value, ": the method ", method.name(), " cannot leave pixels out of its losses");
}

void train(const Exec& exec, Method& method, const std::vector<Example>& originals,
           const std::vector<Example>& validation, const TrainOptions& o, const RunFiles& files, bool resume) {
  const bool writes = writes_files(o);
  const SampleSpec spec = method.sample_spec();
  if (o.crop % spec.multiple != 0 || o.crop < spec.multiple)
    refuse("--crop ", o.crop, ": expected a multiple of ", spec.multiple);
  const Json chosen = settings(o, exec, method, fingerprint(originals), fingerprint(validation));
  if (o.step.ranks) check_equal(*o.step.ranks, to_text(chosen));
  std::vector<Example> scaled;
  if (o.segment.scale != 1) scaled = scaled_examples(originals, o.segment.scale);
  const std::vector<Example>& examples = o.segment.scale != 1 ? scaled : originals;
  leave_out_label(method, o.ignore_label);
  if (o.freeze_encoder) {
    if (method.encoder().empty()) refuse("--freeze encoder: the method ", method.name(), " has no single encoder");
    method.params().freeze(method.encoder());
  }
  Stepper stepper(exec, method, o.step);
  Checkpoint at;
  start_or_resume(exec, method, stepper, o, files, chosen, resume, at);
  if (at.step >= o.steps) {
    std::fprintf(stderr, "nothing to do: all %lld steps are already done\n", static_cast<long long>(at.step));
    return;
  }
  if (o.accepted && writes) o.accepted();
  if (at.step > 0)
    std::fprintf(stderr, "continues after step %lld of %lld\n", static_cast<long long>(at.step),
                 static_cast<long long>(o.steps));
  // A state is written before any model, so that models without a state are known to be from an older run.
  if (at.step == 0 && writes) save_checkpoint(files.state(), exec, method.params(), at, chosen);

  const int accumulate = o.step.accumulate, parts = accumulate / (o.step.ranks ? o.step.ranks->count() : 1);
  Loader loader(examples, loader_options(exec, method, o), target_maker(method), at.step * parts);
  Feed feed(exec, loader);
  Recorder recorder(exec, method, stepper, o, files, chosen, description_of(originals, examples, o, chosen),
                    examples.front(), at);
  Progress progress(at.step, o.steps);
  std::deque<StepImages> recent;
  LossSums losses;
  LossWatch watch;
  for (int64_t step = at.step; step < o.steps; ++step) {
    const double rate = learning_rate(o.rate, step, o.steps);
    recent.push_back({step, {}});
    if (recent.size() > remembered_steps) recent.pop_front();
    for (int part = 0; part < parts; ++part) {
      const Feed::Item& item = feed.next();
      recent.back().images.insert(recent.back().images.end(), item.stems.begin(), item.stems.end());
      stepper.step(item.batch, step, rate, double(step) / double(o.steps), part);
      if (step + 1 < o.steps || part + 1 < parts) feed.prefetch();
    }
    losses.count(accumulate);

    const bool last = step + 1 == o.steps, save = last || (o.save_every > 0 && (step + 1) % o.save_every == 0);
    if (!save && !watch.needs_first() && losses.since_look() < check_every * accumulate) continue;
    if (stepper.first_bad() >= 0) stop_on_bad_loss(exec, method, stepper.first_bad(), recent);
    const int64_t steps = losses.since_look() / accumulate;
    const std::vector<double> means = losses.look(stepper.take_sums());
    progress.show(step + 1, means.back(), o.batch * accumulate);
    const std::string warning = watch.add(stepper.names(), means, steps, step + 1);
    if (writes) progress.say(warning);
    if (!save) continue;

    at.step = step + 1;
    MetricsRow row{at.step, step * accumulate / loader.steps_per_epoch(), {{"rate", rate}}};
    losses.finish(stepper.names(), row);
    const bool scored = recorder.save(std::move(row), validation, last);
    if (o.stop_after > 0 && at.step >= o.stop_after) return;
    if (o.patience > 0 && scored && at.step - at.best_step >= o.patience * o.validate_every) {
      std::fprintf(stderr, "training stops: no better score since step %lld\n", static_cast<long long>(at.best_step));
      break;
    }
  }
  if (!writes) return;
  progress.say(watch.at_end());
  const bool has_objects =
      std::any_of(validation.begin(), validation.end(), [](const Example& e) { return e.labels.count() > 0; });
  if (at.best == 0 && has_objects)
    progress.say(
        "no object of the validation images was matched at any validation: train longer, or try another --lr or "
        "--seed");
}

}  // namespace basin

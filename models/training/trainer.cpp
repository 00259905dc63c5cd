#include "models/training/trainer.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <deque>
#include <optional>
#include <span>

#include "data/dataset/ignored.h"
#include "data/dataset/loader.h"
#include "engine/fingerprint.h"
#include "engine/json.h"
#include "engine/pool.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"
#include "models/inference/validation.h"
#include "models/training/checkpoint.h"
#include "models/training/feed.h"
#include "models/training/learning_rate.h"
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

ValidationScores validate(const Exec& exec, const Method& method, const std::vector<Example>& examples,
                          const TrainOptions& options, int64_t step) {
  const auto segment = [&](const Predictor& predictor, const Source& source) {
    try {
      return segment_source(exec, method, predictor, source, options.segment).instances.labels;
    } catch (const UnusableMaps& e) {
      refuse("training diverged: after step ", step, ' ', e.what(), "; try a lower --lr");
    }
  };
  const std::unique_ptr<Predictor> predictor = method.predictor(exec);
  std::vector<ImageScore> scores;
  for (const Example& e : examples)
    with_name(e.stem, [&] {
      Labels found = segment(*predictor, e.source);
      if (e.ignored) found = without_ignored(found, *e.ignored);
      scores.push_back(score(true_labels(e), found));
      if (options.scored) options.scored(e, found, scores.back());
    });
  return validation_scores(scores);
}

/// The images of all batches of a step.
struct StepImages {
  int64_t step;
  std::vector<std::string> images;
};

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& n : names)
    all += (all.empty() ? "" : ", ") + n;
  return all;
}

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

/// While this object exists, the method's parameters are the moving averages, if the run keeps them, because these are
/// what is scored and saved.
class Averaged {
 public:
  Averaged(Params& params, Stepper& stepper) : params_(params), stepper_(stepper) { exchange(); }
  ~Averaged() { exchange(); }
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  void exchange() {
    if (stepper_.average_values()) params_.exchange(stepper_.average_values(), stepper_.average_running());
  }
  Params& params_;
  Stepper& stepper_;
};

}  // namespace

void train(const Exec& exec, Method& method, const std::vector<Example>& originals,
           const std::vector<Example>& validation, const TrainOptions& o, const RunFiles& files, bool resume) {
  Ranks* const ranks = o.step.ranks;
  const int rank = ranks ? ranks->rank() : 0, rank_count = ranks ? ranks->count() : 1;
  const bool writes = rank == 0;
  const SampleSpec spec = method.sample_spec();
  if (o.crop % spec.multiple != 0 || o.crop < spec.multiple)
    refuse("--crop ", o.crop, ": expected a multiple of ", spec.multiple);
  const Json chosen = settings(o, exec, method, fingerprint(originals), fingerprint(validation));
  const std::vector<std::string> seen = image_fingerprints(originals);
  if (ranks) check_equal(*ranks, to_text(chosen));
  std::vector<Example> scaled;
  if (o.segment.scale != 1) scaled = scaled_examples(originals, o.segment.scale);
  const std::vector<Example>& examples = o.segment.scale != 1 ? scaled : originals;
  Appearance seen_as = appearance_of(examples);
  seen_as.pixel_size = (o.pixel_size > 0 ? o.pixel_size : common_pixel_size(originals)) / o.segment.scale;
  const Json appearance = to_json(seen_as);
  if (o.ignore_label && !method.ignore_negative_labels())
    refuse("--ignore-label ", *o.ignore_label, ": the method ", method.name(),
           " cannot leave pixels out of its losses");
  if (o.freeze_encoder) {
    if (method.encoder().empty()) refuse("--freeze encoder: the method ", method.name(), " has no single encoder");
    method.params().freeze(method.encoder());
  }
  Stepper stepper(exec, method, o.step);
  Checkpoint at;
  at.m = stepper.first_moment(), at.v = stepper.second_moment();
  at.average_values = stepper.average_values(), at.average_running = stepper.average_running();
  if (resume && std::filesystem::exists(files.state())) {
    load_checkpoint(files.state(), exec, method.params(), at, chosen);
    check_models(files, at, o.steps);
  } else {
    if (o.start)
      method.params().copy_from(exec, *o.start);
    else
      method.init(exec, o.seed);
    stepper.start_average();
  }
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

  LoaderOptions load = loader_options(exec, method);
  load.batch = o.batch, load.crop = o.crop, load.draw_by = o.draw_by, load.draws = o.draws;
  load.seed = o.seed, load.augment = o.augment, load.workers = std::max(1, o.workers);
  if (exec.device != Device::cpu && o.workers == 0) load.workers = std::clamp(omp_get_max_threads() - 1, 1, 8);
  const int accumulate = o.step.accumulate, parts = accumulate / rank_count;
  load.stride = rank_count, load.offset = rank;
  Loader loader(examples, load, target_maker(method), at.step * parts);
  Feed feed(exec, loader);
  std::optional<MetricsFile> metrics;
  if (writes) metrics.emplace(files.metrics(), at.step);
  std::optional<EventFile> events;
  if (o.tensorboard && writes) events.emplace(files.events(), at.step);
  Progress progress(at.step, o.steps);
  std::deque<StepImages> recent;
  // Memory of a step is idle between steps: free it, so that validation and saving do not need more on top of it.
  const auto release = [&] {
    stepper.release();
    pool_of(exec.device).trim();
  };
  int64_t since_row = 0, since_look = 0;
  std::vector<double> row_sums;

  for (int64_t step = at.step; step < o.steps; ++step) {
    recent.push_back({step, {}});
    if (recent.size() > remembered_steps) recent.pop_front();
    for (int part = 0; part < parts; ++part) {
      const Feed::Item& item = feed.next();
      recent.back().images.insert(recent.back().images.end(), item.stems.begin(), item.stems.end());
      stepper.step(item.batch, step, learning_rate(o.rate, step, o.steps), double(step) / double(o.steps), part);
      if (step + 1 < o.steps || part + 1 < parts) feed.prefetch();
    }
    since_look += accumulate, since_row += accumulate;

    const bool last = step + 1 == o.steps, save = last || (o.save_every > 0 && (step + 1) % o.save_every == 0);
    if (!save && since_look < check_every * accumulate) continue;
    if (stepper.first_bad() >= 0) stop_on_bad_loss(exec, method, stepper.first_bad(), recent);
    const std::vector<double> sums = stepper.take_sums();
    row_sums.resize(sums.size());
    for (size_t k = 0; k < sums.size(); ++k)
      row_sums[k] += sums[k];
    progress.show(step + 1, sums.back() / double(since_look), o.batch * accumulate);
    since_look = 0;
    if (!save) continue;

    release();
    at.step = step + 1;
    const bool scored = !validation.empty() && (last || (o.validate_every > 0 && at.step % o.validate_every == 0));
    Json info{{"training", chosen},
              {"trained_on", seen},
              {"appearance", appearance},
              {"step", at.step},
              {"software", "basin " BASIN_VERSION}};
    if (o.segment.scale != 1) info["scale"] = o.segment.scale;
    MetricsRow row{at.step, (at.step - 1) * accumulate / loader.steps_per_epoch(), {}};
    row.values.emplace_back("rate", learning_rate(o.rate, step, o.steps));
    for (size_t k = 0; k < row_sums.size(); ++k) {
      row.values.emplace_back(stepper.names()[k], row_sums[k] / double(since_row));
      row_sums[k] = 0;
    }
    since_row = 0;
    std::optional<ValidationScores> s;
    if (scored && writes) {
      const Averaged averaged(method.params(), stepper);
      s = validate(exec, method, validation, o, at.step);
      release();
      std::fprintf(stderr, "step %lld  validation AP50 %.4f  AP75 %.4f  AP90 %.4f  AP50:95 %.4f\n",
                   static_cast<long long>(at.step), s->ap50, s->ap75, s->ap90, s->ap);
      info["validation"] = to_json(*s);
      if (s->ap > at.best) save_model(files.best(), exec, method, info);
    }
    if (scored) {
      if (ranks) s = value_of_first(*ranks, s.value_or(ValidationScores()));
      if (s->ap > at.best) at.best = s->ap, at.best_step = at.step;
    }
    const auto add_score = [&](const char* name, double ValidationScores::*score) {
      row.values.emplace_back(name, s ? std::optional<double>((*s).*score) : std::nullopt);
    };
    add_score("val_AP50", &ValidationScores::ap50), add_score("val_AP75", &ValidationScores::ap75);
    add_score("val_AP90", &ValidationScores::ap90), add_score("val_AP50_95", &ValidationScores::ap);
    if (writes) {
      {
        const Averaged averaged(method.params(), stepper);
        save_model(files.last(), exec, method, info);
      }
      metrics->add(row);
      if (events) events->add(to_event(row, double(std::time(nullptr))));
      save_checkpoint(files.state(), exec, method.params(), at, chosen);
      if (o.saved) o.saved();
    }
    if (o.stop_after > 0 && at.step >= o.stop_after) return;
    if (o.patience > 0 && scored && at.step - at.best_step >= o.patience * o.validate_every) {
      std::fprintf(stderr, "training stops: no better score since step %lld\n", static_cast<long long>(at.best_step));
      break;
    }
  }
}

}  // namespace basin

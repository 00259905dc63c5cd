#include "models/training/recorder.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "data/metrics/truth_score.h"
#include "engine/pool.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"

namespace basin {
namespace {

/// Runs f, which uses the network on an image, and names the image and the step if the maps are unusable.
template <class F>
auto use_network(const std::string& image, int64_t step, F f) {
  return with_name(image, [&] {
    try {
      return f();
    } catch (const UnusableMaps& e) {
      refuse("training diverged: after step ", step, ' ', e.what(), "; try a lower --lr");
    }
  });
}

ValidationScores validate(const Exec& exec, const Method& method, const std::vector<Example>& examples,
                          const TrainOptions& options, int64_t step) {
  const std::unique_ptr<Predictor> predictor = method.predictor(exec);
  std::vector<ImageScore> scores;
  for (const Example& e : examples)
    use_network(e.stem, step, [&] {
      const Truth truth = truth_of(e);
      const Objects found = segment_source(exec, method, *predictor, e.source, options.segment).instances.labels;
      scores.push_back(score(truth, found));
      if (options.scored) options.scored(e, std::get<Labels>(counted_objects(truth, found).objects), scores.back());
    });
  return validation_scores(scores);
}

/// While this object exists, the method's parameters are the moving averages, if the run keeps them: these are scored
/// and saved.
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

bool writes_files(const TrainOptions& o) { return !o.step.ranks || o.step.ranks->rank() == 0; }

Recorder::Recorder(const Exec& exec, Method& method, Stepper& stepper, const TrainOptions& options,
                   const RunFiles& files, const Json& settings, Json info, const Example& sample, Checkpoint& at)
    : exec_(exec),
      method_(method),
      stepper_(stepper),
      options_(options),
      files_(files),
      settings_(settings),
      info_(std::move(info)),
      sample_(sample),
      at_(at),
      writes_(writes_files(options)) {
  if (writes_) metrics_.emplace(files.metrics(), at.step);
  if (options.tensorboard && writes_) events_.emplace(files.events(), at.step);
}

bool Recorder::save(MetricsRow row, const std::vector<Example>& validation, bool last) {
  release_memory();
  Json info = info_;
  info["step"] = at_.step;
  const bool scored =
      !validation.empty() && (last || (options_.validate_every > 0 && at_.step % options_.validate_every == 0));
  std::optional<ValidationScores> s;
  if (scored && writes_) {
    const Averaged averaged(method_.params(), stepper_);
    s = validate(exec_, method_, validation, options_, at_.step);
    release_memory();
    std::fprintf(stderr, "step %lld  validation AP50 %.4f  AP75 %.4f  AP90 %.4f  AP50:95 %.4f\n",
                 static_cast<long long>(at_.step), s->ap50, s->ap75, s->ap90, s->ap);
    info["validation"] = to_json(*s);
    if (s->ap > at_.best) save_model(files_.best(), exec_, method_, info);
  } else if (writes_) {
    check_on_sample();
  }
  if (scored) {
    if (options_.step.ranks) s = value_of_first(options_.step.ranks, s.value_or(ValidationScores()));
    if (s->ap > at_.best) at_.best = s->ap, at_.best_step = at_.step;
  }
  const auto add_score = [&](const char* name, double ValidationScores::*score) {
    row.values.emplace_back(name, s ? std::optional<double>((*s).*score) : std::nullopt);
  };
  add_score("val_AP50", &ValidationScores::ap50), add_score("val_AP75", &ValidationScores::ap75);
  add_score("val_AP90", &ValidationScores::ap90), add_score("val_AP50_95", &ValidationScores::ap);
  if (writes_) write(row, info);
  return scored;
}

void Recorder::check_on_sample() {
  constexpr int largest = 256;  // px
  const Averaged averaged(method_.params(), stepper_);
  const Source& source = sample_.source;
  const std::unique_ptr<Predictor> predictor = method_.predictor(exec_);
  use_network(sample_.stem, at_.step, [&] {
    const Tensor part =
        part_of(exec_, source, 0, 0, std::min(source.height(), largest), std::min(source.width(), largest));
    check_maps(exec_, predictor->predict(exec_, part, options_.segment.tiling));
  });
  release_memory();
}

void Recorder::write(const MetricsRow& row, const Json& info) {
  {
    const Averaged averaged(method_.params(), stepper_);
    save_model(files_.last(), exec_, method_, info);
  }
  metrics_->add(row);
  if (events_) events_->add(to_event(row, double(std::time(nullptr))));
  save_checkpoint(files_.state(), exec_, method_.params(), at_, settings_);
  if (options_.saved) options_.saved();
}

void Recorder::release_memory() {
  stepper_.release();
  pool_of(exec_.device).trim();
}

}  // namespace basin

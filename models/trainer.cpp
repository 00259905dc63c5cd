#include "models/trainer.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <deque>
#include <sstream>

#include "engine/files.h"
#include "engine/json.h"
#include "data/loader.h"
#include "data/metrics.h"
#include "engine/safetensors.h"
#include "kernels/adam.h"
#include "models/model_file.h"
#include "models/segmenter.h"

namespace basin {
namespace {

constexpr size_t remembered_batches = 64;
constexpr int64_t check_every = 8;  // steps between looks at what the device noticed

double rate_at(const TrainOptions& o, int64_t step) {
  if (o.schedule == Schedule::constant) return o.rate;
  return o.rate * 0.5 * (1 + std::cos(3.14159265358979323846 * double(step) / double(o.steps)));
}

/// The settings that decide the bytes of a run.
Json settings(const TrainOptions& o, const Method& method, const std::string& data) {
  Json j{{"batch", o.batch},
         {"crop", o.crop},
         {"lr", o.rate},
         {"schedule", o.schedule == Schedule::cosine ? "cosine" : "constant"},
         {"augment", to_string(o.augment)},
         {"seed", o.seed},
         {"save-every", o.save_every},
         {"validate-every", o.validate_every},
         {"data", data}};
  if (o.schedule == Schedule::cosine) j["steps"] = o.steps;
  const Json config = method.config();
  for (const auto& [key, value] : config.items())
    j["model " + key] = value;
  return j;
}

void refuse_changes(const Json& now, const Json& then, const std::string& file) {
  for (const auto& [key, value] : now.items())
    if (!then.contains(key) || then[key] != value)
      refuse("--resume with another ", key, ": ", to_text(value), " now, ",
             then.contains(key) ? to_text(then[key]) : "unset", " in ", file);
}

struct Scores {
  double ap50 = 0, ap75 = 0, ap90 = 0, ap = 0;
};

Json to_json(const Scores& s) {
  return {{"AP50 (stardist, per-image mean, >=)", s.ap50},
          {"AP75 (stardist, per-image mean, >=)", s.ap75},
          {"AP90 (stardist, per-image mean, >=)", s.ap90},
          {"AP50:95 (stardist, per-image mean, >=)", s.ap}};
}

Scores validate(const Exec& exec, Method& method, const std::vector<Example>& examples, const TilingOptions& tiling) {
  method.refresh(exec);
  std::vector<ImageScore> scores;
  for (const Example& e : examples) {
    Labels truth{e.source.height(), e.source.width(), 0, {}};
    for (int y = 0; y < truth.height; ++y)
      for (int x = 0; x < truth.width; ++x) {
        truth.ids.push_back(e.id(y, x));
        truth.count = std::max(truth.count, truth.ids.back());
      }
    scores.push_back(score(truth, segment_source(exec, method, e.source, tiling).labels));
  }
  const auto ap = [&](double t) { return mean_average_precision(scores, t).value_or(0); };
  Scores s{ap(0.5), ap(0.75), ap(0.9), 0};
  const std::vector<double> thresholds = coco_thresholds();
  for (const double t : thresholds)
    s.ap += ap(t) / double(thresholds.size());
  return s;
}

/// metrics.csv: one row per save; after --resume cut back to the state's step.
class MetricsFile {
 public:
  MetricsFile(std::filesystem::path path, int64_t resumed_step) : path_(std::move(path)) {
    if (resumed_step == 0 || !std::filesystem::exists(path_)) return;
    const std::vector<std::byte> bytes = read_file(path_);
    std::istringstream lines(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    for (std::string line; std::getline(lines, line);)
      if (text_.empty() || std::atoll(line.c_str()) <= resumed_step) text_ += line + '\n';
  }
  void add(const std::string& header, const std::string& row) {
    if (text_.empty()) text_ = header + '\n';
    text_ += row + '\n';
    write_atomically(path_, text_);
  }

 private:
  std::filesystem::path path_;
  std::string text_;
};

/// One line that says how far the run is: again and again on a terminal, every few seconds in a log.
class Progress {
 public:
  Progress(int64_t first, int64_t last)
      : first_(first), last_(last), terminal_(isatty(2)), start_(now()), shown_(start_) {}

  void show(int64_t step, double loss, int batch) {
    const double t = now(), every = terminal_ ? 0.5 : 10;
    if (t - shown_ < every && step < last_) return;
    shown_ = t;
    const double rate = double(step - first_) / std::max(t - start_, 1e-9);
    std::fprintf(stderr, "%sstep %lld/%lld  loss %.4f  %.1f images/s  %.0f s left%s", terminal_ ? "\r\x1b[K" : "",
                 static_cast<long long>(step), static_cast<long long>(last_), loss, rate * batch,
                 double(last_ - step) / std::max(rate, 1e-9), terminal_ && step < last_ ? "" : "\n");
    std::fflush(stderr);
  }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  int64_t first_, last_;
  bool terminal_;
  double start_, shown_;
};

/// What --resume needs, and nothing else does.
struct Checkpoint {
  int64_t step = 0;
  double best = -1;
};

void save_state(const Exec& exec, const Method& method, const Stepper& stepper, const Checkpoint& at,
                const Json& settings, const std::filesystem::path& path) {
  SafeTensors content;
  content.metadata["basin"] = to_text({{"settings", settings}, {"best", at.best}});
  add_parameters(content, exec, method.params());
  content.add("step", {1}, &at.step);
  const std::pair<const char*, const Tensor*> moments[] = {{"adam.m", &stepper.first_moment()},
                                                           {"adam.v", &stepper.second_moment()}};
  for (const auto& [name, tensor] : moments)
    content.add(name, {tensor->shape().size()}, tensor->to_host<float>(exec).data());
  const std::vector<std::byte> bytes = encode_safetensors(content);
  write_atomically(path, bytes.data(), bytes.size());
}

Checkpoint load_state(const Exec& exec, const Method& method, const Stepper& stepper, const Json& now,
                      const std::filesystem::path& path) {
  const std::string file = path.string();
  const SafeTensors content = decode_safetensors(read_file(path), file);
  const auto text = content.metadata.find("basin");
  const Json info = text == content.metadata.end() ? Json() : parse_json(text->second);
  const StoredTensor* step = content.find("step");
  if (!info.is_object() || !info.contains("settings") || !info.contains("best") || !info["best"].is_number() || !step ||
      step->dtype != "I64" || step->bytes.size() != 8)
    refuse(file, " is no training state");
  refuse_changes(now, info["settings"], file);
  read_parameters(content, exec, method.params(), file);
  const int64_t n = stepper.first_moment().shape().size();
  stepper.first_moment().copy_from_host(exec, content.floats("adam.m", {n}, file));
  stepper.second_moment().copy_from_host(exec, content.floats("adam.v", {n}, file));
  Checkpoint at;
  std::memcpy(&at.step, step->bytes.data(), 8);
  at.best = info["best"].get<double>();
  return at;
}

[[noreturn]] void stop_on_bad_loss(const Exec& exec, const Method& method, int64_t bad,
                                   const std::deque<std::pair<int64_t, std::string>>& recent) {
  double square = 0;
  for (const float v : method.params().values().to_host<float>(exec))
    square += double(v) * double(v);
  std::string images = "an earlier batch";
  for (const auto& [step, names] : recent)
    if (step == bad) images = names;
  refuse("the loss became NaN or infinite at step ", bad, " (images ", images, "; parameter norm ", std::sqrt(square),
         "): try a lower --lr, or look at these images");
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& n : names)
    all += (all.empty() ? "" : ", ") + n;
  return all;
}

}  // namespace

Stepper::Stepper(const Exec& exec, Method& method)
    : exec_(exec),
      method_(method),
      m_(Tensor::zeros(exec, method.params().values().shape())),
      v_(Tensor::zeros(exec, method.params().values().shape())),
      state_(Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8)),
      sums_(Tensor::zeros(exec, {8}, DType::f64)) {
  const StepState fresh;
  state_.copy_from_host(exec, &fresh);
}

void Stepper::step(const Batch& batch, int64_t step, double rate) {
  auto* state = static_cast<StepState*>(state_.raw());
  Params& params = method_.params();
  kernels::begin_step(exec_, step, float(rate), state);
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
  tape.backward(loss.total, Tensor::from<float>(exec_, {1}, {1}));
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
  const std::string data = fingerprint(examples);
  const Json chosen = settings(o, method, data);
  Stepper stepper(exec, method);
  Checkpoint at;
  if (resume && std::filesystem::exists(files.state()))
    at = load_state(exec, method, stepper, chosen, files.state());
  else
    method.params().init(exec, o.seed);
  if (at.step >= o.steps) {
    std::fprintf(stderr, "nothing to do: %lld steps are done\n", static_cast<long long>(at.step));
    return;
  }

  LoaderOptions load;
  load.batch = o.batch, load.crop = o.crop, load.margin = spec.margin, load.target_channels = method.target_channels();
  load.seed = o.seed, load.augment = o.augment, load.workers = o.workers;
  const MakeTargets targets = [&](View<const int32_t, 2> labels, View<float, 3> target) {
    method.make_targets(Exec(), labels, target);
  };
  Loader loader(examples, load, targets, at.step);
  MetricsFile metrics(files.metrics(), at.step);
  Progress progress(at.step, o.steps);
  std::deque<std::pair<int64_t, std::string>> recent;
  Json scores;
  int64_t since_row = 0, since_look = 0;
  std::vector<double> row_sums;

  for (int64_t step = at.step; step < o.steps; ++step) {
    const LoadedBatch& loaded = loader.next();
    recent.emplace_back(step, joined(loaded.stems));
    if (recent.size() > remembered_batches) recent.pop_front();
    const Batch batch{{{"image", loaded.image}, {"mask", loaded.mask}, {"target", loaded.target}}, {}};
    stepper.step(batch, step, rate_at(o, step));
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

    at.step = step + 1;
    const bool scored = !validation.empty() && (last || (o.validate_every > 0 && at.step % o.validate_every == 0));
    Json info{{"training", chosen}, {"step", at.step}, {"software", "basin " BASIN_VERSION}};
    std::string header = "step,epoch,rate", row;
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
      const Scores s = validate(exec, method, validation, o.tiling);
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
    save_state(exec, method, stepper, at, chosen, files.state());
  }
}

}  // namespace basin

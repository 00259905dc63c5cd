#pragma once
#include <optional>

#include "engine/json.h"
#include "models/inference/validation.h"
#include "models/training/checkpoint.h"
#include "models/training/trainer.h"
#include "models/training/training_log.h"

namespace basin {

/// Whether this process writes the files of a run: with several ranks, the first one does.
bool writes_files(const TrainOptions&);

/// What a run keeps of its progress: it scores the model from time to time, and writes models, metrics and the state.
/// With several ranks, the first one scores and writes for all of them.
class Recorder {
 public:
  /// All references must outlive it. `settings`: those of the checkpoint; `info`: what model files say about the
  /// run, to which save() adds the step and the scores. `at`: the state of the run, whose scores save() updates.
  /// `sample`: an image that the network sees before a model is saved without being scored.
  Recorder(const Exec&, Method&, Stepper&, const TrainOptions&, const RunFiles&, const Json& settings, Json info,
           const Example& sample, Checkpoint& at);

  /// Saves the run after at.step steps: scores the model on the validation images, if it is time, adds the scores to
  /// the row, and writes the files. `last`: after the last step. Returns whether the model was scored. Throws one
  /// sentence, and writes nothing, if the maps of the network cannot be decoded.
  bool save(MetricsRow, const std::vector<Example>& validation, bool last);

 private:
  /// Memory of a step is idle between steps: without it, validation and saving do not need more on top of it.
  void release_memory();
  void check_on_sample();
  void write(const MetricsRow&, const Json& info);

  const Exec& exec_;
  Method& method_;
  Stepper& stepper_;
  const TrainOptions& options_;
  const RunFiles& files_;
  const Json& settings_;
  Json info_;
  const Example& sample_;
  Checkpoint& at_;
  bool writes_;
  std::optional<MetricsFile> metrics_;
  std::optional<EventFile> events_;
};

}  // namespace basin

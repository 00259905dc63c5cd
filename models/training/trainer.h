#pragma once
#include <filesystem>
#include <functional>

#include "data/dataset/dataset.h"
#include "models/inference/segmenter.h"
#include "models/training/stepper.h"

namespace basin {

struct TrainOptions {
  int64_t steps = 0;           // in all; a resumed run goes on to this number
  int64_t stop_after = 0;      // steps after which this call ends as if it had been interrupted after a save; 0: never
  int64_t save_every = 0;      // steps between saves; the end is always saved
  int64_t validate_every = 0;  // steps between validations, a multiple of save_every; 0: at the end alone
  int batch = 2, crop = 256;
  LearningRate rate;
  StepperOptions step;
  int patience = 0;  // validations without a better score after which the run ends; 0: it goes on to its last step
  Augmentation augment;
  DrawBy draw_by = DrawBy::images;
  int64_t draws = 0;  // samples of an epoch; 0: draws_per_epoch()
  uint64_t seed = 0;
  const Params* start = nullptr;  // fine-tuning: the first values of the parameters; null: drawn with the seed
  int workers = 0;                 // that prepare batches; 0: 1, and as many as fit beside a GPU
  SegmentOptions segment;          // of validation
  std::function<void()> accepted;  // called once it is known that steps will be done, before the first
};

/// What a run leaves behind in its folder: last.safetensors, best.safetensors, last.state.safetensors,
/// metrics.csv. Each is written under a temporary name and renamed.
struct RunFiles {
  std::filesystem::path folder;
  std::filesystem::path last() const { return folder / "last.safetensors"; }
  std::filesystem::path best() const { return folder / "best.safetensors"; }
  std::filesystem::path state() const { return folder / "last.state.safetensors"; }
  std::filesystem::path metrics() const { return folder / "metrics.csv"; }
};

/// Trains `method`, whose parameters are allocated, on `train`, and scores it on `validation`, which may be empty.
/// `resume`: continues from state() where there is one, with the same bytes in every .safetensors as a run that never
/// stopped; changed settings are refused by name. More steps than before extend the run: the same bytes in last()
/// again, but its former end was scored too and may have remained the best(). A loss, a gradient or a running statistic
/// that is NaN or infinite stops the run with the step and the images of its batch. Progress goes to stderr.
void train(const Exec&, Method& method, const std::vector<Example>& train, const std::vector<Example>& validation,
           const TrainOptions&, const RunFiles&, bool resume);

}  // namespace basin

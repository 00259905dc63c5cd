#pragma once
#include <filesystem>
#include <functional>

#include "data/dataset/dataset.h"
#include "data/metrics/metrics.h"
#include "models/inference/segmenter.h"
#include "models/training/stepper.h"

namespace basin {

struct TrainOptions {
  int64_t steps = 0;           // total; a resumed run continues to this number
  int64_t stop_after = 0;      // return after this step as if interrupted right after a save; 0: never
  int64_t save_every = 0;      // steps between saves; the final step is always saved
  int64_t validate_every = 0;  // steps between validations, a multiple of save_every; 0: only at the end
  int batch = 2, crop = 256;
  LearningRate rate;
  StepperOptions step;
  int patience = 0;  // stop after this many validations without a better AP50:95; 0: never
  Augmentation augment;
  DrawBy draw_by = DrawBy::images;
  int64_t draws = 0;  // samples per epoch; 0: draws_per_epoch()
  uint64_t seed = 0;
  std::optional<int64_t> ignore_label;  // the value that Example::ignored is from
  const Params* start = nullptr;        // fine-tuning: the first values of the parameters; null: drawn with the seed
  bool freeze_encoder = false;          // do not change the tensors that begin with Method::encoder()
  int workers = 0;                      // threads that prepare batches; 0: 1, or on a GPU as many as the cores allow
  SegmentOptions segment;               // for validation; training images are seen at its scale too
  double pixel_size = 0;                // of the training images, um; 0: as their files say, if they agree
  bool tensorboard = false;             // write RunFiles::events() too
  std::function<void()> accepted;       // called once before the first step, when all settings have been accepted
  /// If set, called for each validation image that was scored, in their order.
  std::function<void(const Example&, const Labels& prediction, const ImageScore&)> scored;
  std::function<void()> saved;  // called after each save
};

/// The files that a run writes to its folder: last.safetensors, best.safetensors, last.state.safetensors, metrics.csv.
/// Each is written under a temporary name and renamed. The same numbers as in metrics.csv are appended to the events
/// for TensorBoard.
struct RunFiles {
  std::filesystem::path folder;
  std::filesystem::path last() const { return folder / "last.safetensors"; }
  std::filesystem::path best() const { return folder / "best.safetensors"; }
  std::filesystem::path state() const { return folder / "last.state.safetensors"; }
  std::filesystem::path metrics() const { return folder / "metrics.csv"; }
  std::filesystem::path events() const { return folder / "events.out.tfevents.basin"; }
};

/// Tells the method that pixels with the value of --ignore-label, if it is given, are left out of its losses. Throws
/// one sentence if the method cannot do that.
void leave_out_label(Method&, std::optional<int64_t> value);

/// Trains `method`, whose parameters must be allocated, on `train` and scores it on `validation`, which may be empty.
/// `resume`: continues from state() if it exists, with the same bytes in every .safetensors as an uninterrupted run;
/// refuses changed settings by name. More steps than before extend the run: last() has the same bytes as that of a
/// longer run, but the former last step was scored too and may remain the best(). A loss, gradient or running statistic
/// that becomes NaN or infinite stops the run with an error that names the step and the images of its batch. Progress
/// is reported on stderr.
void train(const Exec&, Method& method, const std::vector<Example>& train, const std::vector<Example>& validation,
           const TrainOptions&, const RunFiles&, bool resume);

}  // namespace basin

#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset/augment.h"
#include "data/dataset/dataset.h"
#include "engine/graph.h"
#include "engine/pool.h"
#include "models/method.h"

namespace basin {

/// The learning rate over a run: constant, or falling to 0 as half a cosine.
enum class Schedule { constant, cosine };

struct TrainOptions {
  int64_t steps = 0;           // in all
  int64_t save_every = 0;      // steps; 0: at the end alone
  int64_t validate_every = 0;  // steps, a multiple of save_every; 0: never
  int batch = 2, crop = 256;
  double rate = 2e-4;
  Schedule schedule = Schedule::constant;
  Augmentation augment;
  DrawBy draw_by = DrawBy::images;
  int64_t draws = 0;  // samples of an epoch; 0: draws_per_epoch()
  uint64_t seed = 0;
  int workers = 0;                 // that prepare batches; 0: 1, and as many as fit beside a GPU
  bool graph = true;               // on a GPU: a step is recorded once and started as a whole
  TilingOptions tiling;            // of validation
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
/// again, but its former end was scored too and may have remained the best(). A loss that is NaN or infinite stops the
/// run with the step and the images of its batch. Progress goes to stderr.
void train(const Exec&, Method& method, const std::vector<Example>& train, const std::vector<Example>& validation,
           const TrainOptions&, const RunFiles&, bool resume);

/// One training step: losses, gradients, Adam. What `basin bench train-step` times and train() repeats.
/// On a GPU whose stream is its own, `graph` records the step once for each of the two batches that take turns in
/// memory, and starts the recording from then on; the numbers are the same.
class Stepper {
 public:
  Stepper(const Exec&, Method&, bool graph = true);
  /// The losses of the step are added to the sums. Nothing is read back.
  void step(const Batch&, int64_t step, double rate);

  /// The names of the losses, the total last; empty before the first step.
  const std::vector<std::string>& names() const { return names_; }
  /// The sums since the last call, and zero again.
  std::vector<double> take_sums();
  /// The first step whose loss or gradient had a NaN or an infinity, or -1.
  int64_t first_bad() const;
  const Tensor& first_moment() const { return m_; }
  const Tensor& second_moment() const { return v_; }
  /// The recordings that there are.
  size_t recorded() const { return recorded_.size(); }
  /// Gives the steps' memory back until the next one.
  void release();

 private:
  struct Recorded {
    Batch batch;  // of this shape and in this memory
    Graph graph;
  };
  const Graph* graph_for(const Batch&);
  void put_step(const Batch&);

  Exec exec_;
  Method& method_;
  Pool pool_;     // of the GPU's steps alone, where exec brings none: a recording holds on to the addresses
  Pool* memory_;  // what steps take from; null where it is no pool
  Tensor m_, v_;  // Adam's
  Tensor state_;  // a StepState
  Tensor sums_;   // f64, one per loss
  Tensor one_;    // the gradient of the loss with respect to itself
  std::vector<std::string> names_;
  bool graph_;
  bool settled_ = false;  // the last step found all its memory in the pool
  std::vector<Recorded> recorded_;
};

}  // namespace basin

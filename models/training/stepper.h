#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/graph.h"
#include "engine/pool.h"
#include "models/method.h"
#include "models/training/data_parallel.h"

namespace basin {

struct StepperOptions {
  bool graph = true;          // on a GPU: capture a step as a CUDA graph and launch it as a whole
  int accumulate = 1;         // batches whose gradients are averaged before the parameters change
  Ranks* ranks = nullptr;     // on the CPU: share these batches, each rank taking every count()-th; null: one process
  bool join_batches = false;  // batch normalisations see the batches of the ranks as one
  int64_t bucket = 1 << 18;   // gradients that ranks exchange at once, at least
  kernels::AdamOptions adam = {};
  double clip = 0;     // largest norm of all gradients together; larger ones are scaled down to it; 0: no clipping
  double average = 0;  // decay of the moving average of the weights; 0: none
};

/// Training steps: losses, gradients, Adam. `basin bench train-step` times this and train() repeats it. On a GPU with
/// its own stream, `graph` captures the step once for each of the two alternating batches and then replays it; the
/// results are the same.
class Stepper {
 public:
  Stepper(const Exec&, Method&, const StepperOptions& = {});

  /// Processes batch `part` of the `accumulate` batches of a step, or of a rank's share of them; the last one changes
  /// the parameters. Adds the losses of the batch, or of the batches of all ranks, to the sums. `progress`: fraction of
  /// the training that is done. Nothing is copied to the host.
  void step(const Batch&, int64_t step, double rate, double progress = 0, int part = 0);

  /// The names of the losses, the total last; empty before the first step.
  const std::vector<std::string>& names() const { return names_; }
  /// Returns the sums since the last call and resets them to zero.
  std::vector<double> take_sums();
  /// The first step whose loss, gradient, running statistics or moments contained NaN or infinity, or -1.
  int64_t first_bad() const;
  const Tensor& first_moment() const { return m_; }
  const Tensor& second_moment() const { return v_; }
  /// The moving averages of parameters and running statistics; empty if none are kept.
  Tensor& average_values() { return average_values_; }
  Tensor& average_running() { return average_running_; }
  /// Sets the averages to the present parameters.
  void start_average();
  /// The number of captured graphs.
  size_t recorded() const { return recorded_.size(); }
  /// Releases the memory of the steps until the next one.
  void release();

 private:
  /// The position of a batch within a step: the first zeroes the gradients, the last changes the parameters.
  struct Part {
    bool first, last;
    bool operator==(const Part&) const = default;
  };
  struct Recorded {
    Batch batch;  // with this shape, type and memory
    Part part;
    Graph graph;
  };
  bool is_settled(Part) const;
  const Graph* graph_for(const Batch&, Part);
  void put_step(const Batch&, Part);
  void add_losses(const LossTerms&);

  Exec exec_;
  Method& method_;
  StepperOptions options_;
  std::optional<DataParallel> together_;
  Pool pool_;     // for the GPU's steps only, if exec has no pool: a captured graph keeps using the same addresses
  Pool* memory_;  // the pool that steps allocate from; null if it is not a Pool
  Tensor m_, v_;  // moments of Adam
  Tensor average_values_, average_running_;
  Tensor state_;  // a StepState
  Tensor sums_;   // f64, one per loss
  Tensor seed_;   // the gradient of a step's loss with respect to the loss of one batch
  std::vector<std::string> names_;
  std::vector<Part> settled_;  // the parts that have found all their memory in the pool since the pool last grew
  std::vector<Recorded> recorded_;
};

}  // namespace basin

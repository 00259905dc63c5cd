#pragma once
#include <string>
#include <vector>

#include "engine/graph.h"
#include "engine/pool.h"
#include "models/method.h"

namespace basin {

struct StepperOptions {
  bool graph = true;   // on a GPU: a step is recorded once and started as a whole
  int accumulate = 1;  // batches whose gradients are averaged before the parameters change
  kernels::AdamOptions adam = {};
  double clip = 0;     // gradients are scaled down to this norm, all together; 0: they are left as they are
  double average = 0;  // decay of the moving average of the weights; 0: none is kept
};

/// Training steps: losses, gradients, Adam. What `basin bench train-step` times and train() repeats.
/// On a GPU whose stream is its own, `graph` records the step once for each of the two batches that take turns in
/// memory, and starts the recording from then on; the numbers are the same.
class Stepper {
 public:
  Stepper(const Exec&, Method&, const StepperOptions& = {});

  /// Batch `part` of the `accumulate` batches of a step; the parameters change with the last. The losses of the batch
  /// are added to the sums. `progress`: the share of the training that is done. Nothing is read back.
  void step(const Batch&, int64_t step, double rate, double progress = 0, int part = 0);

  /// The names of the losses, the total last; empty before the first step.
  const std::vector<std::string>& names() const { return names_; }
  /// The sums since the last call, and zero again.
  std::vector<double> take_sums();
  /// The first step whose loss, gradient or running statistics had a NaN or an infinity, or -1.
  int64_t first_bad() const;
  const Tensor& first_moment() const { return m_; }
  const Tensor& second_moment() const { return v_; }
  /// The moving averages of parameters and running statistics; empty where none are kept.
  Tensor& average_values() { return average_values_; }
  Tensor& average_running() { return average_running_; }
  /// The averages begin at the parameters as they are now.
  void start_average();
  /// The recordings that there are.
  size_t recorded() const { return recorded_.size(); }
  /// Gives the steps' memory back until the next one.
  void release();

 private:
  /// Which parts of a step a batch goes with: the first zeroes the gradients, the last changes the parameters.
  struct Part {
    bool first, last;
    bool operator==(const Part&) const = default;
  };
  struct Recorded {
    Batch batch;  // of this shape, type and memory
    Part part;
    Graph graph;
  };
  const Graph* graph_for(const Batch&, Part);
  void put_step(const Batch&, Part);

  Exec exec_;
  Method& method_;
  StepperOptions options_;
  Pool pool_;     // of the GPU's steps alone, where exec brings none: a recording holds on to the addresses
  Pool* memory_;  // what steps take from; null where it is no pool
  Tensor m_, v_;  // Adam's
  Tensor average_values_, average_running_;
  Tensor state_;  // a StepState
  Tensor sums_;   // f64, one per loss
  Tensor seed_;   // the gradient of a step's loss with respect to that of one batch
  std::vector<std::string> names_;
  bool settled_ = false;  // the last step found all its memory in the pool
  std::vector<Recorded> recorded_;
};

}  // namespace basin

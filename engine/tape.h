#pragma once
#include <functional>
#include <initializer_list>
#include <vector>

#include "engine/pool.h"
#include "engine/tensor.h"

namespace basin {

/// A value in a computation. node < 0: a constant, which gets no gradient.
struct Var {
  Tensor value;
  int node = -1;
  std::function<Tensor()> recompute = {};  // if cheap: recomputes the value from other tensors that are kept anyway

  /// What a backward closure captures: only the shape if the value can be recomputed.
  Var kept() const { return recompute ? Var{value.without_data(), node, recompute} : *this; }
  /// The value of a Var that kept() returned.
  Tensor recomputed() const { return value ? value : recompute(); }
};

/// Records operations in the order in which they run; backward() goes through them in reverse, which is a topological
/// order, so no graph has to be sorted. The first writer of a gradient overwrites, later ones add: an operation asks
/// wants_sum() which applies.
class Tape {
 public:
  using Backward = std::function<void(const Tensor& d_out)>;

  enum class Mode { train, evaluate };  // evaluate: parameters are constants, so that nothing is recorded

  /// Temporary memory of all its operations comes from the device's pool, unless exec has its own.
  explicit Tape(const Exec& exec, Mode mode = Mode::train) : exec_(exec), mode_(mode) {
    if (!exec_.scratch) exec_.scratch = &pool_of(exec_.device);
  }
  Tape(const Tape&) = delete;  // recorded operations refer to it
  Tape& operator=(const Tape&) = delete;
  const Exec& exec() const { return exec_; }
  bool training() const { return mode_ == Mode::train; }

  /// Makes batch normalisations store the statistics of the batch in place of the running ones, so that those of
  /// several processes can be combined.
  void keep_batch_statistics() { keeps_batch_statistics_ = true; }
  bool keeps_batch_statistics() const { return keeps_batch_statistics_; }
  /// Makes batch normalisations see the batches of several processes as one. On the CPU.
  void join_batches(kernels::JoinedBatches* batches) { exec_.batches = batches; }

  /// While this object exists, a training tape behaves like an evaluating one: nothing is recorded, and batch
  /// normalisations use running statistics. For the frozen first layers of a network.
  class Evaluating {
   public:
    explicit Evaluating(Tape& tape) : tape_(tape), before_(tape.mode_) { tape.mode_ = Mode::evaluate; }
    ~Evaluating() { tape_.mode_ = before_; }
    Evaluating(const Evaluating&) = delete;
    Evaluating& operator=(const Evaluating&) = delete;

   private:
    Tape& tape_;
    Mode before_;
  };

  Var leaf(Tensor value) { return {std::move(value), push({})}; }
  Tensor empty_like(const Tensor& t) const { return Tensor::empty(exec_, t.shape(), t.dtype(), t.layout()); }

  /// Keeps `backward`, and the tensors that it captures, only if some input needs a gradient.
  Var record(Tensor out, std::initializer_list<Var> inputs, Backward backward) {
    for (const Var& in : inputs)
      if (in.node >= 0) return {std::move(out), push(std::move(backward))};
    return {std::move(out), -1};
  }

  /// The same for an operation with parameters, which need gradients whenever the tape trains.
  Var record_with_parameters(Tensor out, std::initializer_list<Var> inputs, Backward backward) {
    if (training()) return {std::move(out), push(std::move(backward))};
    return record(std::move(out), inputs, std::move(backward));
  }

  /// Propagates `seed`, the gradient of the root, back to every leaf. May be called once. Operations may overwrite the
  /// gradients that they receive, so the seed is copied if its memory is shared.
  /// `after`: called with the number of each node whose gradients have been passed on, in falling order.
  void backward(const Var& root, Tensor seed, const std::function<void(int node)>& after = {}) {
    BASIN_CHECK(root.node >= 0, "the root is a constant: there is nothing to differentiate");
    grad_of(root.node) = seed.owner().use_count() > 1 ? seed.clone(exec_) : std::move(seed);
    backward(after);
  }
  /// The same, starting from the gradients already written through gradient().
  void backward(const std::function<void(int node)>& after = {}) {
    for (int i = nodes() - 1; i >= 0; --i) {
      Node& node = nodes_[size_t(i)];
      if (!node.grad || !node.backward) continue;
      const Backward run = std::move(node.backward);
      const Tensor d_out = std::move(node.grad);
      node = {};  // frees the gradient and the saved tensors of this node
      run(d_out);
      if (after) after(i);
    }
  }
  /// The number of recorded operations and leaves. Later ones get numbers from there on.
  int nodes() const { return int(nodes_.size()); }

  bool wants_gradient(const Var& v) const { return v.node >= 0; }
  /// Whether a gradient of v has been written, so that the next writer must add to it.
  bool wants_sum(const Var& v) const { return bool(nodes_.at(size_t(v.node)).grad); }
  /// Where to write the gradient of v; not initialised unless wants_sum(v) was true before. v must need a gradient.
  const Tensor& gradient(const Var& v) {
    Tensor& g = grad_of(v.node);
    if (!g) g = empty_like(v.value);
    return g;
  }
  /// Where to add the gradient of v: zeroed on first use.
  const Tensor& gradient_sum(const Var& v) {
    const bool fresh = !wants_sum(v);
    const Tensor& g = gradient(v);
    if (fresh) g.zero(exec_);
    return g;
  }
  /// Sets a whole gradient tensor, for operations that pass d_out on unchanged. Only if !wants_sum(v).
  void set_gradient(const Var& v, Tensor g) { grad_of(v.node) = std::move(g); }
  /// A leaf's gradient after backward(); empty if it got none.
  const Tensor& grad(const Var& v) const { return nodes_.at(size_t(v.node)).grad; }

 private:
  struct Node {
    Tensor grad;
    Backward backward;
  };
  Tensor& grad_of(int node) { return nodes_.at(size_t(node)).grad; }
  int push(Backward b) {
    nodes_.push_back({Tensor(), std::move(b)});
    return int(nodes_.size()) - 1;
  }

  Exec exec_;
  Mode mode_;
  bool keeps_batch_statistics_ = false;
  std::vector<Node> nodes_;
};

}  // namespace basin

#pragma once
#include <functional>
#include <initializer_list>
#include <vector>

#include "engine/pool.h"
#include "engine/tensor.h"

namespace basin {

/// A value in a computation. node < 0: a constant, to which no gradient flows.
struct Var {
  Tensor value;
  int node = -1;
  std::function<Tensor()> recompute = {};  // where it is cheap: computes the value anew from what is kept anyway

  /// What a backward closure captures: without the value where it can be recomputed; its shape stays.
  Var kept() const { return recompute ? Var{value.without_data(), node, recompute} : *this; }
  /// The value of what kept() returned.
  Tensor recomputed() const { return value ? value : recompute(); }
};

/// Records operations in the order they run; backward() replays them in reverse.
/// That order is already topological, so there is no graph to sort. A gradient's first writer overwrites, later ones
/// add: an op asks wants_sum() which it is.
class Tape {
 public:
  using Backward = std::function<void(const Tensor& d_out)>;

  enum class Mode { train, evaluate };  // evaluate: parameters are constants, so nothing of a network is recorded

  /// Temporary memory of all its operations comes from the device's pool, unless exec brings its own.
  explicit Tape(const Exec& exec, Mode mode = Mode::train) : exec_(exec), mode_(mode) {
    if (!exec_.scratch) exec_.scratch = &pool_of(exec_.device);
  }
  Tape(const Tape&) = delete;  // what is recorded refers to it
  Tape& operator=(const Tape&) = delete;
  const Exec& exec() const { return exec_; }
  bool training() const { return mode_ == Mode::train; }

  Var leaf(Tensor value) { return {std::move(value), push({})}; }
  Tensor empty_like(const Tensor& t) const { return Tensor::empty(exec_, t.shape(), t.dtype(), t.layout()); }

  /// Keeps `backward` only if some input wants a gradient. What it captures is what stays in memory.
  Var record(Tensor out, std::initializer_list<Var> inputs, Backward backward) {
    for (const Var& in : inputs)
      if (in.node >= 0) return {std::move(out), push(std::move(backward))};
    return {std::move(out), -1};
  }

  /// The same for an op with parameters, which want gradients whenever the tape trains.
  Var record_with_parameters(Tensor out, std::initializer_list<Var> inputs, Backward backward) {
    if (training()) return {std::move(out), push(std::move(backward))};
    return record(std::move(out), inputs, std::move(backward));
  }

  /// Sends `seed`, the gradient of the root, back to every leaf. May be called once. Operations may write over a
  /// gradient that reaches them, so that they get a copy where the caller or anybody else still holds the seed's
  /// memory.
  void backward(const Var& root, Tensor seed) {
    BASIN_CHECK(root.node >= 0, "nothing to differentiate");
    grad_of(root.node) = seed.owner().use_count() > 1 ? seed.clone(exec_) : std::move(seed);
    backward();
  }
  /// The same, from the gradients already put into the nodes through gradient().
  void backward() {
    for (int i = int(nodes_.size()) - 1; i >= 0; --i) {
      Node& node = nodes_[size_t(i)];
      if (!node.grad || !node.backward) continue;
      const Backward run = std::move(node.backward);
      const Tensor d_out = std::move(node.grad);
      node = {};  // an inner gradient and its saved tensors are dead from here on
      run(d_out);
    }
  }

  bool wants_gradient(const Var& v) const { return v.node >= 0; }
  /// True if a gradient of v was written before, so that the next writer must add to it.
  bool wants_sum(const Var& v) const { return bool(nodes_.at(size_t(v.node)).grad); }
  /// Where to write the gradient of v, not initialised unless wants_sum(v) said true before. v wants a gradient.
  const Tensor& gradient(const Var& v) {
    Tensor& g = grad_of(v.node);
    if (!g) g = empty_like(v.value);
    return g;
  }
  /// Where to add the gradient of v: zeroed the first time.
  const Tensor& gradient_sum(const Var& v) {
    const bool fresh = !wants_sum(v);
    const Tensor& g = gradient(v);
    if (fresh) g.zero(exec_);
    return g;
  }
  /// A whole gradient tensor, handed over: for ops that pass d_out on unchanged. Only where !wants_sum(v).
  void set_gradient(const Var& v, Tensor g) { grad_of(v.node) = std::move(g); }
  /// A leaf's gradient after backward(); empty if none reached it.
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
  std::vector<Node> nodes_;
};

}  // namespace basin

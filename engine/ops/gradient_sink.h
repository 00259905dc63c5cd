#pragma once
#include "engine/tape.h"
#include "kernels/nn/resample.h"

namespace basin {

/// A tensor for one number, such as a loss.
inline Tensor one_number(Tape& tape, DType dtype) { return Tensor::empty(tape.exec(), {1}, dtype); }

/// For a backward closure that needs the shape of an input but not its value.
inline Var shape_of(const Var& v) { return {v.value.without_data(), v.node}; }

/// Where an operation writes the gradient of v by overwriting: v's own gradient if it has none yet, otherwise a
/// temporary tensor that is then added to it.
class GradientSink {
 public:
  GradientSink(Tape& tape, const Var& v) : tape_(tape), var_(v), wanted_(tape.wants_gradient(v)) {
    if (wanted_) adds_ = tape.wants_sum(v);
    tensor_ = wanted_ && !adds_ ? tape.gradient(v) : tape.empty_like(v.value);
  }
  /// The same for an element-wise operation: it may overwrite d_out, which is not read afterwards.
  GradientSink(Tape& tape, const Var& v, const Tensor& d_out) : tape_(tape), var_(v), wanted_(tape.wants_gradient(v)) {
    if (wanted_) adds_ = tape.wants_sum(v);
    tensor_ = d_out;
    if (wanted_ && !adds_) tape.set_gradient(v, d_out);
  }
  const Tensor& tensor() const { return tensor_; }
  void finish() {
    if (!wanted_ || !adds_) return;
    with_map(tensor_.dtype(), [&]<class T>(T) {
      kernels::add_to<T>(tape_.exec(), tensor_.features<const T>(), tape_.gradient(var_).features<T>());
    });
  }

 private:
  Tape& tape_;
  Var var_;
  bool wanted_, adds_ = false;
  Tensor tensor_;
};

}  // namespace basin

#pragma once
#include <compare>
#include <dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "kernels/conv/conv_algorithms.h"
#include "kernels/conv/conv_geometry.h"
#include "kernels/runtime/exec.h"

// A pass of a convolution by oneDNN: its primitive, and the reorders of its weight.

namespace basin::kernels {

/// The device on which oneDNN's primitives run.
const dnnl::engine& onednn_engine();

/// All that a primitive depends on.
struct OneDnnProblem {
  ConvPass pass;
  int n, in, out, slices, h, w, in_block, out_block;  // h, w: of a slice of x
  ConvGeometry geometry;
  int weight_in;  // input channels of the weight, of which `in` are used
  bool bias, add, relu;
  bool prepared;  // whether the reordered weight is kept for the next call
  bool bf16;      // type of the maps, and of the reordered weight; plain weights and biases are float32
  int threads;

  auto operator<=>(const OneDnnProblem&) const = default;
};

/// A primitive with its memory objects; execute() sets their addresses, so only one thread at a time may call it.
class OneDnnPlan {
 public:
  explicit OneDnnPlan(const OneDnnProblem&);

  /// `weight` and `bias` are plain; `bias` may be null. `out` is read if it is added to, and by the backward passes.
  void execute(const Exec&, dnnl::stream&, const void* x, const void* weight, const void* bias, const void* out);

 private:
  bool make(const OneDnnProblem&);

  bool prepared_;
  std::optional<dnnl::primitive> primitive_;
  std::optional<dnnl::reorder> before_, after_;
  dnnl::memory x_, weight_, packed_, bias_, out_, scratchpad_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace basin::kernels

#pragma once
#include <functional>

#include "kernels/runtime/exec.h"

struct CUgraphExec_st;  // cudaGraphExec_t is a pointer to this

namespace basin {

/// A CUDA graph: work on a GPU's stream, captured once and then launched as a whole instead of as hundreds of kernels.
/// It uses the memory addresses and the kernel arguments of the capture, so that memory must not be freed or moved, and
/// values that change from run to run must be in device memory.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;

  /// Captures what `work` queues on exec.stream, which must not be the default stream, without running it. `work` must
  /// neither wait for the GPU nor allocate memory from the system.
  static Graph record(const Exec& exec, const std::function<void()>& work);
  /// Queues the graph on the stream. Does not wait.
  void run(const Exec&) const;
  explicit operator bool() const { return executable_ != nullptr; }

 private:
  CUgraphExec_st* executable_ = nullptr;
};

}  // namespace basin

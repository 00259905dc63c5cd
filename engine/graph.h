#pragma once
#include <functional>

#include "kernels/runtime/exec.h"

struct CUgraphExec_st;  // what a cudaGraphExec_t points to

namespace basin {

/// Work on a GPU's stream, recorded once and then started as a whole: one launch instead of hundreds. It reads and
/// writes the memory that it was recorded with, which must stay where it is, and takes the values of kernel arguments
/// from the recording: what changes from run to run has to lie in device memory.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;

  /// Records what `work` puts on exec.stream, which must be a stream of its own, without running it. `work` must
  /// neither wait for the GPU nor take memory from the system.
  static Graph record(const Exec& exec, const std::function<void()>& work);
  /// Runs it after what is on the stream already. Does not wait.
  void run(const Exec&) const;
  explicit operator bool() const { return executable_ != nullptr; }

 private:
  CUgraphExec_st* executable_ = nullptr;
};

}  // namespace basin

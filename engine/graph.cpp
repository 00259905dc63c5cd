#include "engine/graph.h"

#include <utility>

#include "kernels/runtime/platform.h"

namespace basin {

Graph::Graph(Graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(executable_, other.executable_);
  return *this;
}

#if BASIN_CUDA
Graph::~Graph() {
  if (executable_) (void)cudaGraphExecDestroy(executable_);
}

Graph Graph::record(const Exec& exec, const std::function<void()>& work) {
  BASIN_CHECK(exec.device == Device::cuda && exec.stream, "capturing a graph needs a GPU with its own stream");
  // The capture is restricted to this thread, because others, which prepare batches, may call the runtime meanwhile.
  BASIN_CUDA_CHECK(cudaStreamBeginCapture(exec.stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    (void)cudaStreamEndCapture(exec.stream, &graph);
    if (graph) (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();  // otherwise the next launch reports this error
    throw;
  }
  const cudaError_t ended = cudaStreamEndCapture(exec.stream, &graph);
  if (ended != cudaSuccess) (void)cudaGetLastError();
  BASIN_CUDA_CHECK(ended);
  Graph recorded;
  const cudaError_t error = cudaGraphInstantiate(&recorded.executable_, graph, 0);
  (void)cudaGraphDestroy(graph);
  BASIN_CUDA_CHECK(error);
  return recorded;
}

void Graph::run(const Exec& exec) const {
  BASIN_CHECK(executable_, "no graph was captured");
  BASIN_CUDA_CHECK(cudaGraphLaunch(executable_, exec.stream));
}
#else
Graph::~Graph() = default;
Graph Graph::record(const Exec&, const std::function<void()>&) {
  BASIN_CHECK(false, "this build has no CUDA");
  return {};
}
void Graph::run(const Exec&) const { BASIN_CHECK(false, "this build has no CUDA"); }
#endif

}  // namespace basin

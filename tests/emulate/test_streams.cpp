#include "engine/pool.h"
#include "kernels/runtime/parallel.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

// Where streams, events, graphs and the host leave the order of work undetermined, the emulated device executes it in a
// random order, so that a missing wait gives wrong numbers.

namespace {

/// Two streams, a number on the device and a number in pinned host memory.
struct Streams {
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
  int *there = nullptr, *pinned = nullptr;

  Streams() {
    for (cudaStream_t* s : {&a, &b})
      REQUIRE(cudaStreamCreateWithFlags(s, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
    REQUIRE(cudaMalloc(reinterpret_cast<void**>(&there), sizeof(int)) == cudaSuccess);
    REQUIRE(cudaMallocHost(reinterpret_cast<void**>(&pinned), sizeof(int)) == cudaSuccess);
    *pinned = 0;
    set(a, 1);
    wait(a);
  }
  ~Streams() {
    cudaDeviceSynchronize();
    cudaFree(there);
    cudaFreeHost(pinned);
    cudaEventDestroy(event);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
  }
  Streams(const Streams&) = delete;
  void set(cudaStream_t s, int value) const { launch(on(s), 1, 1, set_number, there, value); }
  void add(cudaStream_t s, int value) const { launch(on(s), 1, 1, add_number, there, value); }
  void copy(cudaStream_t s) const {
    BASIN_CUDA_CHECK(cudaMemcpyAsync(pinned, there, sizeof(int), cudaMemcpyDeviceToHost, s));
  }
  void send(cudaStream_t s) const {
    BASIN_CUDA_CHECK(cudaMemcpyAsync(there, pinned, sizeof(int), cudaMemcpyHostToDevice, s));
  }
  void record(cudaStream_t s) const { BASIN_CUDA_CHECK(cudaEventRecord(event, s)); }
  void follow(cudaStream_t s) const { BASIN_CUDA_CHECK(cudaStreamWaitEvent(s, event)); }
  void wait(cudaStream_t s) const { BASIN_CUDA_CHECK(cudaStreamSynchronize(s)); }
  cudaGraphExec_t recorded(cudaStream_t s, const std::function<void()>& work) const {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    BASIN_CUDA_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    work();
    BASIN_CUDA_CHECK(cudaStreamEndCapture(s, &graph));
    BASIN_CUDA_CHECK(cudaGraphInstantiate(&exec, graph));
    cudaGraphDestroy(graph);
    return exec;
  }

 private:
  static void set_number(int* to, int value) { *to = value; }
  static void add_number(int* to, int value) { *to += value; }
  static Exec on(cudaStream_t s) {
    Exec exec = execs().at(1);
    exec.stream = s;
    return exec;
  }
};

/// Whether `work` returns `right` in each of many execution orders.
bool always(int right, const std::function<int(const Streams&)>& work) {
  bool all = true;
  for (int k = 0; k < 40; ++k)
    all = work(Streams()) == right && all;
  return all;
}

}  // namespace

TEST_CASE("emulate: a missing wait between streams, events, graphs and host gives wrong numbers in some order") {
  using S = const Streams&;
  // First with the wait that is needed, then without it.
  for (const bool ordered : {true, false}) {
    CAPTURE(ordered);
    CHECK(ordered == always(2, [&](S s) {  // the host waits for a copy before it reads
            s.set(s.a, 2), s.copy(s.a);
            if (ordered) s.wait(s.a);
            return *s.pinned;
          }));
    CHECK(ordered == always(2, [&](S s) {  // a stream waits for another one's write
            s.set(s.a, 2), s.record(s.a);
            if (ordered) s.follow(s.b);
            s.copy(s.b), s.wait(s.b);
            return *s.pinned;
          }));
    CHECK(ordered == always(2, [&](S s) {  // the event is recorded after the write, not before
            if (!ordered) s.record(s.a);
            s.set(s.a, 2);
            if (ordered) s.record(s.a);
            s.follow(s.b), s.copy(s.b), s.wait(s.b);
            return *s.pinned;
          }));
    CHECK(ordered == always(1, [&](S s) {  // a number is read before another stream writes the next one
            s.copy(s.a), s.record(s.a);
            if (ordered) s.follow(s.b);
            s.set(s.b, 2), s.wait(s.a);
            return *s.pinned;
          }));
    CHECK(ordered == always(3, [&](S s) {  // the host changes its memory only after it has been copied
            *s.pinned = 3;
            s.send(s.a), s.record(s.a);
            if (ordered) BASIN_CUDA_CHECK(cudaEventSynchronize(s.event));
            *s.pinned = 4;
            s.wait(s.a), s.copy(s.a), s.wait(s.a);
            return *s.pinned;
          }));
    CHECK(ordered == always(12, [&](S s) {  // a graph runs after its input has arrived
            const cudaGraphExec_t graph = s.recorded(s.b, [&] { s.add(s.b, 10), s.copy(s.b); });
            s.set(s.a, 2), s.record(s.a);
            if (ordered) s.follow(s.b);
            BASIN_CUDA_CHECK(cudaGraphLaunch(graph, s.b));
            s.wait(s.b);
            cudaGraphExecDestroy(graph);
            return *s.pinned;
          }));
    CHECK(ordered == always(11, [&](S s) {  // a graph's result is read before the next launch overwrites it
            const cudaGraphExec_t graph = s.recorded(s.a, [&] { s.add(s.a, 10); });
            BASIN_CUDA_CHECK(cudaGraphLaunch(graph, s.a));
            s.record(s.a), s.follow(s.b), s.copy(s.b), s.record(s.b);
            if (ordered) s.follow(s.a);
            BASIN_CUDA_CHECK(cudaGraphLaunch(graph, s.a));
            s.wait(s.b);
            cudaGraphExecDestroy(graph);
            return *s.pinned;
          }));
    CHECK(ordered == always(1, [&](S s) {  // a pool reuses memory in another stream only after its last use
            Pool pool(Device::cuda);
            void* block = pool.take(sizeof(int));
            BASIN_CUDA_CHECK(cudaMemcpyAsync(block, s.there, sizeof(int), cudaMemcpyDeviceToDevice, s.a));
            BASIN_CUDA_CHECK(cudaMemcpyAsync(s.pinned, block, sizeof(int), cudaMemcpyDeviceToHost, s.a));
            pool.give(block, sizeof(int));
            s.record(s.a);
            if (ordered) s.follow(s.b);
            void* again = pool.take(sizeof(int));
            REQUIRE(again == block);
            BASIN_CUDA_CHECK(cudaMemsetAsync(again, 0, sizeof(int), s.b));
            s.wait(s.a), s.wait(s.b);
            return *s.pinned;
          }));
  }
}

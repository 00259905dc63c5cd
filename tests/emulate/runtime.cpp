#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "tests/emulate/cuda_runtime.h"

using Work = std::function<void()>;

struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::shared_ptr<std::vector<Work>> work;
};
struct CUevent_st {
  std::shared_ptr<bool> passed = std::make_shared<bool>(true);
  std::shared_ptr<double> at = std::make_shared<double>(0);  // ms
  cudaStream_t stream = nullptr;
};
struct CUstream_st {
  std::deque<Work> queue;
  std::unique_ptr<CUgraph_st> capture;
  bool invalidated = false;  // by a call that is not allowed during capture
};

namespace {

constexpr size_t address_space = size_t(1) << 40;
constexpr size_t page = 4096;
constexpr size_t max_queued = 20000;  // when this many are queued, they are executed

std::recursive_mutex mutex;
CUstream_st default_stream;
std::vector<cudaStream_t> streams{&default_stream};
int waited = 0;
int captures = 0;  // the number of streams being captured
std::mt19937 stream_order;
bool failed = false;
cudaError_t last_error = cudaSuccess;

/// Stores an error for cudaGetLastError, as every call does.
cudaError_t set_last_error(cudaError_t e) {
  if (e != cudaSuccess) last_error = e;
  return e;
}
/// A call that must not occur during capture.
cudaError_t refused_in_capture() {
  for (cudaStream_t s : streams)
    s->invalidated = s->invalidated || s->capture;
  return set_last_error(cudaErrorStreamCaptureUnsupported);
}

/// The device's memory: addresses are never reused, so that freed memory stays inaccessible.
struct Memory {
  std::byte* base = nullptr;
  size_t end = 0, in_use = 0, limit = 0;
  std::map<std::byte*, size_t> live;
  std::map<std::byte*, size_t> pinned;  // pinned host memory
  bool open = false;

  Memory() {
    void* all = mmap(nullptr, address_space, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) std::abort();
    base = static_cast<std::byte*>(all);
    const char* mib = std::getenv("BASIN_EMULATED_MEMORY");
    limit = (mib ? size_t(std::atoll(mib)) : 8192) << 20;
  }
  void protect(bool now_open) {
    if (open == now_open) return;
    open = now_open;
    for (const auto& [block, bytes] : live)
      protect(block, bytes, open);
  }
  static void protect(std::byte* block, size_t bytes, bool now_open) {
    if (mprotect(block, bytes, now_open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) std::abort();
  }
  std::byte* take(size_t bytes) {
    const size_t size = (bytes + page - 1) / page * page;
    if (in_use + size > limit || end + size + page > address_space) return nullptr;
    std::byte* block = base + end;
    end += size + page;  // an unused page in between
    in_use += size;
    live[block] = bytes;
    protect(block, bytes, true);
    std::memset(block, 0xFF, size);
    if (!open) protect(block, bytes, false);
    return block;
  }
  bool give(void* p) {
    const auto at = live.find(static_cast<std::byte*>(p));
    if (at == live.end()) return false;
    const size_t size = (at->second + page - 1) / page * page;
    in_use -= size;
    protect(at->first, at->second, false);
    madvise(at->first, size, MADV_DONTNEED);
    live.erase(at);
    return true;
  }
  static bool holds(const std::map<std::byte*, size_t>& all, const void* p, size_t bytes) {
    auto* at = static_cast<std::byte*>(const_cast<void*>(p));
    auto after = all.upper_bound(at);
    if (after == all.begin()) return false;
    --after;
    return at + bytes <= after->first + after->second;
  }
};
Memory& memory() {
  static Memory* all = new Memory;
  return *all;
}

cudaStream_t real(cudaStream_t s) { return s ? s : &default_stream; }

void run(const Work& work) {
  if (!failed) work();
}

bool advance(cudaStream_t s) {
  if (s->queue.empty()) return false;
  const Work work = std::move(s->queue.front());
  s->queue.pop_front();
  run(work);
  return true;
}

/// Before each piece of the stream's work another stream may run some of its own, as far as events allow.
void drain(cudaStream_t s) {
  const bool was_open = memory().open;
  memory().protect(true);
  do {
    if (streams.size() < 2 || stream_order() % 2) continue;
    cudaStream_t other = streams[stream_order() % streams.size()];
    for (auto pieces = stream_order() % 4; pieces > 0 && advance(other); --pieces) {
    }
  } while (advance(s));
  memory().protect(was_open);
}
void wait(cudaStream_t s) {
  waited += !s->queue.empty();
  drain(s);
}
void wait_all() {
  for (cudaStream_t s : streams)
    wait(s);
}

cudaError_t state() { return failed ? cudaErrorLaunchFailure : cudaSuccess; }

/// Queues work on the stream, or adds it to the graph that is being captured.
cudaError_t enqueue(cudaStream_t stream, Work work) {
  cudaStream_t s = real(stream);
  if (s->capture) {
    s->capture->work.push_back(std::move(work));
    return cudaSuccess;
  }
  if (s == &default_stream && captures > 0) return refused_in_capture();
  s->queue.push_back(std::move(work));
  if (s->queue.size() > max_queued) drain(s);
  return state();
}

}  // namespace

namespace emulate {

cudaError_t launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> thread) {
  const std::lock_guard lock(mutex);
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024 || grid.x == 0 || grid.x > 0x7fffffffu || grid.y == 0 || grid.y > 65535 ||
      grid.z == 0 || grid.z > 65535)
    return set_last_error(cudaErrorInvalidConfiguration);
  return enqueue(stream, [grid, block, thread = std::move(thread)] {
    if (!run_grid(grid, block, thread)) failed = true;
  });
}

cudaError_t library_call(cudaStream_t stream, std::function<void()> work) {
  const std::lock_guard lock(mutex);
  return enqueue(stream, std::move(work));
}

size_t set_memory(size_t bytes) {
  const std::lock_guard lock(mutex);
  return std::exchange(memory().limit, bytes);
}
size_t memory_in_use() {
  const std::lock_guard lock(mutex);
  wait_all();
  return memory().in_use;
}
int waits() { return waited; }

void forget_failure() {
  const std::lock_guard lock(mutex);
  wait_all();
  failed = false;
  last_error = cudaSuccess;
}

}  // namespace emulate

const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorLaunchFailure:
      return emulate::failure().c_str();
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when a stream is capturing";
    default:
      return "invalid argument";
  }
}

cudaError_t cudaGetLastError() { return failed ? state() : std::exchange(last_error, cudaSuccess); }
cudaError_t cudaGetDeviceCount(int* n) { return *n = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* index) { return *index = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int index) { return index == 0 ? cudaSuccess : cudaErrorInvalidValue; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::snprintf(p->name, sizeof p->name, "emulated device");
  p->major = 6, p->minor = 1, p->multiProcessorCount = 1;
  p->totalGlobalMem = memory().limit;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard lock(mutex);
  *total = memory().limit;
  *free = memory().limit - memory().in_use;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  const std::lock_guard lock(mutex);
  if (captures > 0) return refused_in_capture();
  wait_all();
  return state();
}

cudaError_t cudaMalloc(void** p, size_t bytes) {
  const std::lock_guard lock(mutex);
  if (captures > 0) return refused_in_capture();
  *p = memory().take(bytes);
  return set_last_error(*p ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* p) {
  const std::lock_guard lock(mutex);
  if (captures > 0) return refused_in_capture();
  wait_all();
  return set_last_error(!p || memory().give(p) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t) { return cudaMalloc(p, bytes); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  return enqueue(stream, [p] {
    if (!memory().give(p)) std::abort();
  });
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) { return *pool = nullptr, cudaSuccess; }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMallocHost(void** p, size_t bytes) {
  const std::lock_guard lock(mutex);
  *p = std::aligned_alloc(page, (bytes + page - 1) / page * page);
  if (!*p) return set_last_error(cudaErrorMemoryAllocation);
  memory().pinned[static_cast<std::byte*>(*p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) {
  const std::lock_guard lock(mutex);
  wait_all();
  if (memory().pinned.erase(static_cast<std::byte*>(p)) == 0) return set_last_error(cudaErrorInvalidValue);
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  if (bytes == 0) return state();
  Memory& m = memory();
  const auto on_device = [&](const void* p) { return Memory::holds(m.live, p, bytes); };
  const auto is_pinned = [&](const void* p) { return Memory::holds(m.pinned, p, bytes); };
  if (on_device(from) != (kind != cudaMemcpyHostToDevice) || on_device(to) != (kind != cudaMemcpyDeviceToHost))
    return set_last_error(cudaErrorInvalidValue);
  const Work copy = [=] { std::memcpy(to, from, bytes); };
  const bool waits = kind != cudaMemcpyDeviceToDevice && !is_pinned(kind == cudaMemcpyHostToDevice ? from : to);
  if (!waits) return enqueue(stream, copy);
  if (captures > 0) return refused_in_capture();
  if (kind == cudaMemcpyHostToDevice) {  // copies the present contents of host memory
    const auto* begin = static_cast<const std::byte*>(from);
    return enqueue(stream, [to, held = std::vector<std::byte>(begin, begin + bytes)] {
      std::memcpy(to, held.data(), held.size());
    });
  }
  enqueue(stream, copy);
  wait(real(stream));
  return state();
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  if (bytes > 0 && !Memory::holds(memory().live, to, bytes)) return set_last_error(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::memset(to, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  const std::lock_guard lock(mutex);
  *s = new CUstream_st;
  streams.push_back(*s);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
  const std::lock_guard lock(mutex);
  wait(s);
  streams.erase(std::find(streams.begin(), streams.end(), s));
  delete s;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  const std::lock_guard lock(mutex);
  if (captures > 0) return refused_in_capture();
  wait(real(s));
  return state();
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return *e = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t e) {
  delete e;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  const std::lock_guard lock(mutex);
  e->passed = std::make_shared<bool>(false);
  e->stream = real(s);
  e->at = std::make_shared<double>(0);
  return enqueue(s, [passed = e->passed, at = e->at] {
    using namespace std::chrono;
    *passed = true;
    *at = duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
  });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  const std::lock_guard lock(mutex);
  if (real(s)->capture) return refused_in_capture();
  return enqueue(s, [passed = e->passed, other = e->stream] {
    while (!*passed && advance(other)) {
    }
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  const std::lock_guard lock(mutex);
  if (captures > 0) return refused_in_capture();
  const bool was_open = memory().open;
  memory().protect(true);
  waited += !*e->passed;
  while (!*e->passed && advance(e->stream)) {
  }
  memory().protect(was_open);
  return state();
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  const std::lock_guard lock(mutex);
  if (!*from->passed || !*to->passed) return set_last_error(cudaErrorNotReady);
  *milliseconds = float(*to->at - *from->at);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  const std::lock_guard lock(mutex);
  if (!s || s->capture) return set_last_error(cudaErrorInvalidValue);
  s->capture = std::make_unique<CUgraph_st>();
  s->invalidated = false;
  ++captures;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  const std::lock_guard lock(mutex);
  if (!s || !s->capture) return set_last_error(cudaErrorInvalidValue);
  *graph = s->invalidated ? nullptr : s->capture.get();
  if (!s->invalidated) (void)s->capture.release();
  s->capture.reset();
  --captures;
  return set_last_error(s->invalidated ? cudaErrorStreamCaptureInvalidated : cudaSuccess);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{std::make_shared<std::vector<Work>>(graph->work)};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s) {
  const std::lock_guard lock(mutex);
  return enqueue(s, [work = exec->work] {
    for (const Work& w : *work)
      run(w);
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}

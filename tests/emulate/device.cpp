#include "tests/emulate/device.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#if BASIN_SANITIZE
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulate {
namespace {

constexpr int resident_blocks = 3;  // blocks that run concurrently
constexpr size_t stack_size = size_t(128) << 10;
constexpr unsigned stand_back_one_in = 8;
constexpr int warp_size = 32;
constexpr size_t max_shared = 48 << 10;

struct Failure {
  std::string what;
};

std::string text_of(const Place& p) {
  const std::string file = p.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(p.line());
}
bool same(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

/// A place in a function to which jump() returns. The jumps that are built into the compiler may go to another stack,
/// which those of the C library may not, and the address sanitizer does not intercept them, which would make them slow.
using JumpPlace = void* [5];
[[gnu::noinline, noreturn]] void jump(JumpPlace& to) { __builtin_longjmp(to, 1); }

/// A stack that execution leaves and returns to. Reports this to the address sanitizer, which must know the current
/// stack.
struct Stack {
  const void* bottom = nullptr;
  size_t size = 0;
  void* saved = nullptr;

  /// Called on this stack, right before the jump to another one.
  void leave_for([[maybe_unused]] const Stack& other) {
#if BASIN_SANITIZE
    __sanitizer_start_switch_fiber(&saved, other.bottom, other.size);
#endif
  }
  /// Called on this stack, right after the jump from another one, whose place is stored there.
  void arrive_from([[maybe_unused]] Stack& other) {
#if BASIN_SANITIZE
    __sanitizer_finish_switch_fiber(saved, &other.bottom, &other.size);
#endif
  }
};

/// A stack on which threads run one after another.
struct Fiber {
  ucontext_t first{};
  JumpPlace at = {};
  bool started = false;
  void* memory = nullptr;
  Stack stack;
};

struct Block;
struct Thread {
  Block* block = nullptr;
  Fiber* fiber = nullptr;
  int number = 0;
  bool done = false;
  uint32_t warp_phase = 0;
  uint64_t met[warp_size] = {};  // the values of the last warp operation
};

/// Lanes of a warp that wait for the same operation.
struct Meeting {
  int warp;
  unsigned mask, arrived;
  Place place;
  uint64_t value[warp_size];
};

struct Block {
  dim3 index;
  std::vector<Thread> threads;
  std::vector<int> order;  // the order in which threads start
  size_t started = 0, finished = 0;
  std::vector<int> ready;    // threads that have started and may continue
  std::vector<int> waiting;  // threads at the barrier
  Place barrier;
  uint32_t phase = 0;  // the number of barriers passed
  std::vector<Meeting> meetings;
  std::map<std::string, std::unique_ptr<std::byte[]>> memory;  // shared arrays by place in the source
  size_t shared_bytes = 0;

  size_t choices() const { return ready.size() + (started < threads.size() ? 1 : 0); }
};

/// The state of the only device. Only one host thread at a time may use it.
struct Machine {
  std::mt19937_64 random{1};
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  Thread* running = nullptr;
  const std::function<void()>* body = nullptr;
  JumpPlace scheduler = {};
  Stack host;
  std::string failure, reason;
};
Machine machine;
thread_local bool inside = false;  // whether this host thread is running the device now

size_t below(size_t n) { return size_t(machine.random() % n); }

[[gnu::noinline]] void back_to_scheduler() {
  if (__builtin_setjmp(machine.running->fiber->at) == 0) {
    machine.running->fiber->stack.leave_for(machine.host);
    jump(machine.scheduler);
  }
  machine.running->fiber->stack.arrive_from(machine.host);
}

void fiber_main() {
  machine.running->fiber->stack.arrive_from(machine.host);
  for (;;) {
    try {
      (*machine.body)();
    } catch (const Failure& f) {
      if (machine.reason.empty()) machine.reason = f.what;
    } catch (const std::exception& e) {
      if (machine.reason.empty()) machine.reason = e.what();
    }
    machine.running->done = true;
    back_to_scheduler();
  }
}

Fiber* take_fiber() {
  if (machine.idle.empty()) {
    auto fiber = std::make_unique<Fiber>();
    fiber->memory =
        mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber->memory == MAP_FAILED) std::abort();
    fiber->stack.bottom = fiber->memory, fiber->stack.size = stack_size;
    machine.idle.push_back(fiber.get());
    machine.fibers.push_back(std::move(fiber));
  }
  Fiber* fiber = machine.idle.back();
  machine.idle.pop_back();
  return fiber;
}

/// Runs a thread until it finishes or waits.
[[gnu::noinline]] void go_on(Thread& t) {
  machine.running = &t;
  const unsigned number = unsigned(t.number);
  threadIdx = {number % blockDim.x, number / blockDim.x % blockDim.y, number / blockDim.x / blockDim.y};
  blockIdx = t.block->index;
  if (__builtin_setjmp(machine.scheduler) == 0) {
    machine.host.leave_for(t.fiber->stack);
    if (t.fiber->started) jump(t.fiber->at);
    t.fiber->started = true;
    t.fiber->stack.saved = nullptr;
    getcontext(&t.fiber->first);
    t.fiber->first.uc_stack.ss_sp = t.fiber->memory;
    t.fiber->first.uc_stack.ss_size = stack_size;
    makecontext(&t.fiber->first, fiber_main, 0);
    setcontext(&t.fiber->first);
  }
  machine.host.arrive_from(t.fiber->stack);
  machine.running = nullptr;
}

void open(Block& b, dim3 index, unsigned threads) {
  b.index = index;
  b.threads.assign(threads, {});
  b.order.resize(threads);
  std::iota(b.order.begin(), b.order.end(), 0);
  // Half of the time in ascending order, because the usual order of real devices must be tested too.
  if (below(2)) std::shuffle(b.order.begin(), b.order.end(), machine.random);
  b.started = b.finished = 0;
  b.ready.clear(), b.waiting.clear(), b.meetings.clear(), b.memory.clear();
  b.shared_bytes = 0;
  b.phase = 0;
  for (unsigned k = 0; k < threads; ++k)
    b.threads[k].block = &b, b.threads[k].number = int(k);
}

/// Runs one thread of the block until it finishes, waits or yields.
void advance(Block& b) {
  const size_t choice = below(b.choices());
  int number;
  if (choice < b.ready.size()) {
    number = b.ready[choice];
    b.ready[choice] = b.ready.back();
    b.ready.pop_back();
  } else {
    number = b.order[b.started++];
    b.threads[size_t(number)].fiber = take_fiber();
  }
  Thread& t = b.threads[size_t(number)];
  go_on(t);
  if (!t.done) return;
  machine.idle.push_back(t.fiber);
  ++b.finished;
}

void explain_stop(const Block& b) {
  if (!b.waiting.empty())
    machine.reason = text_of(b.barrier) + ": a barrier that only " + std::to_string(b.waiting.size()) + " of " +
                     std::to_string(b.threads.size()) + " threads reach";
  else
    machine.reason = text_of(b.meetings.at(0).place) + ": an operation of a warp that not all lanes of its mask reach";
}

/// Whether two accesses to an element are ordered.
bool ordered(const Touch& before, const Thread& t) {
  if (before.thread == 0 || before.thread == t.number + 1 || before.block_phase != t.block->phase) return true;
  return (before.thread - 1) / warp_size == t.number / warp_size && before.warp_phase != t.warp_phase;
}
Touch touch_now(bool atomic) {
  const Thread& t = *machine.running;
  return {t.number + 1, t.block->phase, t.warp_phase, atomic};
}
void check_order(const Touch& before, bool atomic, const Place& place) {
  if (!(atomic && before.atomic) && !ordered(before, *machine.running))
    fail("two threads touch an element with no barrier in between", place);
}

}  // namespace

void fail(const std::string& what, const Place& place) { throw Failure{text_of(place) + ": " + what}; }
const std::string& failure() { return machine.failure; }
void set_seed(uint64_t seed) { machine.random.seed(seed); }
bool on_device() { return inside && machine.running; }

bool run_grid(dim3 grid, dim3 block, const std::function<void()>& thread) {
  const size_t blocks = size_t(grid.x) * grid.y * grid.z, threads = size_t(block.x) * block.y * block.z;
  std::vector<uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0u);
  if (below(2)) std::shuffle(order.begin(), order.end(), machine.random);
  blockDim = block, gridDim = grid;
  machine.body = &thread;
  machine.reason.clear();
  inside = true;
  Block slots[resident_blocks];
  std::vector<Block*> running, free;
  for (Block& b : slots)
    free.push_back(&b);
  for (size_t next = 0; (next < blocks || !running.empty()) && machine.reason.empty();) {
    while (next < blocks && !free.empty()) {
      const uint32_t k = order[next++];
      open(*free.back(), {k % grid.x, k / grid.x % grid.y, k / grid.x / grid.y}, unsigned(threads));
      running.push_back(free.back());
      free.pop_back();
    }
    const size_t slot = below(running.size());
    Block& b = *running[slot];
    // Several steps of each block in a row, which costs less where blocks are independent.
    for (size_t turns = 1 + below(2 * threads); turns > 0 && b.choices() > 0 && machine.reason.empty(); --turns)
      advance(b);
    if (b.finished == threads) {
      free.push_back(&b);
      running.erase(running.begin() + long(slot));
    } else if (b.choices() == 0 && machine.reason.empty()) {
      explain_stop(b);
    }
  }
  inside = false;
  if (machine.reason.empty()) return true;
  machine.failure = machine.reason;
  machine.idle.clear();  // some fibers hold unfinished threads: discard all of them
  for (const auto& fiber : machine.fibers) {
#if BASIN_SANITIZE
    __asan_unpoison_memory_region(fiber->memory, stack_size);
#endif
    fiber->started = false;
    machine.idle.push_back(fiber.get());
  }
  return false;
}

void stand_back() {
  if (!on_device() || below(stand_back_one_in) != 0) return;
  Thread& t = *machine.running;
  t.block->ready.push_back(t.number);
  back_to_scheduler();
}

void* block_memory(size_t bytes, size_t of_values, const Place& place) {
  if (!on_device()) fail("shared memory outside a kernel", place);
  Block& block = *machine.running->block;
  std::unique_ptr<std::byte[]>& memory =
      block.memory[std::string(place.file_name()) + ':' + std::to_string(place.line()) + ':' +
                   std::to_string(place.column()) + place.function_name()];
  if (memory) return memory.get();
  block.shared_bytes += of_values;
  if (block.shared_bytes > max_shared) fail("a block with more than 48 KiB of shared memory", place);
  memory = std::make_unique<std::byte[]>(bytes);  // zeroed
  return memory.get();
}

int lane() { return machine.running->number % warp_size; }

const uint64_t* meet(unsigned mask, uint64_t value, const Place& place) {
  if (!on_device()) fail("an operation of a warp outside a kernel", place);
  Thread& t = *machine.running;
  Block& b = *t.block;
  const int warp = t.number / warp_size, own = lane();
  if (!(mask >> own & 1)) fail("lane " + std::to_string(own) + " is not in its own mask", place);
  const size_t lanes = std::min<size_t>(warp_size, b.threads.size() - size_t(warp) * warp_size);
  if (lanes < warp_size && mask >> lanes) fail("the mask names lanes that the block does not have", place);
  auto at = std::find_if(b.meetings.begin(), b.meetings.end(),
                         [&](const Meeting& m) { return m.warp == warp && m.mask == mask && same(m.place, place); });
  if (at == b.meetings.end()) at = b.meetings.insert(at, Meeting{warp, mask, 0, place, {}});
  at->arrived |= 1u << own;
  at->value[own] = value;
  if (at->arrived != mask) {
    back_to_scheduler();
    return t.met;
  }
  for (int l = 0; l < warp_size; ++l)
    if (mask >> l & 1) {
      Thread& other = b.threads[size_t(warp * warp_size + l)];
      std::memcpy(other.met, at->value, sizeof other.met);
      ++other.warp_phase;
      if (l != own) b.ready.push_back(other.number);
    }
  b.meetings.erase(at);
  return t.met;
}

void note_read(Trace& trace, const Place& place) {
  if (!trace.written) fail("reads an element of a shared array that was never written", place);
  check_order(trace.write, false, place);
  // Two readers are remembered, so that at least one of them is not the thread that writes next.
  const Touch now = touch_now(false);
  if (trace.read.thread != now.thread) trace.read_before = trace.read;
  trace.read = now;
}
void note_write(Trace& trace, const Place& place) {
  check_order(trace.write, false, place);
  check_order(trace.read, false, place);
  check_order(trace.read_before, false, place);
  trace.written = true;
  trace.write = touch_now(false);
}
void note_atomic(Trace& trace, const Place& place) {
  if (!trace.written) fail("updates an element of a shared array that was never written", place);
  check_order(trace.write, true, place);
  check_order(trace.read, true, place);
  check_order(trace.read_before, true, place);
  trace.write = touch_now(true);
}

}  // namespace emulate

void __syncthreads(const emulate::Place& place) {
  using namespace emulate;
  if (!on_device()) fail("a barrier outside a kernel", place);
  Block& b = *machine.running->block;
  if (!b.waiting.empty() && !same(b.barrier, place))
    fail("a barrier while others wait at " + text_of(b.barrier), place);
  b.barrier = place;
  b.waiting.push_back(machine.running->number);
  if (b.waiting.size() < b.threads.size()) return back_to_scheduler();
  ++b.phase;
  for (const int number : b.waiting)
    if (number != machine.running->number) b.ready.push_back(number);
  b.waiting.clear();
}

void __syncwarp(unsigned mask, const emulate::Place& place) { emulate::meet(mask, 0, place); }

unsigned __ballot_sync(unsigned mask, int vote, const emulate::Place& place) {
  const uint64_t* values = emulate::meet(mask, vote != 0, place);
  unsigned all = 0;
  for (int l = 0; l < 32; ++l)
    if (mask >> l & 1) all |= unsigned(values[l]) << l;
  return all;
}

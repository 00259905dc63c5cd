#pragma once
#include <concepts>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>
#include <type_traits>

// A GPU of a few hundred lines, for testing the CUDA side of Basin on machines without one: the same sources, compiled
// as plain C++ with this instead of CUDA. Blocks run in shuffled order, some concurrently; each thread is a fiber that
// waits at barriers and for its warp, and yields at random, from a seed, at atomics. A launch fails if not all threads
// reach a barrier or a warp operation, if a shared array is read before it is written or out of bounds, or if two
// threads touch one of its elements without a barrier in between.

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

#define __host__
#define __device__
#define __global__
#define __launch_bounds__(...)

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulate {

using Place = std::source_location;

/// Ends the launch and puts the device into an error state with this text.
[[noreturn]] void fail(const std::string& what, const Place& = Place::current());

/// Runs `thread` once for each thread of the grid. Returns false if something failed; failure() gives the reason.
bool run_grid(dim3 grid, dim3 block, const std::function<void()>& thread);
const std::string& failure();

/// Sets the seed that determines the order in which threads run.
void set_seed(uint64_t seed);

/// Whether a device thread is running; otherwise the host is calling.
bool on_device();
/// Lets other threads run first, at random.
void stand_back();
/// Memory of the running thread's block, zeroed when the block starts; one array for each place in the source. On a
/// real device it would occupy `of_values` bytes.
void* block_memory(size_t bytes, size_t of_values, const Place&);
/// Waits until all lanes of `mask` have provided their value; the value of lane l, which must be one of them, is at
/// [l].
const uint64_t* meet(unsigned mask, uint64_t value, const Place&);
int lane();

/// When and by which thread an element was last accessed.
struct Touch {
  int thread;  // 0: none; otherwise its number + 1
  uint32_t block_phase, warp_phase;
  bool atomic;
};
struct Trace {
  bool written;
  Touch write, read, read_before;  // read_before: the last read by a thread other than that of `read`
};
void note_read(Trace&, const Place&);
void note_write(Trace&, const Place&);
void note_atomic(Trace&, const Place&);

/// The result of `&array[i]`, for use by atomics only.
template <class T>
struct SharedPointer {
  T* value;
  Trace* trace;
  Place place;
};

template <class T>
class SharedElement {
 public:
  SharedElement(T& value, Trace& trace, const Place& place) : value_(value), trace_(trace), place_(place) {}
  SharedElement(const SharedElement&) = default;
  operator T() const {
    note_read(trace_, place_);
    return value_;
  }
  T operator=(T v) const {
    note_write(trace_, place_);
    return value_ = v;
  }
  T operator=(const SharedElement& other) const { return *this = T(other); }
  T operator+=(T v) const { return *this = T(*this) + v; }
  SharedPointer<T> operator&() const { return {&value_, &trace_, place_}; }

 private:
  T& value_;
  Trace& trace_;
  Place place_;
};

template <class T, int64_t n>
class SharedArray {
 public:
  SharedElement<T> operator[](int64_t i) {
    if (i < 0 || i >= n) fail("index " + std::to_string(i) + " of a shared array of " + std::to_string(n), place_);
    return {value_[i], trace_[i], place_};
  }
  static SharedArray& of_block(const Place& place) {
    auto& array = *static_cast<SharedArray*>(block_memory(sizeof(SharedArray), n * sizeof(T), place));
    array.place_ = place;
    return array;
  }

 private:
  T value_[n];
  Trace trace_[n];
  Place place_;
};

/// An atomic operation on memory that any thread may write: a real one, because host threads may call it too.
template <class T, class F>
T atomic_update(T* at, const F& next) {
  stand_back();
  T was, now;
  __atomic_load(at, &was, __ATOMIC_RELAXED);
  do
    now = next(was);
  while (!__atomic_compare_exchange(at, &was, &now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return was;
}
template <class T, class F>
T atomic_update(const SharedPointer<T>& at, const F& next) {
  note_atomic(*at.trace, at.place);
  return atomic_update(at.value, next);
}

template <class T>
uint64_t bits_of(T value) {
  uint64_t bits = 0;
  static_assert(sizeof value <= sizeof bits);
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T value_of(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
T value_of_lane(const uint64_t* values, unsigned mask, int from, const Place& place) {
  if (!(mask >> from & 1)) fail("a shuffle reads lane " + std::to_string(from) + ", which takes no part", place);
  return value_of<T>(values[from]);
}

}  // namespace emulate

// The atomics of compute capability 6.1, for the element types that CUDA has them for.
namespace emulate {
template <class T>
concept AtomicInteger = std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;
template <class T>
concept AtomicNumber = AtomicInteger<T> || std::same_as<T, float> || std::same_as<T, double>;
}  // namespace emulate
#define EMULATE_ATOMIC(name, Type, operation)                                                             \
  template <emulate::Type T>                                                                              \
  T name(T* at, std::type_identity_t<T> v) {                                                              \
    return emulate::atomic_update(at, [v]([[maybe_unused]] T was) { return static_cast<T>(operation); }); \
  }                                                                                                       \
  template <emulate::Type T>                                                                              \
  T name(const emulate::SharedPointer<T>& at, std::type_identity_t<T> v) {                                \
    return emulate::atomic_update(at, [v]([[maybe_unused]] T was) { return static_cast<T>(operation); }); \
  }
EMULATE_ATOMIC(atomicAdd, AtomicNumber, was + v)
EMULATE_ATOMIC(atomicMin, AtomicInteger, v < was ? v : was)
EMULATE_ATOMIC(atomicMax, AtomicInteger, v > was ? v : was)
EMULATE_ATOMIC(atomicExch, AtomicInteger, v)
EMULATE_ATOMIC(atomicOr, AtomicInteger, was | v)
EMULATE_ATOMIC(atomicAnd, AtomicInteger, was& v)
#undef EMULATE_ATOMIC
template <emulate::AtomicInteger T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return emulate::atomic_update(at, [=](T was) { return was == expected ? v : was; });
}
template <emulate::AtomicInteger T>
T atomicCAS(const emulate::SharedPointer<T>& at, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return emulate::atomic_update(at, [=](T was) { return was == expected ? v : was; });
}

void __syncthreads(const emulate::Place& = emulate::Place::current());
void __syncwarp(unsigned mask = ~0u, const emulate::Place& = emulate::Place::current());

template <class T>
T __shfl_sync(unsigned mask, T v, int from, const emulate::Place& at = emulate::Place::current()) {
  return emulate::value_of_lane<T>(emulate::meet(mask, emulate::bits_of(v), at), mask, from & 31, at);
}
/// A lane whose source is beyond the last lane keeps its own value, as on a real device.
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, const emulate::Place& at = emulate::Place::current()) {
  const int own = emulate::lane(), from = own + int(by);
  const uint64_t* values = emulate::meet(mask, emulate::bits_of(v), at);
  return from > 31 ? v : emulate::value_of_lane<T>(values, mask, from, at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, const emulate::Place& at = emulate::Place::current()) {
  const int own = emulate::lane(), from = own - int(by);
  const uint64_t* values = emulate::meet(mask, emulate::bits_of(v), at);
  return from < 0 ? v : emulate::value_of_lane<T>(values, mask, from, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int with, const emulate::Place& at = emulate::Place::current()) {
  const int from = emulate::lane() ^ with;
  return emulate::value_of_lane<T>(emulate::meet(mask, emulate::bits_of(v), at), mask, from, at);
}
unsigned __ballot_sync(unsigned mask, int vote, const emulate::Place& = emulate::Place::current());
inline int __any_sync(unsigned mask, int vote, const emulate::Place& at = emulate::Place::current()) {
  return __ballot_sync(mask, vote, at) != 0;
}
inline int __all_sync(unsigned mask, int vote, const emulate::Place& at = emulate::Place::current()) {
  return __ballot_sync(mask, vote, at) == mask;
}
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
inline unsigned __brev(unsigned v) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit)
    reversed |= (v >> bit & 1) << (31 - bit);
  return reversed;
}

#pragma once
#include <atomic>

#include "kernels/parallel.h"

namespace basin::kernels {

/// A place for each label that occurs, whatever the labels are: a hash table with linear probing, filled by many
/// threads at once. 0 is not a label but an empty place, so `id` must be zeroed before the first claim, and hold more
/// places than there are labels. Which place a label gets depends on who comes first; results must not.
struct LabelTable {
  View<int32_t, 1> id;  // a power of two

  /// The place of a label; `is_new` for one caller per label.
  BASIN_HD int64_t claim(int32_t label, bool& is_new) const {
    int64_t at = first(label);
    for (;; at = (at + 1) & (id.dim[0] - 1)) {
      const int32_t was = take(id(at), label);
      is_new = was == 0;
      if (is_new || was == label) return at;
    }
  }
  /// The place of a label that was claimed.
  BASIN_HD int64_t find(int32_t label) const {
    int64_t at = first(label);
    while (id(at) != label)
      at = (at + 1) & (id.dim[0] - 1);
    return at;
  }

 private:
  BASIN_HD int64_t first(int32_t label) const {
    const uint64_t mixed = uint64_t(uint32_t(label)) * 0x9E3779B97F4A7C15u;
    return int64_t(mixed >> 32) & (id.dim[0] - 1);
  }
  /// Puts the label into a place that is empty; what was there.
  BASIN_HD static int32_t take(int32_t& place, int32_t label) {
    int32_t was = 0;
#ifdef __CUDA_ARCH__
    was = atomicCAS(&place, 0, label);
#else
    std::atomic_ref<int32_t>(place).compare_exchange_strong(was, label, std::memory_order_relaxed);
#endif
    return was;
  }
};

/// Adds to what others may add to at the same time. Integers: the sum does not depend on the order.
BASIN_HD inline void add_shared(int64_t& to, int64_t value) {
#ifdef __CUDA_ARCH__
  atomicAdd(reinterpret_cast<unsigned long long*>(&to), static_cast<unsigned long long>(value));
#else
  std::atomic_ref<int64_t>(to).fetch_add(value, std::memory_order_relaxed);
#endif
}

}  // namespace basin::kernels

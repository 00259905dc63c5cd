#pragma once
#include "kernels/runtime/relaxed_atomics.h"

namespace basin {

/// Disjoint sets over indices: parent[i] <= i, and a root is its own parent. Any number of threads may call these
/// functions on the same array at once. The root of a set is its smallest member whatever the order of the calls, so
/// results are the same from run to run and at any thread count.
struct UnionFind {
  int32_t* parent = nullptr;

  /// The root of i at some moment during the call; exact once no thread calls unite() any more. Shortens the path on
  /// its way.
  BASIN_HD int32_t find(int32_t i) const {
    int32_t p = read(i);
    while (p != i) {
      const int32_t up = read(p);
      if (up != p) write(i, up);  // after a race, i's parent is still one of its ancestors
      i = p;
      p = up;
    }
    return i;
  }

  /// The same without path shortening, exact once no thread calls unite() any more. For threads that write final
  /// parents: find() could overwrite a root that another thread has just stored with an ancestor read before.
  BASIN_HD int32_t root(int32_t i) const {
    for (int32_t p = read(i); p != i; p = read(i))
      i = p;
    return i;
  }

  /// Merges the sets of a and b.
  BASIN_HD void unite(int32_t a, int32_t b) const {
    a = find(a), b = find(b);
    while (a != b) {
      const int32_t low = a < b ? a : b, high = a < b ? b : a;
      const int32_t was = link(high, low);
      if (was == high) return;
      a = find(low), b = find(was);
    }
  }

 private:
  BASIN_HD int32_t read(int32_t i) const { return relaxed_load(parent + i); }
  BASIN_HD void write(int32_t i, int32_t p) const { relaxed_store(parent + i, p); }
  /// Attaches `root` under `to` if it is still a root. Returns its previous parent.
  BASIN_HD int32_t link(int32_t root, int32_t to) const {
#ifdef __CUDA_ARCH__
    return atomicCAS(parent + root, root, to);
#else
    int32_t was = root;
    __atomic_compare_exchange_n(parent + root, &was, to, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return was;
#endif
  }
};

namespace {

/// 1 at the roots, 0 elsewhere: the running sum numbers the sets. In an anonymous namespace because for_each
/// instantiated with it in a .cu file is a different function from the one in a .cpp file.
struct MarkRoots {
  const int32_t* parent;
  int32_t* number;

  BASIN_HD void operator()(int64_t i) const { number[i] = parent[i] == i; }
};

}  // namespace
}  // namespace basin

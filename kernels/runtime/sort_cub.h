#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Wraps CUB's device-wide sort and scan, so that no other file includes CUB. Only in builds with CUDA.
namespace basin::kernels::cub_backend {

template <class Key>
void sort_by_key(const Exec&, View<Key, 1> keys, View<int32_t, 1> values, int bits);

/// Waits until the sum is on the host.
int64_t exclusive_sum(const Exec&, View<int32_t, 1> values);

void exclusive_scan(const Exec&, View<int32_t, 1> values);

}  // namespace basin::kernels::cub_backend

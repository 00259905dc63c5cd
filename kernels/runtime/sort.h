#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Sorts the pairs (keys[i], values[i]) by key; equal keys stay in their order. Keys are below 2^bits. `Key` is
/// uint32_t or uint64_t. The result is unique, hence the same on any device at any thread count.
template <class Key>
void sort_by_key(const Exec&, View<Key, 1> keys, View<int32_t, 1> values, int bits);

/// Replaces values[i] by values[0] + ... + values[i - 1] and returns the sum of all; throws if that is 2^31 or more.
/// Values must not be negative.
int64_t exclusive_sum(const Exec&, View<int32_t, 1> values);

/// The same for values whose sum is known to be below 2^31. The host does not wait for the result.
void exclusive_scan(const Exec&, View<int32_t, 1> values);

}  // namespace basin::kernels

#pragma once
#include <cstdint>

#include "kernels/runtime/platform.h"

namespace basin::kernels {

/// Writes one element of a gradient, or adds to it.
template <class T>
struct GradientOut {
  T* d;
  bool accumulate;
  BASIN_HD void operator()(int64_t i, T g) const { d[i] = accumulate ? d[i] + g : g; }
};

}  // namespace basin::kernels

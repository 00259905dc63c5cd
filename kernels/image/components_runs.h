#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// components() on the CPU: by runs of foreground pixels in place of pixels, strips of rows at a time.
int64_t components_by_runs(const Exec&, View<const uint8_t, 2> mask, bool diagonals, View<int32_t, 2> labels);

}  // namespace basin::kernels

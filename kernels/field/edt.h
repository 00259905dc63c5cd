#pragma once
#include <cstdint>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The value that `edt_squared` writes if an object fills the whole image.
constexpr int32_t no_other_pixel = INT32_MAX;

/// Exact squared Euclidean distance, in pixels, from each pixel of an object to the nearest pixel with another label; 0
/// on the background (label 0). All labels in one pass, in time proportional to the number of pixels. The outside of
/// the image does not count as background. labels, squared: [H,W]. Values above INT32_MAX - 1, possible from 46,341
/// pixels on, are written as that. Columns first, then the lower envelope of parabolas along each run of a row
/// (Meijster, Roerdink, Hesselink 2000). The same at any thread count.
void edt_squared(const Exec&, View<const int32_t, 2> labels, View<int32_t, 2> squared);

}  // namespace basin::kernels

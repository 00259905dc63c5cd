#pragma once
#include <cstdint>

#include "kernels/runtime/platform.h"

// Tables of the objects of a sample have a fixed capacity, so that a training step that uses them can be captured as a
// graph: row 0 is the background, rows 1 to `capacity` are the objects with these labels; in all there are `slots` =
// capacity + 1 rows.

namespace basin::kernels {

/// The row of a label in such a table. Objects beyond the capacity count as background.
BASIN_HD inline int slot_of(int32_t label, int slots) { return label < slots ? label : 0; }

}  // namespace basin::kernels

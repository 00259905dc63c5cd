#pragma once
#include <initializer_list>
#include <string>

#include "data/arrays/array.h"
#include "data/files/image.h"
#include "data/files/labels.h"
#include "tools/library/basin.h"

namespace basin::library {

/// A dense copy of the caller's array. Throws one sentence that begins with `name` unless its description is valid, its
/// rank is one of `ranks` and it has at least one element (or `may_be_empty`).
Array array_of(const basin_array*, const std::string& name, std::initializer_list<int> ranks,
               bool may_be_empty = false);

/// The image that an array [C, H, W] or [H, W] holds.
Image image_of(const basin_array*, const std::string& name);

/// The label image that an array [H, W] of integers holds, its objects renumbered to 1, 2, ... in their order.
Labels labels_of(const basin_array*, const std::string& name);

}  // namespace basin::library

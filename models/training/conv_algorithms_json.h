#pragma once
#include "engine/json_fwd.h"
#include "kernels/conv/conv_algorithms.h"

namespace basin {

/// A JSON array with one object per choice, in the order of the keys.
Json to_json(const kernels::ConvAlgorithms&);

/// Parses the array. An entry with `kernel` instead of a geometry, as earlier versions wrote it, means a square kernel
/// of that size with stride 1 and the padding that keeps the size of the image. Throws one sentence that begins with
/// `file` if the array is invalid.
kernels::ConvAlgorithms conv_algorithms_from(const Json&, const std::string& file);

}  // namespace basin

#pragma once
#include "engine/json_fwd.h"
#include "kernels/conv/conv_algorithms.h"

namespace basin {

/// An array with an object for each choice, in the order of the keys.
Json to_json(const kernels::ConvAlgorithms&);

/// Reads it back. An entry with a `kernel` in place of a geometry, as earlier versions wrote it, means a square kernel
/// of that size, with stride 1 and the padding that keeps the size of the image. Throws one sentence that begins with
/// `file` for anything that is no such array.
kernels::ConvAlgorithms conv_algorithms_from(const Json&, const std::string& file);

}  // namespace basin

#pragma once
#include "engine/json_fwd.h"
#include "kernels/nn/conv_algorithms.h"

namespace basin {

/// An array with an object for each choice, in the order of the keys.
Json to_json(const kernels::ConvAlgorithms&);

/// Reads it back. Throws one sentence that begins with `file` for what is no such array.
kernels::ConvAlgorithms conv_algorithms_from(const Json&, const std::string& file);

}  // namespace basin

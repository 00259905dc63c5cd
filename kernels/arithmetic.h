#pragma once
#include <type_traits>

#include "kernels/bfloat16.h"

namespace basin {

/// What elements of this type are computed in: float for bfloat16, which is for storage only.
template <class X>
using Arithmetic = std::conditional_t<std::is_same_v<X, bfloat16>, float, X>;

}  // namespace basin

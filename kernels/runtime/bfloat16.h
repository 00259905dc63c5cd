#pragma once
#include <cstring>
#include <type_traits>

#include "kernels/runtime/platform.h"

namespace basin {

/// The upper half of a float32: its exponent and 8 significant bits. For storage only; arithmetic is in float.
struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  /// Rounds to nearest, ties to even. NaN stays NaN.
  BASIN_HD bfloat16(float value) {
    uint32_t b;
    std::memcpy(&b, &value, sizeof b);
    const uint32_t rounded = b + 0x7fff + (b >> 16 & 1);
    bits = uint16_t((value != value ? b | 0x400000 : rounded) >> 16);
  }
  BASIN_HD operator float() const {
    const uint32_t b = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &b, sizeof value);
    return value;
  }
};

/// The type in which elements of type X are computed: float for bfloat16, which is only a storage type.
template <class X>
using Arithmetic = std::conditional_t<std::is_same_v<X, bfloat16>, float, X>;

}  // namespace basin

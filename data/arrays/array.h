#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/runtime/platform.h"

namespace basin {

enum class ElementType : uint8_t { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };

template <class T>
constexpr ElementType element_type_of = std::is_same_v<T, bool>       ? ElementType::boolean
                                        : std::is_same_v<T, uint8_t>  ? ElementType::u8
                                        : std::is_same_v<T, int8_t>   ? ElementType::i8
                                        : std::is_same_v<T, uint16_t> ? ElementType::u16
                                        : std::is_same_v<T, int16_t>  ? ElementType::i16
                                        : std::is_same_v<T, uint32_t> ? ElementType::u32
                                        : std::is_same_v<T, int32_t>  ? ElementType::i32
                                        : std::is_same_v<T, uint64_t> ? ElementType::u64
                                        : std::is_same_v<T, int64_t>  ? ElementType::i64
                                        : std::is_same_v<T, float>    ? ElementType::f32
                                                                      : ElementType::f64;

/// Calls f with a value of the C++ type that `type` names (uint8_t for boolean) and returns what f returns.
template <class F>
decltype(auto) with_element(ElementType type, F&& f) {
  switch (type) {
    case ElementType::boolean:
    case ElementType::u8:
      return f(uint8_t{});
    case ElementType::i8:
      return f(int8_t{});
    case ElementType::u16:
      return f(uint16_t{});
    case ElementType::i16:
      return f(int16_t{});
    case ElementType::u32:
      return f(uint32_t{});
    case ElementType::i32:
      return f(int32_t{});
    case ElementType::u64:
      return f(uint64_t{});
    case ElementType::i64:
      return f(int64_t{});
    case ElementType::f32:
      return f(float{});
    case ElementType::f64:
      break;
  }
  return f(double{});
}

inline size_t size_of(ElementType type) {
  return with_element(type, [](auto zero) { return sizeof zero; });
}

/// NumPy's name of a type: "uint8".
inline const char* name_of(ElementType type) {
  static const char* const names[] = {"bool",  "uint8",  "int8",  "uint16",  "int16",  "uint32",
                                      "int32", "uint64", "int64", "float32", "float64"};
  return names[size_t(type)];
}

/// The value of a half-precision number (IEEE 754 binary16) with these bits.
inline float half_value(uint16_t bits) {
  const uint32_t sign = uint32_t(bits >> 15) << 31, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  return (sign ? -1.f : 1.f) * float(fraction) * 0x1p-24f;
}

/// Reverses the bytes of each element: from one byte order to the other.
inline void swap_bytes(std::vector<std::byte>& bytes, size_t element) {
  for (auto at = bytes.begin(); at != bytes.end(); at += ptrdiff_t(element))
    std::reverse(at, at + ptrdiff_t(element));
}

/// An array from a file: dense, row-major (C order), in this machine's byte order.
struct Array {
  ElementType type = ElementType::u8;
  std::vector<int64_t> shape;  // empty: one number
  std::vector<std::byte> bytes;

  /// The number of elements: 0 if any side is 0, however long the others are.
  int64_t size() const { return int64_t(bytes.size() / size_of(type)); }
  bool is_real() const { return type == ElementType::f32 || type == ElementType::f64; }
  template <class T>
  const T* as() const {
    BASIN_CHECK(sizeof(T) == size_of(type), "the element type does not match");
    return reinterpret_cast<const T*>(bytes.data());
  }
  template <class T>
  T* as() {
    return const_cast<T*>(static_cast<const Array*>(this)->as<T>());
  }
  /// The elements in row-major order, each converted as by a cast.
  template <class T>
  std::vector<T> values() const {
    return with_element(type, [&](auto zero) {
      const auto* first = as<decltype(zero)>();
      return std::vector<T>(first, first + size());
    });
  }
};

}  // namespace basin

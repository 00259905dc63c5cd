#pragma once
#include <charconv>
#include <cstdint>
#include <string>

namespace basin {

inline void append_number(std::string& text, int32_t value) {
  char digits[16];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

/// With ten significant digits at most, as %.10g: whole numbers below 10^10 are exact.
inline void append_number(std::string& text, double value) {
  char digits[40];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 10).ptr);
}

}  // namespace basin

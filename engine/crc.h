#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace basin {

/// A 32-bit cyclic redundancy check with this reflected polynomial, and an initial value and final XOR of 0xffffffff.
template <uint32_t polynomial>
uint32_t crc(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> remainders{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t remainder = i;
      for (int bit = 0; bit < 8; ++bit)
        remainder = remainder >> 1 ^ (remainder & 1 ? polynomial : 0u);
      remainders[i] = remainder;
    }
    return remainders;
  }();
  uint32_t remainder = 0xffffffffu;
  for (const char byte : bytes)
    remainder = remainder >> 8 ^ table[(remainder ^ uint8_t(byte)) & 0xff];
  return ~remainder;
}

/// The CRC-32 of zip archives.
inline uint32_t crc32(std::string_view bytes) { return crc<0xedb88320u>(bytes); }
/// CRC-32C (Castagnoli).
inline uint32_t crc32c(std::string_view bytes) { return crc<0x82f63b78u>(bytes); }

}  // namespace basin

#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace basin {

/// A 32-bit cyclic redundancy check with this reflected polynomial, and an initial value and final XOR of 0xffffffff.
/// `before`: the check of the bytes that precede these; 0 if there are none.
template <uint32_t polynomial>
uint32_t crc(std::string_view bytes, uint32_t before = 0) {
  constexpr size_t at_once = 8;
  // tables[k][i]: the remainder of byte i followed by k zeros.
  static constexpr auto tables = [] {
    std::array<std::array<uint32_t, 256>, at_once> remainders{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t remainder = i;
      for (size_t k = 0; k < at_once; ++k) {
        for (int bit = 0; bit < 8; ++bit)
          remainder = remainder >> 1 ^ (remainder & 1 ? polynomial : 0u);
        remainders[k][i] = remainder;
      }
    }
    return remainders;
  }();
  uint32_t remainder = ~before;
  for (; bytes.size() >= at_once; bytes.remove_prefix(at_once)) {
    uint32_t next = 0;
    for (size_t k = 0; k < at_once; ++k) {
      const uint32_t carried = k < 4 ? remainder >> (8 * k) & 0xff : 0;
      next ^= tables[at_once - 1 - k][carried ^ uint8_t(bytes[k])];
    }
    remainder = next;
  }
  for (const char byte : bytes)
    remainder = remainder >> 8 ^ tables[0][(remainder ^ uint8_t(byte)) & 0xff];
  return ~remainder;
}

/// The CRC-32 of zip archives.
inline uint32_t crc32(std::string_view bytes, uint32_t before = 0) { return crc<0xedb88320u>(bytes, before); }
/// CRC-32C (Castagnoli).
inline uint32_t crc32c(std::string_view bytes, uint32_t before = 0) { return crc<0x82f63b78u>(bytes, before); }

}  // namespace basin

#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace basin {

/// A hash that tells contents apart by which results came about; no protection against intent. FNV-1a by words of
/// eight bytes: a byte at a time would be felt on pixels. The same on every machine.
class Fingerprint {
 public:
  void add(uint64_t word) {
    value_ = (value_ ^ word) * 0x100000001b3u;
    value_ ^= value_ >> 32;
  }
  void add(std::span<const std::byte>);
  uint64_t value() const { return value_; }
  /// 16 hexadecimal digits.
  std::string digits() const;

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

/// Of the bytes of a file. Throws as read_file does.
std::string fingerprint_of_file(const std::filesystem::path&);

}  // namespace basin

#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace basin {

/// A hash that tells contents apart by which results came about; no protection against intent. FNV-1a by words of
/// eight bytes: a byte at a time would be felt on pixels. The same on every machine.
class Fingerprint {
 public:
  void add(uint64_t word) {
    value_ = (value_ ^ word) * prime;
    value_ ^= value_ >> 32;
  }
  void add(std::span<const std::byte>);
  uint64_t value() const { return value_; }
  /// 16 hexadecimal digits.
  std::string digits() const;

 private:
  friend uint64_t hash_of_name(std::string_view);
  static constexpr uint64_t offset = 0xcbf29ce484222325u, prime = 0x100000001b3u;  // of 64-bit FNV

  uint64_t value_ = offset;
};

/// A hash of a name: 64-bit FNV-1a by bytes, with the finaliser of MurmurHash3. By itself FNV hardly moves its high
/// bits for the last letters, so that numbered names would stay in runs.
uint64_t hash_of_name(std::string_view);

/// Of the bytes of a file. Throws as read_file does.
std::string fingerprint_of_file(const std::filesystem::path&);

}  // namespace basin

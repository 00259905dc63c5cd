#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace basin {

/// A hash that identifies the data that results came from; not secure against deliberate collisions. FNV-1a on words of
/// eight bytes, because a byte at a time would be slow for images. The same on every machine.
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

/// A hash of a name: 64-bit FNV-1a by bytes, with the finaliser of MurmurHash3. In FNV alone the last letters hardly
/// affect the high bits, so that consecutively numbered names would have similar hashes.
uint64_t hash_of_name(std::string_view);

/// The fingerprint of the bytes of a file. Throws like read_file.
std::string fingerprint_of_file(const std::filesystem::path&);

}  // namespace basin

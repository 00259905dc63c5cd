#include "engine/fingerprint.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "engine/files.h"

namespace basin {

void Fingerprint::add(std::span<const std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<size_t>(8, bytes.size() - i));
    add(word);
  }
}

std::string Fingerprint::digits() const {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value_));
  return text;
}

uint64_t hash_of_name(std::string_view name) {
  uint64_t h = Fingerprint::offset;
  for (char c : name)
    h = (h ^ static_cast<unsigned char>(c)) * Fingerprint::prime;
  h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
  h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
  return h ^ h >> 33;
}

std::string fingerprint_of_file(const std::filesystem::path& path) {
  Fingerprint content;
  content.add(read_file(path));
  return content.digits();
}

}  // namespace basin

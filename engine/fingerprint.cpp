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

std::string fingerprint_of_file(const std::filesystem::path& path) {
  Fingerprint content;
  content.add(read_file(path));
  return content.digits();
}

}  // namespace basin

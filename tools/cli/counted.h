#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace basin::tools {

/// "1 image", "2 images"
inline std::string counted(int64_t n, const std::string& noun) {
  return std::to_string(n) + ' ' + noun + (n == 1 ? "" : "s");
}

/// "labels, overlay, csv"
inline std::string in_words(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace basin::tools

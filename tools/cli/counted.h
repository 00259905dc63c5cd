#pragma once
#include <cstdint>
#include <string>

namespace basin::tools {

/// "1 image", "2 images"
inline std::string counted(int64_t n, const std::string& noun) {
  return std::to_string(n) + ' ' + noun + (n == 1 ? "" : "s");
}

}  // namespace basin::tools

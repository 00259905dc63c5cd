#pragma once
#include <string>
#include <utility>

#include "kernels/runtime/platform.h"

namespace basin {

/// The name of an enum value, looked up in a table that lists every value: `constexpr std::pair<E, const char*> names[]
/// = {...}`.
template <class E, size_t N>
std::string name_in(const std::pair<E, const char*> (&names)[N], E value) {
  for (const auto& [e, name] : names)
    if (e == value) return name;
  fail(__FILE__, __LINE__, "no name is listed for enum value ", int(value));
}

/// The enum value with this name. An unknown name throws one sentence that begins with `what` (an option, say) and
/// lists the valid names.
template <class E, size_t N>
E value_in(const std::pair<E, const char*> (&names)[N], const std::string& what, const std::string& text) {
  std::string all;
  for (size_t k = 0; k < N; ++k) {
    if (text == names[k].second) return names[k].first;
    all += (k == 0 ? "" : k + 1 < N ? ", " : " or ") + std::string(names[k].second);
  }
  refuse(what, ' ', text, ": expected ", all);
}

}  // namespace basin

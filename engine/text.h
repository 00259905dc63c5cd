#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace basin {

/// Adds a word to a list of words: "a", "a, b", "a, b, c".
inline void add_to_list(std::string& list, std::string_view word, std::string_view separator = ", ") {
  if (!list.empty()) list += separator;
  list += word;
}

/// All words as one such list.
inline std::string joined(const std::vector<std::string>& words, std::string_view separator = ", ") {
  std::string list;
  for (const std::string& word : words)
    add_to_list(list, word, separator);
  return list;
}

}  // namespace basin

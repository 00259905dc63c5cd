#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace basin {

/// The colours of pages, as a style sheet: they follow the reader's light or dark setting.
inline constexpr std::string_view page_colours = R"(
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60686f; --line: #dde1e4; --page: #fbfbfa; --card: #ffffff;
  --accent: #00694d; --warn: #8a4b00; --hover: #eef3f0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9eb; --soft: #9aa3aa; --line: #33393e; --page: #15181a;
  --card: #1c2023; --accent: #5ec7a2; --warn: #e6a04a; --hover: #263029; } }
)";

/// A text for HTML and SVG, also within quotes: & < > " ' as entities.
inline std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text)
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

/// Bytes in base64 (RFC 4648), for data within pages.
inline std::string base64(const std::vector<std::byte>& bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    auto at = [&](size_t k) { return i + k < bytes.size() ? unsigned(bytes[i + k]) : 0u; };
    const unsigned word = at(0) << 16 | at(1) << 8 | at(2);
    for (size_t k = 0; k < 4; ++k)
      out += i + k > bytes.size() ? '=' : digits[word >> (18 - 6 * k) & 63];
  }
  return out;
}

}  // namespace basin

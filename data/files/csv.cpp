#include "data/files/csv.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += char(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes after the first one
  constexpr unsigned first[] = {0, 0xc0, 0xe0, 0xf0};
  text += char(first[more] | code >> 6 * more);
  for (int i = more - 1; i >= 0; --i)
    text += char(0x80 | (code >> 6 * i & 0x3f));
}

/// Converts UTF-16 without its byte-order mark; nothing if it is not valid.
std::optional<std::string> utf8_of_utf16(std::string_view bytes, bool big_endian) {
  if (bytes.size() % 2) return std::nullopt;
  const auto unit = [&](size_t i) {
    const auto low = static_cast<unsigned char>(bytes[i + big_endian]),
               high = static_cast<unsigned char>(bytes[i + !big_endian]);
    return uint32_t(high) << 8 | low;
  };
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    uint32_t code = unit(i);
    if (code >= 0xd800 && code < 0xe000) {  // the first of two units
      const uint32_t second = i + 2 < bytes.size() ? unit(i + 2) : 0;
      if (code >= 0xdc00 || second < 0xdc00 || second >= 0xe000) return std::nullopt;
      code = 0x10000 + ((code - 0xd800) << 10 | (second - 0xdc00));
      i += 2;
    }
    append_utf8(text, code);
  }
  return text;
}

}  // namespace

std::vector<std::string> csv_lines(const std::filesystem::path& path) {
  const std::string file = read_text(path);
  const std::string_view raw = file;
  std::optional<std::string> text;
  if (raw.starts_with("\xff\xfe") || raw.starts_with("\xfe\xff"))
    text = utf8_of_utf16(raw.substr(2), raw[0] == '\xfe');
  else
    text = raw.substr(raw.starts_with("\xef\xbb\xbf") ? 3 : 0);
  if (!text || text->find('\0') != std::string::npos)
    refuse(path.string(), ": is not a text file in UTF-8; save it as CSV in UTF-8");
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text->size();) {
    const size_t end = std::min(text->find_first_of("\r\n", begin), text->size());
    lines.push_back(text->substr(begin, end - begin));
    begin = end + (text->compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  return lines;
}

std::vector<std::string> split_csv(const std::string& line, const std::string& where) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      cells.back() += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  if (quoted) refuse(where, ": a quotation mark is never closed");
  return cells;
}

std::string csv_field(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string text = "\"";
  for (const char c : field)
    text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

}  // namespace basin

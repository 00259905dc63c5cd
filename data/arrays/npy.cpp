#include "data/arrays/npy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "engine/files.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little);

struct Descriptor {
  std::string_view name;
  ElementType type;
};
constexpr std::string_view half = "<f2";
constexpr Descriptor descriptors[] = {
    {"|b1", ElementType::boolean}, {"|u1", ElementType::u8},  {"|i1", ElementType::i8},  {"<u2", ElementType::u16},
    {"<i2", ElementType::i16},     {"<u4", ElementType::u32}, {"<i4", ElementType::i32}, {"<u8", ElementType::u64},
    {"<i8", ElementType::i64},     {"<f4", ElementType::f32}, {"<f8", ElementType::f64}};

struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Parses the Python dictionary of a .npy header: three known keys in any order.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  /// None if the text is not such a dictionary.
  std::optional<NpyHeader> parse() {
    NpyHeader h;
    int seen = 0;
    if (!eat('{')) return {};
    while (!eat('}')) {
      const std::optional<std::string> key = quoted();
      if (!key || !eat(':')) return {};
      bool ok = false;
      if (*key == "descr") {
        const std::optional<std::string> value = quoted();
        ok = value.has_value(), seen |= 1;
        if (ok) h.descr = *value;
      } else if (*key == "fortran_order") {
        h.fortran_order = word("True"), seen |= 2;
        ok = h.fortran_order || word("False");
      } else if (*key == "shape") {
        ok = tuple(h.shape), seen |= 4;
      }
      if (!ok) return {};
      if (!eat(',') && !(space(), !rest_.empty() && rest_[0] == '}')) return {};
    }
    space();
    if (seen != 7 || !rest_.empty()) return {};
    return h;
  }

 private:
  void space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t'))
      rest_.remove_prefix(1);
  }
  bool eat(char c) {
    space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool word(std::string_view w) {
    space();
    if (!rest_.starts_with(w)) return false;
    rest_.remove_prefix(w.size());
    return true;
  }
  std::optional<std::string> quoted() {
    space();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) return {};
    const size_t end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos) return {};
    std::string s(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return s;
  }
  bool tuple(std::vector<int64_t>& shape) {
    if (!eat('(')) return false;
    while (!eat(')')) {
      space();
      int64_t n = 0;
      size_t digits = 0;
      for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
        if (digits == 18) return false;
        n = n * 10 + (rest_[digits] - '0');
      }
      if (digits == 0 || shape.size() == 32) return false;
      rest_.remove_prefix(digits);
      shape.push_back(n);
      if (!eat(',') && !(space(), !rest_.empty() && rest_[0] == ')')) return false;
    }
    return true;
  }

  std::string_view rest_;
};

/// The element type of a little- or big-endian type description.
std::optional<ElementType> type_of(std::string descr) {
  if (descr.starts_with('>') || descr.starts_with('=')) descr[0] = '<';
  if (descr == half) return ElementType::u16;
  for (const Descriptor& d : descriptors)
    if (descr.substr(1) == d.name.substr(1)) return d.type;
  return std::nullopt;
}

/// Converts from Fortran order to C order.
Array in_c_order(const Array& a) {
  Array out{a.type, a.shape, std::vector<std::byte>(a.bytes.size())};
  const size_t element = size_of(a.type), rank = a.shape.size();
  std::vector<int64_t> at(rank), step(rank, 1);
  for (size_t i = 1; i < rank; ++i)
    step[i] = step[i - 1] * a.shape[i - 1];
  int64_t from = 0;
  for (size_t to = 0; to < out.bytes.size(); to += element) {
    std::memcpy(out.bytes.data() + to, a.bytes.data() + size_t(from) * element, element);
    for (size_t i = rank; i-- > 0;) {
      from += step[i];
      if (++at[i] < a.shape[i]) break;
      from -= step[i] * a.shape[i];
      at[i] = 0;
    }
  }
  return out;
}

Array widened(const Array& halves) {
  Array out{ElementType::f32, halves.shape, std::vector<std::byte>(2 * halves.bytes.size())};
  const uint16_t* from = halves.as<uint16_t>();
  std::transform(from, from + halves.size(), out.as<float>(), half_value);
  return out;
}

bool read_exactly(const File& file, void* to, size_t n) { return std::fread(to, 1, n, file.get()) == n; }

}  // namespace

Array read_npy(const fs::path& path) {
  const File file = open_file(path);
  const std::string name = path.string();
  unsigned char head[12];
  if (!read_exactly(file, head, 10) || std::memcmp(head, "\x93NUMPY", 6) != 0) refuse(name, ": is not a .npy file");
  const int version = head[6];
  if (version < 1 || version > 3)
    refuse(name, ": is a .npy file of version ", version, "; versions 1 to 3 are supported");
  if (version > 1 && !read_exactly(file, head + 10, 2)) refuse(name, ": is truncated: its .npy header is incomplete");
  const size_t length = version == 1
                            ? size_t(head[8]) | size_t(head[9]) << 8
                            : size_t(head[8]) | size_t(head[9]) << 8 | size_t(head[10]) << 16 | size_t(head[11]) << 24;
  const uint64_t file_size = fs::file_size(path);
  if (length > file_size) refuse(name, ": is truncated: its .npy header is incomplete");
  std::string text(length, ' ');
  if (!read_exactly(file, text.data(), length)) refuse(name, ": is truncated: its .npy header is incomplete");
  const std::optional<NpyHeader> header = HeaderParser(text).parse();
  if (!header) refuse(name, ": has an invalid .npy header");

  Array array;
  const std::optional<ElementType> type = type_of(header->descr);
  if (!type) refuse(name, ": has elements of type '", header->descr, "', which is not supported");
  array.type = *type;
  array.shape = header->shape;
  const uint64_t held = file_size - uint64_t(std::ftell(file.get()));
  uint64_t bytes = size_of(array.type);
  for (int64_t d : array.shape) {
    if (__builtin_mul_overflow(bytes, uint64_t(d), &bytes)) bytes = UINT64_MAX;
    if (d == 0) bytes = 0;
    if (bytes > held) bytes = UINT64_MAX;
  }
  for (int64_t d : array.shape) {
    if (d == 0) bytes = 0;
  }
  if (bytes > held) refuse(name, ": is truncated: it has fewer elements than its header says");
  if (bytes < held) refuse(name, ": is damaged: it has more bytes than its header says");
  array.bytes.resize(bytes);
  if (!read_exactly(file, array.bytes.data(), bytes)) refuse(name, ": could only be read in part");
  if (header->descr.starts_with('>')) swap_bytes(array.bytes, size_of(array.type));
  if (header->fortran_order && array.shape.size() > 1) array = in_c_order(array);
  return header->descr.ends_with("f2") ? widened(array) : array;
}

NpyFile::NpyFile(const fs::path& path, ElementType type, const std::vector<int64_t>& shape)
    : file_(path), missing_(size_of(type)) {
  std::string header = "{'descr': '";
  for (const Descriptor& d : descriptors) {
    if (d.type == type) header += d.name;
  }
  header += "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i) {
    BASIN_CHECK(shape[i] >= 0, "shape[", i, "] = ", shape[i]);
    header += (i ? ", " : "") + std::to_string(shape[i]);
    missing_ *= uint64_t(shape[i]);
  }
  header += shape.size() == 1 ? ",), }" : "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  BASIN_CHECK(header.size() < 65536, header.size(), " bytes of header");
  const char head[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, char(header.size() & 255), char(header.size() >> 8)};
  file_.write(head, sizeof head);
  file_.write(header);
}

void NpyFile::write(const void* elements, uint64_t bytes) {
  BASIN_CHECK(bytes <= missing_, bytes, " bytes, of ", missing_);
  file_.write(elements, bytes);
  missing_ -= bytes;
}

void NpyFile::commit() {
  BASIN_CHECK(missing_ == 0, missing_, " bytes are missing");
  file_.commit();
}

void write_npy(const fs::path& path, ElementType type, const std::vector<int64_t>& shape, const void* elements) {
  uint64_t bytes = size_of(type);
  for (const int64_t side : shape)
    bytes *= uint64_t(side);
  NpyFile file(path, type, shape);
  file.write(elements, bytes);
  file.commit();
}

}  // namespace basin

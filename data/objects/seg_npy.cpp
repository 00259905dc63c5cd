#include "data/objects/seg_npy.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

#include "engine/files.h"
#include "engine/json.h"

namespace basin {
namespace {

/// The opcodes of Python's pickle format that are needed here, and what follows them.
class Pickle {
 public:
  explicit Pickle(OutputFile& file) : file_(file) { raw("\x80\x04"); }  // protocol 4

  void raw(std::string_view bytes) { file_.write(bytes); }
  void mark() { raw("("); }
  void none() { raw("N"); }
  void boolean(bool value) { raw(value ? "\x88" : "\x89"); }
  void global(std::string_view module, std::string_view name) {
    raw("c"), raw(module), raw("\n"), raw(name), raw("\n");
  }
  void integer(int32_t value) { raw("J"), raw(little(uint32_t(value), 4)); }
  void real(double value) {
    std::string bytes = little(std::bit_cast<uint64_t>(value), 8);
    std::reverse(bytes.begin(), bytes.end());
    raw("G"), raw(bytes);
  }
  void text(const std::string& utf8) { raw("X"), raw(little(utf8.size(), 4)), raw(utf8); }
  void bytes_of_size(uint64_t n) { raw("\x8e"), raw(little(n, 8)); }  // the bytes themselves are to follow
  void tuple() { raw("t"); }                                          // of what follows the mark
  void reduce() { raw("R"); }
  void build() { raw("b"); }
  void empty_list() { raw("]"); }
  void appends() { raw("e"); }  // what follows the mark, to the list before it
  void empty_dict() { raw("}"); }
  void set_items() { raw("u"); }
  void stop() { raw("."); }

  /// numpy.dtype(code), little-endian; flags: 63 for objects.
  void dtype(const std::string& code, const char* order, int flags) {
    global("numpy", "dtype");
    mark(), text(code), boolean(false), boolean(true), tuple(), reduce();
    mark(), integer(3), text(order), none(), none(), none(), integer(-1), integer(-1), integer(flags), tuple(), build();
  }
  /// An ndarray, up to its contents: what comes next is a bytes object or, of objects, a list; then end_array().
  void begin_array(const std::vector<int64_t>& shape, const std::string& code, const char* order, int flags = 0) {
    global("numpy.core.multiarray", "_reconstruct");
    mark(), global("numpy", "ndarray"), mark(), integer(0), tuple(), bytes_of_size(1), raw("b"), tuple(), reduce();
    mark(), integer(1), mark();
    for (const int64_t side : shape)
      integer(int32_t(side));
    tuple(), dtype(code, order, flags), boolean(false);
  }
  void end_array() { tuple(), build(); }

  /// An array of one number per pixel, which value(i) returns, in elements of type T.
  template <class T, class F>
  void array(const std::vector<int64_t>& shape, const std::string& code, const char* order, const F& value) {
    size_t n = 1;
    for (const int64_t side : shape)
      n *= size_t(side);
    begin_array(shape, code, order);
    bytes_of_size(n * sizeof(T));
    std::vector<T> part;
    for (size_t i = 0; i < n;) {
      part.clear();
      for (const size_t end = std::min(n, i + (size_t(1) << 20)); i < end; ++i)
        part.push_back(T(value(i)));
      file_.write(part.data(), part.size() * sizeof(T));
    }
    end_array();
  }

 private:
  static std::string little(uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i)
      text.push_back(char(value >> 8 * i));
    return text;
  }

  OutputFile& file_;
};

double median_diameter(const Labels& labels) {
  if (labels.count == 0) return 0;
  std::vector<int64_t> areas(size_t(labels.count) + 1);
  for (const int32_t id : labels.ids)
    ++areas[size_t(id)];
  const auto middle = areas.begin() + 1 + labels.count / 2;
  std::nth_element(areas.begin() + 1, middle, areas.end());
  double area = double(*middle);
  if (labels.count % 2 == 0) {
    const double below = double(*std::max_element(areas.begin() + 1, middle));
    return (std::sqrt(below) + std::sqrt(area)) / std::sqrt(std::numbers::pi);
  }
  return equivalent_diameter(area);
}

bool on_border(const Labels& labels, size_t i) {
  const int width = labels.width, y = int(i / size_t(width)), x = int(i % size_t(width));
  const int32_t id = labels.ids[i];
  const auto other = [&](int v, int u) {
    return v < 0 || u < 0 || v >= labels.height || u >= width || labels(v, u) != id;
  };
  return other(y, x - 1) || other(y, x + 1) || other(y - 1, x) || other(y + 1, x);
}

}  // namespace

void write_seg_npy(const std::filesystem::path& path, const Labels& labels, const std::filesystem::path& image) {
  OutputFile file(path);
  std::string header("\x93NUMPY\x01\x00\x76\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }", 64);
  header.resize(127, ' ');
  file.write(header), file.write("\n");
  Pickle p(file);
  p.begin_array({}, "O8", "|", 63);
  p.empty_list(), p.mark(), p.empty_dict(), p.mark();
  p.text("filename");
  p.text(parse_json(to_text(Json(image.string()))).get<std::string>());  // invalid UTF-8 is replaced
  const std::vector<int64_t> shape{labels.height, labels.width};
  const auto pixels = [&](const std::string& name, const auto& value) {
    p.text(name);
    if (labels.count > 65535)
      p.array<uint32_t>(shape, "u4", "<", value);
    else
      p.array<uint16_t>(shape, "u2", "<", value);
  };
  pixels("masks", [&](size_t i) { return labels.ids[i]; });
  pixels("outlines", [&](size_t i) { return labels.ids[i] != 0 && on_border(labels, i) ? labels.ids[i] : 0; });
  p.text("ismanual");
  p.array<uint8_t>({labels.count}, "b1", "|", [](size_t) { return 0; });
  const double diameter = median_diameter(labels);
  p.text("diameter"), p.real(diameter), p.text("est_diam"), p.real(diameter);
  p.text("chan_choose"), p.empty_list(), p.mark(), p.integer(0), p.integer(0), p.appends();
  p.text("flows"), p.empty_list(), p.mark();
  for (int i = 0; i < 4; ++i)
    p.empty_list();
  p.empty_list(), p.mark(), p.empty_list(), p.appends(), p.appends();
  p.set_items(), p.appends();
  p.end_array(), p.stop();
  file.commit();
}

}  // namespace basin

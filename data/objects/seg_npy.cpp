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

  /// An array [height, width] of elements of type T; write(y, row) sets one row of it.
  template <class T, class F>
  void rows(int height, int width, const std::string& code, const char* order, const F& write) {
    begin_array({height, width}, code, order);
    bytes_of_size(uint64_t(height) * uint64_t(width) * sizeof(T));
    std::vector<T> row(static_cast<size_t>(width));
    for (int y = 0; y < height; ++y) {
      write(y, row.data());
      file_.write(row.data(), row.size() * sizeof(T));
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

double median_diameter(std::vector<int64_t> areas) {
  if (areas.empty()) return 0;
  const auto middle = areas.begin() + ptrdiff_t(areas.size() / 2);
  std::nth_element(areas.begin(), middle, areas.end());
  const auto area = double(*middle);
  if (areas.size() % 2 == 0) {
    const auto below = double(*std::max_element(areas.begin(), middle));
    return (std::sqrt(below) + std::sqrt(area)) / std::sqrt(std::numbers::pi);
  }
  return equivalent_diameter(area);
}

/// The labels of border pixels, row by row from the first on.
class Borders {
 public:
  explicit Borders(const LabelRows& labels)
      : labels_(labels), above_(size_t(labels.width)), row_(above_), below_(above_) {
    labels.read(0, below_.data());
  }
  /// Row y, after row y - 1.
  template <class T>
  void next(int y, T* to) {
    std::swap(above_, row_), std::swap(row_, below_);
    const bool is_last = y + 1 == labels_.height;
    if (!is_last) labels_.read(y + 1, below_.data());
    const auto width = size_t(labels_.width);
    for (size_t x = 0; x < width; ++x) {
      const int32_t id = row_[x];
      const bool on_border = y == 0 || is_last || x == 0 || x + 1 == width || row_[x - 1] != id || row_[x + 1] != id ||
                             above_[x] != id || below_[x] != id;
      to[x] = T(on_border ? id : 0);
    }
  }

 private:
  const LabelRows& labels_;
  std::vector<int32_t> above_, row_, below_;
};

template <class T>
void write_masks_and_outlines(Pickle& p, const LabelRows& labels, const std::string& code) {
  p.text("masks");
  std::vector<int32_t> row(size_t(labels.width));
  p.rows<T>(labels.height, labels.width, code, "<", [&](int y, T* to) {
    labels.read(y, row.data());
    std::copy(row.begin(), row.end(), to);
  });
  p.text("outlines");
  Borders borders(labels);
  p.rows<T>(labels.height, labels.width, code, "<", [&](int y, T* to) { borders.next(y, to); });
}

}  // namespace

void write_seg_npy(const std::filesystem::path& path, const LabelRows& labels, const std::filesystem::path& image) {
  OutputFile file(path);
  std::string header("\x93NUMPY\x01\x00\x76\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }", 64);
  header.resize(127, ' ');
  file.write(header), file.write("\n");
  Pickle p(file);
  p.begin_array({}, "O8", "|", 63);
  p.empty_list(), p.mark(), p.empty_dict(), p.mark();
  p.text("filename");
  p.text(parse_json(to_text(Json(image.string()))).get<std::string>());  // invalid UTF-8 is replaced
  if (labels.areas.size() > 65535)
    write_masks_and_outlines<uint32_t>(p, labels, "u4");
  else
    write_masks_and_outlines<uint16_t>(p, labels, "u2");
  p.text("ismanual");
  const auto objects = int64_t(labels.areas.size());
  p.begin_array({objects}, "b1", "|");
  p.bytes_of_size(uint64_t(objects));
  p.raw(std::string(labels.areas.size(), '\0'));
  p.end_array();
  const double diameter = median_diameter(labels.areas);
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

void write_seg_npy(const std::filesystem::path& path, const Labels& labels, const std::filesystem::path& image) {
  const std::vector<int64_t> areas = areas_of(labels);
  LabelRows rows{labels.height, labels.width, {areas.begin() + 1, areas.end()}, {}};
  rows.read = [&](int y, int32_t* to) {
    std::copy_n(labels.ids.data() + size_t(y) * size_t(labels.width), labels.width, to);
  };
  write_seg_npy(path, rows, image);
}

}  // namespace basin

#include "data/files/labels.h"

#include <algorithm>
#include <climits>
#include <cmath>

#include "data/files/npy.h"
#include "data/files/raster.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// Ids above this are looked up in a sorted list, not in a table.
constexpr int64_t table_limit = int64_t(1) << 26;

constexpr int max_in_16_bits = 65535;

/// Calls f(first, last, id) for each run of equal ids.
template <class T, class F>
void for_each_run(const T* ids, size_t n, F f) {
  for (size_t i = 0; i < n;) {
    size_t j = i + 1;
    while (j < n && ids[j] == ids[i])
      ++j;
    f(i, j, ids[i]);
    i = j;
  }
}

template <class T>
Labels compact_ids(int height, int width, const T* ids, const std::string& where) {
  Labels labels{height, width, 0, std::vector<int32_t>(size_t(height) * size_t(width))};
  const size_t n = labels.ids.size();
  T most = 0;
  for (size_t i = 0; i < n; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      if (!(ids[i] >= 0 && ids[i] <= T(0x1p53)) || ids[i] != std::floor(ids[i]))
        refuse(where, ": holds label ", ids[i], "; labels are whole numbers from 0");
    } else if constexpr (std::is_signed_v<T>) {
      if (ids[i] < 0) refuse(where, ": holds label ", int64_t(ids[i]), "; labels are whole numbers from 0");
    }
    most = std::max(most, ids[i]);
  }
  std::vector<T> present;  // sorted
  if (uint64_t(most) < uint64_t(table_limit)) {
    std::vector<int32_t> number(size_t(most) + 1);
    for_each_run(ids, n, [&](size_t, size_t, T id) { number[size_t(id)] = 1; });
    number[0] = 0;
    for (size_t id = 1; id < number.size(); ++id)
      number[id] = number[id] ? ++labels.count : 0;
    for_each_run(ids, n, [&](size_t first, size_t last, T id) {
      std::fill(labels.ids.begin() + ptrdiff_t(first), labels.ids.begin() + ptrdiff_t(last), number[size_t(id)]);
    });
    return labels;
  }
  for_each_run(ids, n, [&](size_t, size_t, T id) {
    if (id != 0) present.push_back(id);
  });
  std::sort(present.begin(), present.end());
  present.erase(std::unique(present.begin(), present.end()), present.end());
  if (present.size() > size_t(INT_MAX)) refuse(where, ": holds more than ", INT_MAX, " objects");
  labels.count = int(present.size());
  for_each_run(ids, n, [&](size_t first, size_t last, T id) {
    const auto at = std::lower_bound(present.begin(), present.end(), id);
    const int32_t number = id == 0 ? 0 : int32_t(at - present.begin()) + 1;
    std::fill(labels.ids.begin() + ptrdiff_t(first), labels.ids.begin() + ptrdiff_t(last), number);
  });
  return labels;
}

/// Throws for what is an image of something instead. Of an object of n connected pixels at least n - 1 pairs of
/// neighbours are equal; where the mean object has 4 pixels or more, and there are fewer than three pairs for 4 pixels,
/// most objects are no pieces of an image.
void refuse_photograph(const Labels& labels, const std::string& where) {
  constexpr int64_t few = 1000;
  const int32_t* id = labels.ids.data();
  int64_t foreground = 0, equal = 0;
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x, ++id) {
      if (*id == 0) continue;
      ++foreground;
      equal += x + 1 < labels.width && id[1] == *id;
      equal += y + 1 < labels.height && id[labels.width] == *id;
    }
  if (foreground > few && foreground >= 4 * int64_t(labels.count) && 4 * equal < 3 * foreground)
    refuse(where, ": is no label image: neighbouring pixels differ as in a photograph");
}

Labels from_array(const Array& a, const std::string& where) {
  Labels labels = with_element(
      a.type, [&](auto zero) { return compact_ids(int(a.shape[0]), int(a.shape[1]), a.as<decltype(zero)>(), where); });
  refuse_photograph(labels, where);
  return labels;
}

}  // namespace

Labels compact(int height, int width, std::vector<int64_t> ids) {
  BASIN_CHECK(height >= 0 && width >= 0 && ids.size() == size_t(height) * size_t(width), height, " x ", width);
  return compact_ids(height, width, ids.data(), "label image");
}

Labels resized(const Labels& labels, int height, int width) {
  const auto sources = [](int to, int from) {
    std::vector<size_t> all(static_cast<size_t>(to));
    for (int d = 0; d < to; ++d)
      all[size_t(d)] = size_t(nearest_source(d, from, to));
    return all;
  };
  const std::vector<size_t> rows = sources(height, labels.height), columns = sources(width, labels.width);
  std::vector<int64_t> ids;
  ids.reserve(rows.size() * columns.size());
  for (const size_t y : rows)
    for (const size_t x : columns)
      ids.push_back(labels.ids[y * size_t(labels.width) + x]);
  return compact(height, width, std::move(ids));
}

Labels read_labels(const fs::path& path) {
  const std::string name = path.string(), extension = lower_extension(path);
  if (extension == ".npy") {
    const Array a = read_npy(path);
    if (a.shape.size() != 2 || a.shape[0] == 0 || a.shape[1] == 0 || a.shape[0] > INT_MAX || a.shape[1] > INT_MAX)
      refuse(name, ": is no label image: its shape is not [height, width]");
    if (a.size() > raster::max_pixels)
      refuse(name, ": has ", a.size(), " pixels; Basin takes label images of up to ", raster::max_pixels);
    return from_array(a, name);
  }
  if (extension == ".jpg" || extension == ".jpeg" || extension == ".bmp")
    refuse(name, ": label images are PNG, TIFF or .npy files");
  const Array a = raster::read(path, raster::Palette::indices);
  if (a.shape[2] != 1) refuse(name, ": has ", a.shape[2], " channels; a label image has one");
  return from_array(a, name);
}

const char* masks_suffix(const Labels& labels) { return labels.count > max_in_16_bits ? "_masks.tif" : "_masks.png"; }

void write_labels(const fs::path& path, const Labels& labels) {
  const std::string extension = lower_extension(path);
  const size_t width = size_t(labels.width);
  BASIN_CHECK(labels.height > 0 && labels.width > 0 && labels.ids.size() == size_t(labels.height) * width, "labels ",
              labels.height, " x ", labels.width);
  if (extension == ".npy") return write_npy(path, {labels.height, labels.width}, labels.ids.data());
  const bool png = extension == ".png";
  if (!png && extension != ".tif" && extension != ".tiff")
    refuse(path.string(), ": labels are written as .png, .tif, .tiff or .npy");
  const bool wide = labels.count > max_in_16_bits;
  if (wide && png)
    refuse(path.string(), ": holds ", labels.count, " objects, and a PNG has room for ", max_in_16_bits,
           "; write .tif or .npy");
  std::vector<uint16_t> narrow(width);
  const raster::Rows rows{.height = labels.height,
                          .width = labels.width,
                          .channels = 1,
                          .bits = wide ? 32 : 16,
                          .row = [&](int y) -> const void* {
                            const int32_t* row = labels.ids.data() + size_t(y) * width;
                            if (wide) return row;
                            std::copy(row, row + width, narrow.begin());
                            return narrow.data();
                          }};
  png ? raster::write_png(path, rows) : raster::write_tiff(path, rows);
}

}  // namespace basin

#include "data/files/labels.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <numbers>
#include <utility>

#include "data/arrays/npy.h"
#include "data/arrays/zarr.h"
#include "data/files/decoded.h"
#include "data/files/decoders.h"
#include "data/files/encoders.h"
#include "data/files/raster.h"
#include "engine/files.h"
#include "kernels/image/runs.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// Ids above this are looked up in a sorted list instead of a table.
constexpr int64_t table_limit = int64_t(1) << 26;

constexpr int max_in_16_bits = 65535;

template <class T>
Labels compact_ids(int height, int width, const T* ids, const std::string& where) {
  Labels labels{height, width, 0, std::vector<int32_t>(size_t(height) * size_t(width))};
  const size_t n = labels.ids.size();
  T most = 0;
  for (size_t i = 0; i < n; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      if (!(ids[i] >= 0 && ids[i] <= T(0x1p53)) || ids[i] != std::floor(ids[i]))
        refuse(where, ": has the label ", ids[i], "; labels must be whole numbers from 0");
    } else if constexpr (std::is_signed_v<T>) {
      if (ids[i] < 0) refuse(where, ": has the label ", int64_t(ids[i]), "; labels must be whole numbers from 0");
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
  if (present.size() > size_t(INT_MAX)) refuse(where, ": has more than ", INT_MAX, " objects");
  labels.count = int(present.size());
  for_each_run(ids, n, [&](size_t first, size_t last, T id) {
    const auto at = std::lower_bound(present.begin(), present.end(), id);
    const int32_t number = id == 0 ? 0 : int32_t(at - present.begin()) + 1;
    std::fill(labels.ids.begin() + ptrdiff_t(first), labels.ids.begin() + ptrdiff_t(last), number);
  });
  return labels;
}

/// The axes of the labels of an image with these axes, such as ZYX for ZCYX: they have no channels.
std::string without_channels(std::string axes) {
  const size_t c = axes.find_first_of("Cc");
  if (c != std::string::npos) axes.erase(c, std::min(axes.find_first_not_of("=0123456789", c + 1), axes.size()) - c);
  return axes;
}

void refuse_no_labels(const Labels& labels, const std::string& where) {
  const LabelEvidence e = evidence(labels);
  if (e.photograph) refuse(where, ": is not a label image: neighbouring pixels differ as in a photograph");
  if (e.interpolated)
    refuse(where,
           ": is no longer a label image: pixels at borders have numbers between those of the objects, as after "
           "smoothing; resize labels by nearest neighbours");
}

}  // namespace

Labels labels_from(const Array& a, const std::string& name) {
  Labels labels = with_element(
      a.type, [&](auto zero) { return compact_ids(int(a.shape[0]), int(a.shape[1]), a.as<decltype(zero)>(), name); });
  refuse_no_labels(labels, name);
  return labels;
}

std::vector<int64_t> areas_of(const Labels& labels) {
  std::vector<int64_t> areas(size_t(labels.count) + 1);
  for (const int32_t id : labels.ids)
    ++areas[size_t(id)];
  areas[0] = 0;
  return areas;
}

Labels compact(int height, int width, std::vector<int64_t> ids) {
  BASIN_CHECK(height >= 0 && width >= 0 && ids.size() == size_t(height) * size_t(width), height, " x ", width);
  return compact_ids(height, width, ids.data(), "label image");
}

Labels resized(const Labels& labels, int height, int width, std::vector<int32_t>* kept) {
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
  if (kept) {
    std::vector<bool> present(size_t(labels.count) + 1);
    for (const int64_t id : ids)
      present[size_t(id)] = true;
    kept->clear();
    for (int32_t id = 1; id <= labels.count; ++id)
      if (present[size_t(id)]) kept->push_back(id);
  }
  return compact(height, width, std::move(ids));
}

std::vector<Piece> pieces_of(const Labels& labels) {
  std::vector<Piece> parts;  // of pieces, in raster order; the first part of a piece collects its area
  std::vector<int32_t> parent;
  const auto root = [&](int32_t a) {
    while (parent[size_t(a)] != a)
      a = parent[size_t(a)] = parent[size_t(parent[size_t(a)])];
    return a;
  };
  std::vector<int32_t> above(size_t(labels.width), -1), here(size_t(labels.width), -1);
  for (int y = 0; y < labels.height; ++y) {
    for (int x = 0; x < labels.width; ++x) {
      here[size_t(x)] = -1;
      const int32_t id = labels(y, x);
      if (id == 0) continue;
      const auto join = [&](int v, int u, const std::vector<int32_t>& row) {
        if (v < 0 || u < 0 || u >= labels.width || labels(v, u) != id) return;
        const int32_t other = root(row[size_t(u)]);
        if (here[size_t(x)] < 0) {
          here[size_t(x)] = other;
        } else if (const int32_t own = root(here[size_t(x)]); own != other) {
          const int32_t first = std::min(own, other), second = std::max(own, other);
          parent[size_t(second)] = here[size_t(x)] = first;
          parts[size_t(first)].area += std::exchange(parts[size_t(second)].area, 0);
        }
      };
      join(y, x - 1, here);
      for (int u = x - 1; u <= x + 1; ++u)
        join(y - 1, u, above);
      if (here[size_t(x)] < 0) {
        here[size_t(x)] = int32_t(parent.size());
        parent.push_back(here[size_t(x)]);
        parts.push_back({id, 0, y, x});
      }
      ++parts[size_t(root(here[size_t(x)]))].area;
    }
    std::swap(above, here);
  }
  std::erase_if(parts, [](const Piece& part) { return part.area == 0; });
  return parts;
}

double equivalent_diameter(double area) { return 2 * std::sqrt(area / std::numbers::pi); }

namespace {

/// [count + 1]: which objects have a core, that is a pixel whose four neighbours belong to the same object. The
/// background counts as an object with a core.
std::vector<bool> with_core(const Labels& labels) {
  std::vector<bool> has(size_t(labels.count) + 1);
  has[0] = true;
  for (int y = 1; y + 1 < labels.height; ++y)
    for (int x = 1; x + 1 < labels.width; ++x) {
      const int32_t id = labels(y, x);
      if (labels(y, x - 1) == id && labels(y, x + 1) == id && labels(y - 1, x) == id && labels(y + 1, x) == id)
        has[size_t(id)] = true;
    }
  return has;
}

/// [height * width]: the pixels inside runs of rising or falling numbers, along rows and columns, as smoothing makes
/// across the borders of objects: one end of the run belongs to an object with a core (or to the background), the other
/// end, too, or there the numbers turn without a single step. Objects that are one pixel wide, side by side and in
/// order, also make runs, but these end at an object without a core, at the edge of the image, or in a single step to
/// the background.
std::vector<bool> inside_runs(const Labels& labels) {
  const std::vector<bool> core = with_core(labels);
  const size_t width = size_t(labels.width), none = labels.ids.size();
  std::vector<bool> inside(labels.ids.size());
  struct Run {
    size_t begin;
    size_t waiting = 0;     // start of the previous run, if that is to be marked unless this run is a step to a core
    bool is_abrupt = true;  // begins at an edge of the image, or after a single step from a core
    int direction = 0;
  };
  const auto has_core = [&](size_t i) { return bool(core[size_t(labels.ids[i])]); };
  // Continues with pixel i; the previous one is i - step.
  const auto go_on = [&](Run& run, size_t i, size_t step, bool ends) {
    const size_t last = i - step;
    const int32_t before = labels.ids[last], id = ends ? before : labels.ids[i];
    const int direction = (id > before) - (id < before);
    if (direction == run.direction && !ends) return;
    const auto mark = [&](size_t from, size_t to) {
      for (size_t k = from; k < to; k += step)
        inside[k] = inside[k] || k > from;
    };
    const bool is_step = last == run.begin + step, at_begin = has_core(run.begin), at_end = has_core(last);
    Run next{last, none, false, direction};
    if (run.direction == 0) {
      if (!at_end) next.waiting = run.waiting, next.is_abrupt = run.is_abrupt;
    } else {
      if (run.waiting != none && !(at_end && is_step)) mark(run.waiting, run.begin);
      if (at_end && (at_begin || !run.is_abrupt)) mark(run.begin, last);
      if (at_begin && !at_end) next.waiting = run.begin, next.is_abrupt = is_step;
    }
    run = next;
  };
  std::vector<Run> down;
  for (size_t x = 0; x < width; ++x)
    down.push_back({x, none});
  for (size_t y = 0; y <= size_t(labels.height); ++y) {
    const bool ends = y == size_t(labels.height);
    for (size_t x = 0; y > 0 && x < width; ++x)
      go_on(down[x], y * width + x, width, ends);
    if (ends) break;
    Run along{y * width, none};
    for (size_t x = 1; x <= width; ++x)
      go_on(along, y * width + x, 1, x == width);
  }
  return inside;
}

}  // namespace

LabelEvidence evidence(const Labels& labels) {
  constexpr int64_t few = 1000;
  LabelEvidence e;
  int64_t foreground = 0;
  std::vector<int64_t> areas(size_t(labels.count) + 1);
  const std::vector<bool> between = inside_runs(labels);
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) {
      const int32_t id = labels(y, x);
      if (id == 0) continue;
      ++foreground, ++areas[size_t(id)];
      const auto pair = [&](int v, int u) {
        if (v >= labels.height || u < 0 || u >= labels.width || labels(v, u) == 0) return;
        ++e.pairs, e.equal += labels(v, u) == id;
      };
      pair(y, x + 1), pair(y + 1, x - 1), pair(y + 1, x), pair(y + 1, x + 1);
      const auto differs = [&](bool inside, int dy, int dx) {
        return inside && (labels(y - dy, x - dx) != id || labels(y + dy, x + dx) != id);
      };
      const bool border = differs(x > 0 && x + 1 < labels.width, 0, 1) || differs(y > 0 && y + 1 < labels.height, 1, 0);
      e.borders += border, e.between += border && between[size_t(y) * size_t(labels.width) + size_t(x)];
    }
  if (foreground > few && 2 * e.equal < e.pairs) {
    const int64_t n = int64_t(pieces_of(labels).size());
    e.photograph = foreground < 8 * n && n >= 4 * int64_t(labels.count);
  }
  int64_t in_large = 0;
  for (const int64_t area : areas)
    in_large += area >= 16 ? area : 0;
  e.interpolated = e.between >= 20 && 4 * e.between >= e.borders && 2 * in_large >= foreground;
  return e;
}

bool has_label_extension(const fs::path& path) {
  const std::string e = lower_extension(path);
  return e == ".png" || e == ".tif" || e == ".tiff" || e == ".bmp" || e == ".npy" || e == ".zarr";
}

PlaneChoice choice_for_labels(const fs::path& path, const PlaneChoice& choice) {
  PlaneChoice own;
  own.offered = choice.offered;
  if (!choice.series.empty() && raster::holds_series(path)) own.series = choice.series;
  if (choice.plane.empty() || raster::count_images(path, own) == 1) return own;
  const bool names_channel = choice.plane.find_first_of("Cc") != std::string::npos;
  own.plane = choice.plane, own.axes = names_channel ? choice.axes : without_channels(choice.axes);
  return own;
}

StackPlanes planes_in_labels(const fs::path& path, const PlaneChoice& choice) {
  if (lower_extension(path) == ".npy") return {};
  PlaneChoice own = choice_for_labels(path, choice);
  if (raster::count_images(path, own) == 1) return {};
  if (choice.plane.empty()) own.axes = without_channels(choice.axes);
  return raster::planes_in(path, own);
}

Array read_label_array(const fs::path& path, std::vector<std::string>* notes, const PlaneChoice& choice) {
  if (lower_extension(path) != ".npy") {
    raster::Picture picture = raster::read(path, raster::Purpose::labels, choice_for_labels(path, choice));
    if (notes) *notes = std::move(picture.notes);
    return std::move(picture.pixels);
  }
  const std::string name = path.string();
  Array a = read_npy(path);
  if (a.shape.size() != 2 || a.shape[0] == 0 || a.shape[1] == 0 || a.shape[0] > INT_MAX || a.shape[1] > INT_MAX)
    refuse(name, ": is not a label image: its shape is not [height, width]");
  if (a.size() > raster::max_pixels)
    refuse(name, ": has ", a.size(), " pixels; the limit for label images is ", raster::max_pixels);
  a.shape.push_back(1);
  return a;
}

Labels read_labels(const fs::path& path, const PlaneChoice& choice) {
  std::vector<std::string> notes;
  const Array a = read_label_array(path, &notes, choice);
  if (a.shape[2] != 1) refuse(path.string(), ": has ", a.shape[2], " channels; a label image has one");
  Labels labels = labels_from(a, path.string());
  labels.notes = std::move(notes);
  return labels;
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
    refuse(path.string(), ": labels can be written as .png, .tif, .tiff or .npy");
  const bool wide = labels.count > max_in_16_bits;
  if (wide && png)
    refuse(path.string(), ": there are ", labels.count, " objects, but PNG is limited to ", max_in_16_bits,
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

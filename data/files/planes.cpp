#include "data/files/planes.h"

#include <algorithm>
#include <climits>
#include <string>

#include "data/arrays/npy.h"
#include "data/files/raster.h"
#include "engine/files.h"
#include "kernels/image/runs.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// A mask with several values other than 0, or with one below it, is not the mask of one object.
void check_one_value(const Array& mask, const std::string& where) {
  const size_t channels = size_t(mask.shape[2]);
  with_element(mask.type, [&](auto zero) {
    using T = decltype(zero);
    const T *p = mask.as<T>(), *end = p + mask.size(), *inside = nullptr;
    for (; p != end; p += channels) {
      if (std::all_of(p, p + channels, [](T v) { return v == T(0); })) continue;
      if (!inside) inside = p;
      if (!std::all_of(p, p + channels, [](T v) { return v >= T(0); }))
        refuse(where, " contains ", +*p, "; the mask of an object must be 0 outside and a positive number inside");
      if (!std::equal(p, p + channels, inside))
        refuse(where, " contains several numbers, such as ", +*inside, " and ", +*p,
               "; the mask of an object must be 0 outside and a single number inside");
    }
  });
}

/// The same pixels in runs that end where a row of the image does.
std::vector<Planes::Run> within_rows(const std::vector<Planes::Run>& runs, int64_t width) {
  std::vector<Planes::Run> spans;
  for (const Planes::Run& run : runs)
    for (int64_t begin = run.begin; begin < run.end; begin = spans.back().end)
      spans.push_back({begin, std::min(run.end, (begin / width + 1) * width)});
  return spans;
}

}  // namespace

void Planes::add(const Array& mask, const std::string& where) {
  check_one_value(mask, where);
  const size_t channels = size_t(mask.shape[2]);
  const int64_t pixels = mask.shape[0] * mask.shape[1];
  std::vector<Run> runs;
  with_element(mask.type, [&](auto zero) {
    const auto* p = mask.as<decltype(zero)>();
    const auto inside = [&](int64_t i) {
      return std::any_of(p + size_t(i) * channels, p + size_t(i + 1) * channels, [](auto v) { return v != 0; });
    };
    for (int64_t i = 0; i < pixels; ++i) {
      if (!inside(i)) continue;
      const int64_t begin = i;
      while (i < pixels && inside(i))
        ++i;
      runs.push_back({begin, i});
    }
  });
  if (!runs.empty()) objects.push_back(std::move(runs));
}

void append_run(std::vector<Planes::Run>& runs, int64_t begin, int64_t end) {
  if (!runs.empty() && runs.back().end == begin)
    runs.back().end = end;
  else
    runs.push_back({begin, end});
}

Planes masks_of(const Labels& labels) {
  Planes planes{labels.height, labels.width, std::vector<std::vector<Planes::Run>>(size_t(labels.count))};
  for_each_run(labels.ids.data(), labels.ids.size(), [&](size_t begin, size_t end, int32_t id) {
    if (id > 0) planes.objects[size_t(id) - 1].push_back({int64_t(begin), int64_t(end)});
  });
  return planes;
}

Planes selected(const Planes& planes, const std::vector<int32_t>& numbers) {
  Planes some{planes.height, planes.width, {}};
  for (const int32_t number : numbers)
    some.objects.push_back(planes.objects.at(size_t(number) - 1));
  return some;
}

Planes resized(const Planes& planes, int height, int width) {
  // The pixels that come from the source pixels [a, b) of an axis are [first[a], first[b]).
  const auto first_from = [](int to, int from) {
    std::vector<int64_t> first(size_t(from) + 1, to);
    for (int d = to; d-- > 0;)
      first[size_t(nearest_source(d, from, to))] = d;
    for (size_t s = size_t(from); s-- > 0;)
      first[s] = std::min(first[s], first[s + 1]);
    return first;
  };
  const std::vector<int64_t> rows = first_from(height, planes.height), columns = first_from(width, planes.width);
  Planes result{height, width, {}};
  for (const auto& object : planes.objects) {
    std::vector<Planes::Run>& runs = result.objects.emplace_back();
    const std::vector<Planes::Run> spans = within_rows(object, planes.width);
    for (auto first = spans.begin(); first != spans.end();) {
      const int64_t row = first->begin / planes.width;
      const auto last =
          std::find_if(first, spans.end(), [&](const Planes::Run& s) { return s.begin / planes.width != row; });
      for (int64_t y = rows[size_t(row)]; y < rows[size_t(row) + 1]; ++y)
        for (auto span = first; span != last; ++span) {
          const int64_t x0 = columns[size_t(span->begin - row * planes.width)];
          const int64_t x1 = columns[size_t(span->end - row * planes.width)];
          if (x0 < x1) append_run(runs, y * width + x0, y * width + x1);
        }
      first = last;
    }
  }
  return result;
}

Labels flatten(const Planes& planes) {
  std::vector<int64_t> ids(size_t(planes.height) * size_t(planes.width));
  for (size_t k = 0; k < planes.objects.size(); ++k)
    for (const Planes::Run& run : planes.objects[k])
      for (int64_t i = run.begin; i < run.end; ++i)
        if (ids[size_t(i)] == 0) ids[size_t(i)] = int64_t(k) + 1;
  return compact(planes.height, planes.width, std::move(ids));
}

std::vector<size_t> covered(const Planes& planes) {
  std::vector<bool> taken(size_t(planes.height) * size_t(planes.width));
  std::vector<size_t> lost;
  for (size_t k = 0; k < planes.objects.size(); ++k) {
    bool keeps = false;
    for (const Planes::Run& run : planes.objects[k])
      for (int64_t i = run.begin; i < run.end; ++i) {
        keeps = keeps || !taken[size_t(i)];
        taken[size_t(i)] = true;
      }
    if (!keeps) lost.push_back(k);
  }
  return lost;
}

bool share_pixels(const Planes& planes) {
  std::vector<bool> taken(size_t(planes.height) * size_t(planes.width));
  for (const auto& object : planes.objects)
    for (const Planes::Run& run : object)
      for (int64_t i = run.begin; i < run.end; ++i) {
        if (taken[size_t(i)]) return true;
        taken[size_t(i)] = true;
      }
  return false;
}

std::optional<Planes> read_stack(const fs::path& path, const PlaneChoice& choice, std::vector<int64_t>* numbers) {
  Planes planes;
  int64_t images = 0;
  const auto add = [&](const Array& plane) {
    const std::string where = path.string() + ": image " + std::to_string(++images);
    const size_t known = planes.objects.size();
    if (plane.shape[2] != 1) refuse(where, " has ", plane.shape[2], " channels; a mask must have one");
    if (images == 1) planes.height = int(plane.shape[0]), planes.width = int(plane.shape[1]);
    if (plane.shape[0] != planes.height || plane.shape[1] != planes.width)
      refuse(where, " is ", plane.shape[1], " x ", plane.shape[0], " pixels, but the first is ", planes.width, " x ",
             planes.height);
    planes.add(plane, where);
    if (numbers && planes.objects.size() > known) numbers->push_back(images);
  };
  if (lower_extension(path) != ".npy") {
    const PlaneChoice own = choice_for_labels(path, choice);
    if (!own.plane.empty() || raster::count_images(path, own) == 1) return std::nullopt;
    raster::for_each_image(path, own, add);
    return planes;
  }
  const Array stack = read_npy(path);
  if (stack.shape.size() != 3) return std::nullopt;
  const int64_t height = stack.shape[1], width = stack.shape[2];
  if (height == 0 || width == 0 || height > INT_MAX || width > INT_MAX)
    refuse(path.string(), ": is not a stack of masks: its shape is not [objects, height, width]");
  planes.height = int(height), planes.width = int(width);
  const size_t bytes = size_of(stack.type) * size_t(height * width);
  for (auto at = stack.bytes.begin(); at != stack.bytes.end(); at += ptrdiff_t(bytes))
    add({stack.type, {height, width, 1}, {at, at + ptrdiff_t(bytes)}});
  return planes;
}

}  // namespace basin

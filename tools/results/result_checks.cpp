#include "tools/results/result_checks.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "data/arrays/npy.h"
#include "data/arrays/zarr.h"
#include "data/files/raster.h"
#include "data/files/stack_planes.h"
#include "data/objects/rois.h"
#include "engine/files.h"
#include "engine/json.h"
#include "tools/cli/counted.h"
#include "tools/results/object_tables.h"
#include "tools/results/result_files.h"
#include "tools/results/savers.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

/// Counts the different numbers above 0 in parts of a label image.
class DifferentNumbers {
 public:
  void add(const Array& part, const std::string& name) {
    with_element(part.type, [&](auto zero) {
      const auto* values = part.as<decltype(zero)>();
      for (int64_t i = 0; i < part.size(); ++i) {
        if (!(values[i] > 0)) continue;
        if (!(double(values[i]) <= INT32_MAX)) refuse(name, ": is damaged: contains numbers that no result has");
        const auto number = size_t(values[i]);
        if (number >= seen_.size()) seen_.resize(std::max(number + 1, 2 * seen_.size()));
        count_ += !seen_[number];
        seen_[number] = true;
      }
    });
  }
  int64_t count() const { return count_; }

 private:
  std::vector<bool> seen_;
  int64_t count_ = 0;
};

bool may_be_large(const fs::path& file) { return is_zarr(file) || lower_extension(file) == ".tif"; }

/// Basin reads a store without this file, but other programs do not.
void check_zarr_group(const fs::path& store) {
  const fs::path group = store / ".zgroup";
  const Json json = parse_json(read_text(group));
  if (json.is_discarded() || !json.is_object() || !json.contains("zarr_format") || json["zarr_format"] != 2)
    refuse(group.string(), ": is damaged: it is not the description of a Zarr group");
}

/// The objects of a label image, or of all planes of a stack together, each plane counted by itself. An image that may
/// be larger than memory is read in parts.
int64_t count_objects(const fs::path& file) {
  const std::string name = file.string();
  if (is_zarr(file)) check_zarr_group(file);
  const Stack stack = may_be_large(file) ? raster::stack_in(file, {}) : Stack();
  int64_t objects = 0;
  const auto count_plane = [&](const Array& plane) {
    DifferentNumbers numbers;
    numbers.add(plane, name);
    objects += numbers.count();
  };
  if (stack.images > 1 || stack.height == 0) {
    raster::for_each_image(file, {}, count_plane);
    return objects;
  }
  constexpr int64_t pixels_at_once = int64_t(1) << 26;
  const int64_t rows = std::max<int64_t>(256, pixels_at_once / std::max<int64_t>(1, stack.width) / 256 * 256);
  DifferentNumbers numbers;
  for (int64_t y = 0; y < stack.height; y += rows) {
    const PixelRect part{int(y), 0, int(std::min(rows, stack.height - y)), int(stack.width)};
    numbers.add(raster::read(file, raster::Purpose::labels, {}, part).pixels, name);
  }
  return numbers.count();
}

void read_picture(const fs::path& file) {
  if (may_be_large(file))
    raster::read_planes(file, raster::planes_in(file, {}), {}, [](const raster::Picture&) {});
  else
    (void)raster::read(file, raster::Purpose::image);
}

[[noreturn]] void refuse_cut(const fs::path& file) { refuse(file.string(), ": is damaged: its end is missing"); }

/// The rows of a table, without its heading.
int64_t count_rows(const fs::path& table) {
  const std::string text = read_text(table);
  if (!text.ends_with('\n')) refuse_cut(table);
  return std::count(text.begin(), text.end(), '\n') - 1;
}

/// Of Cellpose's file, whose dictionary is pickled: the last operation of a pickle is a full stop.
void check_pickle(const fs::path& file) {
  if (!read_text(file).ends_with('.')) refuse_cut(file);
}

void read_back(const fs::path& file) {
  const std::string extension = lower_extension(file), name = file.filename().string();
  if (extension == ".geojson" && parse_json(read_text(file)).is_discarded())
    refuse(file.string(), ": is damaged: it is not JSON");
  else if (name.ends_with("_seg.npy"))
    check_pickle(file);
  else if (extension == ".npy")
    (void)read_npy(file);
  else if (extension == ".png" || extension == ".tif")
    read_picture(file);
}

/// The file of an image of one kind.
fs::path file_of(const fs::path& base, const std::vector<std::string>& endings) {
  for (const std::string& ending : endings)
    if (const fs::path file = base.string() + ending; fs::exists(file)) return file;
  refuse_missing(base.string() + endings[0]);
}

}  // namespace

Endings result_endings(const std::set<std::string>& save, bool tiff) {
  Endings all;
  std::set<std::string> maps = save;
  if (maps.erase("table")) maps.insert("csv");
  for (const Saver& saver : savers())
    if (maps.erase(saver.kind)) all.push_back(saver.endings);
  for (const std::string& map : maps)
    all.push_back({'_' + map + ".npy"});
  for (std::vector<std::string>& endings : all)
    if (tiff && endings[0] == "_masks.png") endings = {"_masks.tif"};
  return all;
}

ResultFault fault_of_results(const fs::path& base, const Endings& all) {
  ResultFault fault;
  try {
    std::vector<std::pair<fs::path, int64_t>> counted_files;  // label images and stacks of masks, and their objects
    std::vector<fs::path> tables;
    for (const std::vector<std::string>& endings : all) {
      const fs::path file = file_of(base, endings);
      const std::string name = file.filename().string();
      if (name.ends_with(".zip") && !check_rois(file))
        fault.contradiction = file.string() + ": was written by another program, so that it may have been edited";
      else if (name.ends_with(".csv"))
        tables.push_back(file);
      else if (endings[0].starts_with("_masks.") || endings[0] == instances_suffix)
        counted_files.emplace_back(file, count_objects(file));
      else
        read_back(file);
    }
    const auto compare = [&](const fs::path& file, int64_t n, const char* what) {
      if (counted_files.empty() || n == counted_files[0].second) return;
      const auto& [first, objects] = counted_files[0];
      fault.contradiction = file.string() + ": has " + counted(n, what) + ", but " + first.filename().string() +
                            " has " + counted(objects, "object");
    };
    for (const auto& [file, objects] : counted_files)
      compare(file, objects, "object");
    for (const fs::path& table : tables)
      compare(table, count_rows(table), "row");
  } catch (const Error& e) {
    fault.damage = e.what();
  }
  return fault;
}

}  // namespace basin::tools

// Label images as OME-Zarr 0.4, in Zarr version 2.
#include <algorithm>

#include "data/arrays/zarr_write.h"
#include "data/objects/write_stack.h"
#include "engine/json.h"

namespace basin {
namespace {

/// The largest sides of the smallest resolution.
constexpr int64_t small_enough = 1024;

/// `unit`: empty if it is unknown.
Json axis(const char* name, const char* type, const std::string& unit) {
  Json json{{"name", name}, {"type", type}};
  if (!unit.empty()) json["unit"] = unit;
  return json;
}

/// Every second pixel of every second row.
std::vector<uint32_t> halved(const std::vector<uint32_t>& plane, int64_t height, int64_t width) {
  std::vector<uint32_t> half;
  half.reserve(size_t((height + 1) / 2) * size_t((width + 1) / 2));
  for (int64_t y = 0; y < height; y += 2)
    for (int64_t x = 0; x < width; x += 2)
      half.push_back(plane[size_t(y * width + x)]);
  return half;
}

/// A label image in a Zarr store: its metadata, and the arrays of its resolutions.
class LabelStore {
 public:
  LabelStore(const std::filesystem::path& path, const StackPlanes& planes, int height, int width, int32_t highest)
      : path_(path), folder_(path), type_(highest > max_in_16_bits ? ElementType::u32 : ElementType::u16) {
    const auto unit_if = [](bool known, const char* unit) { return known ? unit : ""; };
    const std::string size_unit = unit_if(planes.stack.pixel.has_value(), "micrometer"),
                      spacing_unit = unit_if(planes.stack.spacing.has_value(), "micrometer"),
                      time_unit = unit_if(planes.stack.interval.has_value(), "second");
    Json scale = Json::array();
    std::vector<int64_t> sides;
    if (planes.frames > 1) {
      axes_.push_back(axis("t", "time", time_unit));
      scale.push_back(planes.stack.interval.value_or(1));
      sides.push_back(planes.frames);
    }
    if (planes.slices > 1) {
      axes_.push_back(axis("z", "space", spacing_unit));
      scale.push_back(planes.stack.spacing.value_or(1));
      sides.push_back(planes.slices);
    }
    for (const char* name : {"y", "x"})
      axes_.push_back(axis(name, "space", size_unit));
    for (int64_t step = 1;; step *= 2, height = (height + 1) / 2, width = (width + 1) / 2) {
      const std::string name = std::to_string(levels_.size());
      std::vector<int64_t> shape = sides;
      shape.insert(shape.end(), {height, width});
      levels_.emplace_back(folder_, name, type_, shape);
      Json scales = scale;
      const PixelSides pixel = planes.stack.pixel.value_or(PixelSides{1, 1});
      scales.push_back(pixel.height * double(step)), scales.push_back(pixel.width * double(step));
      const Json transformation{{"type", "scale"}, {"scale", scales}};
      datasets_.push_back({{"path", name}, {"coordinateTransformations", Json::array({transformation})}});
      if (std::max(height, width) <= small_enough) break;
    }
  }

  ElementType type() const { return type_; }
  /// From the full resolution on, each half as high and wide as the one before.
  std::vector<ZarrWriter>& levels() { return levels_; }
  void commit() {
    const Json multiscale{{"version", "0.4"},
                          {"name", path_.stem().stem().string()},
                          {"axes", axes_},
                          {"datasets", datasets_},
                          {"type", "nearest"}};
    write_zarr_group(folder_, "", {{"multiscales", Json::array({multiscale})}, {"image-label", {{"version", "0.4"}}}});
    folder_.commit();
  }

 private:
  static constexpr int32_t max_in_16_bits = 65535;

  std::filesystem::path path_;
  OutputFolder folder_;
  ElementType type_;
  Json axes_ = Json::array(), datasets_ = Json::array();
  std::vector<ZarrWriter> levels_;
};

}  // namespace

void write_zarr_labels(const std::filesystem::path& path, const StackPlanes& planes, const LabelParts& labels) {
  LabelStore store(path, planes, labels.height, labels.width, labels.highest);
  int step = 1;
  for (ZarrWriter& level : store.levels()) {
    level.write_plane({}, [&](const PixelRect& part, std::byte* to) {
      std::vector<uint32_t> ids(size_t(part.pixels()));
      labels.read(step, part, ids.data());
      if (store.type() == ElementType::u32)
        std::copy(ids.begin(), ids.end(), reinterpret_cast<uint32_t*>(to));
      else
        std::transform(ids.begin(), ids.end(), reinterpret_cast<uint16_t*>(to),
                       [](uint32_t id) { return uint16_t(id); });
    });
    step *= 2;
  }
  store.commit();
}

void LabelStack::write_zarr(const std::filesystem::path& path) const {
  LabelStore store(path, planes_, height_, width_, highest_);
  for (int64_t plane = 0; plane < int64_t(runs_.size()); ++plane) {
    std::vector<uint32_t> ids;
    ids.reserve(size_t(height_) * size_t(width_));
    for (const Run& run : runs_[size_t(plane)])
      ids.insert(ids.end(), size_t(run.pixels), uint32_t(run.number));
    std::vector<int64_t> index;
    if (planes_.frames > 1) index.push_back(planes_.frame_of(plane));
    if (planes_.slices > 1) index.push_back(planes_.slice_of(plane));
    int64_t height = height_, width = width_;
    for (ZarrWriter& level : store.levels()) {
      if (store.type() == ElementType::u16) {
        const std::vector<uint16_t> narrow(ids.begin(), ids.end());
        level.write_plane(index, reinterpret_cast<const std::byte*>(narrow.data()));
      } else {
        level.write_plane(index, reinterpret_cast<const std::byte*>(ids.data()));
      }
      if (&level == &store.levels().back()) break;
      ids = halved(ids, height, width);
      height = (height + 1) / 2, width = (width + 1) / 2;
    }
  }
  store.commit();
}

}  // namespace basin

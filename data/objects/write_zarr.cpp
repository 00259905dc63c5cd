// Label images as OME-Zarr 0.4, in Zarr version 2.
#include <algorithm>

#include "data/arrays/zarr_write.h"
#include "data/objects/write_stack.h"
#include "engine/json.h"

namespace basin {
namespace {

/// The largest sides of the smallest resolution.
constexpr int64_t small_enough = 1024;

Json axis(const char* name, const char* type, bool micrometres) {
  Json json{{"name", name}, {"type", type}};
  if (micrometres) json["unit"] = "micrometer";
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

}  // namespace

void LabelStack::write_zarr(const std::filesystem::path& path) const {
  const bool times = planes_.frames > 1, depths = planes_.slices > 1;
  const bool has_size = planes_.stack.pixel_size.has_value(), has_spacing = planes_.stack.spacing.has_value();
  Json axes = Json::array(), scale = Json::array(), datasets = Json::array();
  std::vector<int64_t> sides;
  if (times) axes.push_back(axis("t", "time", false)), scale.push_back(1.), sides.push_back(planes_.frames);
  if (depths) {
    axes.push_back(axis("z", "space", has_spacing));
    scale.push_back(planes_.stack.spacing.value_or(1));
    sides.push_back(planes_.slices);
  }
  for (const char* name : {"y", "x"})
    axes.push_back(axis(name, "space", has_size));

  OutputFolder folder(path);
  std::vector<ZarrWriter> levels;
  const ElementType type = highest_ > max_in_16_bits ? ElementType::u32 : ElementType::u16;
  for (int64_t height = height_, width = width_, step = 1;;
       height = (height + 1) / 2, width = (width + 1) / 2, step *= 2) {
    const std::string name = std::to_string(levels.size());
    std::vector<int64_t> shape = sides;
    shape.insert(shape.end(), {height, width});
    levels.emplace_back(folder, name, type, shape);
    Json scales = scale;
    for (int k = 0; k < 2; ++k)
      scales.push_back(planes_.stack.pixel_size.value_or(1) * double(step));
    const Json transformation{{"type", "scale"}, {"scale", scales}};
    datasets.push_back({{"path", name}, {"coordinateTransformations", Json::array({transformation})}});
    if (std::max(height, width) <= small_enough) break;
  }
  for (int64_t plane = 0; plane < int64_t(runs_.size()); ++plane) {
    std::vector<uint32_t> ids;
    ids.reserve(size_t(height_) * size_t(width_));
    for (const Run& run : runs_[size_t(plane)])
      ids.insert(ids.end(), size_t(run.pixels), uint32_t(run.number));
    std::vector<int64_t> index;
    if (times) index.push_back(planes_.frame_of(plane));
    if (depths) index.push_back(planes_.slice_of(plane));
    int64_t height = height_, width = width_;
    for (ZarrWriter& level : levels) {
      if (type == ElementType::u16) {
        const std::vector<uint16_t> narrow(ids.begin(), ids.end());
        level.write_plane(index, reinterpret_cast<const std::byte*>(narrow.data()));
      } else {
        level.write_plane(index, reinterpret_cast<const std::byte*>(ids.data()));
      }
      if (&level == &levels.back()) break;
      ids = halved(ids, height, width);
      height = (height + 1) / 2, width = (width + 1) / 2;
    }
  }
  const Json multiscale{{"version", "0.4"},
                        {"name", path.stem().stem().string()},
                        {"axes", axes},
                        {"datasets", datasets},
                        {"type", "nearest"}};
  write_zarr_group(folder, "", {{"multiscales", Json::array({multiscale})}, {"image-label", {{"version", "0.4"}}}});
  folder.commit();
}

}  // namespace basin

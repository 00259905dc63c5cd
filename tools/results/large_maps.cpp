#include "tools/results/large_maps.h"

#include <algorithm>

#include "data/arrays/npy.h"
#include "data/files/encoders.h"
#include "data/files/image.h"
#include "data/report/flow_picture.h"
#include "tools/results/savers.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

/// Calls f(band) for bands of at most `rows` rows of an image.
template <class F>
void for_each_band(int height, int width, int rows, const F& f) {
  for (int y = 0; y < height; y += std::min(rows, height - y))
    f(PixelRect{y, 0, std::min(rows, height - y), width});
}

/// Writes a picture of which draw(band) returns a band of rows, 8 bits.
void write_picture(const fs::path& path, const LargeMaps& maps, int channels,
                   const std::function<Image(const PixelRect&)>& draw) {
  Image band;
  int top = 0;
  raster::write_png(path, {maps.height, maps.width, channels, 8, [&](int y) {
                             if (y == top + band.height) {
                               band = draw({y, 0, std::min(maps.rows_at_once, maps.height - y), maps.width});
                               top = y;
                             }
                             return band.pixels.data() + int64_t(y - top) * maps.width * channels;
                           }});
}

void write_probability_in_bands(const fs::path& path, const LargeMaps& maps) {
  write_picture(path, maps, 1, [&](const PixelRect& band) {
    return probability_picture(band.height, band.width, maps.foreground(band));
  });
}

void write_flow_in_bands(const fs::path& path, const LargeMaps& maps) {
  FlowBrightness brightness(int64_t(maps.height) * maps.width);
  const auto add_all = [&] {
    for_each_band(maps.height, maps.width, maps.rows_at_once,
                  [&](const PixelRect& band) { brightness.add(maps.field(band)); });
  };
  add_all();
  brightness.end_pass();
  add_all();
  const double full = brightness.full_length();
  write_picture(path, maps, 3,
                [&](const PixelRect& band) { return flow_picture(band.height, band.width, maps.field(band), full); });
}

void write_map_in_bands(const fs::path& path, const LargeMap& map, int rows) {
  NpyFile file(path, ElementType::f32, {map.channels, map.height, map.width});
  for (int c = 0; c < map.channels; ++c)
    for_each_band(map.height, map.width, rows, [&](const PixelRect& band) {
      file.write(map.part(band).data<const float>() + c * band.pixels(), uint64_t(band.pixels()) * sizeof(float));
    });
  file.commit();
}

}  // namespace

void write_large_maps(const std::set<std::string>& save, const LargeMaps& maps, ImageFiles& files) {
  if (save.contains("probability"))
    files.write("_probability.png", [&](const fs::path& file) { write_probability_in_bands(file, maps); });
  if (save.contains("flow")) files.write("_flow.png", [&](const fs::path& file) { write_flow_in_bands(file, maps); });
  for (const LargeMap& map : maps.maps)
    if (save.contains(map.name))
      files.write("_" + map.name + ".npy",
                  [&](const fs::path& file) { write_map_in_bands(file, map, maps.rows_at_once); });
}

}  // namespace basin::tools

#include <filesystem>

#include "data/objects/geojson.h"
#include "data/objects/measure.h"
#include "data/objects/objects_csv.h"
#include "data/objects/outlines.h"
#include "data/objects/rois.h"
#include "kernels/runtime/platform.h"
#include "tools/bench/bench.h"

namespace basin::tools {
namespace {

/// Disks of 21 px on a lattice of 24 px, each with a hole of one pixel.
Labels disks(int down, int across) {
  constexpr int pitch = 24;
  Labels labels{down * pitch, across * pitch, down * across, {}};
  labels.ids.resize(size_t(labels.height) * size_t(labels.width));
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) {
      const int dy = y % pitch - pitch / 2, dx = x % pitch - pitch / 2, r = dy * dy + dx * dx;
      if (r > 0 && r <= 110)
        labels.ids[size_t(y) * size_t(labels.width) + size_t(x)] = 1 + (y / pitch) * across + x / pitch;
    }
  return labels;
}

/// The area of an object by its outlines.
double area_of(const std::vector<Polygon>& object) {
  double twice = 0;
  const auto add = [&](const Ring& ring) {
    for (size_t i = 0; i < ring.size(); ++i) {
      const Corner a = ring[i], b = ring[(i + 1) % ring.size()];
      twice += double(a.x) * b.y - double(b.x) * a.y;
    }
  };
  for (const Polygon& polygon : object) {
    add(polygon.outer);
    for (const Ring& hole : polygon.holes)
      add(hole);
  }
  return twice / 2;
}

}  // namespace

std::vector<BenchResult> bench_objects(const BenchOptions& options) {
  const Labels labels = disks(250, 400);
  Image image{labels.height, labels.width, 1, PixelType::u16, std::vector<std::byte>(2 * labels.ids.size())};
  for (size_t i = 0; i < labels.ids.size(); ++i)
    image.as<uint16_t>()[i] = uint16_t(i * 40503u);
  const Outlines outlines = outlines_of(labels);
  const ObjectTable table = table_of(measure(labels, {.image = &image}), {}, 0);
  const double area = table.row(0)[3];
  for (size_t k = 0; k < outlines.size(); ++k)
    BASIN_CHECK(area_of(outlines[k]) == area && table.row(k)[3] == area, "object ", k + 1, ": area ", table.row(k)[3]);

  const std::string shape = std::to_string(labels.height) + "x" + std::to_string(labels.width) + ", " +
                            std::to_string(labels.count) + " objects";
  const std::filesystem::path folder = std::filesystem::temp_directory_path();
  const auto file = [&](const char* name) { return folder / ("basin-bench-" + std::to_string(options.seed) + name); };
  const std::filesystem::path rois = file(".zip"), geojson = file(".geojson"), csv = file(".csv");
  std::vector<BenchResult> results{
      time_it(options, "objects, outlines", shape, [&] { outlines_of(labels); }),
      time_it(options, "objects, measure", shape, [&] { table_of(measure(labels, {.image = &image}), {}, 0); }),
      time_it(options, "objects, ROI zip", shape, [&] { write_rois(rois, outlines); }),
      time_it(options, "objects, GeoJSON", shape, [&] { write_geojson(geojson, outlines, table); }),
      time_it(options, "objects, CSV", shape, [&] { write_objects_csv(csv, table); })};
  for (const std::filesystem::path& written : {rois, geojson, csv})
    std::filesystem::remove(written);
  return results;
}

}  // namespace basin::tools

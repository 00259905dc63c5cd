#include "tools/results/large_objects.h"

#include <algorithm>
#include <optional>

#include "data/objects/geojson.h"
#include "data/objects/objects_csv.h"
#include "data/objects/rois.h"
#include "tools/results/object_tables.h"

namespace basin::tools {
namespace {

constexpr int64_t max_part_pixels = 12'000'000;  // larger parts save little
constexpr int64_t bytes_per_pixel = 68;          // of a part, apart from the image: labels, maps and outlines

/// Objects with consecutive numbers from `first` on, and a part of the image that contains them.
struct Batch {
  size_t first = 0, end = 0;  // indices of objects
  PixelRect part;
};

PixelRect around(const PixelRect& a, const PixelRect& b) {
  const int y = std::min(a.y, b.y), x = std::min(a.x, b.x);
  return {y, x, std::max(a.y + a.height, b.y + b.height) - y, std::max(a.x + a.width, b.x + b.width) - x};
}

/// As many objects from `first` on as fit into a part; at least one.
Batch batch_from(const std::vector<ObjectExtent>& objects, size_t first, int64_t part_pixels) {
  Batch batch{first, first + 1, box_of(objects[first])};
  for (; batch.end < objects.size(); ++batch.end) {
    const PixelRect larger = around(batch.part, box_of(objects[batch.end]));
    if (larger.pixels() > std::min(part_pixels, max_part_pixels)) break;
    batch.part = larger;
  }
  return batch;
}

/// The labels of a batch: 1, 2, ... in its part, and 0 for objects of other batches.
Labels labels_of(const LargeLabels& labels, const Batch& batch) {
  const auto count = int(batch.end - batch.first);
  Labels own{batch.part.height, batch.part.width, count, std::vector<int32_t>(size_t(batch.part.pixels()))};
  labels.read(1, batch.part, own.ids.data());
  for (int32_t& id : own.ids) {
    const int64_t local = int64_t(id) - int64_t(batch.first);
    id = local >= 1 && local <= count ? int32_t(local) : 0;
  }
  return own;
}

Measurements measured(const LargeResults& r, const Batch& batch, const Labels& labels) {
  const Image pixels = r.image.raw_part(batch.part);
  const std::vector<float> foreground = r.maps.foreground ? r.maps.foreground(batch.part) : std::vector<float>();
  const std::vector<float> field = r.maps.field ? r.maps.field(batch.part) : std::vector<float>();
  return measure(labels, {&pixels, foreground, field}, {batch.part.y, batch.part.x, r.image.height(), r.image.width()});
}

}  // namespace

void write_large_objects(const std::set<std::string>& save, const LargeResults& r, ImageFiles& files) {
  std::optional<ObjectsCsv> csv;
  std::optional<GeoJson> geojson;
  std::optional<RoiZip> rois;
  if (save.contains("csv")) csv.emplace(files.path(table_suffix));
  if (save.contains("geojson")) geojson.emplace(files.path(".geojson"));
  if (save.contains("rois")) rois.emplace(files.path("_rois.zip"), int64_t(r.objects.size()));
  const bool scores = save.contains("scores");
  if (!csv && !geojson && !rois && !scores) return;
  std::vector<float> all_scores;
  const int64_t part_pixels = r.memory / (bytes_per_pixel + 2 * r.image.row_bytes() / r.image.width());
  const auto add = [&](const Batch& batch) {
    const Labels labels = labels_of(r.labels, batch);
    const Measurements found = csv || geojson || scores ? measured(r, batch, labels) : Measurements();
    const ObjectTable table =
        csv || geojson ? table_of(found, {}, r.image.stack().pixel_size().value_or(0), int64_t(batch.first) + 1)
                       : ObjectTable();
    const Outlines outlines = geojson || rois ? outlines_of(labels, {batch.part.x, batch.part.y}) : Outlines();
    if (csv) csv->add(table);
    if (geojson) geojson->add(outlines, table);
    if (rois) rois->add(outlines);
    if (scores) {
      const std::vector<float> own = scores_of(found);
      all_scores.insert(all_scores.end(), own.begin(), own.end());
    }
  };
  if (r.objects.empty()) add({0, 0, {0, 0, 1, 1}});  // the names of the columns
  for (size_t first = 0; first < r.objects.size();) {
    const Batch batch = batch_from(r.objects, first, part_pixels);
    if (batch.part.pixels() > part_pixels)
      refuse("object ", first + 1, " alone spans ", batch.part.width, " x ", batch.part.height,
             " pixels, too many for its measurements and outline; raise --max-memory, drop it by --max-size, or leave ",
             "csv, table, rois, geojson and scores out of --save");
    add(batch);
    first = batch.end;
    if (r.progress) r.progress(double(first) / double(r.objects.size()));
  }
  const auto finish = [&](const std::string& suffix, auto& file) {
    if (file) files.write(suffix, [&](const std::filesystem::path&) { file->commit(); });
  };
  finish(table_suffix, csv), finish(".geojson", geojson), finish("_rois.zip", rois);
  if (scores) files.write(scores_suffix, [&](const std::filesystem::path& file) { write_scores(file, all_scores); });
}

}  // namespace basin::tools

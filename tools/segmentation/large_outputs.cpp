#include "tools/segmentation/large_outputs.h"

#include <algorithm>
#include <numeric>

#include "tools/cli/progress.h"
#include "tools/results/large_results.h"

namespace basin::tools {
namespace {

/// Fills the holes of objects. The decoded labels are not changed, because a later run may continue from them: if
/// found.labels are these, a copy replaces them.
void fill_holes_of(LargeFound& found) {
  const LargeSizes& sizes = found.sizes;
  if (!sizes.resizes_labels()) {
    auto copy = std::make_unique<PlaneFile>(found.scratch / "filled", 1, sizes.height, sizes.width, sizeof(int32_t));
    copy_labels(*found.labels, sizes.height, sizes.width, *copy);
    found.labels = std::move(copy);
  }
  fill_holes_in_file(*found.labels, found.objects, found.blocks.left);
}

/// The maps that the output files need.
LargeMaps maps_to_write(const Work& work, const LargeFound& found) {
  const Method& method = *work.model.method;
  const LargeSizes& sizes = found.sizes;
  const MapFolder& maps = found.maps;
  const int height = sizes.height, width = sizes.width;
  const int64_t pixel_bytes = 32 + 8 * (sizes.seen_pixels() / sizes.pixels() + 1);  // of a vector field and a picture
  LargeMaps all{height, width, 1, {}, {}, {}};
  all.rows_at_once = int(std::clamp<int64_t>(found.blocks.band / (pixel_bytes * width), 1, height));
  if (work.needs_foreground())
    all.foreground = [&, height, width](const PixelRect& part) {
      return foreground_probability(method, maps, part, height, width);
    };
  if (work.needs_field())
    all.field = [&, height, width](const PixelRect& part) {
      return field_of(method, maps, sizes.scale, part, height, width);
    };
  for (const MapSpec& spec : method.maps())
    all.maps.push_back({spec.name, spec.channels, sizes.decoded_height, sizes.decoded_width,
                        [&, name = spec.name](const PixelRect& part) {
                          return maps.part(name, part, sizes.decoded_height, sizes.decoded_width);
                        }});
  return all;
}

}  // namespace

LargeKept write_large_outputs(const Work& work, LargeFound found, ImageFiles& files, NoteList& notes) {
  const ObjectFilter& filter = work.plan.filter;
  LargeKept kept;
  if (filter.fill_holes) fill_holes_of(found);
  std::vector<int32_t> numbers =
      number_kept(filter, found.sizes.height, found.sizes.width, found.objects, kept.dropped);
  kept.objects = int(found.objects.size());
  if (filter.fill_holes && kept.dropped.total() > 0) {  // the holes in which an object was dropped
    renumber_labels(*found.labels, found.sizes.height, found.sizes.width, numbers);
    fill_holes_in_file(*found.labels, found.objects, found.blocks.left);
    numbers.resize(size_t(kept.objects) + 1);
    std::iota(numbers.begin(), numbers.end(), 0);
  }
  const LargeLabels labels(*found.labels, std::move(numbers), kept.objects);
  Progress progress(found.path.string(), "objects", 0);
  const LargeResults results{found.path,
                             found.image,
                             labels,
                             std::move(found.objects),
                             maps_to_write(work, found),
                             found.blocks.band,
                             found.blocks.left,
                             [&](double share) { progress(share); }};
  write_large_results(work.save, results, files, notes);
  return kept;
}

}  // namespace basin::tools

#include "data/dataset/ignored.h"

#include "kernels/runtime/platform.h"

namespace basin {

PartialLabels read_partial_labels(const Pair& pair, int height, int width, int64_t ignore) {
  const TrainingLabels read = read_training_labels(pair, height, width, 1);
  if (read.from_masks)
    refuse(labels_path(pair).string(), ": has one mask for each object; --ignore-label needs label images");
  const Labels& all = read.flat;
  const std::vector<int64_t> values = read_label_array(pair.masks[0], nullptr, pair.choice).values<int64_t>();
  std::vector<int64_t> ids(all.ids.begin(), all.ids.end());
  PartialLabels partial{{}, {height, width, 0, std::vector<int32_t>(ids.size())}};
  for (size_t i = 0; i < ids.size(); ++i)
    if (values[i] == ignore) ids[i] = 0, partial.ignored.ids[i] = partial.ignored.count = 1;
  partial.labels = compact(height, width, std::move(ids));
  partial.labels.notes = all.notes;
  return partial;
}

Labels without_ignored(const Labels& found, const StoredLabels& ignored) {
  std::vector<int64_t> pixels(size_t(found.count) + 1), lost(pixels.size());
  std::vector<int64_t> ids(found.ids.begin(), found.ids.end());
  std::vector<int32_t> row(size_t(found.width));
  const auto for_each_pixel = [&](const auto& f) {
    for (int y = 0; y < found.height; ++y) {
      ignored.row(y, 0, found.width, row.data());
      for (int x = 0; x < found.width; ++x)
        f(ids[size_t(y) * size_t(found.width) + size_t(x)], row[size_t(x)] != 0);
    }
  };
  for_each_pixel([&](int64_t id, bool is_ignored) { ++pixels[size_t(id)], lost[size_t(id)] += is_ignored; });
  for_each_pixel([&](int64_t& id, bool is_ignored) {
    if (is_ignored || 2 * lost[size_t(id)] > pixels[size_t(id)]) id = 0;
  });
  return compact(found.height, found.width, std::move(ids));
}

}  // namespace basin

#include "data/dataset/ignored.h"

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

[[noreturn]] void refuse_masks(const Pair& pair) {
  refuse(labels_path(pair).string(), ": has one mask for each object; --ignore-label needs label images");
}

/// `all`: the labels of the pair, as they were read from its label image.
PartialLabels without_value(const Pair& pair, const Labels& all, int64_t ignore) {
  const std::vector<int64_t> values = read_label_array(pair.masks[0], nullptr, pair.choice).values<int64_t>();
  std::vector<int64_t> ids(all.ids.begin(), all.ids.end());
  PartialLabels partial{{}, {all.height, all.width, 0, std::vector<int32_t>(ids.size())}};
  for (size_t i = 0; i < ids.size(); ++i)
    if (values[i] == ignore) ids[i] = 0, partial.ignored.ids[i] = partial.ignored.count = 1;
  partial.labels = compact(all.height, all.width, std::move(ids));
  partial.labels.notes = all.notes;
  return partial;
}

}  // namespace

PartialLabels read_partial_labels(const Pair& pair, int height, int width, int64_t ignore) {
  const TrainingLabels read = read_training_labels(pair, height, width, 1);
  if (read.from_masks) refuse_masks(pair);
  return without_value(pair, read.flat, ignore);
}

Truth read_truth(const Pair& pair, std::optional<int64_t> ignore) {
  if (!ignore) return {read_pair_objects(pair)};
  if (has_masks(pair)) refuse_masks(pair);
  PartialLabels partial = without_value(pair, read_labels(pair.masks[0], pair.choice), *ignore);
  Truth truth{std::move(partial.labels)};
  if (partial.ignored.count > 0) truth.ignored = StoredLabels(partial.ignored);
  return truth;
}

Truth truth_of(const Example& e) { return {true_labels(e), e.ignored}; }

}  // namespace basin

#include "models/training/scaled_examples.h"

#include "models/inference/segmenter.h"

namespace basin {
namespace {

/// Values [C, H, W] as an image, whose pixels are kept as they are.
Source source_of(const std::string& name, const Tensor& values) {
  const int channels = int(values.dim(0)), height = int(values.dim(1)), width = int(values.dim(2));
  Image image{height, width, channels, PixelType::f32, std::vector<std::byte>(values.bytes())};
  const View<const float, 3> from = values.view<const float, 3>();
  float* to = image.as<float>();
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        *to++ = from(c, y, x);
  return {std::move(image), channels, parse_normalisation("none"), name};
}

}  // namespace

std::vector<Example> scaled_examples(const std::vector<Example>& examples, double scale) {
  const Exec cpu;
  std::vector<Example> all;
  all.reserve(examples.size());
  for (const Example& e : examples) {
    const Tensor values = at_scale(cpu, part_of(cpu, e.source, 0, 0, e.source.height(), e.source.width()), scale);
    const int height = int(values.dim(1)), width = int(values.dim(2));
    all.push_back(
        {e.stem, source_of(e.stem, values), StoredLabels(resized(true_labels(e), height, width)), e.weight, e.notes});
    if (e.ignored) all.back().ignored = StoredLabels(resized(e.ignored->labels(), height, width));
    // No row becomes a row of another layer, because all layers have the same height, before and after.
    if (e.layers) all.back().layers = StoredLabels(resized(e.layers->labels(), e.layer_count() * height, width));
  }
  return all;
}

}  // namespace basin

#include <algorithm>

#include "data/dataset.h"
#include "data/image.h"
#include "data/raster.h"
#include "kernels/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// The size that the masks of a pair must have, and whose it is; nobody's yet where that is empty.
struct Frame {
  int64_t height = 0, width = 0;
  std::string owner;

  void check(const fs::path& mask, int64_t rows, int64_t columns) const {
    if (rows != height || columns != width)
      refuse(mask.string(), ": is ", columns, " x ", rows, " pixels, but ", owner, " is ", width, " x ", height);
  }
};

/// Binary masks in the order of their names; where two overlap, the first keeps the pixel.
Labels read_masks(const std::vector<fs::path>& masks, Frame frame) {
  std::vector<int64_t> ids(size_t(frame.height * frame.width));
  for (size_t k = 0; k < masks.size(); ++k) {
    const Array mask = raster::read(masks[k], raster::Palette::indices);
    if (frame.owner.empty()) {
      frame = {mask.shape[0], mask.shape[1], masks[k].filename().string()};
      ids.resize(size_t(frame.height * frame.width));
    }
    frame.check(masks[k], mask.shape[0], mask.shape[1]);
    with_element(mask.type, [&](auto zero) {
      const auto* p = mask.as<decltype(zero)>();
      const size_t channels = size_t(mask.shape[2]);
      for (size_t i = 0; i < ids.size(); ++i) {
        const bool inside = std::any_of(p + i * channels, p + (i + 1) * channels, [](auto v) { return v != 0; });
        if (inside && ids[i] == 0) ids[i] = int64_t(k) + 1;
      }
    });
  }
  return compact(int(frame.height), int(frame.width), std::move(ids));
}

}  // namespace

Labels read_pair_labels(const Pair& pair, int height, int width) {
  const Frame frame{height, width, "its image " + pair.image.filename().string()};
  if (pair.one_object_each) return read_masks(pair.masks, frame);
  Labels labels = read_labels(pair.masks[0]);
  frame.check(pair.masks[0], labels.height, labels.width);
  return labels;
}

Labels read_pair_labels(const Pair& pair) {
  if (!pair.one_object_each) return read_labels(pair.masks[0]);
  if (!pair.masks.empty()) return read_masks(pair.masks, {});
  const Image image = read_image(pair.image);  // without an object: only the image tells the size
  return read_pair_labels(pair, image.height, image.width);
}

}  // namespace basin

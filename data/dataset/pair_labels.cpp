#include "data/dataset/dataset.h"
#include "data/files/image.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// The size that the masks of a pair must have, and the file that it comes from; `owner` is empty until there is one.
struct Frame {
  int64_t height = 0, width = 0;
  std::string owner;

  void check(const fs::path& mask, int64_t rows, int64_t columns) const {
    if (rows != height || columns != width)
      refuse(mask.string(), ": is ", columns, " x ", rows, " pixels, but ", owner, " is ", width, " x ", height);
  }
};

Frame frame_of(const Pair& pair, int height, int width) {
  return {height, width, "its image " + pair.image.filename().string()};
}

/// Reads binary masks in the order of their names.
Planes read_masks(const Pair& pair, Frame frame) {
  Planes planes;
  for (const fs::path& file : pair.masks) {
    const Array mask = read_label_array(file, nullptr, pair.choice);
    if (frame.owner.empty()) frame = {mask.shape[0], mask.shape[1], file.filename().string()};
    frame.check(file, mask.shape[0], mask.shape[1]);
    planes.add(mask, file.string() + ":");
  }
  planes.height = int(frame.height), planes.width = int(frame.width);
  return planes;
}

/// The same at their own size, or at that of the image if there are none.
Planes read_masks(const Pair& pair) {
  if (!pair.masks.empty()) return read_masks(pair, {});
  const Image image = read_image(pair.image, pair.choice);
  return read_masks(pair, frame_of(pair, image.height, image.width));
}

}  // namespace

Labels read_pair_labels(const Pair& pair, int height, int width) {
  const Frame frame = frame_of(pair, height, width);
  if (pair.one_object_each) return flatten(read_masks(pair, frame));
  Labels labels = read_labels(pair.masks[0], pair.choice);
  frame.check(pair.masks[0], labels.height, labels.width);
  return labels;
}

Labels read_pair_labels(const Pair& pair) {
  return pair.one_object_each ? flatten(read_masks(pair)) : read_labels(pair.masks[0], pair.choice);
}

Objects read_pair_objects(const Pair& pair) {
  if (pair.one_object_each) {
    Planes planes = read_masks(pair);
    if (share_pixels(planes)) return planes;
    return flatten(planes);
  }
  if (std::optional<Planes> stack = read_stack(pair.masks[0], pair.choice)) return std::move(*stack);
  return read_labels(pair.masks[0], pair.choice);
}

}  // namespace basin

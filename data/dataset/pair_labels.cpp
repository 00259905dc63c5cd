#include <algorithm>

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

/// The objects of binary masks.
struct Masks {
  Planes planes;
  std::vector<fs::path> files;     // of each object
  std::vector<std::string> notes;  // about masks that are no object of their own
};

/// Notes that some masks, if any, are no object of their own: "2 of its masks, such as a.png, WHAT".
void note_masks(std::vector<std::string>& notes, const std::vector<fs::path>& masks, const char* what) {
  if (!masks.empty())
    notes.push_back(std::to_string(masks.size()) + " of its masks, such as " + masks[0].filename().string() + ", " +
                    what);
}

/// Reads binary masks in the order of their names. Of several with the same pixels the first is kept.
Masks read_masks(const Pair& pair, Frame frame) {
  Masks read;
  std::vector<fs::path> empty, repeated;
  std::vector<std::vector<Planes::Run>>& objects = read.planes.objects;
  for (const fs::path& file : pair.masks) {
    const Array mask = read_label_array(file, nullptr, pair.choice);
    if (frame.owner.empty()) frame = {mask.shape[0], mask.shape[1], file.filename().string()};
    frame.check(file, mask.shape[0], mask.shape[1]);
    const size_t known = objects.size();
    read.planes.add(mask, file.string() + ":");
    if (objects.size() == known) {
      empty.push_back(file);
    } else if (std::find(objects.begin(), objects.end() - 1, objects.back()) != objects.end() - 1) {
      objects.pop_back();
      repeated.push_back(file);
    } else {
      read.files.push_back(file);
    }
  }
  read.planes.height = int(frame.height), read.planes.width = int(frame.width);
  note_masks(read.notes, empty, "contain no object");
  note_masks(read.notes, repeated, "repeat another one pixel by pixel and are left out");
  return read;
}

/// The same at their own size, or at that of the image if there are none.
Masks read_masks(const Pair& pair) {
  if (!pair.masks.empty()) return read_masks(pair, {});
  const Image image = read_image(pair.image, pair.choice);
  return read_masks(pair, frame_of(pair, image.height, image.width));
}

Labels flatten(const Masks& masks) {
  Labels labels = flatten(masks.planes);
  labels.notes = masks.notes;
  std::vector<fs::path> lost;
  for (const size_t k : covered(masks.planes))
    lost.push_back(masks.files[k]);
  note_masks(labels.notes, lost, "lie under earlier ones with all their pixels and are lost");
  return labels;
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
    Masks masks = read_masks(pair);
    if (share_pixels(masks.planes)) return std::move(masks.planes);
    return flatten(masks);
  }
  if (std::optional<Planes> stack = read_stack(pair.masks[0], pair.choice)) return std::move(*stack);
  return read_labels(pair.masks[0], pair.choice);
}

}  // namespace basin

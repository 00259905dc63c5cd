#include <algorithm>
#include <bit>
#include <map>

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
    if (!owner.empty() && (rows != height || columns != width))
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
  std::vector<std::string> notes;  // about masks that were changed or left out
};

/// Notes what reading did with some masks, if any: "2 of its masks, such as a.png, are WHAT".
void note_masks(std::vector<std::string>& notes, const std::vector<fs::path>& masks, const std::string& what) {
  const bool one = masks.size() == 1;
  if (!masks.empty())
    notes.push_back(std::to_string(masks.size()) + " of its masks, " + (one ? "" : "such as ") +
                    masks[0].filename().string() + (one ? ", is " : ", are ") + what);
}

/// Keeps only the first of several masks with the same pixels.
Masks without_repeated(Planes planes, const std::vector<fs::path>& files) {
  Masks kept;
  kept.planes.height = planes.height, kept.planes.width = planes.width;
  std::vector<std::vector<Planes::Run>>& objects = kept.planes.objects;
  std::vector<fs::path> repeated;
  for (size_t k = 0; k < planes.objects.size(); ++k) {
    if (std::find(objects.begin(), objects.end(), planes.objects[k]) != objects.end()) {
      repeated.push_back(files[k]);
      continue;
    }
    objects.push_back(std::move(planes.objects[k]));
    kept.files.push_back(files[k]);
  }
  note_masks(kept.notes, repeated, "identical to another one and left out");
  return kept;
}

/// Reads binary masks in the order of their names.
Masks read_masks(const Pair& pair, Frame frame) {
  Planes planes;
  std::vector<fs::path> files, empty;
  std::map<std::string, std::vector<fs::path>> changed;  // by what reading changed
  for (const fs::path& file : pair.masks) {
    std::vector<std::string> changes;
    const Array mask = read_label_array(file, &changes, pair.choice);
    for (const std::string& change : changes)
      changed[change].push_back(file);
    if (frame.owner.empty()) frame = {mask.shape[0], mask.shape[1], file.filename().string()};
    frame.check(file, mask.shape[0], mask.shape[1]);
    const size_t known = planes.objects.size();
    planes.add(mask, file.string() + ":");
    (planes.objects.size() == known ? empty : files).push_back(file);
  }
  planes.height = int(frame.height), planes.width = int(frame.width);
  Masks masks = without_repeated(std::move(planes), files);
  std::vector<std::string> notes;
  for (const auto& [change, of_files] : changed)
    note_masks(notes, of_files, "changed: " + change);
  note_masks(notes, empty, "empty");
  masks.notes.insert(masks.notes.begin(), notes.begin(), notes.end());
  return masks;
}

/// The same at their own size, or at that of the image if there are none.
Masks read_masks(const Pair& pair) {
  if (!pair.masks.empty()) return read_masks(pair, {});
  const Image image = read_image(pair.image, pair.choice);
  return read_masks(pair, frame_of(pair, image.height, image.width));
}

/// A stack of masks given instead of a label image, and the number in the file of each object's image; none if the file
/// is a label image.
std::optional<Planes> stack_of(const Pair& pair, std::vector<int64_t>* images = nullptr) {
  const fs::path& file = pair.masks[0];
  try {
    return read_stack(file, pair.choice, images);
  } catch (const Error& no_masks) {
    try {
      read_labels(file, pair.choice);
    } catch (const Error& no_labels) {
      refuse(no_labels.what(), "; nor is it a stack with the mask of one object in each image: ", no_masks.what());
    }
  }
  return {};
}

/// The masks of such a stack, which must have this size.
std::optional<Masks> masks_of_stack(const Pair& pair, const Frame& frame) {
  const fs::path& file = pair.masks[0];
  std::vector<int64_t> images;
  std::optional<Planes> planes = stack_of(pair, &images);
  if (!planes) return {};
  frame.check(file, planes->height, planes->width);
  std::vector<fs::path> names;
  for (const int64_t image : images)
    names.push_back(file.string() + ": image " + std::to_string(image));
  return without_repeated(std::move(*planes), names);
}

/// The notes on the masks, including those that were lost.
std::vector<std::string> notes_on(const Masks& masks, const std::vector<size_t>& lost) {
  std::vector<std::string> notes = masks.notes;
  std::vector<fs::path> files;
  for (const size_t k : lost)
    files.push_back(masks.files[k]);
  note_masks(notes, files, "completely covered by earlier ones and lost");
  return notes;
}

Labels flatten(const Masks& masks) {
  Labels labels = flatten(masks.planes);
  labels.notes = notes_on(masks, covered(masks.planes));
  return labels;
}

template <class F>
void for_each_pixel(const std::vector<Planes::Run>& object, F f) {
  for (const Planes::Run& run : object)
    for (int64_t i = run.begin; i < run.end; ++i)
      f(size_t(i));
}

/// See read_training_labels. A frame without an owner stands for any size.
TrainingLabels read_layers(const Pair& pair, const Frame& frame, int layers) {
  const std::optional<Masks> given = pair.one_object_each ? read_masks(pair, frame) : masks_of_stack(pair, frame);
  if (!given) {
    Labels labels = read_labels(pair.masks[0], pair.choice);
    frame.check(pair.masks[0], labels.height, labels.width);
    return {std::move(labels), {}};
  }
  const Masks& masks = *given;
  TrainingLabels read{flatten(masks), {}, layers_needed(masks.planes), true};
  if (layers == 1 || read.layers_needed == 1) return read;
  LayeredLabels whole = layered(masks.planes, std::min(layers, read.layers_needed));
  read.flat.notes = notes_on(masks, whole.lost);
  read.layers = std::move(whole.labels);
  return read;
}

}  // namespace

int layers_needed(const Planes& planes) {
  static_assert(max_label_layers == 8);
  std::vector<uint8_t> taken(size_t(planes.height) * size_t(planes.width));  // bit k: by an object of layer k
  int needed = 1;
  for (const auto& object : planes.objects) {
    uint8_t shared = 0;
    for_each_pixel(object, [&](size_t i) { shared |= taken[i]; });
    const int layer = std::countr_one(shared);
    if (layer == max_label_layers) return max_label_layers + 1;
    needed = std::max(needed, layer + 1);
    for_each_pixel(object, [&](size_t i) { taken[i] |= uint8_t(1 << layer); });
  }
  return needed;
}

LayeredLabels layered(const Planes& planes, int layers) {
  BASIN_CHECK(layers > 0, layers, " layers");
  const size_t pixels = size_t(planes.height) * size_t(planes.width);
  std::vector<int64_t> ids(size_t(layers) * pixels);
  LayeredLabels result;
  for (size_t k = 0; k < planes.objects.size(); ++k) {
    std::vector<int64_t> free(size_t(layers), 0);
    for (size_t layer = 0; layer < free.size(); ++layer)
      for_each_pixel(planes.objects[k], [&](size_t i) { free[layer] += ids[layer * pixels + i] == 0; });
    const size_t best = size_t(std::max_element(free.begin(), free.end()) - free.begin());
    if (free[best] == 0) result.lost.push_back(k);
    for_each_pixel(planes.objects[k], [&](size_t i) {
      int64_t& id = ids[best * pixels + i];
      if (id == 0) id = int64_t(k) + 1;
    });
  }
  result.labels = compact(layers * planes.height, planes.width, std::move(ids));
  return result;
}

std::string overlap_note(int layers, const std::vector<int>& needed) {
  const int most = needed.empty() ? 1 : *std::max_element(needed.begin(), needed.end());
  const bool suffices = most <= max_label_layers;
  const std::string set = "--set layers=" + std::to_string(std::min(most, max_label_layers));
  const std::string note = "its objects overlap; where they do, the first keeps the pixel";
  if (layers == 0) return note;
  if (layers == 1)
    return note + " (a method with the setting layers can learn " + (suffices ? "them" : "more of them") +
           " whole: " + set + ")";
  return "its objects need more than " + std::to_string(layers) +
         " layers to be whole; where they overlap, an earlier one keeps the pixel" +
         (suffices ? " (" + set + " keeps all of them whole)" : "");
}

Labels read_pair_labels(const Pair& pair, int height, int width) {
  return read_training_labels(pair, height, width, 1).flat;
}

TrainingLabels read_training_labels(const Pair& pair, int height, int width, int layers) {
  return read_layers(pair, frame_of(pair, height, width), layers);
}

TrainingLabels read_training_labels(const Pair& pair, int layers) {
  if (!pair.one_object_each || !pair.masks.empty()) return read_layers(pair, {}, layers);
  const Image image = read_image(pair.image, pair.choice);
  return read_layers(pair, frame_of(pair, image.height, image.width), layers);
}

Labels read_pair_labels(const Pair& pair) {
  if (!pair.one_object_each && is_instances(pair.masks[0]))
    refuse(pair.masks[0].string(), ": has a mask for each object, and these may overlap; give a label image");
  return pair.one_object_each ? flatten(read_masks(pair)) : read_labels(pair.masks[0], pair.choice);
}

Objects read_pair_objects(const Pair& pair) {
  if (pair.one_object_each) {
    Masks masks = read_masks(pair);
    if (!share_pixels(masks.planes)) return flatten(masks);
    masks.planes.notes = std::move(masks.notes);
    return std::move(masks.planes);
  }
  std::optional<Planes> stack = stack_of(pair);
  if (!stack) return read_labels(pair.masks[0], pair.choice);
  if (!share_pixels(*stack)) return flatten(*stack);
  return std::move(*stack);
}

bool has_masks(const Pair& pair) { return pair.one_object_each || stack_of(pair); }

int count_of(const Objects& objects) {
  if (const auto* planes = std::get_if<Planes>(&objects)) return int(planes->objects.size());
  return std::get<Labels>(objects).count;
}

const std::vector<std::string>& notes_on(const Objects& objects) {
  return std::visit([](const auto& o) -> const std::vector<std::string>& { return o.notes; }, objects);
}

void check_size(const Pair& pair, const Objects& objects, int height, int width) {
  std::visit([&](const auto& o) { frame_of(pair, height, width).check(labels_path(pair), o.height, o.width); },
             objects);
}

}  // namespace basin

#include "data/dataset/dataset.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "data/dataset/ignored.h"
#include "data/files/stack_planes.h"
#include "engine/files.h"
#include "engine/fingerprint.h"
#include "kernels/runtime/parallel_errors.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

void add(Fingerprint& hash, const Image& image) {
  hash.add(uint64_t(image.height) << 32 | uint64_t(image.width));
  hash.add(uint64_t(image.channels) << 32 | uint64_t(image.type));
  hash.add(image.pixels);
}

bool same_content(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(a, none) || !std::filesystem::is_regular_file(b, none)) return false;
  if (std::filesystem::file_size(a, none) != std::filesystem::file_size(b, none)) return false;
  const File first = open_file(a), second = open_file(b);
  std::vector<char> left(1 << 16), right(1 << 16);
  for (size_t n = left.size(); n == left.size();) {
    n = std::fread(left.data(), 1, left.size(), first.get());
    if (std::fread(right.data(), 1, right.size(), second.get()) != n ||
        !std::equal(left.begin(), left.begin() + ptrdiff_t(n), right.begin()))
      return false;
  }
  return true;
}

template <class T>
std::vector<std::byte> narrow(const std::vector<int32_t>& ids) {
  std::vector<std::byte> bytes(ids.size() * sizeof(T));
  std::copy(ids.begin(), ids.end(), reinterpret_cast<T*>(bytes.data()));
  return bytes;
}

/// The planes that the choice of a pair leaves open in its image and in its labels; a single one unless both have the
/// same, or if a file cannot be read.
StackPlanes planes_of(const Pair& pair) try {
  const bool has_stack = !pair.one_object_each && !pair.masks.empty();
  if (pair.image.empty()) return has_stack ? planes_in_labels(pair.masks[0], pair.choice) : StackPlanes();
  StackPlanes planes = planes_in(pair.image, pair.choice);
  if (planes.count() == 1 || pair.masks.empty()) return planes;
  if (!has_stack) return {};
  const StackPlanes of_labels = planes_in_labels(pair.masks[0], pair.choice);
  return of_labels.frames == planes.frames && of_labels.slices == planes.slices ? planes : StackPlanes();
} catch (const std::exception&) {
  return {};
}

}  // namespace

std::vector<bool> validation_split(const std::vector<Pair>& pairs, double fraction) {
  if (!(fraction >= 0 && fraction < 1)) refuse("--val-fraction ", fraction, ": expected 0 to 1");
  const size_t n = pairs.size();
  std::vector<bool> held(n, false);
  if (fraction == 0 || n < 2) return held;
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i)
    order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const uint64_t x = hash_of_name(pairs[a].stem), y = hash_of_name(pairs[b].stem);
    return x != y ? x < y : pairs[a].stem < pairs[b].stem;
  });
  const size_t wanted = std::clamp(size_t(std::llround(fraction * double(n))), size_t(1), n - 1);
  for (size_t i = 0; i < wanted; ++i)
    held[order[i]] = true;
  return held;
}

void choose(std::vector<Pair>& pairs, const PlaneChoice& choice) {
  std::vector<Pair> chosen;
  for (Pair& pair : pairs) {
    pair.choice = choice;
    const StackPlanes planes = planes_of(pair);
    if (planes.count() == 1) {
      chosen.push_back(std::move(pair));
      continue;
    }
    for (int64_t k = 0; k < planes.count(); ++k) {
      chosen.push_back(pair);
      chosen.back().stem += " (" + planes.name_of(k) + ")";
      chosen.back().choice = choice_of_plane(planes, k, choice);
    }
  }
  pairs = std::move(chosen);
}

Split split_for_validation(const std::vector<Pair>& pairs, double fraction) {
  const std::vector<bool> held = validation_split(pairs, fraction);
  Split split;
  for (size_t i = 0; i < pairs.size(); ++i)
    (held[i] ? split.held_out : split.kept).push_back(pairs[i]);
  return split;
}

StoredLabels::StoredLabels(const Labels& labels)
    : height_(labels.height),
      width_(labels.width),
      id_bytes_(labels.count < 256     ? 1
                : labels.count < 65536 ? 2
                                       : 4),
      count_(labels.count) {
  bytes_ = id_bytes_ == 1   ? narrow<uint8_t>(labels.ids)
           : id_bytes_ == 2 ? narrow<uint16_t>(labels.ids)
                            : narrow<int32_t>(labels.ids);
}

void StoredLabels::row(int y, int x0, int n, int32_t* ids) const {
  const std::byte* from = bytes_.data() + (size_t(y) * size_t(width_) + size_t(x0)) * size_t(id_bytes_);
  if (id_bytes_ == 1) std::copy_n(reinterpret_cast<const uint8_t*>(from), n, ids);
  if (id_bytes_ == 2) std::copy_n(reinterpret_cast<const uint16_t*>(from), n, ids);
  if (id_bytes_ == 4) std::copy_n(reinterpret_cast<const int32_t*>(from), n, ids);
}

Labels StoredLabels::labels() const {
  Labels labels{height_, width_, count_, std::vector<int32_t>(size_t(height_) * size_t(width_))};
  for (int y = 0; y < height_; ++y)
    row(y, 0, width_, labels.ids.data() + size_t(y) * size_t(width_));
  return labels;
}

Labels true_labels(const Example& e) { return e.labels.labels(); }

LabelledImage read_pair(const Pair& pair, std::optional<int64_t> ignore, int layers) {
  if (!pair.one_object_each && same_content(pair.image, pair.masks[0]))
    refuse(pair.masks[0].string(), ": is a copy of the image, not its labels");
  LabelledImage read{read_image(pair.image, pair.choice), {}, {}};
  const int height = read.image.height, width = read.image.width;
  if (ignore) {
    PartialLabels partial = read_partial_labels(pair, height, width, *ignore);
    read.labels = std::move(partial.labels), read.ignored = std::move(partial.ignored);
  } else {
    TrainingLabels of_pair = read_training_labels(pair, height, width, std::max(layers, 1));
    read.labels = std::move(of_pair.flat), read.layers = std::move(of_pair.layers);
    read.layers_needed = of_pair.layers_needed;
  }
  return read;
}

std::vector<Example> read_examples(const std::vector<Pair>& pairs, int channels, const Normalisation& norm,
                                   std::optional<int64_t> ignore, int layers) {
  std::vector<Image> images(pairs.size());
  std::vector<std::optional<StoredLabels>> labels(pairs.size()), ignored(pairs.size()), layered(pairs.size());
  std::vector<NoteList> notes(pairs.size());
  std::vector<int> needed(pairs.size());
  for_each_parallel(pairs.size(), [&](size_t i) {
    LabelledImage read = read_pair(pairs[i], ignore, layers);
    images[i] = std::move(read.image);
    labels[i] = StoredLabels(read.labels);
    if (read.ignored.count > 0) ignored[i] = StoredLabels(read.ignored);
    if (read.layers) layered[i] = StoredLabels(*read.layers);
    needed[i] = read.layers_needed;
    notes[i].add(labels_path(pairs[i]).string(), read.labels.notes);
  });
  const std::string note = overlap_note(layers, needed);
  for (size_t i = 0; i < pairs.size(); ++i)
    if (needed[i] > std::max(layers, 1)) notes[i].add(labels_path(pairs[i]).string(), {note});
  if (channels == 0)
    for (const Image& image : images)
      channels = std::max(channels, image.channels);
  std::vector<std::optional<Source>> sources(pairs.size());
  for_each_parallel(pairs.size(), [&](size_t i) {
    sources[i].emplace(std::move(images[i]), channels, norm, pairs[i].image.string());
  });
  std::vector<Example> examples;
  examples.reserve(pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i) {
    notes[i].add(pairs[i].image.string(), sources[i]->image().notes);
    examples.push_back({pairs[i].stem, std::move(*sources[i]), std::move(*labels[i]), 1, std::move(notes[i]),
                        std::move(ignored[i]), std::move(layered[i])});
  }
  return examples;
}

void NoteList::add(const std::string& file, const std::vector<std::string>& notes) {
  for (const std::string& text : notes) {
    auto known = std::find_if(files_.begin(), files_.end(), [&](const auto& entry) { return entry.first == text; });
    if (known == files_.end()) known = files_.insert(known, {text, {}});
    if (known->second.empty() || known->second.back() != file) known->second.push_back(file);
  }
}

void NoteList::add(const NoteList& other) {
  for (const auto& [text, files] : other.files_)
    for (const std::string& file : files)
      add(file, {text});
}

std::vector<std::string> NoteList::lines() const {
  std::vector<std::string> all;
  for (const auto& [text, files] : files_) {
    const std::string more = files.size() > 1 ? " and " + std::to_string(files.size() - 1) + " more" : "";
    all.push_back(files[0] + more + ": " + text);
  }
  return all;
}

std::vector<std::string> notes_of(const std::vector<Example>& examples) {
  NoteList all;
  for (const Example& e : examples)
    all.add(e.notes);
  return all.lines();
}

bool any_ignored(const std::vector<Example>& examples) {
  return std::any_of(examples.begin(), examples.end(), [](const Example& e) { return e.ignored.has_value(); });
}

int64_t objects(const std::vector<Example>& examples) {
  int64_t n = 0;
  for (const Example& e : examples)
    n += e.layered().count();
  return n;
}

int64_t converted(const std::vector<Example>& examples) {
  return std::count_if(examples.begin(), examples.end(),
                       [](const Example& e) { return e.source.image().channels != e.source.channels(); });
}

std::string fingerprint(const std::vector<Example>& examples) {
  std::vector<uint64_t> hashes;
  for (const Example& e : examples) {
    Fingerprint hash;
    hash.add(hash_of_name(e.stem));
    add(hash, e.source.image());
    hash.add(e.labels.bytes());
    if (e.ignored) hash.add(e.ignored->bytes());
    if (e.layers) hash.add(e.layers->bytes());
    if (e.weight != 1) hash.add(std::bit_cast<uint64_t>(e.weight));
    hashes.push_back(hash.value());
  }
  std::sort(hashes.begin(), hashes.end());
  Fingerprint all;
  for (uint64_t h : hashes)
    all.add(h);
  return all.digits();
}

std::string fingerprint(const Image& image) {
  Fingerprint hash;
  add(hash, image);
  return hash.digits();
}

std::vector<std::string> image_fingerprints(const std::vector<Example>& examples) {
  std::vector<std::string> hashes;
  for (const Example& e : examples)
    hashes.push_back(fingerprint(e.source.image()));
  return hashes;
}

}  // namespace basin

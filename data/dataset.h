#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/labels.h"
#include "data/normalise.h"

namespace basin {

/// An image and its labels, by name.
struct Pair {
  std::string stem;
  std::filesystem::path image;
  std::vector<std::filesystem::path> masks;  // one label image, or one binary mask per object
};

/// The labelled images of a folder or a CSV list, sorted by stem. Layouts: <stem>_img.* with <stem>_masks.*; <stem>.*
/// with <stem>_masks.*; images/ and masks/ with equal stems; <id>/images/ and <id>/masks/ (DSB 2018, a mask per
/// object); a .csv file with lines "image,mask". Paired by name, never by order. Throws one sentence that names what is
/// unpaired, or the folder if it holds no images.
std::vector<Pair> find_pairs(const std::filesystem::path&);

/// The images of a folder, or the file itself; *_masks.* and *_overlay.* are left out. Sorted.
std::vector<std::filesystem::path> find_images(const std::filesystem::path&);
/// The name without its extension and without a trailing "_img".
std::string stem_of(const std::filesystem::path&);

/// The labels of a pair; binary masks are joined, later ones on top.
Labels read_pair_labels(const Pair&);

/// Which pairs are held out: the round(fraction n) with the lowest FNV-1a hash of their stem, at least one and not all.
/// It depends on the names alone, so that adding images moves few others.
std::vector<bool> validation_split(const std::vector<Pair>&, double fraction);

/// An image with its labels, decoded, as a data loader keeps it.
struct Example {
  std::string stem;
  Source source;
  std::vector<uint16_t> ids16;  // [height][width]; where there are 65,536 objects or more:
  std::vector<int32_t> ids32;

  int32_t id(int y, int x) const {
    const size_t i = size_t(y) * size_t(source.width()) + size_t(x);
    return ids32.empty() ? int32_t(ids16[i]) : ids32[i];
  }
};

/// Reads and checks one pair: labels of another size than their image are refused.
Example read_example(const Pair&, int channels, const Normalisation&);
std::vector<Example> read_examples(const std::vector<Pair>&, int channels, const Normalisation&);

/// A hash of names, sizes, pixels and labels, as 16 hexadecimal digits; the order of the examples does not matter.
std::string fingerprint(const std::vector<Example>&);

/// The largest number of channels among the images, 3 at most where grey and RGB are mixed.
int most_channels(const std::vector<Pair>&);

}  // namespace basin

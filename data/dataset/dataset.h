#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "data/dataset/normalise.h"
#include "data/files/labels.h"
#include "data/files/planes.h"

namespace basin {

/// An image and its labels, by name.
struct Pair {
  std::string stem;
  std::filesystem::path image;               // empty where labels were found without images
  std::vector<std::filesystem::path> masks;  // one label image; with one_object_each any number of binary masks
  bool one_object_each = false;
};

/// The labelled images of a folder or a CSV list, sorted by stem. Layouts, told apart by what is there:
///   a .csv file              lines image,mask under an optional heading; paths relative to the list
///   images/ and masks/       equal stems
///   <id>/images, <id>/masks  one image, and one mask per object (DSB 2018)
///   one folder               <stem>_img.* or <stem>.* with <stem>_masks.*; *_overlay.* and *_flows.* are left out
/// Hidden files and folders are left out. Paired by name, never by order; the ".ome" of *.ome.tif is no part of a stem.
/// Throws one sentence that names the files: an image without labels, labels without an image, two files for one stem,
/// labels of a kind that is not read, images of which one layout would hide others; or the folder, if it holds no
/// images. `left_out`: sentences on images of kinds that are not read and on folders that are not searched.
std::vector<Pair> find_pairs(const std::filesystem::path&, std::vector<std::string>* left_out = nullptr);

/// Labels by their stem, whether or not images lie beside them: those of every layout that find_pairs knows; in a
/// folder of files <stem>_masks.*, or where no name ends so every label image but *_overlay.* and *_flows.*; or one
/// label image. An image without labels in a folder of files is no error here. Otherwise throws as find_pairs does.
std::map<std::string, Pair> find_labels(const std::filesystem::path&);

/// Where the labels of a pair lie: the label image, or the folder of binary masks.
std::filesystem::path labels_path(const Pair&);

/// For the user: how many pairs, and the names of each, a line a pair.
std::string describe_pairs(const std::vector<Pair>&);

/// An image, by the name that its results and its labels have.
struct ImageFile {
  std::string stem;
  std::filesystem::path path;
};
/// The images of a folder in any layout that find_pairs knows, labelled or not, under the stems that they have there,
/// sorted by path; or the file itself. *_masks.*, *_overlay.*, *_flows.* and hidden files are left out; what else is
/// goes to `left_out`. Refuses as find_pairs does. A file that cannot be read is among them.
std::vector<ImageFile> find_images(const std::filesystem::path&, std::vector<std::string>* left_out = nullptr);

/// What find_images finds for one of several inputs.
struct InputImages {
  std::filesystem::path input;
  std::vector<ImageFile> images;
};
/// The images of several inputs, each once. Files that are named as labels or results are left out among others that
/// are not. Where images of two folders have the same stem, all stems begin with their folder's path below the deepest
/// folder that they share, so that results lie as the images do. Two of one stem in one folder are refused.
std::vector<ImageFile> merge_images(const std::vector<InputImages>&, std::vector<std::string>& left_out);
/// The name without its extension and without a trailing "_img" or ".ome".
std::string stem_of(const std::filesystem::path&);
/// The stem that labels share with their image: without a trailing "_masks" or "_img".
std::string labels_stem(const std::filesystem::path&);

/// The labels of a pair, which must be of this size. Binary masks are numbered in the order of their file names; where
/// two overlap, the first keeps the pixel.
Labels read_pair_labels(const Pair&, int height, int width);
/// The same at the size of the masks, or where there is none of the image.
Labels read_pair_labels(const Pair&);

/// What is true of an image: objects apart, or such as may share pixels.
using Objects = std::variant<Labels, Planes>;
/// As read_pair_labels, but nothing is lost where objects overlap: binary masks of which two share a pixel stay planes,
/// and in the place of a label image there may be a stack of masks (read_stack), which is planes in any case.
Objects read_pair_objects(const Pair&);

/// Which pairs are held out: the round(fraction n) with the lowest hash of their stem (64-bit FNV-1a, then the
/// finaliser of MurmurHash3), at least one and not all. It depends on the names alone, not on their order, and adding
/// images moves few others.
std::vector<bool> validation_split(const std::vector<Pair>&, double fraction);

/// Pairs parted by validation_split, each part in the order of the pairs.
struct Split {
  std::vector<Pair> kept, held_out;
};
Split split_for_validation(const std::vector<Pair>&, double fraction);

/// Labels as a data loader keeps them: at one, two or four bytes a pixel, whatever their ids need.
class StoredLabels {
 public:
  explicit StoredLabels(const Labels&);
  int count() const { return count_; }  // objects: ids are 1..count
  int32_t operator()(int y, int x) const {
    int32_t id;
    row(y, x, 1, &id);
    return id;
  }
  /// The ids of row y, columns [x0, x0 + n).
  void row(int y, int x0, int n, int32_t* ids) const;
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  int width_, id_bytes_, count_;
  std::vector<std::byte> bytes_;
};

/// Notes on files, the same one of several files in one line: "a.png and 3 more: its alpha channel is left out".
class NoteList {
 public:
  void add(const std::string& file, const std::vector<std::string>& notes);
  void add(const NoteList&);
  std::vector<std::string> lines() const;

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> files_;  // of each note, in the order of the first
};

/// An image with its labels, decoded, as a data loader keeps it.
struct Example {
  std::string stem;
  Source source;
  StoredLabels labels;
  double weight = 1;  // how often training draws it, beside others; 0: never
  NoteList notes = {};  // what reading them changed or left out

  int32_t id(int y, int x) const { return labels(y, x); }
};

/// How many of them are of grey for a model of RGB, or the reverse.
int64_t converted(const std::vector<Example>&);

/// What reading changed in images and labels, as NoteList gives it.
std::vector<std::string> notes_of(const std::vector<Example>&);

/// How many objects they hold together.
int64_t objects(const std::vector<Example>&);

/// The labels of an example as label images are kept elsewhere.
Labels true_labels(const Example&);

/// Reads and checks the pairs on all cores; throws the first error in the order of the pairs. Labels of another size
/// than their image are refused, and so is a copy of the image in their place. `channels`: of the sources; 0: the most
/// that any of the images has.
std::vector<Example> read_examples(const std::vector<Pair>&, int channels, const Normalisation&);

/// A hash of names, sizes, pixels, labels and weights, as 16 hexadecimal digits; it depends neither on the order of the
/// examples nor on the format of their files.
std::string fingerprint(const std::vector<Example>&);

/// A hash of the size and the pixels of each image, whatever its file is called, as 16 hexadecimal digits.
std::vector<std::string> image_fingerprints(const std::vector<Example>&);

}  // namespace basin

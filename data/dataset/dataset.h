#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/dataset/normalise.h"
#include "data/files/labels.h"
#include "data/files/planes.h"

namespace basin {

/// An image and its labels, paired by name.
struct Pair {
  std::string stem;
  std::filesystem::path image;               // empty if labels were found without images
  std::vector<std::filesystem::path> masks;  // one label image, or if one_object_each any number of binary masks
  bool one_object_each = false;
  PlaneChoice choice = {};  // of what is read of its files, if these contain several images
};
/// Sets the choice of all pairs. If it leaves several planes along T or Z open, a pair is replaced by one pair for each
/// plane that its files (image and labels, or the only one) contain: "x (T=2,Z=0)". Files that cannot be read are
/// refused later, when they are read.
void choose(std::vector<Pair>&, const PlaneChoice&);

/// Why find_pairs cannot pair a file: "FILE: TEXT; ADVICE" is a sentence.
struct PairingFault {
  std::string kind;  // equal for faults of one kind: "images without labels"
  std::string file;  // or a line of a CSV list
  std::string text, advice;
};

/// The labelled images of a folder or a CSV list, sorted by stem. The layout is recognised by its contents:
///   a .csv file              lines image,mask under an optional heading; paths relative to the list
///   images/ and masks/       equal stems
///   <id>/images, <id>/masks  one image, and one mask per object (DSB 2018)
///   one folder               <stem>_img.* or <stem>.* with <stem>_masks.*; *_overlay.*, *_outlines.*, *_probability.*,
///                            *_instances.*, *_flow.* and *_flows.* are ignored
/// Hidden files and folders are ignored. Files are paired by name, never by order; the ".ome" of *.ome.tif is not part
/// of a stem. Throws one sentence that names the files: an image without labels, labels without an image, two files
/// with one stem, labels in an unsupported format, or images in two layouts at once; or the folder, if it contains no
/// images. The sentence also says how many more faults there are. `left_out`: sentences about
/// images in unsupported formats and folders that are not searched. `faults`: if given, what is wrong with single files
/// is added to it instead of refused, and only the other files are paired.
std::vector<Pair> find_pairs(const std::filesystem::path&, std::vector<std::string>* left_out = nullptr,
                             std::vector<PairingFault>* faults = nullptr);

/// Labels by their stem, with or without images beside them. The source may have any layout that find_pairs knows, or
/// be a single file. In a folder of files, the labels are <stem>_masks.*; if there are none, <stem>_instances.* (stacks
/// of masks); if there are none either, all label images except pictures of results (*_overlay.* and others, see
/// find_pairs). Images without labels in a folder of files are not an error. Otherwise throws like find_pairs.
std::map<std::string, Pair> find_labels(const std::filesystem::path&);
/// The label images `<stem>_masks.*` and stacks of masks `<stem>_instances.*` in a folder and in those below it, by
/// their paths from the folder without the end of the name: plate1/x. A folder to which several links lead is searched
/// once.
std::map<std::string, Pair> find_labels_below(const std::filesystem::path& folder);

/// The labels of a source by name.
struct FoundLabels {
  std::map<std::string, Pair> labels;
  bool below = false;  // they are in folders below the source, as `segment --recursive` writes them
};
/// Like find_labels_below if the source is a folder that is no data set and contains no labels itself, or results of
/// `segment --recursive`, as its run.json says, and if it or folders below it contain labels. Otherwise like
/// find_labels.
FoundLabels find_labels_in_or_below(const std::filesystem::path&);
/// True labels under the names of predictions: by stem like find_labels or, if the predictions are below their folder,
/// by the paths of their images from `truth`, whose labels may be in any layout, or below it too.
std::map<std::string, Pair> find_labels_like(const FoundLabels& predictions, const std::filesystem::path& truth);

/// The path of a pair's labels: the label image, or the folder of binary masks.
std::filesystem::path labels_path(const Pair&);

/// A suffix for the names of a pair's files in messages, which tells which plane is read: " (T=2,Z=0)"; empty if the
/// choice does not determine one.
std::string plane_suffix(const Pair&);

/// For messages: the number of pairs, and a line with the file names of each of the first `max_listed` pairs (or of one
/// more if that is the last).
std::string describe_pairs(const std::vector<Pair>&, size_t max_listed = 5);

/// An image and its stem, which is also that of its labels and results.
struct ImageFile {
  std::string stem;
  std::filesystem::path path;
};
/// The images of a folder in any layout that find_pairs knows, labelled or not, with the stems of that layout, sorted
/// by path; or the file itself. Ignores *_masks.*, *_overlay.* and other results, and hidden files; other ignored files
/// are reported in `left_out`. Throws like find_pairs. Files are not opened, so damaged ones are included.
std::vector<ImageFile> find_images(const std::filesystem::path&, std::vector<std::string>* left_out = nullptr);

/// The images of a folder and of all folders below it, whatever their layout, each with the path of its stem relative
/// to the folder ("sub/x"); or the file itself. Leaves out folders of labels (is_label_folder), and links to folders
/// that are searched anyway. Otherwise like find_images. Sorted within each folder; linked folders come last.
std::vector<ImageFile> find_images_below(const std::filesystem::path&, std::vector<std::string>* left_out = nullptr);

/// The result of find_images or find_images_below for one of several inputs.
struct InputImages {
  std::filesystem::path input;
  std::vector<ImageFile> images;
};
/// The images of several inputs. An image that is given twice occurs once, unless links give it several stems. Files
/// that are named like labels or results, and those in folders of labels, are left out, or refused if there are no
/// other inputs. If images of two folders have the same stem, all stems are prefixed with the path of their folder
/// below the deepest common folder, so that results are laid out like the images. Two images with one stem in one
/// folder are refused. All stems of the result are different.
std::vector<ImageFile> merge_images(const std::vector<InputImages>&, std::vector<std::string>& left_out);
/// Whether a folder is named masks, labels or the like, and there is a folder images beside it.
bool is_label_folder(const std::filesystem::path&);
/// "a label image" or "a result" if the name of a file is that of one; otherwise empty.
std::string role_by_name(const std::filesystem::path&);
/// "a/x.png and 3 more"; there is at least one path.
std::string and_more(const std::vector<std::filesystem::path>&);
/// The name without its extension and without a trailing "_img" or ".ome".
std::string stem_of(const std::filesystem::path&);
/// Whether the file holds a mask for each object, by its name *_instances.*.
bool is_instances(const std::filesystem::path&);
/// The stem that labels share with their image: without a trailing "_masks" or "_img".
std::string labels_stem(const std::filesystem::path&);
/// The stem that a file of predicted objects shares with its scores: the same, but also without "_instances".
std::string result_stem(const std::filesystem::path&);

/// The labels of a pair, which must have this size. Binary masks are numbered in the order of their file names, or of
/// their images in a stack (read_stack); where two overlap, the first keeps the pixel.
Labels read_pair_labels(const Pair&, int height, int width);
/// The same at the size of the masks, or of the image if there are none. A stack is refused.
Labels read_pair_labels(const Pair&);

/// Objects that may share pixels, in layers of labels: two that share a pixel are in different layers.
struct LayeredLabels {
  Labels labels;             // [layers * height, width]: the layers one below the other; each id is in one layer only
  std::vector<size_t> lost;  // the objects that have no pixel, by their index
};
constexpr int max_label_layers = 8;
/// Puts the objects into layers, one after another: each goes into the layer in which most of its pixels are free, the
/// lowest on a tie, and gets the free ones. With layers_needed() layers all objects are whole; with one layer this is
/// flatten(). Ids are in the order of the objects.
LayeredLabels layered(const Planes&, int layers);
/// The number of layers with which layered() keeps all objects whole; max_label_layers + 1 if these are not enough.
int layers_needed(const Planes&);

/// A note on those images of a set whose objects need more layers than the `layers` that samples of the method have.
/// `needed`: the numbers of layers that the images of the set need; layers = 0: the images are not for training.
std::string overlap_note(int layers, const std::vector<int>& needed);

/// The labels of a pair as training reads them.
struct TrainingLabels {
  Labels flat;                   // as read_pair_labels returns them
  std::optional<Labels> layers;  // the objects in layers, if they share pixels and may have several layers
  int layers_needed = 1;         // how many layers keep all objects whole
  bool from_masks = false;       // read from masks of one object each instead of a label image
};
/// Like read_pair_labels, but also with up to `layers` layers.
TrainingLabels read_training_labels(const Pair&, int height, int width, int layers);
/// The same at the size of the labels, or of the image if there are none. A stack in which no plane is chosen has the
/// mask of one object in each image.
TrainingLabels read_training_labels(const Pair&, int layers);

/// The true objects of an image: without overlap, or as planes that may share pixels.
using Objects = std::variant<Labels, Planes>;
/// Like read_pair_labels, but keeps overlaps: masks that share pixels are returned as planes, also those of a stack
/// (read_stack) given instead of a label image, unless a plane of it is chosen.
Objects read_pair_objects(const Pair&);
/// Whether the labels of a pair are masks of one object each, in a folder or a stack, instead of a label image.
bool has_masks(const Pair&);
/// The number of objects.
int count_of(const Objects&);
/// What reading the objects changed or left out.
const std::vector<std::string>& notes_on(const Objects&);
/// Throws one sentence with the name of the labels if the objects of a pair do not have the size of its image.
void check_size(const Pair&, const Objects&, int height, int width);

/// Which pairs are held out for validation: the round(fraction n) with the lowest hash of their stem (64-bit FNV-1a,
/// then the finaliser of MurmurHash3), at least one and not all. Depends only on the names, not on their order, and
/// adding images moves few others.
std::vector<bool> validation_split(const std::vector<Pair>&, double fraction);

/// Pairs split by validation_split, each part in the order of the pairs.
struct Split {
  std::vector<Pair> kept, held_out;
};
Split split_for_validation(const std::vector<Pair>&, double fraction);

/// Compact labels for a data loader: one, two or four bytes per pixel, whichever the ids need.
class StoredLabels {
 public:
  explicit StoredLabels(const Labels&);
  int count() const { return count_; }  // objects: ids are 1..count
  int height() const { return height_; }
  /// The labels as they were stored, without notes.
  Labels labels() const;
  int32_t operator()(int y, int x) const {
    int32_t id = 0;
    row(y, x, 1, &id);
    return id;
  }
  /// Copies the ids of row y, columns [x0, x0 + n).
  void row(int y, int x0, int n, int32_t* ids) const;
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  int height_, width_, id_bytes_, count_;
  std::vector<std::byte> bytes_;
};

/// Notes on files, with equal notes of several files in one line: "a.png and 3 more: its alpha channel is left out".
class NoteList {
 public:
  void add(const std::string& file, const std::vector<std::string>& notes);
  void add(const NoteList&);
  std::vector<std::string> lines() const;

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> files_;  // per note, in the order of first occurrence
};

/// A decoded image with its labels, as a data loader keeps it.
struct Example {
  std::string stem;
  Source source;
  StoredLabels labels;
  double weight = 1;                         // relative frequency with which training draws it; 0: never
  NoteList notes = {};                       // what reading them changed or left out
  std::optional<StoredLabels> ignored = {};  // 1 at pixels that are neither object nor background; `labels` are 0 there
  std::optional<StoredLabels> layers = {};   // of objects that share pixels (LayeredLabels), for samples: `labels` are
                                             // those of validation, in which the first object keeps the pixel

  /// The labels that samples are cut from, one or more layers [layers * height, width].
  const StoredLabels& layered() const { return layers ? *layers : labels; }
  int layer_count() const { return layers ? layers->height() / source.height() : 1; }
};

/// The number of images that were converted between grey and RGB.
int64_t converted(const std::vector<Example>&);

/// The notes from reading images and labels, formatted by NoteList.
std::vector<std::string> notes_of(const std::vector<Example>&);

/// Whether any image has pixels that are neither object nor background.
bool any_ignored(const std::vector<Example>&);

/// The total number of objects.
int64_t objects(const std::vector<Example>&);

/// The labels of an example as Labels, without overlap.
Labels true_labels(const Example&);

/// An image and its labels, as training reads them.
struct LabelledImage {
  Image image;
  Labels labels;
  Labels ignored;  // 1 at pixels that are neither object nor background; without pixels if `ignore` was not given
  std::optional<Labels> layers = {};  // see TrainingLabels
  int layers_needed = 1;
};
/// Reads a pair. Throws like read_image and read_pair_labels, also if labels and image differ in size, or if the labels
/// are a copy of the image. `ignore`: the value of pixels in label images that are neither object nor background.
/// `layers`: see read_training_labels.
LabelledImage read_pair(const Pair&, std::optional<int64_t> ignore = {}, int layers = 1);

/// Reads the pairs with read_pair on all cores. Throws the first error in the order of the pairs. `channels`: number of
/// channels of the sources; 0: that of the image with the most. `layers`: the number of label layers of training
/// samples, or 0 if the examples are not for training. Images with objects that share pixels and need more have a note.
std::vector<Example> read_examples(const std::vector<Pair>&, int channels, const Normalisation&,
                                   std::optional<int64_t> ignore = {}, int layers = 0);

/// A hash of names, sizes, pixels, labels, ignored pixels and weights, as 16 hexadecimal digits. Independent of the
/// order of the examples and of the file formats.
std::string fingerprint(const std::vector<Example>&);

/// A hash of the size and the pixels of an image, independent of its file name, as 16 hexadecimal digits.
std::string fingerprint(const Image&);
/// The fingerprints of the images of the examples.
std::vector<std::string> image_fingerprints(const std::vector<Example>&);

}  // namespace basin

#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"

namespace basin::tools {

/// The end of the name of a file of scores, which belongs to a label image.
inline constexpr const char* scores_suffix = "_scores.csv";

/// Writes the scores of objects 1, 2, ... as `evaluate` reads them.
void write_scores(const std::filesystem::path&, const std::vector<float>& scores);

/// The ends of the names of label images.
inline constexpr const char* masks_suffixes[] = {"_masks.png", "_masks.tif", "_masks.tiff", "_masks.npy"};

/// The end of the name of a stack with a mask for each object.
inline constexpr const char* instances_suffix = "_instances.tif";

/// The ends of the names of a label image in OME-Zarr and in OME-TIFF.
inline constexpr const char* zarr_masks_suffix = "_masks.ome.zarr";
inline constexpr const char* ome_masks_suffix = "_masks.ome.tif";

/// The suffixes of the files of these kinds that describe objects: label images, stacks of masks and scores.
/// `labels`: the suffix of the label image, if that is one of the kinds.
std::set<std::string> object_files(const std::set<std::string>& kinds, const std::string& labels);

/// Refuses to overwrite labels that may have been drawn by a person, if `kinds` contains "labels", "instances", "zarr",
/// "ome" or "npy" (Cellpose's file, which may contain corrections): labels beside an image with their name, or in a
/// folder to which this command has not written before (`filled_before`). With `replaces_all` other formats of labels
/// are refused too, because remove_other_objects() would remove them. In a data set with folders images and masks,
/// also refuses to write labels beside those in masks, because they would be taken for a part of the data set.
void keep_labels(const std::string& stem, const std::filesystem::path& out, bool filled_before,
                 const std::set<std::string>& kinds, bool replaces_all);

/// Throws the sentence that `failed` of `all` inputs could not be segmented, which lists them unless there was only one
/// input.
[[noreturn]] void refuse_failed(const std::vector<std::string>& failed, size_t all);

/// The output files of one image. Unless keep() is called after all are written, they are removed again, even if they
/// replaced files of an earlier run, so that no file of a failed image is taken for a result.
class ImageFiles {
 public:
  /// `base`: the files' common path, without their suffixes.
  explicit ImageFiles(std::filesystem::path base) : base_(std::move(base)) {}
  ~ImageFiles();
  ImageFiles(const ImageFiles&) = delete;
  ImageFiles& operator=(const ImageFiles&) = delete;

  /// f(path) writes the file with this suffix.
  template <class F>
  void write(const std::string& suffix, F f) {
    const std::filesystem::path file = base_.string() + suffix;
    f(file);
    written_.push_back(file);
  }
  void keep() { written_.clear(); }
  /// The file with this suffix.
  std::filesystem::path path(const std::string& suffix) const { return base_.string() + suffix; }
  /// Removes files that an earlier run wrote under other suffixes of the same kind than `kept`.
  void remove_others(const std::vector<std::string>& suffixes, const std::string& kept);
  /// Removes files with these suffixes that were not written before keep().
  void remove_unwritten(const std::vector<std::string>& suffixes);
  /// Removes label images in any format, stacks of masks and scores of other objects that an earlier run wrote: all but
  /// the `kept` ones and the inputs of this run, and none if nothing is kept. keep_labels() must have found before that
  /// they are not a person's. `notes`: says which.
  void remove_other_objects(const std::set<std::string>& kept, NoteList& notes,
                            const std::vector<std::filesystem::path>& inputs = {});

 private:
  std::filesystem::path base_;
  std::vector<std::filesystem::path> written_;
};

}  // namespace basin::tools

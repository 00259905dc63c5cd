#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/checks/facts.h"
#include "data/checks/object_limits.h"
#include "data/dataset/dataset.h"

namespace basin {

enum class Severity {
  note,     // good to know
  warning,  // probably a mistake, though `train` accepts it
  error,    // `train` refuses it
};
/// "note", "warning", "error".
const char* name_of(Severity);

/// What a check found.
struct Finding {
  Severity severity = Severity::note;
  std::string kind;    // equal for findings of the same kind: "several pieces"
  std::string file;    // the file that it is about; empty: the whole set
  std::string text;    // what was found in this file
  std::string advice;  // what to do, the same for all findings of a kind; may be empty
};

/// One line for each finding, "FILE: TEXT; ADVICE"; several of a kind share one heading, "KIND, in N files; ADVICE",
/// with a line for each of the first `max_files` of them (of notes at most three) and one for the rest. Errors come
/// first, then warnings and notes.
std::vector<std::string> lines_of(const std::vector<Finding>&, size_t max_files);

/// How training will see the images.
struct CheckOptions {
  int channels = 0;  // of the network; 0: as many as the image with the most
  Normalisation normalisation{Normalisation::Kind::percentile};
  double scale = 1;
  double pixel_size = 0;       // that the user gives for all images, um; 0: as their files say
  int crop = 256;              // side of a crop, px; 0: whole images are resized
  int resized_to = 0;          // where whole images are resized: side of the square into which they fit, px
  int multiple = 1;            // the sides of a crop are multiples of this
  bool needs_objects = false;  // training draws crops around objects, and refuses a set without any
  ObjectLimits limits = {};    // of the method
};

/// A pair as far as it could be read.
struct CheckedPair {
  Pair pair;
  bool validation = false;
  std::optional<ImageFacts> image;
  std::optional<LabelFacts> labels;
  int64_t ignored = 0;  // pixels that are neither object nor background
};

/// Reads all pairs on all cores, as training does. What training refuses is added to the findings instead of thrown.
/// `ignore`: see read_pair.
std::vector<CheckedPair> read_checked(const std::vector<Pair>& train, const std::vector<Pair>& validation,
                                      const Normalisation&, std::vector<Finding>&, std::optional<int64_t> ignore = {});
/// What is unusual in single files, in images that occur twice, and in the sizes of images and objects, by the order of
/// the pairs.
std::vector<Finding> check(const std::vector<CheckedPair>&, const CheckOptions&);

/// The warnings of check() about training images that have been read, as lines that name images by their stems.
std::vector<std::string> training_warnings(const std::vector<Example>&, const CheckOptions&);

/// The sizes of the objects of the training images, px in the files.
struct ObjectSizes {
  std::vector<double> diameters;  // equivalent_diameter() of each, ascending
  std::vector<int> lengths;       // the longer side of each bounding box, ascending
  /// The diameter at rank round(share (n - 1)); 0 if there are no objects.
  double diameter(double share) const;
};
ObjectSizes sizes_of(const std::vector<CheckedPair>&);

/// The number of objects by diameter in classes [2^k, 2^(k+1)) px, from that of the smallest object to that of the
/// largest.
struct SizeClass {
  double from = 0, to = 0;
  int64_t count = 0;
};
std::vector<SizeClass> histogram_of(const ObjectSizes&);

}  // namespace basin

#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "tools/results/run_record.h"

namespace basin::tools {

/// An image of a finished run of `segment`, and its label image.
struct RunImage {
  std::string stem;
  std::filesystem::path image;       // where it is now; empty: not found
  std::filesystem::path labels;      // empty: it could not be segmented
  std::vector<std::string> remarks;  // what run.json says about it
};

/// What a run of `segment` has left in its output folder.
struct RunResults {
  std::string model;
  std::vector<std::string> save;   // the kinds of files that it wrote
  PlaneChoice choice;              // of planes and channels in stacks
  std::vector<RunImage> images;    // in the order of the run, then those whose images were not found
  std::vector<std::string> notes;  // sentences about inputs that are no longer there
  bool finished = true;

  bool saved(const std::string& kind) const;
};

/// The images among the inputs of a run of `segment`, with the stems of its results. `moved`: where the inputs are now;
/// empty: where the run read them. An input that no longer exists adds a sentence to the notes; if `moved` contains it,
/// the sentence is thrown.
std::vector<ImageFile> recorded_images(const SegmentRecord&, const std::vector<std::string>& moved,
                                       std::vector<std::string>& notes);

/// Reads the run.json of an output folder of `segment`, and finds the label images in the folder and their images:
/// among the files and folders `images`, or if these are empty among the inputs of the run. Throws one sentence with a
/// file's name if the folder has no run.json of `segment`, if that is damaged, or if there are no label images.
RunResults find_run_images(const std::filesystem::path& out, const std::vector<std::string>& images = {});

}  // namespace basin::tools

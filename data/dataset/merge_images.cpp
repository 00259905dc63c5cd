#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "data/arrays/zarr.h"
#include "data/dataset/dataset.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// An absolute path without dots and without a slash at its end.
fs::path plain(const fs::path& path) { return without_slash(fs::absolute(path).lexically_normal()); }

/// Whether an input is a folder of label images, or lies in one.
bool is_among_labels(const fs::path& input) {
  const fs::path path = plain(input);
  return is_label_folder(is_folder(path) ? path : path.parent_path());
}

/// The inputs without those that are labels or results, judged by their names and folders. Throws one sentence if
/// nothing is left.
std::vector<const InputImages*> images_among(const std::vector<InputImages>& inputs,
                                             std::vector<std::string>& left_out) {
  std::vector<const InputImages*> images;
  std::vector<fs::path> among_labels;
  for (const InputImages& input : inputs) {
    if (const std::string role = role_by_name(input.input); !role.empty())
      left_out.push_back("left out " + input.input.string() + ", taken for " + role + " because of its name");
    else if (is_among_labels(input.input))
      among_labels.push_back(input.input);
    else
      images.push_back(&input);
  }
  if (!among_labels.empty())
    left_out.push_back("left out " + and_more(among_labels) + ", taken for labels because of a folder images beside " +
                       (among_labels.size() > 1 ? "them" : "it"));
  if (!images.empty() || inputs.empty()) return images;
  const std::string first = inputs[0].input.string(), role = role_by_name(first);
  if (role.empty())
    refuse(first, ": is taken for labels because of a folder images beside it; if it has images, rename the folder");
  refuse(first, ": is taken for ", role, " because of its name; if it is an image, rename it");
}

/// Finds images that are the same file as an earlier one.
class Repeated {
 public:
  /// Links to one file are different images if their stems differ.
  bool operator()(const ImageFile& image) {
    const fs::path path = plain(image.path);
    std::error_code none;
    const fs::path real = fs::weakly_canonical(path.parent_path(), none);
    const fs::path in_real_folder = (real.empty() ? path.parent_path() : real) / path.filename();
    const bool is_new = paths_.insert(path).second;
    return !places_.emplace(in_real_folder, image.stem).second || !is_new;
  }

 private:
  std::set<fs::path> paths_;
  std::set<std::pair<fs::path, std::string>> places_;
};

}  // namespace

std::vector<ImageFile> merge_images(const std::vector<InputImages>& inputs, std::vector<std::string>& left_out) {
  std::vector<std::pair<fs::path, ImageFile>> all;  // with the folder that was given, or that contains the given file
  Repeated is_repeated;
  std::map<std::string, std::map<fs::path, fs::path>> files;  // by stem and folder
  for (const InputImages* input : images_among(inputs, left_out)) {
    const fs::path given = plain(input->input);
    const fs::path folder = is_folder(given) ? given : given.parent_path();
    for (const ImageFile& image : input->images) {
      if (is_repeated(image)) continue;
      const auto [other, is_new] = files[image.stem].emplace(folder, image.path);
      if (!is_new)
        refuse(image.path.string(), ": its results would have the same names as those of ", other->second.string(),
               ", which has the same stem; segment one of them, or rename it");
      all.push_back({folder, image});
    }
  }
  fs::path common;
  bool clash = false;
  for (const auto& [stem, places] : files)
    clash = clash || places.size() > 1;
  std::vector<ImageFile> images;
  for (const auto& [folder, image] : all) {
    if (common.empty()) common = folder;
    while (!common.empty() && folder != common && folder.string().rfind((common / "").string(), 0) != 0 &&
           common.has_relative_path())
      common = common.parent_path();
  }
  std::set<std::string> stems;
  for (auto& [folder, image] : all) {
    if (clash) image.stem = (folder.lexically_relative(common) / image.stem).lexically_normal().string();
    if (!stems.insert(image.stem).second)
      refuse(image.path.string(), ": its results would have the same names as those of another input, ", image.stem);
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace basin

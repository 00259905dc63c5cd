#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "data/arrays/zarr.h"
#include "data/dataset/pairing.h"
#include "data/files/foreign.h"
#include "engine/files.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// A search of a folder and of the folders below it. Each folder is searched once, even if links lead to it.
class TreeSearch {
 public:
  std::function<void(const fs::path& file, const fs::path& prefix)>
      found;  // prefix: the path from the root to the file
  std::function<bool(const fs::path& folder)> enters = [](const fs::path&) { return true; };

  /// `left_out`: if given, notes on what is left out are added to it.
  void run(const fs::path& root, std::vector<std::string>* left_out) {
    search(root, {}, left_out);
    for (size_t k = 0; k < links_.size(); ++k)  // searching one may add more
      search(fs::path(links_[k].first), fs::path(links_[k].second), left_out);
  }

 private:
  void search(const fs::path& folder, const fs::path& prefix, std::vector<std::string>* left_out) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error) refuse(folder.string(), ": cannot be read (", error.message(), ")");
    const auto [before, is_new] = searched_.emplace(real, folder);
    if (!is_new) {
      if (left_out)
        left_out->push_back("left out " + folder.string() + ", because it is the same folder as " +
                            before->second.string());
      return;
    }
    std::vector<fs::path> links;  // last, so that a link to a folder here is left out, and not the folder
    for (const fs::path& entry : entries_of(folder)) {
      if (is_file(entry))
        found(entry, prefix);
      else if (raster::has_foreign_extension(entry) || !enters(entry))
        continue;
      else if (fs::is_symlink(entry))
        links.push_back(entry);
      else
        search(entry, prefix / entry.filename(), left_out);
    }
    for (const fs::path& link : links)
      links_.emplace_back(link, prefix / link.filename());
    note_left_out(folder, left_out, true);
  }

  std::map<fs::path, fs::path> searched_;             // by their real paths
  std::vector<std::pair<fs::path, fs::path>> links_;  // to folders, with their prefixes
};

/// Whether a folder is a data set in which labels have a folder of their own.
bool has_mask_folders(const fs::path& folder) {
  const auto has_both = [](const fs::path& at) {
    return fs::is_directory(at / "images") && fs::is_directory(at / "masks");
  };
  const std::vector<fs::path> entries = entries_of(folder);
  return has_both(folder) || std::any_of(entries.begin(), entries.end(), has_both);
}

/// Whether labels could be directly in a folder.
bool has_label_files(const fs::path& folder) {
  const std::vector<fs::path> entries = entries_of(folder);
  return std::any_of(entries.begin(), entries.end(), [](const fs::path& entry) {
    return is_file(entry) && has_label_extension(entry) && (role_by_name(entry) != "a result" || is_instances(entry));
  });
}

/// Whether `segment --recursive` has written the results in a folder and in those below it, as its record says.
bool is_result_tree(const fs::path& folder) {
  const auto is_recursive = [](const fs::path& record) {
    try {
      return member(parse_json(read_text(record)), "recursive") == true;
    } catch (const Error&) {
      return false;  // no record of ours, or one that was not written to its end
    }
  };
  const std::vector<fs::path> entries = entries_of(folder);
  return std::any_of(entries.begin(), entries.end(), [&](const fs::path& entry) {
    const std::string name = entry.filename().string();
    const bool is_record = name == "run.json" || (name.starts_with("run.shard-") && name.ends_with(".json"));
    return is_record && fs::is_regular_file(entry) && is_recursive(entry);
  });
}

/// The path of an image from the folder of its data set, without the end of its name.
std::string path_within(const fs::path& folder, const Pair& pair) {
  const fs::path file = pair.image.empty() ? pair.masks[0] : pair.image;
  const std::string stem = pair.image.empty() ? labels_stem(file) : stem_of(file);
  return (file.parent_path().lexically_relative(folder) / stem).lexically_normal().string();
}

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

std::vector<ImageFile> find_images_below(const fs::path& input, std::vector<std::string>* left_out) {
  if (!is_folder(input)) return find_images(input, left_out);
  std::vector<ImageFile> images;
  std::vector<fs::path> label_folders;
  TreeSearch search;
  search.found = [&](const fs::path& file, const fs::path& prefix) {
    if (is_picture(file)) images.push_back({(prefix / stem_of(file)).string(), file});
  };
  search.enters = [&](const fs::path& folder) {
    if (is_label_folder(folder)) label_folders.push_back(folder);
    return !is_label_folder(folder);
  };
  search.run(input, left_out);
  if (left_out && !label_folders.empty())
    left_out->push_back("left out " + and_more(label_folders) +
                        ", taken for labels because of a folder images beside " +
                        (label_folders.size() > 1 ? "them" : "it"));
  if (images.empty()) refuse(input.string(), ": contains no images, and neither do the folders below it");
  return images;
}

std::map<std::string, Pair> find_labels_below(const fs::path& folder) {
  std::map<fs::path, fs::path> with_labels;  // folders by their paths from `folder`
  TreeSearch search;
  search.found = [&](const fs::path& file, const fs::path& prefix) {
    if (is_masks(file) || is_instances(file)) with_labels[prefix] = file.parent_path();
  };
  search.run(folder, nullptr);
  std::map<std::string, Pair> labels;
  for (const auto& [prefix, at] : with_labels)
    for (auto& [stem, pair] : labels_of_folder(at))
      labels[(prefix / stem).string()] = std::move(pair);
  return labels;
}

FoundLabels find_labels_in_or_below(const fs::path& source) {
  FoundLabels found;
  if (is_folder(source) && !has_mask_folders(source) && (!has_label_files(source) || is_result_tree(source)))
    found.labels = find_labels_below(source);
  found.below = !found.labels.empty();
  if (!found.below) found.labels = find_labels(source);
  return found;
}

std::map<std::string, Pair> find_labels_like(const FoundLabels& predictions, const fs::path& truth) {
  if (!predictions.below) return find_labels(truth);
  std::map<std::string, Pair> by_path;
  if (is_folder(truth) && !has_mask_folders(truth)) by_path = find_labels_below(truth);
  if (by_path.empty())
    for (auto& [stem, pair] : find_labels(truth))
      by_path[path_within(truth, pair)] = std::move(pair);
  return by_path;
}

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

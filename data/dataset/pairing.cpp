#include "data/dataset/pairing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "data/arrays/zarr.h"
#include "data/dataset/dataset.h"
#include "data/files/foreign.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

bool ends_with(const std::string& s, std::string_view end) { return std::string_view(s).ends_with(end); }

bool is_image_file(const fs::path& path) {
  static const std::set<std::string> known{".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".zarr"};
  return known.contains(lower_extension(without_slash(path)));
}
/// The name without its extension and a trailing ".ome".
std::string bare_name(const fs::path& path) {
  std::string stem = without_slash(path).stem().string();
  if (ends_with(stem, ".ome") && stem.size() > 4) stem.resize(stem.size() - 4);
  return stem;
}
constexpr std::string_view instances_end = "_instances";

bool is_derived(const fs::path& path) {
  const std::string s = bare_name(path);
  constexpr std::string_view ends[] = {instances_end, "_overlay", "_outlines", "_probability", "_flow", "_flows"};
  return std::any_of(std::begin(ends), std::end(ends), [&](std::string_view end) { return ends_with(s, end); });
}
/// The first picture directly in a folder; empty if there is none.
fs::path first_picture(const fs::path& folder) {
  for (const fs::path& entry : entries_of(folder))
    if (is_picture(entry)) return entry;
  return {};
}

constexpr const char *without_labels = "images without labels", *without_image = "labels without an image",
                     *unsupported = "labels in an unsupported format";

/// Refuses all faults in one sentence, if there are any.
void refuse_faults(const PairingFaults& faults) {
  if (faults.empty()) return;
  const auto is_alone = [](const PairingFault& f) { return f.kind == without_labels || f.kind == without_image; };
  if (!std::all_of(faults.begin(), faults.end(), is_alone)) {
    const PairingFault& first = *std::find_if_not(faults.begin(), faults.end(), is_alone);
    const size_t others = faults.size() - 1;
    const std::string more = others == 0 ? "" : fmt::format(" (and {} more fault{})", others, others == 1 ? "" : "s");
    refuse(first.file, ": ", first.text, first.advice.empty() ? "" : "; ", first.advice, more);
  }
  constexpr size_t named = 5;
  std::string names;
  for (size_t i = 0; i < std::min(faults.size(), named); ++i)
    names += (i > 0 ? ", " : "") + faults[i].file + (faults[i].kind == without_labels ? " (no labels)" : " (no image)");
  if (faults.size() > named) names += " and " + std::to_string(faults.size() - named) + " more";
  refuse("images and labels are paired by equal stems, but these have no partner: ", names);
}

/// Whether a file holds labels in a format that is read. An unsupported one is a fault, because every label file
/// counts.
bool is_read(const fs::path& file, PairingFaults& faults) {
  if (has_label_extension(file)) return true;
  if (raster::has_foreign_extension(file) || is_image_file(file))
    faults.push_back({unsupported, file.string(), "labels in this format are not supported",
                      "save them as PNG, TIFF, BMP, .npy or OME-Zarr"});
  return false;
}

using ByStem = std::map<std::string, fs::path>;

void insert(ByStem& files, const std::string& stem, const fs::path& file, PairingFaults& faults) {
  const auto [at, is_new] = files.emplace(stem, file);
  if (!is_new)
    faults.push_back({"files with the stem of another one", file.string(),
                      "has the same stem as " + at->second.filename().string(), "remove one of them"});
}

/// The same for labels, but STEM_masks.ome.zarr and STEM_masks.ome.tif beside labels in another format are passed over.
void insert_labels(ByStem& files, const fs::path& file, PairingFaults& faults) {
  const auto is_copy = [](const fs::path& path) {
    const std::string name = path.filename().string();
    return ends_with(name, "_masks.ome.zarr") || ends_with(name, "_masks.ome.tif");
  };
  const auto at = files.find(labels_stem(file));
  if (at != files.end() && is_copy(file)) return;
  if (at != files.end() && is_copy(at->second)) files.erase(at);
  insert(files, labels_stem(file), file, faults);
}

/// Images and labels of the same stem. A file without a partner is a fault, unless its labels are one themselves.
std::vector<Pair> join(const ByStem& images, const ByStem& masks, PairingFaults& faults) {
  std::set<std::string> unread;
  for (const PairingFault& f : faults)
    if (f.kind == unsupported) unread.insert(labels_stem(f.file));
  std::vector<Pair> pairs;
  for (const auto& [stem, image] : images) {
    if (const auto mask = masks.find(stem); mask != masks.end())
      pairs.push_back({stem, image, {mask->second}, false});
    else if (!unread.contains(stem))
      faults.push_back({without_labels, image.string(), "has no labels",
                        "add a label image of the same stem, or move the image away"});
  }
  for (const auto& [stem, mask] : masks)
    if (!images.contains(stem))
      faults.push_back(
          {without_image, mask.string(), "has no image", "add the image of the same stem, or move the labels away"});
  return pairs;
}

std::vector<Pair> pair_flat(const fs::path& folder, PairingFaults& faults) {
  ByStem images, masks;
  for (const fs::path& file : entries_of(folder)) {
    if (!is_file(file)) continue;
    if (is_masks(file)) {
      if (is_read(file, faults)) insert_labels(masks, file, faults);
    } else if (is_picture(file)) {
      insert(images, stem_of(file), file, faults);
    }
  }
  return join(images, masks, faults);
}

std::vector<Pair> pair_siblings(const fs::path& folder, PairingFaults& faults) {
  ByStem images, masks;
  for (const fs::path& file : entries_of(folder / "images"))
    if (is_file(file) && is_image_file(file)) insert(images, stem_of(file), file, faults);
  for (const fs::path& file : entries_of(folder / "masks"))
    if (is_file(file) && is_read(file, faults)) insert_labels(masks, file, faults);
  return join(images, masks, faults);
}

bool is_dsb(const fs::path& entry) { return fs::is_directory(entry / "images"); }

std::vector<fs::path> images_of_dsb(const fs::path& entry) {
  std::vector<fs::path> images;
  for (const fs::path& file : entries_of(entry / "images"))
    if (is_file(file) && is_image_file(file)) images.push_back(file);
  return images;
}

std::string lower_name(const fs::path& folder) {
  std::string name = folder.filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return name;
}

/// Common names for parts of a data set.
bool is_part_name(const fs::path& folder) {
  static const std::set<std::string> names{"train", "training", "test", "testing", "val", "valid", "validation"};
  return names.contains(lower_name(folder));
}

/// The folders <id> of a DSB layout; none if the layout is another. Refuses a folder that looks like two layouts at
/// once.
std::vector<fs::path> dsb_entries(const fs::path& folder) {
  std::vector<fs::path> found, others;
  for (const fs::path& entry : entries_of(folder)) {
    if (is_file(entry)) continue;
    (is_dsb(entry) ? found : others).push_back(entry);
  }
  if (found.empty()) return {};
  if (const fs::path loose = first_picture(folder); !loose.empty())
    refuse(folder.string(), ": contains images, such as ", loose.filename().string(),
           ", and folders of images, such as ", (found[0] / "images").string(),
           "; give the one that you mean, or move the other away");
  const auto is_data_set = [](const fs::path& entry) {
    return images_of_dsb(entry).size() > 1 || (is_part_name(entry) && !images_of_dsb(entry).empty());
  };
  if (std::all_of(found.begin(), found.end(), is_data_set)) {
    const auto train = std::find_if(found.begin(), found.end(), [](const fs::path& entry) {
      return entry.filename().string().starts_with("train");
    });
    refuse(folder.string(), ": is not a data set itself but contains ",
           found.size() == 1 ? "one" : std::to_string(found.size()), "; give its folder, such as ",
           (train == found.end() ? found[0] : *train).string());
  }
  for (const fs::path& entry : others)
    if (const fs::path picture = first_picture(entry); !picture.empty() && !fs::exists(entry / "run.json"))
      refuse(entry.string(), ": contains ", picture.filename().string(),
             " directly, while the folders beside it, such as ", found[0].filename().string(),
             ", have a subfolder images");
  return found;
}

/// The only image of an entry; empty, with a fault, if there is another number of them.
fs::path image_of_dsb(const fs::path& entry, PairingFaults& faults) {
  const std::vector<fs::path> images = images_of_dsb(entry);
  if (images.size() == 1) return images[0];
  constexpr const char* kind = "folders without a single image";
  if (images.empty())
    faults.push_back({kind, (entry / "images").string(), "contains no image", ""});
  else
    faults.push_back({kind, images[1].string(),
                      "only one image is expected here, but there is also " + images[0].filename().string(), ""});
  return {};
}

std::vector<Pair> pair_dsb(const std::vector<fs::path>& entries, PairingFaults& faults) {
  std::vector<Pair> pairs;
  for (const fs::path& entry : entries) {
    Pair pair{entry.filename().string(), image_of_dsb(entry, faults), {}, true};
    if (pair.image.empty()) continue;
    if (!fs::is_directory(entry / "masks")) {
      faults.push_back({"images without masks", pair.image.string(), "there is no masks folder for this image", ""});
      continue;
    }
    for (const fs::path& file : entries_of(entry / "masks"))
      if (is_file(file) && is_read(file, faults)) pair.masks.push_back(file);
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

/// Refuses images beside the folder images/, which would be ignored.
void check_alone(const fs::path& folder) {
  if (const fs::path loose = first_picture(folder); !loose.empty())
    refuse(folder.string(), ": contains a folder images, and beside it images such as ", loose.filename().string(),
           "; give the one that you mean, or move the other away");
}

[[noreturn]] void refuse_empty(const fs::path& folder) {
  std::string inside;
  if (fs::is_directory(folder))
    for (const fs::path& entry : entries_of(folder)) {
      if (!is_file(entry) && !first_picture(entry).empty())
        refuse(folder.string(), ": contains no images, but its subfolders do; give one of them, such as ",
               entry.string());
      if (inside.empty() && raster::has_foreign_extension(entry)) inside = entry.filename().string();
    }
  if (!inside.empty())
    refuse(folder.string(), ": contains no images in a supported format (", inside,
           " is not); save them as TIFF or PNG");
  refuse(folder.string(), ": contains no images");
}

}  // namespace

bool is_masks(const fs::path& path) { return ends_with(bare_name(path), "_masks"); }

bool is_file(const fs::path& path) { return !is_folder(path); }

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (!it->path().filename().string().starts_with('.')) entries.push_back(it->path());
  if (error) refuse(folder.string(), ": cannot be read (", error.message(), ")");
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_picture(const fs::path& path) {
  return is_file(path) && is_image_file(path) && !is_masks(path) && !is_derived(path);
}

void note_left_out(const fs::path& folder, std::vector<std::string>* notes, bool searches_subfolders) {
  if (!notes) return;
  const std::vector<fs::path> entries = entries_of(folder);
  std::set<std::string> stems;
  for (const fs::path& entry : entries)
    if (is_picture(entry)) stems.insert(stem_of(entry));
  for (const fs::path& entry : entries) {
    if (raster::has_foreign_extension(entry)) {
      if (!is_file(entry) || !stems.contains(stem_of(entry)))
        notes->push_back("left out " + entry.string() + ", because its format is not supported");
    } else if (!is_file(entry) && !searches_subfolders && !fs::exists(entry / "run.json") &&
               !first_picture(entry).empty()) {
      notes->push_back("left out the images in " + entry.string() + ": subfolders are not searched");
    }
  }
}

std::map<std::string, Pair> labels_of_folder(const fs::path& folder) {
  std::vector<fs::path> files, others, instances;
  for (const fs::path& file : entries_of(folder)) {
    if (is_file(file) && is_instances(file) && has_label_extension(file)) instances.push_back(file);
    if (!is_file(file) || is_derived(file)) continue;
    (has_label_extension(file) ? files : others).push_back(file);
  }
  const auto all_with_suffix = [](const std::vector<fs::path>& some) {
    return std::any_of(some.begin(), some.end(), is_masks);
  };
  const bool suffixed = all_with_suffix(files) || all_with_suffix(others) || !instances.empty();
  ByStem by_stem;
  PairingFaults faults;
  for (const fs::path& file : files)
    if (!suffixed || is_masks(file)) insert_labels(by_stem, file, faults);
  for (const fs::path& file : others)
    if ((!suffixed || is_masks(file)) && !by_stem.contains(labels_stem(file))) (void)is_read(file, faults);
  for (const fs::path& file : instances)
    if (!by_stem.contains(result_stem(file))) insert(by_stem, result_stem(file), file, faults);
  refuse_faults(faults);
  std::map<std::string, Pair> labels;
  for (const auto& [stem, file] : by_stem)
    labels[stem] = {stem, {}, {file}, false};
  return labels;
}

bool is_instances(const fs::path& path) { return ends_with(bare_name(path), instances_end); }

bool is_label_folder(const fs::path& folder) {
  static const std::set<std::string> names{"masks", "mask", "labels", "label", "gt", "groundtruth", "ground_truth"};
  const fs::path path = without_slash(fs::absolute(folder).lexically_normal());
  return names.contains(lower_name(path)) && fs::is_directory(path.parent_path() / "images");
}

std::string role_by_name(const fs::path& file) {
  return !is_file(file) ? "" : is_masks(file) ? "a label image" : is_derived(file) ? "a result" : "";
}

std::string and_more(const std::vector<fs::path>& paths) {
  return paths[0].string() + (paths.size() > 1 ? " and " + std::to_string(paths.size() - 1) + " more" : "");
}

std::string stem_of(const fs::path& path) {
  std::string stem = bare_name(path);
  if (ends_with(stem, "_img") && stem.size() > 4) stem.resize(stem.size() - 4);
  return stem;
}

std::string labels_stem(const fs::path& path) {
  constexpr std::string_view masks = "_masks";
  const std::string stem = bare_name(path);
  return ends_with(stem, masks) ? stem.substr(0, stem.size() - masks.size()) : stem_of(path);
}

std::string result_stem(const fs::path& path) {
  const std::string stem = bare_name(path);
  return is_instances(path) ? stem.substr(0, stem.size() - instances_end.size()) : labels_stem(path);
}

std::vector<Pair> find_pairs(const fs::path& source, std::vector<std::string>* left_out,
                             std::vector<PairingFault>* faults) {
  if (!fs::exists(source)) refuse_missing(source);
  std::vector<Pair> pairs;
  PairingFaults found;
  if (!is_folder(source)) {
    if (lower_extension(source) != ".csv") refuse(source.string(), ": is neither a folder nor a .csv list of images");
    pairs = pair_list(source, found);
  } else if (fs::is_directory(source / "images")) {
    if (!fs::is_directory(source / "masks")) refuse(source.string(), ": contains a folder images but no folder masks");
    check_alone(source);
    pairs = pair_siblings(source, found);
    note_left_out(source / "images", left_out);
  } else if (const std::vector<fs::path> entries = dsb_entries(source); !entries.empty()) {
    pairs = pair_dsb(entries, found);
  } else {
    pairs = pair_flat(source, found);
    note_left_out(source, left_out);
  }
  if (pairs.empty() && found.empty()) refuse_empty(source);
  if (!faults) refuse_faults(found);
  if (faults) faults->insert(faults->end(), found.begin(), found.end());
  return pairs;
}

std::map<std::string, Pair> find_labels(const fs::path& source) {
  if (!fs::exists(source)) refuse_missing(source);
  const bool has_files = is_folder(source);
  if (!has_files && lower_extension(source) != ".csv") {
    const std::string stem = result_stem(source);
    return {{stem, {stem, {}, {source}, false}}};
  }
  std::map<std::string, Pair> labels;
  if (!has_files || fs::is_directory(source / "images") || !dsb_entries(source).empty()) {
    for (Pair& pair : find_pairs(source))
      labels[pair.stem] = std::move(pair);
  } else {
    labels = labels_of_folder(source);
  }
  if (labels.empty()) refuse(source.string(), ": contains no label images (.png, .tif, .tiff, .bmp, .npy or .zarr)");
  return labels;
}

fs::path labels_path(const Pair& pair) {
  return pair.one_object_each ? pair.image.parent_path().parent_path() / "masks" : pair.masks[0];
}

std::string plane_suffix(const Pair& pair) { return pair.choice.plane.empty() ? "" : " (" + pair.choice.plane + ")"; }

std::string describe_pairs(const std::vector<Pair>& pairs, size_t max_listed) {
  const auto line = [](const Pair& p) {
    const std::string masks =
        p.one_object_each ? std::to_string(p.masks.size()) + " masks" : p.masks[0].filename().string();
    return "  " + p.image.filename().string() + " + " + masks + plane_suffix(p) + "\n";
  };
  const size_t n = pairs.size();
  std::string text = std::to_string(n) + (n == 1 ? " image with labels:\n" : " images with labels:\n");
  const size_t shown = n <= max_listed + 1 ? n : max_listed;  // "and 1 more" would take as much space as the pair
  for (size_t i = 0; i < shown; ++i)
    text += line(pairs[i]);
  if (shown < n) text += "  and " + std::to_string(n - shown) + " more\n";
  return text;
}

std::vector<ImageFile> find_images(const fs::path& input, std::vector<std::string>* left_out) {
  if (!fs::exists(input) && !fs::is_symlink(input)) refuse_missing(input);
  if (!is_folder(input)) return {{stem_of(input), input}};
  if (fs::is_directory(input / "images")) {
    check_alone(input);
    return find_images(input / "images", left_out);
  }
  std::vector<ImageFile> images;
  if (const std::vector<fs::path> entries = dsb_entries(input); !entries.empty()) {
    PairingFaults faults;
    for (const fs::path& entry : entries)
      images.push_back({entry.filename().string(), image_of_dsb(entry, faults)});
    refuse_faults(faults);
    return images;
  }
  for (const fs::path& entry : entries_of(input))
    if (is_picture(entry)) images.push_back({stem_of(entry), entry});
  if (images.empty()) refuse_empty(input);
  note_left_out(input, left_out);
  return images;
}

}  // namespace basin

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "data/arrays/zarr.h"
#include "data/dataset/dataset.h"
#include "data/files/csv.h"
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
bool is_derived(const fs::path& path) {
  const std::string s = bare_name(path);
  constexpr std::string_view ends[] = {"_overlay", "_outlines", "_probability", "_flow", "_flows"};
  return std::any_of(std::begin(ends), std::end(ends), [&](std::string_view end) { return ends_with(s, end); });
}
bool is_masks(const fs::path& path) { return ends_with(bare_name(path), "_masks"); }

/// Also for a Zarr store, and for a broken link, which is reported when it is read.
bool is_file(const fs::path& path) { return !is_folder(path); }

/// The entries of a folder, sorted by name, without hidden ones: macOS writes a file ._NAME beside NAME on foreign
/// disks.
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

/// The first picture directly in a folder; empty if there is none.
fs::path first_picture(const fs::path& folder) {
  for (const fs::path& entry : entries_of(folder))
    if (is_picture(entry)) return entry;
  return {};
}

/// Refuses labels in an unsupported format by name, because every label file counts.
void refuse_unread_labels(const fs::path& file) {
  if (raster::has_foreign_extension(file) || is_image_file(file))
    refuse(file.string(), ": labels in this format are not supported; save them as PNG, TIFF, BMP, .npy or OME-Zarr");
}

void note(std::vector<std::string>* notes, const std::string& text) {
  if (notes) notes->push_back(text);
}

/// Notes images in unsupported formats, unless a supported one has the same stem, and unless `searches_subfolders`
/// folders of images that are not searched.
void note_left_out(const fs::path& folder, std::vector<std::string>* notes, bool searches_subfolders = false) {
  if (!notes) return;
  const std::vector<fs::path> entries = entries_of(folder);
  std::set<std::string> stems;
  for (const fs::path& entry : entries)
    if (is_picture(entry)) stems.insert(stem_of(entry));
  for (const fs::path& entry : entries) {
    if (raster::has_foreign_extension(entry)) {
      if (!is_file(entry) || !stems.contains(stem_of(entry)))
        note(notes, "left out " + entry.string() + ", because its format is not supported");
    } else if (!is_file(entry) && !searches_subfolders && !fs::exists(entry / "run.json") &&
               !first_picture(entry).empty()) {
      note(notes, "left out the images in " + entry.string() + ": subfolders are not searched");
    }
  }
}

using ByStem = std::map<std::string, fs::path>;

void insert(ByStem& files, const std::string& stem, const fs::path& file) {
  const auto [at, is_new] = files.emplace(stem, file);
  if (!is_new) refuse(file.string(), ": has the same stem as ", at->second.filename().string(), "; remove one of them");
}

/// The same for labels, but a store STEM_masks.ome.zarr beside labels in another format is passed over.
void insert_labels(ByStem& files, const fs::path& file) {
  const auto is_copy = [](const fs::path& path) { return ends_with(path.filename().string(), "_masks.ome.zarr"); };
  const auto at = files.find(labels_stem(file));
  if (at != files.end() && is_copy(file) && !is_copy(at->second)) return;
  if (at != files.end() && is_copy(at->second) && !is_copy(file)) files.erase(at);
  insert(files, labels_stem(file), file);
}

/// Both maps must have the same stems, unless `unpaired` takes the files that have no partner.
std::vector<Pair> join(const ByStem& images, const ByStem& masks, std::vector<Unpaired>* unpaired) {
  std::vector<Pair> pairs;
  std::vector<Unpaired> alone;
  for (const auto& [stem, image] : images) {
    const auto mask = masks.find(stem);
    if (mask == masks.end())
      alone.push_back({image, true});
    else
      pairs.push_back({stem, image, {mask->second}, false});
  }
  for (const auto& [stem, mask] : masks) {
    if (!images.contains(stem)) alone.push_back({mask, false});
  }
  if (unpaired) {
    unpaired->insert(unpaired->end(), alone.begin(), alone.end());
    return pairs;
  }
  constexpr size_t named = 5;
  std::string names;
  for (size_t i = 0; i < std::min(alone.size(), named); ++i)
    names += (i > 0 ? ", " : "") + alone[i].file.string() + (alone[i].is_image ? " (no labels)" : " (no image)");
  if (alone.size() > named) names += " and " + std::to_string(alone.size() - named) + " more";
  if (!alone.empty()) refuse("images and labels are paired by equal stems, but these have no partner: ", names);
  return pairs;
}

std::vector<Pair> pair_flat(const fs::path& folder, std::vector<Unpaired>* unpaired) {
  ByStem images, masks;
  for (const fs::path& file : entries_of(folder)) {
    if (!is_file(file)) continue;
    if (is_masks(file)) {
      if (has_label_extension(file))
        insert_labels(masks, file);
      else
        refuse_unread_labels(file);
    } else if (is_picture(file)) {
      insert(images, stem_of(file), file);
    }
  }
  return join(images, masks, unpaired);
}

/// The label images of one folder, with or without images beside them.
std::map<std::string, Pair> labels_of_folder(const fs::path& folder) {
  std::vector<fs::path> files, others;
  for (const fs::path& file : entries_of(folder)) {
    if (!is_file(file) || is_derived(file)) continue;
    (has_label_extension(file) ? files : others).push_back(file);
  }
  const auto all_with_suffix = [](const std::vector<fs::path>& some) {
    return std::any_of(some.begin(), some.end(), is_masks);
  };
  const bool suffixed = all_with_suffix(files) || all_with_suffix(others);
  ByStem by_stem;
  for (const fs::path& file : files) {
    if (!suffixed || is_masks(file)) insert_labels(by_stem, file);
  }
  for (const fs::path& file : others)
    if ((!suffixed || is_masks(file)) && !by_stem.contains(labels_stem(file))) refuse_unread_labels(file);
  std::map<std::string, Pair> labels;
  for (const auto& [stem, file] : by_stem)
    labels[stem] = {stem, {}, {file}, false};
  return labels;
}

std::vector<Pair> pair_siblings(const fs::path& folder, std::vector<Unpaired>* unpaired) {
  ByStem images, masks;
  for (const fs::path& file : entries_of(folder / "images")) {
    if (is_file(file) && is_image_file(file)) insert(images, stem_of(file), file);
  }
  for (const fs::path& file : entries_of(folder / "masks")) {
    if (!is_file(file)) continue;
    if (has_label_extension(file))
      insert_labels(masks, file);
    else
      refuse_unread_labels(file);
  }
  return join(images, masks, unpaired);
}

bool is_dsb(const fs::path& entry) { return fs::is_directory(entry / "images"); }

std::vector<fs::path> images_of_dsb(const fs::path& entry) {
  std::vector<fs::path> images;
  for (const fs::path& file : entries_of(entry / "images"))
    if (is_file(file) && is_image_file(file)) images.push_back(file);
  return images;
}

/// Common names for parts of a data set.
bool is_part_name(const fs::path& folder) {
  std::string name = folder.filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  static const std::set<std::string> names{"train", "training", "test", "testing", "val", "valid", "validation"};
  return names.contains(name);
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

fs::path image_of_dsb(const fs::path& entry) {
  const std::vector<fs::path> images = images_of_dsb(entry);
  if (images.empty()) refuse((entry / "images").string(), ": contains no image");
  if (images.size() > 1)
    refuse(images[1].string(), ": only one image is expected here, but there is also ", images[0].filename().string());
  return images[0];
}

std::vector<Pair> pair_dsb(const std::vector<fs::path>& entries) {
  std::vector<Pair> pairs;
  for (const fs::path& entry : entries) {
    Pair pair{entry.filename().string(), image_of_dsb(entry), {}, true};
    if (!fs::is_directory(entry / "masks")) refuse(pair.image.string(), ": there is no masks folder for this image");
    for (const fs::path& file : entries_of(entry / "masks")) {
      if (!is_file(file)) continue;
      if (has_label_extension(file))
        pair.masks.push_back(file);
      else
        refuse_unread_labels(file);
    }
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

/// Adds the images in a folder and in the folders below it. Their stems begin with `prefix`, the path of the folder.
/// `seen`: the folders searched so far, because links may form a circle.
void add_images_below(const fs::path& folder, const fs::path& prefix, std::set<fs::path>& seen,
                      std::vector<ImageFile>& images, std::vector<std::string>* left_out) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (error) refuse(folder.string(), ": cannot be read (", error.message(), ")");
  if (!seen.insert(real).second) return;
  const bool has_images = fs::is_directory(folder / "images");
  for (const fs::path& entry : entries_of(folder)) {
    if (is_picture(entry))
      images.push_back({(prefix / stem_of(entry)).string(), entry});
    else if (!is_file(entry) && !raster::has_foreign_extension(entry) && !(has_images && entry.filename() == "masks"))
      add_images_below(entry, prefix / entry.filename(), seen, images, left_out);
  }
  note_left_out(folder, left_out, true);
}

/// Words that are recognised as headings of the two columns of a list.
bool is_heading(const std::vector<std::string>& cells) {
  static const std::set<std::string> images{"image", "images",     "img",   "file", "filename",
                                            "path",  "image_path", "input", "raw"};
  static const std::set<std::string> masks{"mask",       "masks",  "label", "labels",      "mask_path",
                                           "label_path", "target", "gt",    "groundtruth", "ground_truth",
                                           "annotation", "seg",    "truth"};
  const auto plain = [](const std::string& cell) {
    std::string word;
    for (const char c : cell)
      if (!std::isspace(static_cast<unsigned char>(c))) word += char(std::tolower(static_cast<unsigned char>(c)));
    return word;
  };
  return cells.size() == 2 && images.contains(plain(cells[0])) && masks.contains(plain(cells[1]));
}

std::vector<Pair> pair_list(const fs::path& list) {
  const std::vector<std::byte> bytes = read_file(list);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);  // a byte-order mark
  std::map<std::string, Pair> pairs;
  bool first = true;
  for (int number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const std::string where = list.string() + ": line " + std::to_string(number);
    const std::vector<std::string> cells = split_csv(line, where);
    if (std::exchange(first, false) && is_heading(cells)) continue;
    if (cells.size() != 2 || cells[0].empty() || cells[1].empty()) refuse(where, ": expected two fields, image,mask");
    Pair pair{stem_of(cells[0]), list.parent_path() / cells[0], {list.parent_path() / cells[1]}, false};
    for (const fs::path& file : {pair.image, pair.masks[0]}) {
      if (!fs::is_regular_file(file) && !is_zarr(file))
        refuse(where, ": there is no file ", file.string(), pairs.empty() ? " (a heading must be image,mask)" : "");
    }
    const auto [at, is_new] = pairs.emplace(pair.stem, pair);
    if (!is_new)
      refuse(where, ": ", pair.image.string(), " has the same stem as ", at->second.image.string(),
             ", and results would overwrite each other");
  }
  std::vector<Pair> sorted;
  for (auto& [stem, pair] : pairs)
    sorted.push_back(std::move(pair));
  return sorted;
}

}  // namespace

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

std::vector<Pair> find_pairs(const fs::path& source, std::vector<std::string>* left_out,
                             std::vector<Unpaired>* unpaired) {
  if (!fs::exists(source)) refuse_missing(source);
  std::vector<Pair> pairs;
  if (!is_folder(source)) {
    if (lower_extension(source) != ".csv") refuse(source.string(), ": is neither a folder nor a .csv list of images");
    pairs = pair_list(source);
  } else if (fs::is_directory(source / "images")) {
    if (!fs::is_directory(source / "masks")) refuse(source.string(), ": contains a folder images but no folder masks");
    check_alone(source);
    pairs = pair_siblings(source, unpaired);
    note_left_out(source / "images", left_out);
  } else if (const std::vector<fs::path> entries = dsb_entries(source); !entries.empty()) {
    pairs = pair_dsb(entries);
  } else {
    pairs = pair_flat(source, unpaired);
    note_left_out(source, left_out);
  }
  if (pairs.empty() && (!unpaired || unpaired->empty())) refuse_empty(source);
  return pairs;
}

std::map<std::string, Pair> find_labels(const fs::path& source) {
  if (!fs::exists(source)) refuse_missing(source);
  const bool has_files = is_folder(source);
  if (!has_files && lower_extension(source) != ".csv") {
    const std::string stem = labels_stem(source);
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

std::string describe_pairs(const std::vector<Pair>& pairs, size_t max_listed) {
  const auto line = [](const Pair& p) {
    const std::string masks =
        p.one_object_each ? std::to_string(p.masks.size()) + " masks" : p.masks[0].filename().string();
    return "  " + p.image.filename().string() + " + " + masks + "\n";
  };
  const size_t n = pairs.size();
  std::string text = std::to_string(n) + (n == 1 ? " image with labels:\n" : " images with labels:\n");
  const size_t shown = n <= max_listed + 1 ? n : max_listed;  // one more line says no more than one more pair
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
    for (const fs::path& entry : entries)
      images.push_back({entry.filename().string(), image_of_dsb(entry)});
    return images;
  }
  for (const fs::path& entry : entries_of(input))
    if (is_picture(entry)) images.push_back({stem_of(entry), entry});
  if (images.empty()) refuse_empty(input);
  note_left_out(input, left_out);
  return images;
}

std::vector<ImageFile> find_images_below(const fs::path& input, std::vector<std::string>* left_out) {
  if (!is_folder(input)) return find_images(input, left_out);
  std::vector<ImageFile> images;
  std::set<fs::path> seen;
  add_images_below(input, {}, seen, images, left_out);
  if (images.empty()) refuse(input.string(), ": contains no images, and neither do the folders below it");
  return images;
}

std::vector<ImageFile> merge_images(const std::vector<InputImages>& inputs, std::vector<std::string>& left_out) {
  const auto is_extra = [](const InputImages& input) {
    return is_file(input.input) && (is_masks(input.input) || is_derived(input.input));
  };
  std::vector<std::pair<fs::path, ImageFile>> all;  // with the folder that was given, or that contains the given file
  std::set<fs::path> seen;
  std::map<std::string, std::map<fs::path, fs::path>> folders;  // by stem, with the image in each
  for (const InputImages& input : inputs) {
    if (is_extra(input)) {
      left_out.push_back("left out " + input.input.string() + ", because by its name it is not an image but " +
                         (is_masks(input.input) ? "a label image" : "a result"));
      continue;
    }
    const fs::path given = without_slash(fs::absolute(input.input).lexically_normal());
    const fs::path folder = is_folder(given) ? given : given.parent_path();
    for (const ImageFile& image : input.images) {
      std::error_code none;
      const fs::path real = fs::weakly_canonical(image.path, none);
      if (!seen.insert(real.empty() ? image.path : real).second) continue;
      if (const auto [at, is_new] = folders[image.stem].emplace(folder, image.path); !is_new)
        refuse(image.path.string(),
               ": another input in its folder has the same stem: ", at->second.filename().string());
      all.push_back({folder, image});
    }
  }
  fs::path common;
  bool clash = false;
  for (const auto& [stem, places] : folders)
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

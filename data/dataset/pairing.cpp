#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "data/dataset/dataset.h"
#include "data/files/csv.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

bool ends_with(const std::string& s, std::string_view end) { return std::string_view(s).ends_with(end); }

bool is_image_file(const fs::path& path) {
  static const std::set<std::string> known{".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"};
  return known.contains(lower_extension(path));
}
bool is_label_file(const fs::path& path) {
  const std::string e = lower_extension(path);
  return e == ".png" || e == ".tif" || e == ".tiff" || e == ".npy";
}
bool is_derived(const fs::path& path) {
  const std::string s = path.stem().string();
  return ends_with(s, "_overlay") || ends_with(s, "_flows");
}
bool is_masks(const fs::path& path) { return ends_with(path.stem().string(), "_masks"); }

/// The entries of a folder, sorted by name. Hidden ones are left out: macOS puts a file ._NAME beside NAME on foreign
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

using ByStem = std::map<std::string, fs::path>;

void insert(ByStem& files, const std::string& stem, const fs::path& file) {
  const auto [at, is_new] = files.emplace(stem, file);
  if (!is_new)
    refuse(file.string(), ": has the same stem as ", at->second.filename().string(), ", and only one can be meant");
}

/// Both maps must hold the same stems.
std::vector<Pair> join(const ByStem& images, const ByStem& masks) {
  std::vector<Pair> pairs;
  std::string unpaired;
  size_t count = 0;
  const auto name = [&](const fs::path& p, const char* what) {
    if (++count <= 5) unpaired += (count > 1 ? ", " : "") + p.string() + what;
  };
  for (const auto& [stem, image] : images) {
    const auto mask = masks.find(stem);
    if (mask == masks.end())
      name(image, " (no labels)");
    else
      pairs.push_back({stem, image, {mask->second}, false});
  }
  for (const auto& [stem, mask] : masks) {
    if (!images.contains(stem)) name(mask, " (no image)");
  }
  if (count > 5) unpaired += " and " + std::to_string(count - 5) + " more";
  if (count > 0) refuse(unpaired, ": without a partner of the same stem");
  return pairs;
}

std::vector<Pair> pair_flat(const fs::path& folder) {
  ByStem images, masks;
  for (const fs::path& file : entries_of(folder)) {
    if (!fs::is_regular_file(file)) continue;
    if (is_masks(file)) {
      if (is_label_file(file)) insert(masks, labels_stem(file), file);
    } else if (is_image_file(file) && !is_derived(file)) {
      insert(images, stem_of(file), file);
    }
  }
  return join(images, masks);
}

/// The label images of one folder, whether or not images lie beside them.
std::map<std::string, Pair> labels_of_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::path& file : entries_of(folder)) {
    if (fs::is_regular_file(file) && is_label_file(file) && !is_derived(file)) files.push_back(file);
  }
  const bool suffixed = std::any_of(files.begin(), files.end(), is_masks);
  ByStem by_stem;
  for (const fs::path& file : files) {
    if (!suffixed || is_masks(file)) insert(by_stem, labels_stem(file), file);
  }
  std::map<std::string, Pair> labels;
  for (const auto& [stem, file] : by_stem)
    labels[stem] = {stem, {}, {file}, false};
  return labels;
}

std::vector<Pair> pair_siblings(const fs::path& folder) {
  ByStem images, masks;
  for (const fs::path& file : entries_of(folder / "images")) {
    if (fs::is_regular_file(file) && is_image_file(file)) insert(images, stem_of(file), file);
  }
  for (const fs::path& file : entries_of(folder / "masks")) {
    if (fs::is_regular_file(file) && is_label_file(file)) insert(masks, labels_stem(file), file);
  }
  return join(images, masks);
}

bool is_dsb(const fs::path& entry) { return fs::is_directory(entry / "images"); }
bool has_dsb(const fs::path& folder) {
  const std::vector<fs::path> entries = entries_of(folder);
  return std::any_of(entries.begin(), entries.end(), is_dsb);
}

fs::path image_of_dsb(const fs::path& entry) {
  fs::path image;
  for (const fs::path& file : entries_of(entry / "images")) {
    if (!is_image_file(file)) continue;
    if (!image.empty()) refuse(file.string(), ": is a second image beside ", image.filename().string());
    image = file;
  }
  if (image.empty()) refuse((entry / "images").string(), ": holds no image");
  return image;
}

std::vector<Pair> pair_dsb(const fs::path& folder) {
  std::vector<Pair> pairs;
  for (const fs::path& entry : entries_of(folder)) {
    if (!is_dsb(entry)) continue;
    Pair pair{entry.filename().string(), image_of_dsb(entry), {}, true};
    if (!fs::is_directory(entry / "masks")) refuse(pair.image.string(), ": without a folder of masks beside it");
    for (const fs::path& file : entries_of(entry / "masks")) {
      if (is_label_file(file)) pair.masks.push_back(file);
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::vector<Pair> pair_list(const fs::path& list) {
  const std::vector<std::byte> bytes = read_file(list);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);  // a byte-order mark
  std::map<std::string, Pair> pairs;
  for (int number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (number == 1 && line == "image,mask")) continue;
    const std::string where = list.string() + ": line " + std::to_string(number);
    const std::vector<std::string> cells = split_csv(line, where);
    if (cells.size() != 2 || cells[0].empty() || cells[1].empty()) refuse(where, " is not image,mask");
    Pair pair{stem_of(cells[0]), list.parent_path() / cells[0], {list.parent_path() / cells[1]}, false};
    for (const fs::path& file : {pair.image, pair.masks[0]}) {
      if (!fs::is_regular_file(file)) refuse(where, ": there is no file ", file.string());
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
  std::string stem = path.stem().string();
  if (ends_with(stem, "_img") && stem.size() > 4) stem.resize(stem.size() - 4);
  return stem;
}

std::string labels_stem(const fs::path& path) {
  constexpr std::string_view masks = "_masks";
  const std::string stem = path.stem().string();
  return ends_with(stem, masks) ? stem.substr(0, stem.size() - masks.size()) : stem_of(path);
}

std::vector<Pair> find_pairs(const fs::path& source) {
  if (!fs::exists(source)) refuse(source.string(), ": no such file or folder");
  std::vector<Pair> pairs;
  if (!fs::is_directory(source)) {
    if (lower_extension(source) != ".csv") refuse(source.string(), ": is neither a folder nor a .csv list of images");
    pairs = pair_list(source);
  } else if (fs::is_directory(source / "images") && fs::is_directory(source / "masks")) {
    pairs = pair_siblings(source);
  } else if (fs::is_directory(source / "images")) {
    refuse(source.string(), ": holds a folder images but no folder masks");
  } else {
    pairs = has_dsb(source) ? pair_dsb(source) : pair_flat(source);
  }
  if (pairs.empty()) refuse(source.string(), ": holds no images");
  return pairs;
}

std::map<std::string, Pair> find_labels(const fs::path& source) {
  if (!fs::exists(source)) refuse(source.string(), ": no such file or folder");
  const bool is_folder = fs::is_directory(source);
  if (!is_folder && lower_extension(source) != ".csv") {
    const std::string stem = labels_stem(source);
    return {{stem, {stem, {}, {source}, false}}};
  }
  std::map<std::string, Pair> labels;
  if (!is_folder || fs::is_directory(source / "images") || has_dsb(source)) {
    for (Pair& pair : find_pairs(source))
      labels[pair.stem] = std::move(pair);
  } else {
    labels = labels_of_folder(source);
  }
  if (labels.empty()) refuse(source.string(), ": holds no label images (.png, .tif, .tiff or .npy)");
  return labels;
}

fs::path labels_path(const Pair& pair) {
  return pair.one_object_each ? pair.image.parent_path().parent_path() / "masks" : pair.masks[0];
}

std::string describe_pairs(const std::vector<Pair>& pairs) {
  const auto line = [](const Pair& p) {
    const std::string masks =
        p.one_object_each ? std::to_string(p.masks.size()) + " masks" : p.masks[0].filename().string();
    return "  " + p.image.filename().string() + " + " + masks + "\n";
  };
  const size_t n = pairs.size();
  std::string text = std::to_string(n) + (n == 1 ? " image with labels:\n" : " images with labels:\n");
  for (const Pair& p : pairs)
    text += line(p);
  return text;
}

std::vector<ImageFile> find_images(const fs::path& input) {
  if (!fs::exists(input)) refuse(input.string(), ": no such file or folder");
  if (!fs::is_directory(input)) return {{stem_of(input), input}};
  if (fs::is_directory(input / "images")) return find_images(input / "images");
  const bool dsb = has_dsb(input);
  std::vector<ImageFile> images;
  for (const fs::path& entry : entries_of(input)) {
    if (dsb && is_dsb(entry))
      images.push_back({entry.filename().string(), image_of_dsb(entry)});
    else if (!dsb && fs::is_regular_file(entry) && is_image_file(entry) && !is_masks(entry) && !is_derived(entry))
      images.push_back({stem_of(entry), entry});
  }
  if (images.empty()) refuse(input.string(), ": holds no images");
  return images;
}

}  // namespace basin

#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>

#include "kernels/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

bool is_image(const fs::path& path) {
  static const std::set<std::string> known{".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"};
  std::string e = path.extension().string();
  std::transform(e.begin(), e.end(), e.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return known.count(e) > 0;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& e : fs::directory_iterator(folder))
    if (e.is_regular_file() && is_image(e.path())) found.push_back(e.path());
  std::sort(found.begin(), found.end());
  return found;
}

/// Pairs images with masks of the same stem.
std::vector<Pair> match(const std::map<std::string, fs::path>& images, const std::map<std::string, fs::path>& masks,
                        const fs::path& where) {
  std::vector<Pair> pairs;
  for (const auto& [stem, image] : images) {
    const auto mask = masks.find(stem);
    if (mask == masks.end()) refuse(image.string(), " has no mask: expected ", stem, "_masks.* beside it");
    pairs.push_back({stem, image, {mask->second}});
  }
  for (const auto& [stem, mask] : masks)
    if (!images.count(stem)) refuse(mask.string(), " has no image of its name");
  if (pairs.empty()) refuse(where.string(), " holds no images with masks");
  return pairs;
}

void insert_once(std::map<std::string, fs::path>& to, const std::string& stem, const fs::path& path) {
  const auto [at, fresh] = to.emplace(stem, path);
  if (!fresh) refuse(path.string(), " and ", at->second.string(), " share the name ", stem);
}

std::vector<Pair> from_csv(const fs::path& csv) {
  std::ifstream in(csv);
  std::vector<Pair> pairs;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (number == 1 && line.rfind("image,mask", 0) == 0)) continue;
    const size_t comma = line.find(',');
    if (comma == line.npos) refuse(csv.string(), " line ", number, ": expected image,mask");
    const size_t second = std::min(line.find(',', comma + 1), line.size());
    const fs::path image = csv.parent_path() / line.substr(0, comma);
    const fs::path mask = csv.parent_path() / line.substr(comma + 1, second - comma - 1);
    for (const fs::path& p : {image, mask})
      if (!fs::exists(p)) refuse(csv.string(), " line ", number, ": ", p.string(), " does not exist");
    pairs.push_back({stem_of(image), image, {mask}});
  }
  if (pairs.empty()) refuse(csv.string(), " lists no images");
  return pairs;
}

std::vector<Pair> from_dsb(const fs::path& folder) {
  std::vector<Pair> pairs;
  for (const fs::directory_entry& e : fs::directory_iterator(folder)) {
    if (!fs::is_directory(e.path() / "images")) continue;
    const std::vector<fs::path> images = files_of(e.path() / "images");
    if (images.size() != 1) refuse((e.path() / "images").string(), " holds ", images.size(), " images; expected one");
    if (!fs::is_directory(e.path() / "masks")) refuse(images[0].string(), " has no folder of masks");
    std::vector<fs::path> masks = files_of(e.path() / "masks");
    pairs.push_back({e.path().filename().string(), images[0], std::move(masks)});
  }
  return pairs;
}

uint64_t fnv1a(const void* data, size_t n, uint64_t hash = 0xcbf29ce484222325u) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < n; ++i)
    hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

}  // namespace

std::string stem_of(const fs::path& path) {
  std::string stem = path.stem().string();
  if (ends_with(stem, "_img")) stem.resize(stem.size() - 4);
  return stem;
}

std::vector<fs::path> find_images(const fs::path& path) {
  if (!fs::exists(path)) refuse(path.string(), " does not exist");
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> images;
  for (const fs::path& p : files_of(path)) {
    const std::string stem = p.stem().string();
    if (!ends_with(stem, "_masks") && !ends_with(stem, "_overlay")) images.push_back(p);
  }
  if (images.empty()) refuse(path.string(), " holds no images");
  return images;
}

std::vector<Pair> find_pairs(const fs::path& path) {
  if (!fs::exists(path)) refuse(path.string(), " does not exist");
  std::vector<Pair> pairs;
  if (!fs::is_directory(path)) {
    pairs = from_csv(path);
  } else if (fs::is_directory(path / "images") && fs::is_directory(path / "masks")) {
    std::map<std::string, fs::path> images, masks;
    for (const fs::path& p : files_of(path / "images"))
      insert_once(images, stem_of(p), p);
    for (const fs::path& p : files_of(path / "masks")) {
      std::string stem = p.stem().string();
      if (ends_with(stem, "_masks") && !images.count(stem)) stem.resize(stem.size() - 6);
      insert_once(masks, stem, p);
    }
    pairs = match(images, masks, path);
  } else {
    std::map<std::string, fs::path> images, masks;
    for (const fs::path& p : files_of(path)) {
      const std::string stem = p.stem().string();
      if (ends_with(stem, "_overlay")) continue;
      if (ends_with(stem, "_masks"))
        insert_once(masks, stem.substr(0, stem.size() - 6), p);
      else
        insert_once(images, stem_of(p), p);
    }
    pairs = images.empty() && masks.empty() ? from_dsb(path) : match(images, masks, path);
    if (pairs.empty()) refuse(path.string(), " holds no images");
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.stem < b.stem; });
  for (size_t i = 1; i < pairs.size(); ++i)
    if (pairs[i].stem == pairs[i - 1].stem) refuse(pairs[i].image.string(), ": another image has the same name");
  return pairs;
}

Labels read_pair_labels(const Pair& pair) {
  if (pair.masks.size() == 1) return read_labels(pair.masks[0]);
  std::vector<int64_t> ids;
  int height = 0, width = 0;
  for (size_t k = 0; k < pair.masks.size(); ++k) {
    const Labels mask = read_labels(pair.masks[k]);
    if (k == 0) {
      height = mask.height, width = mask.width;
      ids.assign(mask.ids.size(), 0);
    }
    if (mask.height != height || mask.width != width)
      refuse(pair.masks[k].string(), " has another size than its siblings");
    for (size_t p = 0; p < ids.size(); ++p)
      if (mask.ids[p]) ids[p] = int64_t(k) + 1;
  }
  return compact(height, width, std::move(ids));
}

std::vector<bool> validation_split(const std::vector<Pair>& pairs, double fraction) {
  if (!(fraction >= 0 && fraction < 1)) refuse("--val-fraction ", fraction, ": expected 0 to 1");
  std::vector<bool> held(pairs.size(), false);
  if (fraction == 0 || pairs.size() < 2) return held;
  const size_t n = std::clamp(size_t(std::lround(fraction * double(pairs.size()))), size_t(1), pairs.size() - 1);
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < pairs.size(); ++i)
    order.emplace_back(fnv1a(pairs[i].stem.data(), pairs[i].stem.size()), i);
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < n; ++i)
    held[order[i].second] = true;
  return held;
}

Example read_example(const Pair& pair, int channels, const Normalisation& norm) {
  Example e{pair.stem, Source(read_image(pair.image), channels, norm, pair.image.string()), {}, {}};
  Labels labels = pair.masks.empty()
                      ? compact(e.source.height(), e.source.width(),
                                std::vector<int64_t>(size_t(e.source.height()) * size_t(e.source.width())))
                      : read_pair_labels(pair);
  if (labels.height != e.source.height() || labels.width != e.source.width())
    refuse(pair.masks[0].string(), " is ", labels.width, 'x', labels.height, " pixels, its image ", e.source.width(),
           'x', e.source.height());
  if (labels.count < 65536)
    e.ids16.assign(labels.ids.begin(), labels.ids.end());
  else
    e.ids32 = std::move(labels.ids);
  return e;
}

std::vector<Example> read_examples(const std::vector<Pair>& pairs, int channels, const Normalisation& norm) {
  std::vector<Example> examples;
  for (const Pair& p : pairs)
    examples.push_back(read_example(p, channels, norm));
  return examples;
}

std::string fingerprint(const std::vector<Example>& examples) {
  uint64_t sum = 0;
  for (const Example& e : examples) {
    const Image& image = e.source.image();
    const int size[4] = {image.height, image.width, image.channels, int(image.type)};
    uint64_t hash = fnv1a(e.stem.data(), e.stem.size());
    hash = fnv1a(size, sizeof size, hash);
    hash = fnv1a(image.pixels.data(), image.pixels.size(), hash);
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) {
        const int32_t id = e.id(y, x);
        hash = fnv1a(&id, sizeof id, hash);
      }
    sum += hash;
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(sum));
  return text;
}

int most_channels(const std::vector<Pair>& pairs) {
  int most = 1;
  for (const Pair& p : pairs)
    most = std::max(most, read_image(p.image).channels);
  return most;
}

}  // namespace basin

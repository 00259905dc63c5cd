#include "tools/segmentation/shared_batch.h"

#include <algorithm>
#include <limits>
#include <map>

#include "tools/cli/version.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr double Seconds::*stages[] = {&Seconds::read, &Seconds::scale, &Seconds::network, &Seconds::decode,
                                       &Seconds::write};

std::string to_text_of(const Outcome& o) {
  Json seconds = Json::array();
  for (const auto stage : stages)
    seconds.push_back(o.seconds.*stage);
  return to_text(Json{{"failed", o.failed},
                      {"done", o.done},
                      {"converted", o.converted},
                      {"seconds", seconds},
                      {"remarks", o.remarks},
                      {"scales", o.scales},
                      {"dropped", o.dropped}});
}

/// Bytes of an image's file. A Zarr store is a folder, and taken to be larger than any file.
uintmax_t size_of_file(const fs::path& path) {
  std::error_code none;
  return fs::is_directory(path, none) ? std::numeric_limits<uintmax_t>::max() : fs::file_size(path, none);
}

/// Appends the entries of another list, and puts all into the order of the images.
class Joiner {
 public:
  explicit Joiner(const std::vector<ImageFile>& images) {
    for (const ImageFile& image : images)
      position_.emplace(image.path.string(), position_.size() + 1);
  }
  void join(Json& list, const Json& others) const {
    std::vector<Json> all(list.begin(), list.end());
    all.insert(all.end(), others.begin(), others.end());
    std::stable_sort(all.begin(), all.end(),
                     [&](const Json& a, const Json& b) { return position_of(a) < position_of(b); });
    list = all;
  }

 private:
  size_t position_of(const Json& entry) const {
    const auto known = position_.find((entry.is_object() ? entry["image"] : entry).get<std::string>());
    return known == position_.end() ? 0 : known->second;
  }
  std::map<std::string, size_t> position_;  // from 1
};

}  // namespace

void check_ranks(Ranks& ranks, const Work& work) {
  const std::vector<std::string> all = ranks.gather_texts(version_text() + work.model_fingerprint);
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r] != all[0])
      refuse("rank ", r, " has another version of Basin or another model than rank 0; give all ranks the same files");
}

std::vector<ImageFile> share_images(Ranks& ranks, const std::vector<ImageFile>& of_first) {
  std::vector<std::pair<uintmax_t, const ImageFile*>> sized;
  for (const ImageFile& image : of_first)
    if (is_first(&ranks)) sized.emplace_back(size_of_file(image.path), &image);
  std::stable_sort(sized.begin(), sized.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  Json list = Json::array();
  for (const auto& [size, image] : sized)
    list.push_back({image->stem, image->path.string()});
  std::vector<ImageFile> images;
  for (const Json& entry : parse_json(ranks.gather_texts(to_text(list))[0]))
    images.push_back({entry[0].get<std::string>(), entry[1].get<std::string>()});
  return images;
}

void join_outcomes(Ranks& ranks, const std::vector<ImageFile>& images, Outcome& outcome) {
  const std::vector<std::string> all = ranks.gather_texts(to_text_of(outcome));
  if (ranks.rank() > 0) return;
  const Joiner joiner(images);
  Json failed = outcome.failed;
  for (size_t r = 1; r < all.size(); ++r) {
    const Json other = parse_json(all[r]);
    outcome.done += other["done"].get<size_t>(), outcome.converted += other["converted"].get<size_t>();
    for (size_t k = 0; k < std::size(stages); ++k)
      outcome.seconds.*stages[k] += other["seconds"][k].get<double>();
    joiner.join(failed, other["failed"]), joiner.join(outcome.remarks, other["remarks"]);
    joiner.join(outcome.scales, other["scales"]), joiner.join(outcome.dropped, other["dropped"]);
  }
  outcome.failed = failed.get<std::vector<std::string>>();
}

}  // namespace basin::tools

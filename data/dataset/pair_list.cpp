#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "data/arrays/zarr.h"
#include "data/dataset/pairing.h"
#include "data/files/csv.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

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

}  // namespace

std::vector<Pair> pair_list(const fs::path& list, PairingFaults& faults) {
  const auto add_fault = [&](const std::string& line, const std::string& text) {
    faults.push_back({"lines that cannot be used", line, text, ""});
  };
  std::map<std::string, Pair> pairs;
  bool first = true;
  int number = 0;
  for (const std::string& line : csv_lines(list)) {
    ++number;
    if (line.empty()) continue;
    const std::string where = list.string() + ": line " + std::to_string(number);
    const std::vector<std::string> cells = split_csv(line, where);
    if (std::exchange(first, false) && is_heading(cells)) continue;
    if (cells.size() != 2 || cells[0].empty() || cells[1].empty()) {
      add_fault(where, "expected two fields, image,mask");
      continue;
    }
    Pair pair{stem_of(cells[0]), list.parent_path() / cells[0], {list.parent_path() / cells[1]}, false};
    const auto missing = [](const fs::path& file) { return !fs::is_regular_file(file) && !is_zarr(file); };
    if (const bool no_image = missing(pair.image); no_image || missing(pair.masks[0])) {
      add_fault(where, "there is no file " + (no_image ? pair.image : pair.masks[0]).string() +
                           (pairs.empty() && faults.empty() ? " (a heading must be image,mask)" : ""));
      continue;
    }
    const auto [at, is_new] = pairs.emplace(pair.stem, pair);
    if (!is_new)
      add_fault(where, pair.image.string() + " has the same stem as " + at->second.image.string() +
                           ", and results would overwrite each other");
  }
  std::vector<Pair> sorted;
  for (auto& [stem, pair] : pairs)
    sorted.push_back(std::move(pair));
  return sorted;
}

}  // namespace basin

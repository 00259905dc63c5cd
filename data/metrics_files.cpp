#include "data/metrics_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <string_view>

#include "engine/files.h"
#include "kernels/platform.h"

namespace basin {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view masks = "_masks";

bool drop_suffix(std::string& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.resize(text.size() - suffix.size());
  return true;
}

bool is_label_file(const fs::path& path) {
  const std::string extension = lower_extension(path);
  return extension == ".png" || extension == ".tif" || extension == ".tiff" || extension == ".npy";
}

std::string stem_of(const fs::path& path) {
  std::string stem = path.stem().string();
  drop_suffix(stem, masks);
  return stem;
}

std::map<std::string, fs::path> label_files(const fs::path& folder) {
  if (!fs::is_directory(folder)) refuse(folder.string(), ": no such folder");
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && is_label_file(entry.path()) && !entry.path().filename().string().starts_with('.'))
      files.push_back(entry.path());
  const auto is_mask = [](const fs::path& p) { return p.stem().string().ends_with(masks); };
  const auto is_overlay = [](const fs::path& p) { return p.stem().string().ends_with("_overlay"); };
  const bool suffixed = std::any_of(files.begin(), files.end(), is_mask);
  std::erase_if(files, [&](const fs::path& p) { return suffixed ? !is_mask(p) : is_overlay(p); });
  if (files.empty()) refuse(folder.string(), ": no label images (.png, .tif, .tiff or .npy)");
  std::sort(files.begin(), files.end());
  std::map<std::string, fs::path> by_stem;
  for (const fs::path& file : files) {
    const auto [found, is_new] = by_stem.emplace(stem_of(file), file);
    if (!is_new) refuse(file.string(), ": the same stem as ", found->second.filename().string());
  }
  return by_stem;
}

/// The fields of a line, without blanks and quotes around them.
std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> all;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(',', begin), line.size());
    const size_t first = line.find_first_not_of(" \t\r\"", begin);
    const size_t last = end == 0 ? std::string::npos : line.find_last_not_of(" \t\r\"", end - 1);
    all.push_back(first < end && last != std::string::npos && last >= first ? line.substr(first, last - first + 1)
                                                                            : "");
    begin = end + 1;
  }
  return all;
}

template <class T>
T number(const std::vector<std::string>& row, size_t column, const char* what, const std::string& where) {
  T value{};
  const std::string& text = column < row.size() ? row[column] : std::string();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(double(value)))
    refuse(where, ": ", what, " is '", text, "', not a number");
  return value;
}

}  // namespace

LabelPairs pair_labels(const fs::path& prediction, const fs::path& truth) {
  if (fs::is_regular_file(prediction) && fs::is_regular_file(truth)) return {{{stem_of(truth), truth, prediction}}, {}};
  std::map<std::string, fs::path> predicted = label_files(prediction);
  LabelPairs result;
  for (const auto& [stem, file] : label_files(truth)) {
    const auto found = predicted.find(stem);
    if (found == predicted.end())
      refuse((prediction / (stem + std::string(masks))).string(), ".*: missing; it is the prediction for ",
             file.string());
    result.pairs.push_back({stem, file, found->second});
    predicted.erase(found);
  }
  for (const auto& [stem, file] : predicted)
    result.extra.push_back(file);
  return result;
}

fs::path confidence_path(const fs::path& labels) { return labels.parent_path() / (stem_of(labels) + "_scores.csv"); }

std::vector<double> read_confidence(const fs::path& path, int objects) {
  std::ifstream file(path);
  if (!file) refuse(path.string(), ": cannot be read");
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> header = fields(line);
  const auto column = [&](const char* name) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end()) refuse(path.string(), ": no column '", name, "' in the first line");
    return size_t(found - header.begin());
  };
  const size_t label_column = column("label"), score_column = column("score");
  std::map<int64_t, double> by_label;
  for (int n = 2; std::getline(file, line); ++n) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = path.string() + ", line " + std::to_string(n);
    const std::vector<std::string> row = fields(line);
    const int64_t label = number<int64_t>(row, label_column, "label", where);
    const double score = number<double>(row, score_column, "score", where);
    if (label <= 0) refuse(where, ": label ", label, " is no object");
    if (!by_label.emplace(label, score).second) refuse(where, ": label ", label, " comes a second time");
  }
  if (by_label.size() != size_t(objects))
    refuse(path.string(), ": ", by_label.size(), " labels, but the label image has ", objects, " objects");
  std::vector<double> confidence;
  for (const auto& [label, score] : by_label)
    confidence.push_back(score);
  return confidence;
}

}  // namespace basin

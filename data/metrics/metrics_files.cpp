#include "data/metrics/metrics_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "data/arrays/zarr.h"
#include "data/files/csv.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

namespace fs = std::filesystem;

/// Whether this is a single label image, whose name need not match another's.
bool is_single(const fs::path& path) { return !is_folder(path) && lower_extension(path) != ".csv"; }

/// The fields of a line, without surrounding blanks.
std::vector<std::string> fields(const std::string& line, const std::string& where) {
  std::vector<std::string> all = split_csv(line, where);
  for (std::string& field : all) {
    field.erase(0, std::min(field.find_first_not_of(" \t"), field.size()));
    field.erase(field.find_last_not_of(" \t") + 1);
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
  FoundLabels predicted = find_labels_in_or_below(prediction);
  LabelPairs result;
  for (const auto& [name, labels] : find_labels_like(predicted, truth)) {
    const auto found =
        is_single(prediction) && is_single(truth) ? predicted.labels.begin() : predicted.labels.find(name);
    if (found == predicted.labels.end())
      refuse(is_folder(prediction) ? (prediction / (name + "_masks.*")).string() + ": missing; it would be"
                                   : prediction.string() + ": does not contain",
             " the prediction for ", labels_path(labels).string());
    result.pairs.push_back({name, labels, found->second});
    predicted.labels.erase(found);
  }
  for (const auto& [name, labels] : predicted.labels)
    result.extra.push_back(labels_path(labels));
  return result;
}

fs::path confidence_path(const Pair& prediction) {
  const fs::path labels = labels_path(prediction);
  return labels.parent_path() / (result_stem(labels) + "_scores.csv");
}

std::optional<int64_t> chosen_plane(const Pair& labels) {
  if (labels.choice.plane.empty() || labels.one_object_each) return {};
  PlaneChoice all = labels.choice;
  all.plane.clear();
  const StackPlanes planes = planes_in_labels(labels.masks[0], all);
  if (planes.count() == 1) return {};
  return index_of_plane(planes, labels.choice, labels.masks[0].string());
}

std::vector<double> read_confidence(const fs::path& path, int objects, std::optional<int64_t> plane) {
  const std::vector<std::string> lines = csv_lines(path);
  const std::vector<std::string> header = fields(lines.empty() ? "" : lines[0], path.string() + ", line 1");
  const auto column = [&](const char* name) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end()) refuse(path.string(), ": no column '", name, "' in the first line");
    return size_t(found - header.begin());
  };
  const size_t label_column = column("label"), score_column = column("score"),
               plane_column = plane ? column("plane") : header.size();
  std::map<int64_t, double> by_label;
  for (size_t k = 1; k < lines.size(); ++k) {
    const std::string& line = lines[k];
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    const std::string where = path.string() + ", line " + std::to_string(k + 1);
    const std::vector<std::string> row = fields(line, where);
    if (plane && number<int64_t>(row, plane_column, "plane", where) != *plane) continue;
    const int64_t label = number<int64_t>(row, label_column, "label", where);
    const double score = number<double>(row, score_column, "score", where);
    if (label <= 0) refuse(where, ": label ", label, " is not an object; labels start at 1");
    if (!by_label.emplace(label, score).second) refuse(where, ": label ", label, " occurs twice");
  }
  if (by_label.size() != size_t(objects))
    refuse(path.string(), ": ", by_label.size(), " labels", plane ? fmt::format(" of plane {}", *plane) : "",
           " have scores, but the label image has ", objects, " objects");
  std::vector<double> confidence;
  for (const auto& [label, score] : by_label)
    confidence.push_back(score);
  return confidence;
}

}  // namespace basin

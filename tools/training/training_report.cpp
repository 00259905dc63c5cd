#include "tools/training/training_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "data/report/line_chart.h"
#include "engine/files.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"
#include "tools/cli/counted.h"
#include "tools/results/report_pictures.h"

namespace basin::tools {
namespace {

struct Column {
  std::string name;
  std::vector<double> values;  // NaN for an empty cell
};

/// The columns of metrics.csv.
std::vector<Column> read_metrics(const std::filesystem::path& path) {
  std::istringstream lines(read_text(path));
  std::string line, cell;
  std::vector<Column> table;
  std::getline(lines, line);
  for (std::istringstream cells(line); std::getline(cells, cell, ',');)
    table.push_back({cell, {}});
  while (std::getline(lines, line)) {
    std::istringstream cells(line);
    for (Column& column : table) {
      cell.clear();
      std::getline(cells, cell, ',');
      column.values.push_back(cell.empty() ? std::numeric_limits<double>::quiet_NaN() : std::atof(cell.c_str()));
    }
  }
  return table;
}

const std::vector<double>& values_of(const std::vector<Column>& table, const std::string& name) {
  const auto at = std::find_if(table.begin(), table.end(), [&](const Column& c) { return c.name == name; });
  if (at == table.end()) refuse("metrics.csv: is damaged: it has no column ", name);
  return at->values;
}

std::string number(double value) { return std::isfinite(value) ? fmt::format("{:.4f}", value) : "-"; }

ReportFigure figure(const std::string& title, LineChart chart, const std::string& note = "") {
  chart.title = title;
  return {title, chart_svg(chart), note};
}

/// The curves over the steps of a run.
void add_curves(const std::vector<Column>& table, Report& page) {
  const auto lines_of = [&](const auto& wanted) {
    std::vector<ChartLine> lines;
    for (const auto& [column, values] : table)
      if (wanted(column) && lines.size() < 6) lines.push_back({column, values_of(table, "step"), values});
    return lines;
  };
  const auto is_score = [](const std::string& column) { return column.starts_with("val_"); };
  page.figures.push_back(
      figure("Losses",
             {"", "step", lines_of([&](const std::string& column) {
                return !is_score(column) && column != "step" && column != "epoch" && column != "rate";
              }),
              true},
             "each point is the mean since the point before; loss is the weighted sum of the others"));
  std::vector<ChartLine> scores = lines_of(is_score);
  for (ChartLine& line : scores) {
    line.name = line.name.substr(4);
    if (line.name == "AP50_95") line.name = "AP50:95";
  }
  page.figures.push_back(figure("Validation scores", {"", "step", scores, true, 1}, "mean over images"));
  page.figures.push_back(figure(
      "Learning rate", {"", "step", lines_of([](const std::string& column) { return column == "rate"; }), true}));
}

/// What the newest validation says.
void add_scores(const std::vector<ImageScore>& scores, Report& page) {
  ChartLine mean{"mean over images", {}, {}};
  for (const double threshold : coco_thresholds()) {
    mean.x.push_back(threshold);
    mean.y.push_back(mean_average_precision(scores, threshold).value_or(0));
  }
  ChartLine counts{"one image", {}, {}, true}, equal{"equal numbers", {0}, {0}};
  for (const ImageScore& s : scores) {
    counts.x.push_back(double(s.truth)), counts.y.push_back(double(s.prediction));
    equal.x[0] = std::max(equal.x[0], double(std::max(s.truth, s.prediction)));
  }
  equal = {equal.name, {0, equal.x[0]}, {0, equal.x[0]}};
  page.figures.push_back(figure("Average precision by IoU threshold", {"", "IoU of a match at least", {mean}, true, 1},
                                "AP = TP / (TP + FP + FN) in the newest validation"));
  page.figures.push_back(
      figure("Objects per image", {"", "true objects", {counts, equal}, true}, "vertical: predicted objects"));
}

/// The members of an object as rows; those of nested objects follow with their path.
void add_settings(const Json& settings, const std::string& prefix, ReportTable& table) {
  for (const auto& [key, value] : settings.items()) {
    if (value.is_object())
      add_settings(value, prefix + key + '.', table);
    else if (!value.is_null() && prefix + key != "command")
      table.rows.push_back({prefix + key, value.is_string() ? value.get<std::string>() : to_text(value)});
  }
}

}  // namespace

void TrainingReport::add(const Example& e, const Labels& prediction, const ImageScore& score) {
  if (complete_) scores_.clear(), items_.clear(), complete_ = false;
  scores_.push_back(score);
  if (int(items_.size()) >= shown_) return;
  const Labels truth = true_labels(e);
  std::string summary = fmt::format("{} x {} px, AP50 {}", truth.width, truth.height,
                                    number(average_precision(score, 0.5, Dialect::stardist).value_or(NAN)));
  if (!PictureWindow(truth.height, truth.width).is_whole)
    summary += fmt::format("; the middle {} px are shown", PictureWindow::max_side);
  const Image& image = e.source.image();
  items_.push_back({e.stem,
                    summary,
                    {objects_picture("truth", image, truth), objects_picture("prediction", image, prediction),
                     errors_picture("errors", image, truth_of(e), prediction)}});
}

void TrainingReport::write() {
  complete_ = true;
  const std::vector<Column> table = read_metrics(files_.metrics());
  const Json run = parse_json(read_text(files_.folder / "run.json"));
  const std::vector<double> steps = values_of(table, "step"), scores = values_of(table, "val_AP50_95");
  Report page{"Training of " + run.value("model", std::string("a model")), "", {}, {}};
  page.summary = fmt::format("Step {:.0f} of {}, {} for training.", steps.back(), run.value("steps", int64_t(0)),
                             counted(run.value("images", int64_t(0)), "image"));
  size_t best = steps.size();
  for (size_t k = 0; k < steps.size(); ++k)
    if (std::isfinite(scores[k]) && (best == steps.size() || scores[k] > scores[best])) best = k;
  if (best < steps.size())
    page.summary +=
        fmt::format(" The best model is that of step {:.0f}, with a validation AP50:95 of {} on {}.", steps[best],
                    number(scores[best]), counted(run.value("validation_images", int64_t(0)), "image"));
  add_curves(table, page);
  if (!scores_.empty()) add_scores(scores_, page);
  page.items = items_;
  ReportTable settings{"Settings", {"setting", "value"}, {}, ""};
  add_settings(run, "", settings);
  page.last_tables.push_back(std::move(settings));
  page.command = run.value("command", std::string());
  write_report(path(), page);
}

}  // namespace basin::tools

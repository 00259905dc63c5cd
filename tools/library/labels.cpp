#include <algorithm>
#include <cmath>
#include <memory>
#include <span>

#include "data/metrics/metrics.h"
#include "data/objects/measure.h"
#include "engine/json.h"
#include "tools/cli/steps.h"
#include "tools/library/arrays.h"
#include "tools/library/calls.h"
#include "tools/library/device.h"
#include "tools/library/options.h"

struct basin_table {
  std::vector<std::string> names;
  std::vector<double> values;  // [rows][columns]
};

namespace basin::library {
namespace {

/// A row of scores: of all images by an aggregation, or of one image.
void add_row(basin_table& table, const std::vector<Metric>& all, const ImageScore& objects,
             const std::function<std::optional<double>(const Metric&)>& value) {
  table.values.push_back(double(objects.truth));
  table.values.push_back(double(objects.prediction));
  for (const Metric& metric : all)
    table.values.push_back(value(metric).value_or(std::nan("")));
}

basin_table scores_of(std::span<const ImageScore> scores, Dialect dialect) {
  const std::vector<Metric> all = metrics(dialect);
  basin_table table;
  table.names = {"true_objects", "predicted_objects"};
  for (const Metric& metric : all)
    table.names.push_back(metric.key);
  const ImageScore pooled = pool(scores);
  for (const Aggregation how : {Aggregation::mean, Aggregation::pooled})
    add_row(table, all, pooled, [&](const Metric& metric) { return aggregate(metric, how, scores); });
  for (const ImageScore& score : scores)
    add_row(table, all, score, [&](const Metric& metric) { return metric.value(score); });
  return table;
}

/// The score of image k of `images`.
ImageScore score_pair(const basin_array* truth, const basin_array* prediction, size_t k, size_t images) {
  const std::string number = images > 1 ? " " + std::to_string(k) : "";
  const Labels t = labels_of(truth + k, "truth" + number), p = labels_of(prediction + k, "prediction" + number);
  if (t.height != p.height || t.width != p.width)
    throw CallError(BASIN_ERROR_ARGUMENT, "prediction" + number + ": is " + std::to_string(p.width) + " x " +
                                              std::to_string(p.height) + " pixels, but its truth is " +
                                              std::to_string(t.width) + " x " + std::to_string(t.height));
  return score(t, p);
}

}  // namespace
}  // namespace basin::library

using namespace basin;
using namespace basin::library;

basin_status basin_evaluate(const basin_array* truth, const basin_array* prediction, size_t images,
                            const basin_option* options, size_t option_count, basin_table** table) {
  return call([&] {
    need(table, "table");
    *table = nullptr;
    need(truth, "truth");
    need(prediction, "prediction");
    if (images == 0) throw CallError(BASIN_ERROR_ARGUMENT, "images: there is nothing to compare");
    std::string dialect = "stardist";
    int thread_count = 0;
    read_options("evaluate", options, option_count, [&](tools::Command& command) {
      command.add("--dialect", dialect, "").one_of(dialect_names());
      tools::add_threads_option(command, thread_count);
    });
    const Threads threads(thread_count);
    std::vector<ImageScore> scores;
    for (size_t k = 0; k < images; ++k)
      scores.push_back(score_pair(truth, prediction, k, images));
    *table = new basin_table(scores_of(scores, parse_dialect(dialect)));
  });
}

basin_status basin_measure(const basin_array* labels, const basin_array* image, const basin_option* options,
                           size_t option_count, basin_table** table) {
  return call([&] {
    need(table, "table");
    *table = nullptr;
    double pixel_size = 0;
    int thread_count = 0;
    read_options("segment", options, option_count, [&](tools::Command& command) {
      command.add("--pixel-size", pixel_size, "").not_negative();
      tools::add_threads_option(command, thread_count);
    });
    const Threads threads(thread_count);
    const Labels l = labels_of(labels, "labels");
    std::optional<Image> i;
    if (image) i = image_of(image, "image");
    if (i && (i->height != l.height || i->width != l.width))
      throw CallError(BASIN_ERROR_ARGUMENT, "image: is " + std::to_string(i->width) + " x " +
                                                std::to_string(i->height) + " pixels, but its labels are " +
                                                std::to_string(l.width) + " x " + std::to_string(l.height));
    ObjectTable measured = table_of(measure(l, {.image = i ? &*i : nullptr}), {}, pixel_size);
    *table = new basin_table{std::move(measured.names), std::move(measured.numbers)};
  });
}

basin_status basin_field(const basin_array* labels, const basin_option* options, size_t option_count, float* field) {
  return call([&] {
    need(field, "field");
    tools::FieldStep step;
    const tools::Common common = read_step_options("field", options, option_count, step);
    during(BASIN_ERROR_OPTION, [&] { step.check(); });
    const Threads threads(common.threads);
    const Labels l = labels_of(labels, "labels");
    const CallDevice device(common);
    step.field_of(device.exec(), l, "labels").copy_to_host(device.exec(), field);
  });
}

int64_t basin_table_columns(const basin_table* table) { return table ? int64_t(table->names.size()) : 0; }

int64_t basin_table_rows(const basin_table* table) {
  return table ? int64_t(table->values.size() / table->names.size()) : 0;
}

const char* basin_table_name(const basin_table* table, int64_t column) {
  return column >= 0 && column < basin_table_columns(table) ? table->names[size_t(column)].c_str() : nullptr;
}

const double* basin_table_values(const basin_table* table) { return table ? table->values.data() : nullptr; }

void basin_free_table(basin_table* table) { delete table; }

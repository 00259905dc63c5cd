#include <algorithm>
#include <memory>

#include "engine/json.h"
#include "models/inference/model_file.h"
#include "models/inference/scale_search.h"
#include "tools/cli/machine.h"
#include "tools/cli/segmentation_options.h"
#include "tools/cli/shipped_models.h"
#include "tools/library/arrays.h"
#include "tools/library/calls.h"
#include "tools/library/device.h"
#include "tools/library/options.h"

struct basin_model {
  std::string name;  // as given
  basin::Exec exec;
  basin::tools::Common common;
  basin::Model model;
  std::string info, device;
  int channels = 0;
};

struct basin_result {
  int64_t objects = 0;
  bool has_scores = false;  // whether the method gives any
  std::vector<float> scores;
  double scale = 1;
  std::string remarks;
};

namespace basin::library {
namespace {

/// What messages call the image.
constexpr const char* image_name = "image";

std::unique_ptr<basin_model> load(const char* name, const tools::Common& common) {
  auto loaded = std::make_unique<basin_model>();
  loaded->name = name;
  loaded->common = common;
  const CallDevice device(common);
  loaded->exec = device.exec();
  const std::filesystem::path file = during(BASIN_ERROR_FILE, [&] { return tools::model_file(name, "model"); });
  loaded->model = during(BASIN_ERROR_FILE, [&] { return load_model(file, loaded->exec); });
  loaded->channels = loaded->model.method->sample_spec().channels;
  loaded->info = to_text(loaded->model.info, 1);
  loaded->device = tools::describe(loaded->exec);
  return loaded;
}

/// Segments an image with a method of the model's, which has the settings of this call.
basin_result segment(const basin_model& m, const Method& method, const SegmentationPlan& plan, const basin_array* image,
                     int32_t* labels) {
  const int channels = method.sample_spec().channels;
  const Source source = during(BASIN_ERROR_ARGUMENT,
                               [&] { return Source(image_of(image, image_name), channels, plan.norm, image_name); });
  basin_result result;
  result.scale = plan.options.scale;
  const Predictor& predictor = *m.model.predictor;
  if (plan.finds_scale) {
    const FoundScale found =
        with_name(image_name, [&] { return find_scale(m.exec, method, predictor, source, *plan.trained); });
    result.scale = found.scale;
    if (found.diameter == 0) result.remarks = std::string(no_scale_remark) + "\n";
  }
  FoundObjects found =
      with_name(image_name, [&] { return find_objects(m.exec, method, predictor, source, plan, result.scale); });
  result.objects = found.instances.labels.count;
  result.has_scores = method.gives_scores();
  result.scores = std::move(found.instances.scores);
  for (const std::string& remark : found.remarks)
    result.remarks += remark + "\n";
  if (!result.remarks.empty()) result.remarks.pop_back();
  std::copy(found.instances.labels.ids.begin(), found.instances.labels.ids.end(), labels);
  return result;
}

}  // namespace
}  // namespace basin::library

using namespace basin;
using namespace basin::library;

const char* basin_shipped_models(void) {
  thread_local std::string names;
  call([&] {
    names.clear();
    for (const tools::ShippedModel& model : tools::shipped_models())
      names += (names.empty() ? "" : "\n") + model.name;
  });
  return names.c_str();
}

basin_status basin_load_model(const char* model, const basin_option* options, size_t option_count,
                              basin_model** loaded) {
  return call([&] {
    need(loaded, "loaded");
    *loaded = nullptr;
    need(model, "model");
    tools::Common common;
    read_options("segment", options, option_count, [&](tools::Command& command) {
      add_precision_option(command, common);
      add_device_options(command, common);
    });
    const Threads threads(common.threads);
    *loaded = load(model, common).release();
  });
}

void basin_free_model(basin_model* model) { delete model; }

const char* basin_model_info(const basin_model* model) { return model ? model->info.c_str() : ""; }

int basin_model_channels(const basin_model* model) { return model ? model->channels : 0; }

const char* basin_model_device(const basin_model* model) { return model ? model->device.c_str() : ""; }

basin_status basin_segment(const basin_model* model, const basin_array* image, const basin_option* options,
                           size_t option_count, int32_t* labels, basin_result** result) {
  return call([&] {
    if (result) *result = nullptr;
    need(model, "model");
    need(labels, "labels");
    int thread_count = model->common.threads;
    tools::SegmentationOptions segmentation;
    read_options("segment", options, option_count, [&](tools::Command& command) {
      segmentation.add_to(command);
      tools::add_threads_option(command, thread_count);
    });
    const Threads threads(thread_count);
    const std::unique_ptr<Method> method = make_method(model->model.method->config());
    const SegmentationPlan plan =
        during(BASIN_ERROR_OPTION, [&] { return segmentation.plan(*method, model->model.info, model->name); });
    const CallDevice device(model->common, model->exec);
    auto found = std::make_unique<basin_result>(segment(*model, *method, plan, image, labels));
    if (result) *result = found.release();
  });
}

int64_t basin_result_objects(const basin_result* result) { return result ? result->objects : 0; }

const float* basin_result_scores(const basin_result* result) {
  static const float none = 0;
  if (!result || !result->has_scores) return nullptr;
  return result->scores.empty() ? &none : result->scores.data();
}

double basin_result_scale(const basin_result* result) { return result ? result->scale : 0; }

const char* basin_result_remarks(const basin_result* result) { return result ? result->remarks.c_str() : ""; }

void basin_free_result(basin_result* result) { delete result; }

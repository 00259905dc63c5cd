#include "models/training/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "kernels/conv/conv_plan_cudnn.h"
#include "models/inference/model_file.h"
#include "models/training/conv_algorithms_json.h"

namespace basin {
namespace {

/// Whether the results of a run depend on which algorithms cuDNN chose.
bool keeps_choices(const Exec& exec) { return exec.device == Device::cuda && exec.deterministic; }

std::string choices_text() {
  kernels::ConvAlgorithms choices = kernels::conv_algorithm_cache().choices();
  std::erase_if(choices, [](const auto& c) { return !c.first.deterministic; });
  return to_text(to_json(choices));
}

/// The tensors of a training state besides parameters and running statistics.
std::vector<std::pair<const char*, const Tensor*>> tensors_of(const Checkpoint& at) {
  std::vector<std::pair<const char*, const Tensor*>> all{{"adam.m", &at.m}, {"adam.v", &at.v}};
  if (at.average_values)
    all.insert(all.end(), {{"average.values", &at.average_values}, {"average.running", &at.average_running}});
  return all;
}

/// Whether a step averages over as many crops as before, but in batches of another size, because the number of ranks or
/// --accumulate has changed.
bool splits_differently(const Json& now, const Json& then) {
  const auto part = [](const Json& all) { return all.value("batch", int64_t(0)); };
  const auto parts = [](const Json& all) { return all.value("accumulate", int64_t(1)); };
  return part(now) != part(then) && part(now) * parts(now) == part(then) * parts(then);
}

void refuse_changes(Json now, const Json& then, const std::string& file) {
  if (splits_differently(now, then)) {
    const bool joins = now.contains("joined_batch") && then.contains("joined_batch");
    if (!joins)
      std::fprintf(
          stderr,
          "the crops of a step are now processed %lld at a time instead of %lld, so that batch normalisation sees "
          "batches of another size from here on\n",
          now["batch"].get<long long>(), then["batch"].get<long long>());
    for (const char* key : {"batch", "accumulate"}) {
      now.erase(key);
      if (then.contains(key)) now[key] = then[key];
    }
  }
  std::string changes;
  const auto text_of = [](const Json& all, const std::string& key) {
    return all.contains(key) ? to_text(all[key]) : "unset";
  };
  const auto compare = [&](const std::string& key) {
    const std::string value = text_of(now, key), before = text_of(then, key);
    if (value == before) return;
    changes += changes.empty() ? "" : "; ";
    if (key == "data")
      changes += "the training images, labels or weights differ";
    else if (key == "validation")
      changes += "the validation images or labels differ";
    else
      changes += key + " is " + value + ", was " + before +
                 (key == "steps" ? " (on which the learning rate or the loss depends from the first step on)" : "");
  };
  for (const auto& [key, value] : now.items())
    compare(key);
  for (const auto& [key, value] : then.items())
    if (!now.contains(key)) compare(key);
  if (!changes.empty()) refuse("--resume: the run in ", file, " had different settings: ", changes);
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const Exec& exec, const Params& params, const Checkpoint& at,
                     const Json& settings) {
  SafeTensors content;
  Json info{{"settings", settings}, {"best_AP50_95", at.best}};
  if (at.best_step > 0) info["best_step"] = at.best_step;
  content.metadata["basin"] = to_text(info);
  if (keeps_choices(exec)) content.metadata["cudnn"] = choices_text();
  add_parameters(content, exec, params);
  content.add("step", {1}, &at.step);
  for (const auto& [name, tensor] : tensors_of(at))
    content.add(name, {tensor->shape().size()}, tensor->to_host<float>(exec).data());
  add_checksum(content);
  const std::vector<std::byte> bytes = encode_safetensors(content);
  write_atomically(path, bytes.data(), bytes.size());
}

void load_checkpoint(const std::filesystem::path& path, const Exec& exec, const Params& params, Checkpoint& at,
                     const Json& settings) {
  const std::string file = path.string();
  const SafeTensors content = decode_safetensors(read_file(path), file);
  const auto text = content.metadata.find("basin");
  const Json info = text == content.metadata.end() ? Json() : parse_json(text->second);
  const StoredTensor* step = content.find("step");
  if (!info.is_object() || !info.contains("settings") || !step || step->dtype != "I64" || step->bytes.size() != 8)
    refuse(file, " is not a training state");
  verify_checksum(content, file);
  refuse_changes(settings, info["settings"], file);
  kernels::ConvAlgorithms choices;
  if (const auto cudnn = content.metadata.find("cudnn"); cudnn != content.metadata.end())
    choices = conv_algorithms_from(parse_json(cudnn->second), file);
  read_parameters(content, exec, params, file);
  for (const auto& [name, tensor] : tensors_of(at)) {
    const int64_t n = tensor->shape().size();
    const float* values = content.floats(name, {n}, file);
    if (!std::all_of(values, values + n, [](float v) { return std::isfinite(v); }))
      refuse(file, ": ", name, " contains NaN or infinity: this training diverged; start a new one with a lower --lr");
    tensor->copy_from_host(exec, values);
  }
  std::memcpy(&at.step, step->bytes.data(), 8);
  at.best = info.value("best_AP50_95", -1.0);  // states of earlier versions hold a best AP50 instead
  at.best_step = info.value("best_step", int64_t(0));
  if (keeps_choices(exec)) kernels::conv_algorithm_cache().restore(std::move(choices), kernels::cudnn_versions().found);
}

}  // namespace basin

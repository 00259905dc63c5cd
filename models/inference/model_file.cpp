#include "models/inference/model_file.h"

#include <algorithm>
#include <cmath>

#include "engine/files.h"
#include "engine/safetensors.h"

namespace basin {
namespace {

constexpr int format = 1;

std::vector<int64_t> dims(const Shape& shape) {
  std::vector<int64_t> d;
  for (int i = 0; i < shape.rank(); ++i)
    d.push_back(shape[i]);
  return d;
}

/// Describes the first value that a model file must not contain; empty if there is none.
std::string bad_value(const Params::Named& named, const float* values) {
  const bool variance = named.name.ends_with("running_var");
  for (int64_t i = 0; i < named.shape.size(); ++i) {
    if (!std::isfinite(values[i])) return named.name + " contains NaN or infinity";
    if (variance && values[i] < 0) return named.name + " contains a negative variance";
  }
  return {};
}

/// The config for a checkpoint of a method's public code, which has no description by Basin.
Json recognise(const SafeTensors& content, const std::string& file) {
  for (const MethodEntry& entry : methods()) {
    if (!entry.recognise) continue;
    if (Json config = entry.recognise(content, file); !config.is_null()) return config;
  }
  refuse(file, " is neither a Basin model nor a checkpoint of the public code of a method that this version supports");
}

}  // namespace

void add_parameters(SafeTensors& content, const Exec& exec, const Params& params) {
  const auto add = [&](const std::vector<Params::Named>& names, const Tensor& flat) {
    const std::vector<float> values = flat.to_host<float>(exec);
    for (const Params::Named& n : names) {
      const float* first = values.data() + n.offset;
      if (const std::string fault = bad_value(n, first); !fault.empty())
        refuse("the model was not saved: ", fault, ". Training diverged; try a lower --lr");
      content.add(n.name, dims(n.shape), first);
    }
  };
  add(params.learnt(), params.values());
  add(params.statistics(), params.running());
}

void read_parameters(const SafeTensors& content, const Exec& exec, const Params& params, const std::string& file) {
  const auto read = [&](const std::vector<Params::Named>& names, const Tensor& flat) {
    std::vector<float> values(size_t(flat.shape().size()));
    for (const Params::Named& n : names) {
      const float* from = content.floats(n.name, dims(n.shape), file);
      if (const std::string fault = bad_value(n, from); !fault.empty()) refuse(file, ": ", fault);
      std::copy_n(from, size_t(n.shape.size()), values.begin() + n.offset);
    }
    flat.copy_from_host(exec, values.data());
  };
  read(params.learnt(), params.values());
  read(params.statistics(), params.running());
}

void save_model(const std::filesystem::path& path, const Exec& exec, const Method& method, const Json& info) {
  SafeTensors content;
  Json basin{{"format", format}, {"config", method.config()}};
  basin.update(info);
  content.metadata["basin"] = to_text(basin);
  add_parameters(content, exec, method.params());
  add_checksum(content);
  const std::vector<std::byte> bytes = encode_safetensors(content);
  write_atomically(path, bytes.data(), bytes.size());
}

std::optional<std::set<std::string>> training_images(const Json& info) {
  if (!info.contains("trained_on") || !info["trained_on"].is_array()) return {};
  std::set<std::string> images;
  for (const Json& image : info["trained_on"])
    if (image.is_string()) images.insert(image.get<std::string>());
  return images;
}

Model load_model(const std::filesystem::path& path, const Exec& exec) {
  const std::string file = path.string();
  const SafeTensors content = decode_safetensors(read_file(path), file);
  verify_checksum(content, file);
  Model model;
  const auto metadata = content.metadata.find("basin");
  if (metadata == content.metadata.end()) {
    model.info = {
        {"format", format},
        {"config", recognise(content, file)},
        {"source",
         "a public checkpoint: method, channels and width follow from its shapes, the rest are the method's defaults"}};
  } else {
    model.info = parse_json(metadata->second);
    if (model.info.is_object() && model.info.contains("settings") && !model.info.contains("config"))
      refuse(file, " is the state of a training run, not a model; give one of the models beside it");
    if (!model.info.is_object() || !model.info.contains("config") || !model.info.contains("format") ||
        !model.info["format"].is_number_integer())
      refuse(file, " is damaged: its description cannot be parsed");
    if (model.info["format"].get<int>() > format)
      refuse(file, ": written by a newer version of Basin in format ", model.info["format"].get<int>(),
             "; this version reads up to format ", format);
  }
  try {
    model.method = make_method(model.info["config"]);
  } catch (const Error& e) {
    refuse(file, ": ", e.what());
  }
  // Check before allocating: a small file may claim a network of any size.
  const Params& params = model.method->params();
  for (const auto* names : {&params.learnt(), &params.statistics()})
    for (const Params::Named& n : *names)
      content.floats(n.name, dims(n.shape), file);
  model.method->params().allocate(exec);
  read_parameters(content, exec, model.method->params(), file);
  model.predictor = model.method->predictor(exec);
  return model;
}

}  // namespace basin

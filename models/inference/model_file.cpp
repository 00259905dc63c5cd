#include "models/inference/model_file.h"

#include <cmath>

#include "engine/files.h"
#include "engine/safetensors.h"
#include "models/methods/vector_fields.h"

namespace basin {
namespace {

constexpr int format = 1;

std::vector<int64_t> dims(const Shape& shape) {
  std::vector<int64_t> d;
  for (int i = 0; i < shape.rank(); ++i)
    d.push_back(shape[i]);
  return d;
}

/// The settings of a torchvf checkpoint, and torchvf's own defaults for the rest.
Json config_of_torchvf(const SafeTensors& content, const std::string& file) {
  const StoredTensor* first = content.find("backbone.Encoder_0.conv1.weight");
  if (!first || first->shape.size() != 4) refuse(file, " is neither a Basin model nor a torchvf H1 or H2");
  VectorFieldOptions o;
  o.net.width = int(first->shape[0]);
  o.net.in_channels = int(first->shape[1]);
  if (o.net.width < 1 || o.net.width > 1024 || o.net.in_channels < 1 || o.net.in_channels > 1024)
    refuse(file, " has a first convolution of impossible size");
  o.net.decoders = content.find("head_1.decoder_0.conv_block_0.0.weight") ? 2 : 1;
  return VectorFields(o).config();
}

}  // namespace

void add_parameters(SafeTensors& content, const Exec& exec, const Params& params) {
  const auto add = [&](const std::vector<Params::Named>& names, const Tensor& flat) {
    const std::vector<float> values = flat.to_host<float>(exec);
    for (const Params::Named& n : names)
      content.add(n.name, dims(n.shape), values.data() + n.offset);
  };
  add(params.learnt(), params.values());
  add(params.statistics(), params.running());
}

void read_parameters(const SafeTensors& content, const Exec& exec, const Params& params, const std::string& file) {
  const auto read = [&](const std::vector<Params::Named>& names, const Tensor& flat) {
    std::vector<float> values(size_t(flat.shape().size()));
    for (const Params::Named& n : names) {
      const float* from = content.floats(n.name, dims(n.shape), file);
      const bool variance = n.name.ends_with("running_var");
      for (int64_t i = 0; i < n.shape.size(); ++i) {
        if (!std::isfinite(from[i])) refuse(file, ": ", n.name, " holds a number that is not finite");
        if (variance && from[i] < 0) refuse(file, ": ", n.name, " holds a negative variance");
        values[size_t(n.offset + i)] = from[i];
      }
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
  const std::vector<std::byte> bytes = encode_safetensors(content);
  write_atomically(path, bytes.data(), bytes.size());
}

Model load_model(const std::filesystem::path& path, const Exec& exec) {
  const std::string file = path.string();
  const SafeTensors content = decode_safetensors(read_file(path), file);
  Model model;
  const auto metadata = content.metadata.find("basin");
  if (metadata == content.metadata.end()) {
    model.info = {
        {"format", format},
        {"config", config_of_torchvf(content, file)},
        {"source", "a torchvf state_dict: method, channels and width by its shapes, the rest torchvf's defaults"}};
  } else {
    model.info = parse_json(metadata->second);
    if (model.info.is_object() && model.info.contains("settings") && !model.info.contains("config"))
      refuse(file, " is the state of a training run, not a model; the models lie beside it");
    if (!model.info.is_object() || !model.info.contains("config") || !model.info.contains("format") ||
        !model.info["format"].is_number_integer())
      refuse(file, " is damaged: its description is unreadable");
    if (model.info["format"].get<int>() > format)
      refuse(file, " was written by a newer version of Basin: format ", model.info["format"].get<int>(),
             ", this one reads ", format);
  }
  try {
    model.method = make_method(model.info["config"]);
  } catch (const Error& e) {
    refuse(file, ": ", e.what());
  }
  // Before there is memory for them: a small file may claim a network of any size.
  const Params& params = model.method->params();
  for (const auto* names : {&params.learnt(), &params.statistics()})
    for (const Params::Named& n : *names)
      content.floats(n.name, dims(n.shape), file);
  model.method->params().allocate(exec);
  read_parameters(content, exec, model.method->params(), file);
  model.method->refresh(exec);
  return model;
}

}  // namespace basin

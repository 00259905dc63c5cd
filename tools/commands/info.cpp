#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/arrays/npy.h"
#include "data/files/image.h"
#include "data/files/stack_planes.h"
#include "data/metrics/label_statistics.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/text.h"
#include "models/inference/model_file.h"
#include "tools/cli/arrays.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/shipped_models.h"

namespace basin::tools {
namespace {

std::vector<double> values_of(const Image& image) {
  const size_t n = size_t(image.height) * size_t(image.width) * size_t(image.channels);
  return with_pixels(image.type, [&](auto zero) {
    const auto* p = image.as<decltype(zero)>();
    return std::vector<double>(p, p + n);
  });
}

void print_values(std::vector<double> values) {
  if (values.empty()) return;
  double sum = 0;
  int64_t odd = 0;
  for (double v : values) {
    if (std::isfinite(v))
      sum += v;
    else
      ++odd;
  }
  if (odd > 0) {
    std::printf("values      %lld of %zu are not finite\n", static_cast<long long>(odd), values.size());
    return;
  }
  std::sort(values.begin(), values.end());
  const auto at = [&](double percent) {
    return values[size_t(std::llround(percent / 100 * double(values.size() - 1)))];
  };
  std::printf("values      %g to %g, mean %g\n", values.front(), values.back(), sum / double(values.size()));
  std::printf("percentiles 1: %g, 50: %g, 99: %g, 99.8: %g\n", at(1), at(50), at(99), at(99.8));
}

void print_labels(const std::vector<double>& values, int64_t height, int64_t width) {
  const LabelStatistics s = label_statistics(values, height, width);
  if (!s.looks_like_labels) return;
  const size_t n = s.areas.size();
  std::printf("labels      as a label image: %s%s, %.1f %% background\n", counted(int64_t(n), "object").c_str(),
              int64_t(n) == s.largest_label ? "" : (", numbered up to " + std::to_string(s.largest_label)).c_str(),
              100 * double(s.background) / double(values.size()));
  std::printf("areas       %lld to %lld px, median %lld px\n", static_cast<long long>(s.areas.front()),
              static_cast<long long>(s.areas.back()), static_cast<long long>(s.areas[n / 2]));
}

/// The plane to describe: the chosen one, or the first of a stack. `planes`: how many there are to choose from.
PlaneChoice plane_to_show(const std::string& file, const PlaneChoice& choice, int64_t& planes) {
  PlaneChoice shown = choice;
  planes = 1;
  if (!choice.plane.empty()) return shown;
  for (const StackAxis& axis : stack_in(file, choice).axes) {
    if (axis.name == 'C') continue;
    planes *= axis.size;
    shown.plane += fmt::format("{}{}=0", shown.plane.empty() ? "" : ",", axis.name);
  }
  return shown;
}

void print_image(const std::string& file, const PlaneChoice& choice) {
  int64_t planes = 1;
  const PlaneChoice shown = plane_to_show(file, choice, planes);
  const Image image = read_image(file, shown);
  std::printf("image       %d x %d px (width x height), %s%s, %s\n", image.width, image.height,
              planes > 1 ? (counted(planes, "plane") + " of ").c_str() : "", counted(image.channels, "channel").c_str(),
              name_of(image.type));
  if (image.stack.images > 1 || image.stack.pixel)
    std::printf("axes        %s\n", to_text(with_axes(image.stack, choice, file)).c_str());
  for (const std::string& name : image.stack.channel_names)
    std::printf("channel     %s\n", name.c_str());
  for (const std::string& note : image.notes)
    std::printf("note        %s\n", note.c_str());
  if (planes > 1)
    std::printf("plane       the first one follows; --plane chooses another, as an index from 0 along each axis\n");
  const std::vector<double> values = values_of(image);
  print_values(values);
  if (image.channels == 1 && image.type != PixelType::f32) print_labels(values, image.height, image.width);
}

void print_array(const std::string& file) {
  const Array array = read_npy(file);
  std::printf("array       %s %s\n", shape_text(array).c_str(), name_of(array.type));
  const std::vector<double> values = array.values<double>();
  print_values(values);
  if (array.shape.size() == 2 && !array.is_real()) print_labels(values, array.shape[0], array.shape[1]);
}

struct Request {
  std::vector<std::string> files;
  PlaneChoice choice;
};

/// A value without quotes. Control characters stay escaped, so that they do not act on a terminal.
std::string plain(const Json& value) {
  const std::string text = to_text(value);
  return value.is_string() ? text.substr(1, text.size() - 2) : text;
}

/// For an object "key value, key value", without the keys that begin with `skipped`; for an array its number of values;
/// for anything else its value.
std::string listed(const Json& json, const char* skipped = "\n") {
  if (json.is_array()) return counted(int64_t(json.size()), "value");
  if (!json.is_object()) return plain(json);
  std::string text;
  for (const auto& [key, value] : json.items()) {
    if (key.rfind(skipped, 0) == 0) continue;
    add_to_list(text, plain(key) + ' ' + plain(value));
  }
  return text;
}

void print_model(const std::string& file) {
  const Model model = load_model(file, {});
  Json config = model.method->config();
  std::printf("model       %s, %lld parameters\n", plain(config["method"]).c_str(),
              static_cast<long long>(model.method->params().count()));
  std::string decoding;
  for (const Setting& s : model.method->settings().all())
    if (s.use == Setting::Use::decoding) add_to_list(decoding, s.key + ' ' + s.text_of(s.value()));
  std::printf("decoding    %s\n", decoding.c_str());
  config.erase("method");
  config.erase("decoding");
  std::printf("settings    %s\n", listed(config).c_str());
  for (const auto& [key, value] : model.info.items())  // "training" repeats the settings of the model
    if (key != "config" && key != "format")
      std::printf("%-11s %s\n", plain(key).c_str(), listed(value, "model ").c_str());
}

void print_file(const std::string& given, const PlaneChoice& choice) {
  const std::string file = names_shipped_model(given) ? model_file(given).string() : given;
  std::printf("file        %s\n", file.c_str());
  if (lower_extension(file) == ".safetensors")
    print_model(file);
  else if (lower_extension(file) == ".npy")
    print_array(file);
  else
    print_image(file, choice);
}

}  // namespace

void add_info(Command& program) {
  Command command = program.subcommand("info", "describe a model, image, label or .npy file");
  auto request = std::make_shared<Request>();
  command.add("FILE", request->files, "one or more files, or names of models that `basin models` lists").required();
  add_plane_options(command, request->choice);
  command.runs([request] {
    const std::vector<std::string>& files = request->files;
    size_t failed = 0;
    for (const std::string& file : files) {
      try {
        print_file(file, request->choice);
      } catch (const Error& e) {
        if (files.size() == 1) throw;
        std::fflush(stdout);
        std::fprintf(stderr, "basin: %s\n", e.what());
        ++failed;
      }
    }
    if (failed > 0) refuse(failed, " of ", counted(int64_t(files.size()), "file"), " could not be read");
  });
}

}  // namespace basin::tools

#include "tools/cli/shipped_models.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr const char* extension = ".safetensors";

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  if (const char* listed = std::getenv("BASIN_MODELS")) {
    std::istringstream in(listed);
    for (std::string folder; std::getline(in, folder, ':');)
      if (!folder.empty()) folders.push_back(folder);
  }
  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none).parent_path();
  if (program.empty()) return folders;
  folders.push_back(program.parent_path() / "share/basin/models");
  folders.push_back(program / "models");
  return folders;
}

const ShippedModel* find(const std::vector<ShippedModel>& models, const std::string& name) {
  const auto at = std::find_if(models.begin(), models.end(), [&](const ShippedModel& m) { return m.name == name; });
  return at == models.end() ? nullptr : &*at;
}

bool is_file(const std::string& path) {
  std::error_code none;
  return fs::is_regular_file(path, none);
}

}  // namespace

std::vector<ShippedModel> shipped_models() {
  std::vector<ShippedModel> all;
  for (const fs::path& folder : model_folders()) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      const fs::path file = entry->path();
      const std::string name = file.stem().string();
      if (lower_extension(file) == extension && is_file(file.string()) && !find(all, name)) all.push_back({name, file});
    }
  }
  std::sort(all.begin(), all.end(), [](const ShippedModel& a, const ShippedModel& b) { return a.name < b.name; });
  return all;
}

std::string purpose_of(const ShippedModel& model) {
  std::ifstream card(fs::path(model.file).replace_extension(".md"));
  std::string text;
  for (std::string line; std::getline(card, line);) {
    if (line.starts_with('#') || (line.empty() && text.empty())) continue;
    if (line.empty()) break;
    text += (text.empty() ? "" : " ") + line;
  }
  const size_t end = text.find(". ");
  return end == std::string::npos ? text : text.substr(0, end + 1);
}

fs::path model_file(const std::string& given, const std::string& option) {
  if (is_file(given) || given.find('/') != std::string::npos || lower_extension(given) == extension) return given;
  const std::vector<ShippedModel> models = shipped_models();
  if (const ShippedModel* model = find(models, given)) return model->file;
  std::string names;
  for (const ShippedModel& model : models)
    names += (names.empty() ? "" : ", ") + model.name;
  refuse(option, " ", given, ": there is neither a file nor a shipped model of this name; ",
         names.empty() ? "no models were found, and $BASIN_MODELS may name a folder of them" : "there are " + names);
}

bool names_shipped_model(const std::string& given) { return !is_file(given) && find(shipped_models(), given); }

}  // namespace basin::tools

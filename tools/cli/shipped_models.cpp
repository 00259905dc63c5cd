#include "tools/cli/shipped_models.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "engine/files.h"
#include "engine/text.h"
#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr const char* extension = ".safetensors";

/// The file that this code was loaded from: the program, or the library in another program.
fs::path own_file() {
  Dl_info info{};
  link_map* loaded = nullptr;
  void* const here = reinterpret_cast<void*>(&own_file);
  const bool is_library = dladdr1(here, &info, reinterpret_cast<void**>(&loaded), RTLD_DL_LINKMAP) != 0 && loaded &&
                          loaded->l_name && *loaded->l_name;  // the program itself has no name there
  std::error_code none;
  return is_library ? fs::canonical(loaded->l_name, none) : fs::read_symlink("/proc/self/exe", none);
}

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  if (const char* listed = std::getenv("BASIN_MODELS")) {
    std::istringstream in(listed);
    for (std::string folder; std::getline(in, folder, ':');)
      if (!folder.empty()) folders.push_back(folder);
  }
  const fs::path here = own_file().parent_path();
  if (here.empty()) return folders;
  folders.push_back(here.parent_path() / "share/basin/models");
  folders.push_back(here / "models");
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

/// Refuses a folder as a model, and suggests a model in it if it is that of a training run.
void refuse_folder(const std::string& given, const std::string& option) {
  std::error_code none;
  if (!fs::is_directory(given, none)) return;
  for (const char* name : {"best", "last"})
    if (const std::string inside = (fs::path(given) / (std::string(name) + extension)).string(); is_file(inside))
      refuse(option, " ", given, ": is a folder; give a model in it, such as ", inside);
  refuse(option, " ", given, ": is a folder; give a model, NAME", extension);
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
  if (is_file(given)) return given;
  const std::vector<ShippedModel> models = shipped_models();
  if (const ShippedModel* model = find(models, given)) return model->file;
  refuse_folder(given, option);
  if (given.find('/') != std::string::npos || lower_extension(given) == extension) return given;
  std::string names;
  for (const ShippedModel& model : models)
    add_to_list(names, model.name);
  refuse(option, " ", given, ": there is neither a file nor a shipped model of this name; ",
         names.empty() ? "no models were found, and $BASIN_MODELS may name a folder of them" : "there are " + names);
}

bool names_shipped_model(const std::string& given) { return !is_file(given) && find(shipped_models(), given); }

}  // namespace basin::tools

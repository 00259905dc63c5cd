#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace basin::tools {

/// A model that --model finds by its name.
struct ShippedModel {
  std::string name;            // of the file, without .safetensors
  std::filesystem::path file;  // NAME.safetensors
};

/// The models in the folders of $BASIN_MODELS (separated by colons), in `../share/basin/models` of the folder of the
/// program, or of the library in another program, where an installation puts them, and in `models` beside it, which a
/// build makes a link to those of its source tree, and where the Python package has them. Sorted by name; of two with
/// the same name the one in the earlier folder.
std::vector<ShippedModel> shipped_models();

/// What a model is for: the first sentence of the card NAME.md beside its file, after the heading; empty where there is
/// none.
std::string purpose_of(const ShippedModel&);

/// The file that was meant by a path or a name given with an option: a file of this path where there is one, otherwise
/// the shipped model of this name. Throws one sentence that lists the names there are; what looks like a path (it holds
/// a '/' or ends with .safetensors) is returned as it is.
std::filesystem::path model_file(const std::string& path_or_name, const std::string& option = "--model");

/// Whether there is no file of this path but a shipped model of this name.
bool names_shipped_model(const std::string& path_or_name);

}  // namespace basin::tools

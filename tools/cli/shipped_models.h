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

/// The models in the folders of $BASIN_MODELS (separated by colons), and in two places relative to the folder of the
/// program (or of the library, if another program has loaded it): ../share/basin/models, where an installation has
/// them, and models, which in a build is a link to those of the source tree, and where the Python package has them.
/// Sorted by name; of two models with the same name, the one in the earlier folder.
std::vector<ShippedModel> shipped_models();

/// What a model is for: the first sentence below the heading of the card NAME.md beside its file; empty if there is no
/// card.
std::string purpose_of(const ShippedModel&);

/// The model file of a path or a name: the file with this path if there is one, otherwise the shipped model with this
/// name. Paths (with a '/', or ending in .safetensors) are returned unchanged. Throws one sentence that lists the names
/// of all shipped models if there is none with this name.
std::filesystem::path model_file(const std::string& path_or_name, const std::string& option = "--model");

/// Whether there is a shipped model with this name, and no file with this path.
bool names_shipped_model(const std::string& path_or_name);

}  // namespace basin::tools

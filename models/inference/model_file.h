#pragma once
#include <filesystem>
#include <memory>

#include "engine/json.h"
#include "models/registry.h"

namespace basin {

/// A trained method with the description from its file.
struct Model {
  std::unique_ptr<Method> method;
  std::unique_ptr<Predictor> predictor;  // made from the parameters in the file
  Json info;  // the file's "basin" metadata; for a public checkpoint, what follows from its tensors' shapes
};

/// Writes parameters and running statistics under their names, and `__metadata__["basin"]`: {"format": 1, "config":
/// method.config(), ...info}. The same content gives the same bytes. Written under a temporary name and renamed. If a
/// value is not finite or a variance is negative, throws and leaves an existing file unchanged, because such a file
/// could not be loaded.
void save_model(const std::filesystem::path&, const Exec&, const Method&, const Json& info);

/// Loads a model, or a state_dict of a method's public code that the registry recognises, ready to predict. Throws one
/// sentence with the file's name if the file is damaged or unknown.
Model load_model(const std::filesystem::path&, const Exec&);

/// Copies a model's tensors into, or out of, the content of a file.
void add_parameters(SafeTensors&, const Exec&, const Params&);
void read_parameters(const SafeTensors&, const Exec&, const Params&, const std::string& file);

}  // namespace basin

#pragma once
#include <filesystem>
#include <memory>

#include "engine/json.h"
#include "models/registry.h"

namespace basin {

/// A trained method with what its file tells about it.
struct Model {
  std::unique_ptr<Method> method;
  std::unique_ptr<Predictor> predictor;  // of the method's parameters as they were read
  Json info;  // the file's "basin" metadata; of a converted public checkpoint what follows from its tensors' shapes
};

/// Parameters and running statistics under their names, and `__metadata__["basin"]`: {"format": 1, "config":
/// method.config(), ...info}. The same content gives the same bytes. Written under a temporary name and renamed.
/// Throws, and leaves an earlier file as it was, where a value that would be stored is not finite or a variance is
/// negative: such a file could not be read again.
void save_model(const std::filesystem::path&, const Exec&, const Method&, const Json& info);

/// Reads a model, or a state_dict of a method's public code, which the registry recognises. Throws one sentence with
/// the file's name for what is damaged or unknown. Ready to predict.
Model load_model(const std::filesystem::path&, const Exec&);

/// A model's tensors into or out of a file's content.
void add_parameters(SafeTensors&, const Exec&, const Params&);
void read_parameters(const SafeTensors&, const Exec&, const Params&, const std::string& file);

}  // namespace basin

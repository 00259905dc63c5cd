#pragma once
#include <filesystem>
#include <memory>

#include "engine/json.h"
#include "models/method.h"

namespace basin {

/// A trained method with what its file tells about it.
struct Model {
  std::unique_ptr<Method> method;
  Json info;  // the file's "basin" metadata; for a converted torchvf state_dict what was concluded from its shapes
};

/// Parameters and running statistics under their names, and `__metadata__["basin"]`: {"format": 1, "config":
/// method.config(), ...info}. The same content gives the same bytes. Written under a temporary name and renamed.
void save_model(const std::filesystem::path&, const Exec&, const Method&, const Json& info);

/// Reads a model, or a torchvf state_dict of H1 or H2, whose channels and width follow from its shapes. Throws one
/// sentence with the file's name for what is damaged or unknown. Ready to predict.
Model load_model(const std::filesystem::path&, const Exec&);

/// A model's tensors into or out of a file's content.
void add_parameters(struct SafeTensors&, const Exec&, const Params&);
void read_parameters(const struct SafeTensors&, const Exec&, const Params&, const std::string& file);

}  // namespace basin

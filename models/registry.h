#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/method.h"

namespace basin {

struct SafeTensors;

/// A method that this program supports.
struct MethodEntry {
  std::string name;     // for --model and model files
  std::string summary;  // one line for users
  /// Creates it with the settings of a config, or with its defaults if that is null. Its parameters are not allocated.
  std::unique_ptr<Method> (*make)(const std::string& name, const Json& config);
  /// The config of a checkpoint of the method's public code, deduced from the names and shapes of its tensors; null if
  /// it is not one. May be empty.
  Json (*recognise)(const SafeTensors&, const std::string& file) = nullptr;
};

/// In the order in which they are listed to users.
const std::vector<MethodEntry>& methods();
std::vector<std::string> method_names();
/// The method of commands that are given none.
std::string default_method();
/// For extensions and tests; the name must be new.
void add_method(MethodEntry);

/// Throws one sentence for a method or a setting that this version does not support.
std::unique_ptr<Method> make_method(const Json& config);
/// The method with this name, with these assignments, of any kind, applied to its default settings.
std::unique_ptr<Method> make_method(const std::string& name, const std::vector<Assignment>& assignments);
/// The method of a config with these assignments applied to its settings.
std::unique_ptr<Method> reconfigure(const Json& config, const std::vector<Assignment>& assignments);

}  // namespace basin

#include "tools/cli/label_inputs.h"

#include "kernels/runtime/platform.h"

namespace basin::tools {

std::map<std::string, Pair> labels_of_inputs(const std::vector<std::string>& inputs, const PlaneChoice& choice) {
  std::map<std::string, Pair> all;
  for (const std::string& input : inputs)
    for (const auto& [stem, pair] : find_labels(input))
      if (!all.emplace(stem, pair).second)
        refuse(input, ": the name ", stem, " is already taken by labels in another input");
  for (auto& [stem, pair] : all)
    pair.choice = choice;
  if (all.empty()) refuse("there are no label images among the inputs");
  return all;
}

}  // namespace basin::tools

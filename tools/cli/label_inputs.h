#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"

namespace basin::tools {

/// The labels of all inputs by stem, with the choice of what is read of their files. Throws one sentence if two inputs
/// have the same stem, or if there are no labels.
std::map<std::string, Pair> labels_of_inputs(const std::vector<std::string>& inputs, const PlaneChoice&);

}  // namespace basin::tools

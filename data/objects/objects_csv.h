#pragma once
#include <filesystem>

#include "data/objects/measure.h"

namespace basin {

/// Writes the table as comma-separated values: a line of names, then one line for each object. Written under a
/// temporary name and renamed.
void write_objects_csv(const std::filesystem::path&, const ObjectTable&);

}  // namespace basin

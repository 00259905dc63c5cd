#pragma once
// All of the JSON library. Objects keep their order, so that a file written twice has the same bytes.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/json_fwd.h"

namespace basin {

/// A discarded value for what is no JSON or is nested more than 16 deep, which hostile files are.
Json parse_json(std::string_view text);

/// On one line, or on many with `indent` >= 0. What is no UTF-8, as in some file names, is replaced.
std::string to_text(const Json&, int indent = -1);

}  // namespace basin

#pragma once
// Includes the whole JSON library. Objects keep their order, so that a file written twice has the same bytes.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/json_fwd.h"

namespace basin {

/// Parses JSON. Returns a discarded value if it is invalid or nested more than 16 deep, as hostile files are.
Json parse_json(std::string_view text);

/// On one line, or on several if `indent` >= 0. Invalid UTF-8, as in some file names, is replaced.
std::string to_text(const Json&, int indent = -1);

/// A member of an object; null if there is none, or if this is not an object.
const Json& member(const Json&, const char* key);

/// The text of a string; empty for any other value.
std::string text_of(const Json&);

}  // namespace basin

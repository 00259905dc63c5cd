#pragma once
// The only include of the JSON library. Objects keep their order, so that a file written twice has the same bytes.
#include <nlohmann/json.hpp>

namespace basin {

using Json = nlohmann::ordered_json;

}  // namespace basin

#pragma once
// Declares the JSON type for headers. The whole library takes seconds to compile; engine/json.h includes it.
#include <nlohmann/json_fwd.hpp>

namespace basin {

using Json = nlohmann::ordered_json;

}  // namespace basin

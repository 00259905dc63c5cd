#pragma once
// The name of the JSON type, for headers: all of the library takes seconds to compile, engine/json.h brings it.
#include <nlohmann/json_fwd.hpp>

namespace basin {

using Json = nlohmann::ordered_json;

}  // namespace basin

#pragma once
// All of the JSON library. Objects keep their order, so that a file written twice has the same bytes.
#include <nlohmann/json.hpp>

#include "engine/json_fwd.h"

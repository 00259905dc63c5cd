#include "engine/json.h"

namespace basin {
namespace {

constexpr int deepest = 16;
struct TooDeep {};

}  // namespace

Json parse_json(std::string_view text) {
  const auto shallow = [](int depth, Json::parse_event_t, Json&) {
    if (depth >= deepest) throw TooDeep();
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), shallow, false);
  } catch (TooDeep) {
    return Json(Json::value_t::discarded);
  }
}

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace basin

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

const Json& member(const Json& json, const char* key) {
  static const Json none;
  if (!json.is_object()) return none;
  const auto found = json.find(key);
  return found == json.end() ? none : *found;
}

std::string text_of(const Json& json) { return json.is_string() ? json.get<std::string>() : std::string(); }

}  // namespace basin

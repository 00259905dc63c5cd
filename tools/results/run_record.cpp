#include "tools/results/run_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/text.h"
#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace {

/// A type of a member, and its name for messages.
struct Type {
  const char* name;
  std::function<bool(const Json&)> holds;
};

bool is_text(const Json& j) { return j.is_string(); }
bool is_count(const Json& j) {
  return j.is_number_integer() && (j.is_number_unsigned() ? j.get<uint64_t>() : uint64_t(j.get<int64_t>())) <=
                                      uint64_t(std::numeric_limits<int64_t>::max());
}
bool is_list_of(const Json& j, bool (*holds)(const Json&)) {
  return j.is_array() && std::all_of(j.begin(), j.end(), holds);
}

const Type text{"a text", is_text};
const Type text_or_null{"a text or null", [](const Json& j) { return j.is_string() || j.is_null(); }};
const Type flag{"true or false", [](const Json& j) { return j.is_boolean(); }};
const Type count{"a whole number of 0 or more", is_count};
const Type texts{"a list of texts", [](const Json& j) { return is_list_of(j, is_text); }};
const Type numbers{"an object of numbers", [](const Json& j) {
                     return j.is_object() &&
                            std::all_of(j.begin(), j.end(), [](const Json& n) { return n.is_number(); });
                   }};
const Type about_images{"a list of objects that each name an image", [](const Json& j) {
                          return is_list_of(j, [](const Json& entry) {
                            return member(entry, "image").is_string() &&
                                   (!entry.contains("remark") || entry["remark"].is_string());
                          });
                        }};
const Type counts_of_images{"a list of objects with an image and whole numbers", [](const Json& j) {
                              return is_list_of(j, [](const Json& entry) {
                                if (!member(entry, "image").is_string()) return false;
                                for (const auto& [key, value] : entry.items())
                                  if (key != "image" && !is_count(value)) return false;
                                return true;
                              });
                            }};
const Type pairs_of_texts{"a list of pairs of texts", [](const Json& j) {
                            return is_list_of(
                                j, [](const Json& pair) { return is_list_of(pair, is_text) && pair.size() == 2; });
                          }};
const Type input_sets{"a list of objects with a folder and inputs", [](const Json& j) {
                        return is_list_of(j, [](const Json& entry) {
                          return member(entry, "folder").is_string() && is_list_of(member(entry, "input"), is_text) &&
                                 entry.contains("recursive");
                        });
                      }};
const Type object{"an object", [](const Json& j) { return j.is_object(); }};

const std::vector<std::pair<const char*, const Type*>> known = {
    {"command", &text},         {"folder", &text},         {"model", &text},
    {"subcommand", &text},      {"input", &texts},         {"save", &texts},
    {"failed", &texts},         {"channel", &texts},       {"axes", &text_or_null},
    {"plane", &text_or_null},   {"series", &text_or_null}, {"shard", &text_or_null},
    {"recursive", &flag},       {"finished", &flag},       {"images", &count},
    {"converted", &count},      {"skipped", &count},       {since_key, &count},
    {"remarks", &about_images}, {"scales", &about_images}, {"dropped", &counts_of_images},
    {"seconds", &numbers},      {"shard_of", &object},     {earlier_inputs_key, &input_sets}};
const std::vector<std::pair<const char*, const Type*>> known_of_shard = {
    {"images_of_all_shards", &count}, {"fingerprint", &text}, {"failed_inputs", &texts}, {"images", &pairs_of_texts}};

void check_members(const Json& record, const std::vector<std::pair<const char*, const Type*>>& types,
                   const std::string& name) {
  for (const auto& [key, type] : types)
    if (record.contains(key) && !type->holds(record[key]))
      refuse(name, ": is damaged: its member ", key, " is not ", type->name);
}

void require(const Json& record, std::initializer_list<const char*> keys, const std::string& name) {
  for (const char* key : keys)
    if (!record.contains(key)) refuse(name, ": is damaged: it has no member ", key);
}

/// The text of a member; empty if it is null or missing.
std::string text_in(const Json& record, const char* key) { return text_of(member(record, key)); }

std::vector<std::string> texts_in(const Json& record, const char* key) {
  return record.contains(key) ? record[key].get<std::vector<std::string>>() : std::vector<std::string>();
}

}  // namespace

Json read_record(const std::filesystem::path& path) {
  Json record = parse_json(read_text(path));
  if (record.is_discarded()) refuse(path.string(), ": is damaged: it is not JSON in UTF-8");
  if (!record.is_object()) refuse(path.string(), ": is damaged: it is JSON, but not an object");
  return record;
}

void check_record(const Json& record, const std::string& name) {
  if (!record.is_object()) refuse(name, ": is damaged: it is not a JSON object");
  check_members(record, known, name);
}

SegmentRecord segment_record_of(const Json& record, const std::string& name) {
  check_record(record, name);
  require(record, {"input", "save"}, name);
  SegmentRecord run;
  run.folder = text_in(record, "folder"), run.model = text_in(record, "model");
  run.inputs = texts_in(record, "input"), run.save = texts_in(record, "save"), run.failed = texts_in(record, "failed");
  run.choice.axes = text_in(record, "axes");
  run.choice.channels = texts_in(record, "channel");
  run.choice.plane = text_in(record, "plane");
  run.choice.series = text_in(record, "series");
  run.recursive = record.value("recursive", false), run.finished = record.value("finished", true);
  for (const Json& entry : record.value("remarks", Json::array()))
    if (entry.contains("remark"))
      run.remarks[entry["image"].get<std::string>()].push_back(entry["remark"].get<std::string>());
  for (const Json& entry : record.value("dropped", Json::array())) {
    std::vector<std::string> parts;
    for (const auto& [key, reason] : {std::pair("too_small", "too small"), std::pair("too_large", "too large"),
                                      std::pair("at_edge", "at the edge")})
      if (const int64_t n = entry.value(key, int64_t(0)); n > 0) parts.push_back(fmt::format("{} {}", n, reason));
    if (!parts.empty())
      run.remarks[entry["image"].get<std::string>()].push_back("objects that the filters dropped: " + joined(parts));
  }
  return run;
}

ShardRecord shard_record_of(const Json& record, const std::string& name) {
  check_record(record, name);
  if (!record.contains("shard_of")) refuse(name, ": says that this shard has not finished");
  require(record, {"command", "shard", "save", "failed", "remarks", "scales", "dropped", "seconds", since_key}, name);
  const Json& shard = record["shard_of"];
  check_members(shard, known_of_shard, name);
  require(shard, {"images_of_all_shards", "fingerprint", "failed_inputs", "images"}, name);
  if (!record["shard"].is_string()) refuse(name, ": is damaged: its member shard is null, but it is that of a shard");
  ShardRecord own{shard["images_of_all_shards"].get<int64_t>(),
                  text_of(shard["fingerprint"]),
                  texts_in(shard, "failed_inputs"),
                  texts_in(record, "failed"),
                  {}};
  for (const Json& image : shard["images"])
    own.images.emplace_back(text_of(image[0]), text_of(image[1]));
  return own;
}

}  // namespace basin::tools

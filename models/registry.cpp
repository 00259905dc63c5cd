#include "models/registry.h"

#include <algorithm>

#include "engine/json.h"
#include "engine/text.h"
#include "models/methods/embedseg.h"
#include "models/methods/fcrnet.h"
#include "models/methods/object_guided.h"
#include "models/methods/vector_fields.h"
#include "models/methods/wnet.h"

namespace basin {
namespace {

template <class M>
std::unique_ptr<Method> make(const std::string& name, const Json& config) {
  return std::make_unique<M>(name, config);
}

std::vector<MethodEntry>& entries() {
  static std::vector<MethodEntry> all{
      {"vf-h1", "vector fields with one decoder for foreground and field: objects of any shape", make<VectorFields>,
       recognise_torchvf},
      {"vf-h2", "vector fields with separate decoders for foreground and field", make<VectorFields>},
      {"es", "EmbedSeg: pixels point to the middle of their object; for crowded objects of similar size",
       make<EmbedSeg>},
      {"wn", "W-Net: distance to the border and an embedding; objects grow from seeds", make<WNet>},
      {"fc", "FCRNet: neighbouring objects get different colours; small and fast", make<FcrNet>},
      {"og", "object-guided: boxes around objects, then a mask for each; objects have scores", make<ObjectGuided>,
       recognise_object_guided},
  };
  return all;
}

const MethodEntry& entry_of(const std::string& name) {
  for (const MethodEntry& e : entries())
    if (e.name == name) return e;
  std::string names;
  for (const MethodEntry& e : entries())
    add_to_list(names, e.name);
  refuse("method ", name, " is unknown to this version of Basin; the methods are ", names);
}

}  // namespace

const std::vector<MethodEntry>& methods() { return entries(); }

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const MethodEntry& e : entries())
    names.push_back(e.name);
  return names;
}

std::string default_method() { return entries().front().name; }

void add_method(MethodEntry entry) {
  for (const MethodEntry& e : entries())
    BASIN_CHECK(e.name != entry.name, "two methods are named ", e.name);
  entries().push_back(std::move(entry));
}

std::unique_ptr<Method> make_method(const Json& config) {
  if (!config.is_object() || !config.contains("method") || !config["method"].is_string())
    refuse("the model's settings contain no valid method");
  const std::string name = config["method"].get<std::string>();
  std::unique_ptr<Method> method = entry_of(name).make(name, config);
  method->check_settings();
  return method;
}

std::unique_ptr<Method> make_method(const std::string& name, const std::vector<Assignment>& assignments) {
  return reconfigure(entry_of(name).make(name, Json())->config(), assignments);
}

std::unique_ptr<Method> reconfigure(const Json& config, const std::vector<Assignment>& assignments) {
  const std::unique_ptr<Method> method = make_method(config);
  for (const Assignment& a : assignments)
    method->settings().set(a, {Setting::Use::network, Setting::Use::training, Setting::Use::decoding});
  return make_method(method->config());
}

}  // namespace basin

#include "models/training/conv_algorithms_json.h"

#include <algorithm>
#include <concepts>
#include <iterator>

#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

using namespace kernels;

constexpr const char* passes[] = {"forward", "backward_data", "backward_weight"};

/// Calls f(name, part) for each part of a geometry in the order of the file, until f returns false.
template <class Geometry, class F>
bool for_each_part(Geometry& g, const F& f) {
  return f("kernel_h", g.kernel_h) && f("kernel_w", g.kernel_w) && f("stride", g.stride) && f("dilation", g.dilation) &&
         f("top", g.top) && f("left", g.left) && f("bottom", g.bottom) && f("right", g.right);
}
/// The same for an algorithm choice; g handles the parts of its geometry.
template <class Key, class Choice, class F, class G>
bool for_each_part(Key& key, Choice& choice, const F& f, const G& geometry) {
  auto& p = key.problem;
  return f("pass", p.pass) && f("n", p.n) && f("in", p.in) && f("out", p.out) && f("h", p.h) && f("w", p.w) &&
         geometry(p.geometry) && f("nhwc", p.nhwc) && f("bf16", p.bf16) && f("tf32", key.tf32) &&
         f("deterministic", key.deterministic) && f("algorithm", choice.algorithm) && f("math", choice.math) &&
         f("workspace", choice.workspace) && f("cudnn", choice.cudnn);
}

Json json_of(ConvPass pass) { return passes[int(pass)]; }
template <class T>
Json json_of(T part) {
  return part;
}

/// Returns false if `from` has the wrong form.
bool read(const Json& from, ConvPass& pass) {
  const auto at = std::find(std::begin(passes), std::end(passes), from);
  pass = ConvPass(at - std::begin(passes));
  return at != std::end(passes);
}
bool read(const Json& from, bool& flag) {
  if (!from.is_boolean()) return false;
  flag = from.get<bool>();
  return true;
}
/// Numbers are not negative.
template <std::integral Number>
bool read(const Json& from, Number& number) {
  if (!from.is_number_integer()) return false;
  const int64_t wide = from.get<int64_t>();
  number = Number(wide);
  return wide >= 0 && wide == number;
}

}  // namespace

Json to_json(const ConvAlgorithms& choices) {
  Json all = Json::array();
  for (const auto& [key, choice] : choices) {
    Json one;
    const auto write = [&](const char* name, const auto& part) {
      one[name] = json_of(part);
      return true;
    };
    for_each_part(key, choice, write, [&](const ConvGeometry& g) { return for_each_part(g, write); });
    all.push_back(one);
  }
  return all;
}

ConvAlgorithms conv_algorithms_from(const Json& json, const std::string& file) {
  ConvAlgorithms choices;
  bool good = json.is_array();
  for (size_t i = 0; good && i < json.size(); ++i) {
    ConvKey key{};
    ConvAlgorithm choice{};
    const auto get = [&](const char* name, auto& part) { return json[i].contains(name) && read(json[i][name], part); };
    good = for_each_part(key, choice, get, [&](ConvGeometry& g) {
      int kernel = 0;
      if (!get("kernel", kernel)) return for_each_part(g, get) && g.is_valid() && g.is_symmetric();
      g = ConvGeometry::same(kernel, kernel);
      return kernel % 2 == 1;
    });
    good = good && choices.emplace(key, choice).second;
  }
  if (!good) refuse(file, " is damaged: its list of cuDNN algorithms cannot be parsed");
  return choices;
}

}  // namespace basin

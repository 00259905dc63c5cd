#include "models/settings.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "engine/json.h"
#include "engine/text.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

const Json no_value = Json(Json::value_t::discarded);

/// The number that the whole text represents.
Json parse_number(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !std::isfinite(value)) return no_value;
  return value;
}

Json parse_numbers(const std::string& text) {
  Json all = Json::array();
  for (size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    const Json value = parse_number(text.substr(begin, end - begin));
    if (value.is_discarded()) return no_value;
    all.push_back(value);
  }
  return all;
}

template <class... A>
std::string phrase(const A&... parts) {
  std::ostringstream s;
  (s << ... << parts);
  return s.str();
}

bool is_whole(double value) { return value == std::floor(value); }

}  // namespace

Setting& Settings::add(Setting setting) {
  for (const Setting& s : all_)
    BASIN_CHECK(s.key != setting.key, "two settings are named ", s.key);
  all_.push_back(std::move(setting));
  return all_.back();
}

Setting& Settings::number(Use use, const std::string& key, double& value, double low, double high,
                          const std::string& help) {
  return add({use, key, help, phrase(low, " to ", high), [&value] { return Json(value); },
              [&value, low, high](const Json& j) {
                if (!j.is_number() || !(j.get<double>() >= low && j.get<double>() <= high)) return false;
                value = j.get<double>();
                return true;
              },
              parse_number});
}

Setting& Settings::integer(Use use, const std::string& key, int& value, int low, int high, const std::string& help) {
  return add({use, key, help, phrase(low, " to ", high), [&value] { return Json(value); },
              [&value, low, high](const Json& j) {
                if (!j.is_number()) return false;
                const double number = j.get<double>();
                if (!(number >= low && number <= high) || !is_whole(number)) return false;
                value = int(number);
                return true;
              },
              parse_number});
}

Setting& Settings::seed(Use use, const std::string& key, uint64_t& value, const std::string& help) {
  return add({use, key, help, "a whole number", [&value] { return Json(value); },
              [&value](const Json& j) {
                if (!j.is_number_unsigned() && !(j.is_number_integer() && j.get<int64_t>() >= 0)) return false;
                value = j.get<uint64_t>();
                return true;
              },
              [](const std::string& text) { return parse_json(text); }});
}

Setting& Settings::flag(Use use, const std::string& key, bool& value, const std::string& help) {
  return add({use, key, help, "true or false", [&value] { return Json(value); },
              [&value](const Json& j) {
                if (!j.is_boolean()) return false;
                value = j.get<bool>();
                return true;
              },
              [](const std::string& text) { return parse_json(text); }});
}

Setting& Settings::numbers(Use use, const std::string& key, double* values, size_t count, const std::string& help) {
  Setting& setting = add({use, key, help, phrase(count, " numbers of 0 or more, separated by commas"),
                          [values, count] { return Json(std::vector<double>(values, values + count)); },
                          [values, count](const Json& j) {
                            if (!j.is_array() || j.size() != count) return false;
                            for (const Json& each : j)
                              if (!each.is_number() || !(each.get<double>() >= 0)) return false;
                            for (size_t k = 0; k < count; ++k)
                              values[k] = j[k].get<double>();
                            return true;
                          },
                          parse_numbers});
  setting.has_commas = count > 1;
  return setting;
}

Setting& Settings::choice(Use use, const std::string& key, const std::vector<std::string>& names,
                          const std::function<size_t()>& get, const std::function<void(size_t)>& put,
                          const std::string& help) {
  std::string range;
  for (size_t k = 0; k < names.size(); ++k)
    range += (k == 0 ? "" : k + 1 < names.size() ? ", " : " or ") + names[k];
  Setting& setting = add({use, key, help, range, [names, get] { return Json(names[get()]); },
                          [names, put](const Json& j) {
                            for (size_t k = 0; k < names.size(); ++k)
                              if (j == names[k]) {
                                put(k);
                                return true;
                              }
                            return false;
                          },
                          [](const std::string& text) { return Json(text); }});
  setting.words = names;
  return setting;
}

bool Settings::has(const std::string& key) const {
  return std::any_of(all_.begin(), all_.end(), [&](const Setting& s) { return s.key == key; });
}

const Setting& Settings::find(const std::string& key, const std::string& origin) const {
  std::string keys;
  for (const Setting& s : all_) {
    if (s.key == key) return s;
    add_to_list(keys, s.key);
  }
  refuse(origin.empty() ? "--set " + key : origin, ": this method has no setting \"", key, "\"; its settings are ",
         keys);
}

void Settings::set(const Assignment& assignment, std::initializer_list<Use> uses) {
  const Setting& setting = find(assignment.key);
  if (std::find(uses.begin(), uses.end(), setting.use) == uses.end())
    refuse(assignment.origin, ": this setting is fixed when a model is trained and cannot be changed afterwards",
           setting.option == "--norm" ? "; --norm gives another normalisation" : "");
  const Json value = setting.parse(assignment.text);
  if (value.is_discarded() || !setting.assign(value)) refuse(assignment.origin, ": expected ", setting.range);
}

void Settings::write(Json& config) const {
  for (const Setting& s : all_)
    if (s.use != Use::decoding && (s.unwritten.empty() || s.text_of(s.value()) != s.unwritten))
      config[s.key] = s.value();
  config["decoding"] = decoding();
}

Json Settings::decoding() const {
  Json all = Json::object();
  for (const Setting& s : all_)
    if (s.use == Use::decoding) all[s.key] = s.value();
  return all;
}

void Settings::read(const Json& config) {
  if (!config.is_object()) refuse("the model's settings cannot be parsed");
  for (const Setting& s : all_) {
    const Json* values = &config;
    if (s.use == Use::decoding) {
      if (!config.contains("decoding") || !config["decoding"].is_object())
        refuse("the model's settings contain no valid decoding");
      values = &config["decoding"];
    }
    if (!values->contains(s.key)) {
      if (s.optional || !s.unwritten.empty()) continue;
      refuse("the model's settings contain no valid ", s.key);
    }
    const Json& value = (*values)[s.key];
    if (!s.assign(value)) refuse("the model's setting ", s.key, " is ", text_of_value(value), "; expected ", s.range);
  }
}

void Settings::set_decoding(const Json& decoding) {
  for (const auto& [key, value] : decoding.items()) {
    const Setting& setting = find(key);
    BASIN_CHECK(setting.use == Use::decoding && setting.assign(value), "decoding ", key, " of ", text_of_value(value));
  }
}

std::string Setting::text_of(const Json& value) const { return text ? text(value) : text_of_value(value); }

std::string text_of_value(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return to_text(value);
  std::string all;
  for (const Json& each : value) {
    if (!all.empty()) all += ',';
    all += text_of_value(each);
  }
  return all;
}

Assignment parse_assignment(const std::string& text) {
  const size_t at = text.find('=');
  if (at == std::string::npos || at == 0) refuse("--set ", text, ": expected KEY=VALUE");
  return {text.substr(0, at), text.substr(at + 1), phrase("--set ", text)};
}

}  // namespace basin

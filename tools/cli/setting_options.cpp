#include "tools/cli/setting_options.h"

#include <algorithm>
#include <map>
#include <set>

#include "kernels/runtime/platform.h"
#include "models/registry.h"

namespace basin::tools {
namespace {

/// Calls f(setting) for every setting of every method.
template <class F>
void for_each_setting(const F& f) {
  for (const MethodEntry& entry : methods()) {
    const std::unique_ptr<Method> method = make_method(entry.name, {});
    for (const Setting& s : method->settings().all())
      f(s);
  }
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
  }
  return parts;
}

}  // namespace

void SettingOptions::add_to(Command& command, std::vector<Setting::Use> uses, const std::string& instead) {
  uses_ = std::move(uses);
  std::map<std::string, Setting> shown;
  for_each_setting([&](const Setting& s) {
    if (s.option.empty() || std::find(uses_.begin(), uses_.end(), s.use) == uses_.end()) return;
    const auto at = std::find_if(values_.begin(), values_.end(), [&](const Value& v) { return v.option == s.option; });
    Value& value = at != values_.end() ? *at : values_.emplace_back(Value{s.option, {}, {}});
    if (std::find(value.keys.begin(), value.keys.end(), s.key) == value.keys.end()) value.keys.push_back(s.key);
    shown.emplace(s.option, s);
  });
  for (Value& value : values_) {
    const Setting& s = shown.at(value.option);
    Option option = command.add(value.option, value.text, s.help + ": " + s.range + "; default: " + instead);
    if (!s.bare.empty()) option.alone(s.bare, s.words);
  }
  command.add("--set", assignments_, "KEY=VALUE: set any setting of the method; `basin methods NAME` lists them")
      .repeatable();
}

std::vector<Assignment> SettingOptions::assignments(const Settings& settings, const std::string& method) const {
  std::vector<Assignment> all;
  for (const Value& value : values_) {
    if (value.text.empty()) continue;
    const auto key = std::find_if(value.keys.begin(), value.keys.end(), [&](const auto& k) { return settings.has(k); });
    if (key == value.keys.end())
      refuse(value.option, ": the method ", method, " has no setting \"", value.keys.front(), '"');
    all.push_back({*key, value.text, value.option + " " + value.text});
  }
  for (const std::string& text : assignments_) {
    const Assignment set = parse_assignment(text);
    for (const Assignment& other : all)
      if (other.key == set.key) refuse(set.origin, ": this setting is given twice, also by ", other.origin);
    all.push_back(set);
  }
  return all;
}

void SettingOptions::apply_to(Method& method) const {
  for (const Assignment& a : assignments(method.settings(), method.name()))
    method.settings().set(a, {Setting::Use::decoding});
  method.check_settings();
}

void CandidateOptions::add_to(Command& command) {
  for_each_setting([&](const Setting& s) {
    if (s.candidates_option.empty()) return;
    for (const Values& v : values_)
      if (v.option == s.candidates_option) return;
    Values& values = values_.emplace_back(Values{s.candidates_option, s.key, {}});
    std::string proposed;
    for (const std::string& text : s.candidates)
      proposed += (proposed.empty() ? "" : ",") + text;
    command.add(values.option, values.texts, s.help + ": values to try; default: " + proposed).list();
  });
  command
      .add("--try", tries_,
           "KEY=A,B,...: values of any decoding setting to try, in place of its default values; repeat it to add "
           "values; if a value itself contains commas, such as those of rescale, give one value per --try")
      .repeatable();
}

DecodingGrid CandidateOptions::grid(const Settings& settings, const std::string& method) const {
  DecodingGrid grid = proposed_grid(settings);
  const auto replace = [&](const Candidates& given) {
    for (Candidates& c : grid)
      if (c.key == given.key) {
        c = given;
        return;
      }
    grid.push_back(given);
  };
  for (const Values& v : values_) {
    if (v.texts.empty()) continue;
    if (!settings.has(v.key)) refuse(v.option, ": the method ", method, " has no setting \"", v.key, '"');
    replace({v.key, v.texts, v.option});
  }
  DecodingGrid tried;
  for (const std::string& text : tries_) {
    const size_t at = text.find('=');
    if (at == std::string::npos || at == 0) refuse("--try ", text, ": expected KEY=A,B,...");
    const Setting& setting = settings.find(text.substr(0, at), "--try " + text);
    if (setting.use != Setting::Use::decoding) refuse("--try ", text, ": not a setting of the decoding");
    for (const Values& v : values_)
      if (v.key == setting.key && !v.texts.empty())
        refuse("--try ", text, ": the values of this setting are also given by ", v.option);
    const std::string given = text.substr(at + 1);
    const std::vector<std::string> texts = setting.has_commas ? std::vector<std::string>{given} : split(given);
    const auto same = std::find_if(tried.begin(), tried.end(), [&](const auto& c) { return c.key == setting.key; });
    if (same == tried.end())
      tried.push_back({setting.key, texts});
    else
      same->texts.insert(same->texts.end(), texts.begin(), texts.end());
  }
  for (const Candidates& c : tried)
    replace(c);
  return grid;
}

}  // namespace basin::tools

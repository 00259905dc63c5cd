#pragma once
#include <deque>
#include <string>
#include <vector>

#include "models/inference/tuning.h"
#include "tools/cli/options.h"

namespace basin::tools {

/// Settings of methods on a command line: --set KEY=VALUE for all, and their own options for some.
class SettingOptions {
 public:
  /// Adds the options for all settings of all methods that have one of these uses; `instead` is their default in
  /// --help.
  void add_to(Command&, std::vector<Setting::Use> uses, const std::string& instead);
  /// The assignments that were given, for a method with these settings: first the options, then --set. An option for a
  /// setting that the method lacks is refused.
  std::vector<Assignment> assignments(const Settings&, const std::string& method) const;
  /// Applies the assignments to a method's settings.
  void apply_to(Method&) const;

 private:
  struct Value {
    std::string option, text;
    std::vector<std::string> keys;  // of the settings that this option sets, in different methods
  };
  std::vector<Setting::Use> uses_;
  std::deque<Value> values_;  // a deque, because options keep references to its elements
  std::vector<std::string> assignments_;
};

/// Lists of values to try for decoding settings, for `tune`: --try KEY=A,B,... for all, and their own options for some.
class CandidateOptions {
 public:
  void add_to(Command&);
  /// The method's own proposals, replaced by those that were given.
  DecodingGrid grid(const Settings&, const std::string& method) const;

 private:
  struct Values {
    std::string option, key;
    std::vector<std::string> texts;
  };
  std::deque<Values> values_;
  std::vector<std::string> tries_;
};

}  // namespace basin::tools

#pragma once
#include <deque>
#include <string>
#include <vector>

#include "models/inference/tuning.h"
#include "tools/cli/options.h"

namespace basin::tools {

/// The settings of methods on a command line: --set KEY=VALUE for all, and the options of those that have one.
class SettingOptions {
 public:
  /// Adds them for the settings of these uses of every method; `instead` is what --help says of the default.
  void add_to(Command&, std::vector<Setting::Use> uses, const std::string& instead);
  /// What was given, for a method with these settings: options first, --set last. An option whose setting the method
  /// lacks is refused.
  std::vector<Assignment> assignments(const Settings&, const std::string& method) const;
  /// Applies them to a method's settings.
  void apply_to(Method&) const;

 private:
  struct Value {
    std::string option, text;
    std::vector<std::string> keys;  // of the settings that it stands for, in one method or another
  };
  std::vector<Setting::Use> uses_;
  std::deque<Value> values_;  // options keep references to its elements
  std::vector<std::string> assignments_;
};

/// Lists of values for decoding settings, for `tune`: --try KEY=A,B,... for all, and options for some.
class CandidateOptions {
 public:
  void add_to(Command&);
  /// The method's own proposals, replaced by what was given.
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

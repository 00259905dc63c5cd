#pragma once
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/json_fwd.h"

namespace basin {

/// One setting of a method, published once: the model file stores it, `--set KEY=VALUE` changes it, and `tune` tries
/// values of it.
struct Setting {
  enum class Use {
    network,   // decides the network's shape: fixed once the network is made
    training,  // of targets and losses: without effect on a trained model
    decoding,  // how maps become instances: may be changed at any time
  };
  Use use;
  std::string key;
  std::string help;   // what it is, with its unit
  std::string range;  // which values it takes, as a phrase: "1 to 1024"
  std::function<Json()> value;
  std::function<bool(const Json&)> assign;            // false, and nothing changed, where the value is not in its range
  std::function<Json(const std::string&)> parse;      // what a text of the command line stands for; discarded: nothing
  bool changes_maps = false;                          // of decoding: what the network computes depends on it as well
  bool optional = false;                              // models of earlier versions lack it
  std::string option = {};                            // a command-line option that stands for it; empty: --set alone
  std::string bare = {};                              // the value of that option where it is given without one
  std::vector<std::string> candidates = {};           // what `tune` tries by default; empty: it is left alone
  std::string candidates_option = {};                 // the option of `tune` that gives others; empty: --try alone
  std::function<std::string(const Json&)> text = {};  // a value as users read and write it; empty: text_of_value()

  std::string text_of(const Json& value) const;
};

/// A value that somebody gave to a setting.
struct Assignment {
  std::string key, text;
  std::string origin;  // as it was given, for messages: "--eps 2" or "--set eps=2"
};
/// Of "KEY=VALUE"; throws one sentence for a text without '='.
Assignment parse_assignment(const std::string& text);

/// The settings of a method in the order in which its model file lists them. They refer to the method's own options,
/// which must outlive them and stay where they are.
class Settings {
 public:
  using Use = Setting::Use;

  Settings() = default;
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  /// A number, or a whole number, of [low, high].
  Setting& number(Use, const std::string& key, double& value, double low, double high, const std::string& help);
  Setting& integer(Use, const std::string& key, int& value, int low, int high, const std::string& help);
  Setting& seed(Use, const std::string& key, uint64_t& value, const std::string& help);
  Setting& flag(Use, const std::string& key, bool& value, const std::string& help);
  /// N numbers that are not negative.
  template <size_t N>
  Setting& numbers(Use use, const std::string& key, std::array<double, N>& value, const std::string& help) {
    return numbers(use, key, value.data(), N, help);
  }
  /// One of a few named values.
  template <class E, size_t N>
  Setting& choice(Use use, const std::string& key, E& value, const std::pair<E, const char*> (&names)[N],
                  const std::string& help) {
    std::vector<std::string> all;
    for (const auto& [e, name] : names)
      all.push_back(name);
    return choice(
        use, key, all,
        [&value, &names] {
          for (size_t k = 0; k < N; ++k)
            if (names[k].first == value) return k;
          return size_t(0);
        },
        [&value, &names](size_t k) { value = names[k].first; }, help);
  }
  /// A setting of any other kind.
  Setting& add(Setting);

  const std::vector<Setting>& all() const { return all_; }
  /// Throws one sentence that lists the settings there are.
  const Setting& find(const std::string& key) const;
  /// Throws one sentence for a key or a value that it does not know, and for a setting of another use than `uses`.
  void set(const Assignment&, std::initializer_list<Use> uses);

  /// {KEY: VALUE, ..., "decoding": {KEY: VALUE, ...}}, appended to an object.
  void write(Json& config) const;
  /// What write() wrote. Throws one sentence that names the setting that is missing or out of range.
  void read(const Json& config);
  /// The decoding settings alone: as written under "decoding".
  Json decoding() const;
  void set_decoding(const Json&);

 private:
  Setting& numbers(Use, const std::string& key, double* values, size_t count, const std::string& help);
  Setting& choice(Use, const std::string& key, const std::vector<std::string>& names,
                  const std::function<size_t()>& get, const std::function<void(size_t)>& put, const std::string& help);

  std::vector<Setting> all_;
};

/// A value as it is written on the command line: "0.5", "1,99.8", "none" for null.
std::string text_of_value(const Json&);

}  // namespace basin

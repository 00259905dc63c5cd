#pragma once
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/json_fwd.h"

namespace basin {

/// A setting of a method: the model file stores it, `--set KEY=VALUE` changes it, and `tune` tries values of it.
struct Setting {
  enum class Use {
    network,   // changes the network: fixed once training starts
    training,  // targets and losses, and the default normalisation: fixed once a model is trained
    decoding,  // how maps become instances: may be changed at any time
  };
  Use use;
  std::string key;
  std::string help;   // what it means, with its unit
  std::string range;  // its valid values, as a phrase: "1 to 1024"
  std::function<Json()> value;
  std::function<bool(const Json&)> assign;            // returns false and changes nothing if the value is out of range
  std::function<Json(const std::string&)> parse;      // parses a text from the command line; discarded if invalid
  bool changes_maps = false;                          // of decoding: the maps of the network depend on it too
  bool only_limits = false;                           // changes which images are accepted, but no results
  bool has_commas = false;                            // a value may be a list, so that commas do not separate values
  bool optional = false;                              // may be missing in models of earlier versions
  std::string unwritten = {};                         // the value, as a text, that is left out of model files
  std::string option = {};                            // command-line option that sets it; empty: only --set
  std::string bare = {};                              // the value of that option when it is given without one
  std::vector<std::string> words = {};                // the values that are names, such as "none"
  std::vector<std::string> candidates = {};           // values that `tune` tries by default; empty: none
  std::string candidates_option = {};                 // option of `tune` that replaces them; empty: only --try
  std::function<std::string(const Json&)> text = {};  // formats a value for users; empty: text_of_value()

  std::string text_of(const Json& value) const;
};

/// A value that a user gave to a setting.
struct Assignment {
  std::string key, text;
  std::string origin;  // as given, for messages: "--eps 2" or "--set eps=2"
};
/// Parses "KEY=VALUE"; throws one sentence if '=' is missing.
Assignment parse_assignment(const std::string& text);

/// The settings of a method in the order in which its model file lists them. They refer to the method's own options,
/// which must outlive them and must not move.
class Settings {
 public:
  using Use = Setting::Use;

  Settings() = default;
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  /// A number, or an integer, in [low, high].
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
  /// Adds a setting of any other kind.
  Setting& add(Setting);

  const std::vector<Setting>& all() const { return all_; }
  bool has(const std::string& key) const;
  /// Throws one sentence that begins with `origin`, by default "--set KEY", and lists the settings if there is none
  /// with this key.
  const Setting& find(const std::string& key, const std::string& origin = {}) const;
  /// Throws one sentence for an unknown key, an invalid value, or a setting whose use is not in `uses`.
  void set(const Assignment&, std::initializer_list<Use> uses);

  /// Appends {KEY: VALUE, ..., "decoding": {KEY: VALUE, ...}} to an object.
  void write(Json& config) const;
  /// Reads what write() wrote. Throws one sentence that names a setting that is missing or out of range.
  void read(const Json& config);
  /// Only the decoding settings, in the form written under "decoding".
  Json decoding() const;
  void set_decoding(const Json&);

 private:
  Setting& numbers(Use, const std::string& key, double* values, size_t count, const std::string& help);
  Setting& choice(Use, const std::string& key, const std::vector<std::string>& names,
                  const std::function<size_t()>& get, const std::function<void(size_t)>& put, const std::string& help);

  std::vector<Setting> all_;
};

/// A value in the form used on the command line: "0.5", "1,99.8", "none" for null.
std::string text_of_value(const Json&);

}  // namespace basin

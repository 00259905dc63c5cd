#include "tools/cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

#include "engine/json.h"
#include "engine/ranks/ranks.h"
#include "engine/text.h"
#include "kernels/runtime/platform.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

Json json_of(const std::string& value) { return value.empty() ? Json(nullptr) : Json(value); }
Json json_of(const std::filesystem::path& value) { return json_of(value.string()); }
template <class T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
template <class T>
Json json_of(const T& value) {
  return value;
}

/// Reports text that is a number for which `good` is false. Text that is not a number is reported by CLI11.
template <class F>
CLI::Validator numeric(const F& good, const std::string& name, const std::string& complaint) {
  return CLI::Validator(
      [=](std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        return end != text.c_str() && !good(value) ? text + ": " + complaint : std::string();
      },
      name);
}
const CLI::Validator finite = numeric([](double v) { return std::isfinite(v); }, "", "expected a finite number");
const CLI::Validator above_0 = numeric([](double v) { return v > 0; }, "above 0", "expected a number above 0");
const CLI::Validator not_below_0 =
    numeric([](double v) { return v >= 0; }, "0 or more", "expected a number of 0 or more");
template <class T>
constexpr bool is_real =
    std::is_same_v<T, double> || std::is_same_v<T, std::optional<double>> || std::is_same_v<T, std::vector<double>>;

template <class T>
struct Number {
  using Type = T;
};
template <class T>
struct Number<std::optional<T>> {
  using Type = T;
};
template <class T>
struct Number<std::vector<T>> {
  using Type = T;
};
template <class T>
constexpr bool is_integer = std::is_integral_v<typename Number<T>::Type>;

/// Removes leading zeros of a whole number, which CLI11 would read as octal, and refuses text that is not a whole
/// number or does not fit into T, which CLI11 would wrap or saturate.
template <class T>
const CLI::Validator whole(
    [](std::string& text) {
      const bool negative = text.starts_with('-');
      const size_t sign = negative || text.starts_with('+');
      if (text.size() == sign || text.find_first_not_of("0123456789", sign) != std::string::npos)
        return text + ": expected a whole number";
      const size_t first = std::min(text.find_first_not_of('0', sign), text.size() - 1);
      const std::string number = (negative ? "-" : "") + text.substr(first);
      T value;
      if (number != "-0" && std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc())
        return text + ": expected a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
               std::to_string(std::numeric_limits<T>::max());
      text = number == "-0" ? "0" : number;
      return std::string();
    },
    "");

/// "8 to 16384", or "1 or more" if the upper end is only what a variable holds.
template <class T>
std::string range_text(T low, T high) {
  constexpr double unlimited = 1e9;
  return double(high) >= unlimited ? fmt::format("{} or more", low) : fmt::format("{} to {}", low, high);
}

/// What is wrong with the arguments. CLI11 says of an option that was given twice "--crop: At Most 1 required but
/// received 2".
std::string complaint_of(const CLI::ParseError& e) {
  const std::string text = e.what();
  const size_t name = text.find(": At Most 1 required but received ");
  return name == std::string::npos ? text : text.substr(0, name) + ": is given more than once, but has one value";
}

/// With a capital letter, unless the first word is among `values` of options.
std::string capitalised(std::string text, const std::set<std::string>& values) {
  if (!text.empty() && !values.contains(text.substr(0, text.find_first_of(" ,:"))))
    text[0] = char(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

/// Broken between words into lines of at most `width` bytes, where words are not longer.
std::string wrapped(const std::string& text, size_t width) {
  std::string lines;
  size_t begin = 0;
  while (text.size() - begin > width) {
    size_t space = text.rfind(' ', begin + width);
    if (space == text.npos || space <= begin) space = text.find(' ', begin + width);
    if (space == text.npos) break;
    lines += text.substr(begin, space - begin) + '\n';
    begin = space + 1;
  }
  return lines + text.substr(begin);
}

/// "--save-every" as a member of run.json: "save_every".
std::string member_name(const std::string& option) {
  std::string name = option.substr(std::min(option.find_first_not_of('-'), option.size()));
  for (char& c : name)
    c = c == '-' ? '_' : char(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace

struct OptionValues {
  /// An option that may be given without a value.
  struct Alone {
    std::string value;               // its value if it is given without one
    std::vector<std::string> words;  // the values that it may be given as its next argument

    bool takes(const std::string& next) const {
      if (std::find(words.begin(), words.end(), next) != words.end()) return true;
      const auto is_list = [](const std::string& text) {
        return text.find(',') != std::string::npos && text.find_first_not_of("0123456789.,") == std::string::npos;
      };
      return is_list(value) && is_list(next);
    }
  };

  bool on_ranks = false;  // see runs_on_ranks()
  std::vector<std::pair<std::string, std::function<Json()>>> options;
  std::map<std::string, Alone> alone;
  std::map<std::string, std::vector<std::string>> choices;
  std::set<std::string> models;  // options whose value may be the name of a shipped model
  std::set<std::string> repeatable;
  std::set<std::string> outputs;  // members of run.json whose values are files that the command writes
  std::map<std::string, std::shared_ptr<OptionValues>> subcommands;

  template <class T>
  void add(const std::string& option, const T& value) {
    options.emplace_back(member_name(option), [&value] { return json_of(value); });
  }
  /// The values that options take, which are not capitalised at the beginning of a help text.
  std::set<std::string> all_choices() const {
    std::set<std::string> all;
    for (const auto& [option, values] : choices)
      all.insert(values.begin(), values.end());
    return all;
  }
  Json json() const {
    Json all = Json::object();
    for (const auto& [name, value] : options)
      all[name] = value();
    return all;
  }
};

namespace {

OptionInfo info_of(const CLI::Option& option, const OptionValues& values) {
  const std::string name = option.get_name();
  OptionInfo o{.name = name, .value = "", .help = capitalised(option.get_description(), values.all_choices())};
  o.positional = option.get_positional();
  o.required = option.get_required();
  o.repeatable = values.repeatable.contains(name);
  if (const auto choices = values.choices.find(name); choices != values.choices.end()) o.choices = choices->second;
  if (option.get_items_expected_max() > 0) {
    const std::string type = option.get_type_name();  // "INT:1 to 9"
    const size_t colon = type.find(':');
    o.value = type.substr(0, colon);
    if (colon != type.npos && o.choices.empty()) o.range = type.substr(colon + 1);
    o.fallback = option.get_default_str();
    if (o.fallback.starts_with('[') && o.fallback.ends_with(']'))  // a list
      o.fallback = o.fallback.substr(1, o.fallback.size() - 2);
  }
  for (const CLI::Option* other : option.get_excludes())
    o.excludes.push_back(other->get_name());
  std::sort(o.excludes.begin(), o.excludes.end());
  o.model = values.models.contains(name);
  return o;
}

/// The text of --help: "--batch INT   Crops per batch (1 to 64; default: 2)".
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::shared_ptr<const OptionValues> values) : values_(std::move(values)) {
    label("SUBCOMMAND", "COMMAND");
    label("Positionals", "Arguments");
  }
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    const OptionInfo o = info_of(*option, *values_);
    std::string left = make_option_name(option, is_positional), facts;
    if (is_positional && option->get_expected_max() == CLI::detail::expected_max_vector_size) left += " ...";
    if (!is_positional && !o.value.empty()) left += ' ' + o.value;
    for (const std::string& fact : facts_of(o, ""))
      facts += (facts.empty() ? " (" : "; ") + fact;
    return line(left, o.help + (facts.empty() ? "" : facts + ")"));
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return line(command->get_name(), capitalised(command->get_description(), {}));
  }
  std::string make_description(const CLI::App* command) const override {
    return capitalised(command->get_description(), {}) + ".\n";
  }

 private:
  std::string line(const std::string& left, const std::string& text) const {
    constexpr size_t columns = 100;
    std::stringstream out;
    CLI::detail::format_help(out, left, wrapped(text, columns - get_column_width()), get_column_width());
    return out.str();
  }

  std::shared_ptr<const OptionValues> values_;
};

}  // namespace

std::vector<std::string> facts_of(const OptionInfo& o, const std::string& range_label) {
  std::vector<std::string> facts;
  if (!o.choices.empty()) facts.push_back("one of: " + joined(o.choices));
  if (!o.range.empty()) facts.push_back(range_label + o.range);
  if (!o.fallback.empty()) facts.push_back("default: " + o.fallback);
  if (o.repeatable) facts.push_back("may be repeated");
  if (o.required) facts.push_back("required");
  if (!o.excludes.empty()) facts.push_back("not with " + joined(o.excludes));
  return facts;
}

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::shown() {
  option_->capture_default_str();
  return *this;
}

Option& Option::output() {
  values_->outputs.insert(member_name(option_->get_name()));
  return *this;
}

Option& Option::model() {
  values_->models.insert(option_->get_name());
  return *this;
}

Option& Option::one_of(const std::vector<std::string>& values) {
  option_->check(CLI::Validator(
      [values](const std::string& text) {
        const bool known = std::find(values.begin(), values.end(), text) != values.end();
        return known ? std::string() : text + ": expected one of " + joined(values);
      },
      ""));
  values_->choices[option_->get_name()] = values;
  return *this;
}

Option& Option::one_of(std::initializer_list<int> values) {
  std::vector<std::string> texts;
  for (const int value : values)
    texts.push_back(std::to_string(value));
  return one_of(texts);
}

Option& Option::within(int low, int high) {
  option_->check(CLI::Range(low, high, range_text(low, high)));
  return *this;
}

Option& Option::within(double low, double high) {
  option_->check(CLI::Range(low, high, range_text(low, high)));
  return *this;
}

Option& Option::matching(const std::string& pattern, const std::string& expected) {
  option_->check(CLI::Validator(
      [pattern, expected](const std::string& text) {
        const bool matches = std::regex_match(text, std::regex(pattern, std::regex::icase));
        return matches ? std::string() : text + ": expected " + expected;
      },
      ""));
  return *this;
}

Option& Option::above(double low, double high) {
  const std::string range = fmt::format("above {}, up to {}", low, high);
  option_->check(numeric([=](double v) { return v > low && v <= high; }, range, "expected a number " + range));
  return *this;
}

Option& Option::positive() {
  option_->check(above_0);
  return *this;
}

Option& Option::not_negative() {
  option_->check(not_below_0);
  return *this;
}

Option& Option::list(int count) {
  option_->delimiter(',');
  option_->type_name(count > 0 ? "A,B" + std::string(count > 2 ? ",C" : "") : "A,B,...");
  if (count > 0) option_->expected(count);
  option_->allow_extra_args(false);
  return *this;
}

Option& Option::repeatable() {
  values_->repeatable.insert(option_->get_name());
  option_->allow_extra_args(false);
  return *this;
}

Option& Option::alone(const std::string& value, const std::vector<std::string>& words) {
  option_->type_name("[TEXT]");
  values_->alone[option_->get_name()] = {value, words};
  return *this;
}

Option& Option::excludes(const Option& other) {
  option_->excludes(other.option_);
  return *this;
}

Command::Command(const std::string& name, const std::string& help, std::function<std::string()> version)
    : Command(std::make_shared<CLI::App>(help, name), std::make_shared<OptionValues>()) {
  app_->formatter(std::make_shared<HelpFormatter>(values_));
  app_->set_version_flag("--version", std::move(version), "print the version, how it was built, and its libraries");
}

Command Command::subcommand(const std::string& name, const std::string& help) {
  app_->require_subcommand(1);
  Command command(std::shared_ptr<CLI::App>(app_, app_->add_subcommand(name, help)), std::make_shared<OptionValues>());
  command.app_->group("Commands")->formatter(std::make_shared<HelpFormatter>(command.values_));
  values_->subcommands[name] = command.values_;
  return command;
}

template <class T>
Option Command::add(const std::string& name, T& value, const std::string& help) {
  values_->add(name, value);
  CLI::Option* option = app_->add_option(name, value, help);
  if constexpr (is_real<T>) option->type_name("NUMBER");
  if constexpr (is_integer<T>) option->type_name("INT");
  if constexpr (is_real<T>) option->check(finite);
  if constexpr (is_integer<T>) option->transform(whole<typename Number<T>::Type>);
  return Option(option, values_.get());
}

template Option Command::add(const std::string&, std::string&, const std::string&);
template Option Command::add(const std::string&, std::filesystem::path&, const std::string&);
template Option Command::add(const std::string&, int&, const std::string&);
template Option Command::add(const std::string&, int64_t&, const std::string&);
template Option Command::add(const std::string&, uint64_t&, const std::string&);
template Option Command::add(const std::string&, double&, const std::string&);
template Option Command::add(const std::string&, std::optional<int>&, const std::string&);
template Option Command::add(const std::string&, std::optional<double>&, const std::string&);
template Option Command::add(const std::string&, std::vector<std::string>&, const std::string&);
template Option Command::add(const std::string&, std::vector<int>&, const std::string&);
template Option Command::add(const std::string&, std::vector<double>&, const std::string&);

Option Command::flag(const std::string& name, bool& value, const std::string& help) {
  values_->add(name, value);
  return Option(app_->add_flag(name, value, help), values_.get());
}

void Command::runs_on_ranks() { values_->on_ranks = true; }

void Command::runs(std::function<void()> work) {
  app_->callback([name = app_->get_name(), values = values_, work = std::move(work)] {
    if (ranks_of_run() && !values->on_ranks)
      refuse(name, ": runs in one process, but was started as ", ranks_of_run()->count(),
             "; start it without mpirun, and share images among jobs by `segment --shard`");
    const Json settings = values->json();
    for (const std::string& output : values->outputs)
      if (const std::string file = text_of(settings[output]); !file.empty()) keep_file_of_others(name, file);
    remember_settings(name, settings);
    work();
  });
}

CommandInfo Command::info() const {
  CommandInfo info{app_->get_name(), app_->get_description(), {}, {}};
  for (const CLI::Option* option : app_->get_options())
    info.options.push_back(info_of(*option, *values_));
  for (CLI::App* sub : app_->get_subcommands(std::function<bool(CLI::App*)>())) {
    info.subcommands.push_back(
        Command(std::shared_ptr<CLI::App>(app_, sub), values_->subcommands.at(sub->get_name())).info());
  }
  return info;
}

std::string cli11_version() { return "CLI11 " CLI11_VERSION; }

int Command::parse(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  const auto command = arguments.empty() ? values_->subcommands.end() : values_->subcommands.find(arguments[0]);
  if (!arguments.empty() && !arguments[0].starts_with('-') && command == values_->subcommands.end()) {
    std::string names;
    for (const auto& [name, values] : values_->subcommands)
      add_to_list(names, name);
    refuse(arguments[0], ": no such command; the commands are ", names);
  }
  const std::string help = app_->get_name() + (command == values_->subcommands.end() ? "" : " " + arguments[0]);
  const OptionValues& values = command == values_->subcommands.end() ? *values_ : *command->second;
  for (size_t k = 0; k < arguments.size(); ++k) {
    const auto found = values.alone.find(arguments[k]);
    if (found == values.alone.end()) continue;
    const bool has_value = k + 1 < arguments.size() && found->second.takes(arguments[k + 1]);
    arguments[k] += '=' + (has_value ? arguments[k + 1] : found->second.value);
    if (has_value) arguments.erase(arguments.begin() + ptrdiff_t(k) + 1);
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app_->parse(std::move(arguments));
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app_->exit(e);  // --help and --version
    // Report a misspelt option rather than the required one that is missing because of it.
    std::string unknown;
    for (const CLI::App* app : app_->get_subcommands())
      for (const std::string& argument : app->remaining())
        unknown += (unknown.empty() ? "" : " ") + argument;
    if (!unknown.empty()) refuse(unknown, ": unknown argument (", help, " --help lists the options)");
    refuse(complaint_of(e), " (", help, " --help lists the options)");
  }
}

}  // namespace basin::tools

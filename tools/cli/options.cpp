#include "tools/cli/options.h"

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
#include <set>

#include "engine/json.h"
#include "engine/ranks.h"
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
  std::set<std::string> models;   // options whose value may be the name of a shipped model
  std::set<std::string> outputs;  // members of run.json whose values are files that the command writes
  std::map<std::string, std::shared_ptr<OptionValues>> subcommands;

  template <class T>
  void add(const std::string& option, const T& value) {
    options.emplace_back(member_name(option), [&value] { return json_of(value); });
  }
  Json json() const {
    Json all = Json::object();
    for (const auto& [name, value] : options)
      all[name] = value();
    return all;
  }
};

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
  option_->check(CLI::IsMember(values));
  values_->choices[option_->get_name()] = values;
  return *this;
}

Option& Option::one_of(std::initializer_list<int> values) {
  option_->check(CLI::IsMember(std::vector<int>(values)));
  for (const int value : values)
    values_->choices[option_->get_name()].push_back(std::to_string(value));
  return *this;
}

Option& Option::within(int low, int high) {
  option_->check(CLI::Range(low, high));
  return *this;
}

Option& Option::within(double low, double high) {
  option_->check(CLI::Range(low, high));
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
    : Command(std::make_shared<CLI::App>(help, name)) {
  app_->set_version_flag("--version", std::move(version), "print the version, how it was built, and its libraries");
}

Command::Command(std::shared_ptr<CLI::App> app) : app_(std::move(app)), values_(std::make_shared<OptionValues>()) {}

Command Command::subcommand(const std::string& name, const std::string& help) {
  app_->require_subcommand(1);
  Command command(std::shared_ptr<CLI::App>(app_, app_->add_subcommand(name, help)));
  values_->subcommands[name] = command.values_;
  return command;
}

template <class T>
Option Command::add(const std::string& name, T& value, const std::string& help) {
  values_->add(name, value);
  CLI::Option* option = app_->add_option(name, value, help);
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
  for (const CLI::Option* option : app_->get_options()) {
    const std::string name = option->get_name();
    OptionInfo o{.name = name, .value = "", .help = option->get_description()};
    o.positional = option->get_positional();
    o.required = option->get_required();
    if (option->get_items_expected_max() > 0) {
      o.value = option->get_type_name();
      o.fallback = option->get_default_str();
    }
    if (const auto choices = values_->choices.find(name); choices != values_->choices.end())
      o.choices = choices->second;
    o.model = values_->models.contains(name);
    info.options.push_back(std::move(o));
  }
  for (CLI::App* sub : app_->get_subcommands(std::function<bool(CLI::App*)>())) {
    Command command{std::shared_ptr<CLI::App>(app_, sub)};
    command.values_ = values_->subcommands.at(sub->get_name());
    info.subcommands.push_back(command.info());
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
      names += (names.empty() ? "" : ", ") + name;
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
    refuse(e.what(), " (", help, " --help lists the options)");
  }
}

}  // namespace basin::tools

#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// The command line, parsed by CLI11. Only options.cpp includes it, because it takes longer to compile than any command.

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace basin::tools {

/// The options of a command and of its subcommands.
struct OptionValues;

/// An option as --help, manual pages and completions describe it.
struct OptionInfo {
  std::string name;                        // "--out", or "IMAGE" of a positional argument
  std::string value;                       // placeholder of its value: "INT"; empty: a flag
  std::string help;                        // with a capital letter, and no full stop
  std::string range = {};                  // of its value: "1 to 9"; empty: any
  std::string fallback = {};               // the default; empty: not shown
  std::vector<std::string> choices = {};   // the values that it takes; empty: any
  std::vector<std::string> excludes = {};  // the options that it cannot be given with
  bool positional = false, required = false, repeatable = false;
  bool model = false;  // its value may be the name of a shipped model
};

/// What is known of an option besides its help: "required", "default: 3". The range is labelled by `range_label`.
std::vector<std::string> facts_of(const OptionInfo&, const std::string& range_label);

/// A command with its options and its subcommands, in the order of --help.
struct CommandInfo {
  std::string name, help;
  std::vector<OptionInfo> options;
  std::vector<CommandInfo> subcommands;
};

/// "CLI11 2.1.2".
std::string cli11_version();

/// An option of a command. Its constraints are checked when the command line is parsed.
class Option {
 public:
  Option& required();
  /// --help shows the default, which is the present value of the variable.
  Option& shown();
  Option& one_of(const std::vector<std::string>&);
  Option& one_of(std::initializer_list<int>);
  Option& within(int low, int high);
  Option& within(double low, double high);
  /// Text must match the pattern, a regular expression; `expected` describes it in words.
  Option& matching(const std::string& pattern, const std::string& expected);
  /// Above `low`, up to `high`.
  Option& above(double low, double high);
  Option& positive();
  Option& not_negative();
  /// Comma-separated values: `count` of them, or any number if 0.
  Option& list(int count = 0);
  /// May be repeated; each occurrence takes one value.
  Option& repeatable();
  /// The option may be given without a value and then has `value`. In `--name X`, X is its value if it is one of
  /// `words`, or if `value` is a list of numbers and X is one, too; otherwise X is the next argument. --name=X gives
  /// any value.
  Option& alone(const std::string& value, const std::vector<std::string>& words);
  Option& excludes(const Option&);
  /// Its value is a file that the command writes: see keep_file_of_others().
  Option& output();
  /// Its value may be the name of a shipped model, which shells then complete.
  Option& model();

 private:
  friend class Command;
  Option(CLI::Option* option, OptionValues* values) : option_(option), values_(values) {}
  CLI::Option* option_;
  OptionValues* values_;
};

/// A command or a subcommand. Copies refer to the same command.
class Command {
 public:
  /// `version` gives the text that --version prints.
  Command(const std::string& name, const std::string& help, std::function<std::string()> version);
  /// Adds a subcommand; the command line must then name one.
  Command subcommand(const std::string& name, const std::string& help);

  /// Adds an option "--name" or a positional argument "NAME". `value` must live until the command has run. T:
  /// std::string, std::filesystem::path, int, int64_t, uint64_t, double; std::optional of int or double; std::vector of
  /// std::string, int or double.
  template <class T>
  Option add(const std::string& name, T& value, const std::string& help);
  Option flag(const std::string& name, bool& value, const std::string& help);
  /// Lets several ranks run the command together. Other commands refuse to be started as several ranks.
  void runs_on_ranks();
  /// Sets what the command does. The values of its options are first remembered for run.json.
  void runs(std::function<void()>);

  CommandInfo info() const;

  /// Parses the command line and runs the command; returns the exit code. A bad command line throws one sentence;
  /// exceptions of the command pass through.
  int parse(int argc, char** argv);

 private:
  Command(std::shared_ptr<CLI::App> app, std::shared_ptr<OptionValues> values)
      : app_(std::move(app)), values_(std::move(values)) {}

  std::shared_ptr<CLI::App> app_;
  std::shared_ptr<OptionValues> values_;
};

}  // namespace basin::tools

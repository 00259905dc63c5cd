#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

// The command line by CLI11, which only options.cpp includes: the library takes longer to compile than any command.

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace basin::tools {

/// The options of a command, and those of its subcommands.
struct OptionValues;

/// An option that was added to a command. What is demanded of its value is checked when the command line is read.
class Option {
 public:
  Option& required();
  /// --help tells the default: the value that the variable has now.
  Option& shown();
  Option& one_of(const std::vector<std::string>&);
  Option& one_of(std::initializer_list<int>);
  Option& within(int low, int high);
  Option& within(double low, double high);
  Option& positive();
  Option& not_negative();
  /// Values separated by commas, as --help tells; `count` of them, or any number where it is 0.
  Option& list(int count = 0);
  /// Each occurrence takes one value.
  Option& repeatable();
  /// The option may stand without a value, and then has this one; another is given as --name=VALUE, as GNU does it, so
  /// that what follows a bare --name is an argument of its own.
  Option& alone(const std::string& value);
  Option& excludes(const Option&);

 private:
  friend class Command;
  Option(CLI::Option* option, OptionValues* values) : option_(option), values_(values) {}
  CLI::Option* option_;
  OptionValues* values_;
};

/// A command or a subcommand of it. Copies are the same command.
class Command {
 public:
  Command(const std::string& name, const std::string& help, const std::string& version);
  /// One of the subcommands is then required.
  Command subcommand(const std::string& name, const std::string& help);

  /// "--name", or "NAME" of an argument by place. `value` must live until the command ran.
  /// T: std::string, std::filesystem::path, int, int64_t, uint64_t, double; std::optional of int or double; std::vector
  /// of std::string, int or double.
  template <class T>
  Option add(const std::string& name, T& value, const std::string& help);
  Option flag(const std::string& name, bool& value, const std::string& help);
  /// What the command does. The values of its options are remembered for run.json before.
  void runs(std::function<void()>);

  /// Reads the command line and runs what it asks for; returns the exit code. Throws one sentence for what it does not
  /// understand; what the command throws passes through.
  int parse(int argc, char** argv);

 private:
  explicit Command(std::shared_ptr<CLI::App>);

  std::shared_ptr<CLI::App> app_;
  std::shared_ptr<OptionValues> values_;
};

}  // namespace basin::tools

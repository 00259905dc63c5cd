#include "tools/library/options.h"

#include "engine/text.h"
#include "tools/library/calls.h"

namespace basin::library {
namespace {

/// Throws unless `name` is among the options, apart from those that only a command line has.
void expect_option(const std::string& name, const std::vector<tools::OptionInfo>& all) {
  std::string names;
  for (const tools::OptionInfo& option : all) {
    if (!option.name.starts_with("--") || option.name == "--help" || option.name == "--version") continue;
    if (option.name == "--" + name) return;
    add_to_list(names, option.name.substr(2));
  }
  throw CallError(BASIN_ERROR_OPTION, name + ": no such option; the options are " + names);
}

}  // namespace

void read_options(const char* command, const basin_option* options, size_t count,
                  const std::function<void(tools::Command&)>& declare) {
  if (count > 0) need(options, "options");
  tools::Command parser(std::string("basin ") + command, "", [] { return std::string(); });
  declare(parser);
  const tools::CommandInfo info = parser.info();
  std::vector<std::string> arguments{"basin"};
  for (size_t k = 0; k < count; ++k) {
    need(options[k].name, "the name of an option");
    const std::string name = options[k].name;
    expect_option(name, info.options);
    arguments.push_back("--" + name + (options[k].value ? std::string("=") + options[k].value : std::string()));
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments)
    argv.push_back(argument.data());
  during(BASIN_ERROR_OPTION, [&] { parser.parse(int(argv.size()), argv.data()); });
}

}  // namespace basin::library

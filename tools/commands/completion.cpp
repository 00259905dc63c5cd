#include <cstdio>

#include "tools/cli/command.h"
#include "tools/cli/completions.h"

namespace basin::tools {

void add_completion(Command& program) {
  Command command = program.subcommand("completion", "print the completion script for a shell");
  auto shell = std::make_shared<std::string>();
  command.add("SHELL", *shell, "bash or zsh").one_of({"bash", "zsh"}).required();
  command.runs([shell, program] {
    const CommandInfo info = program.info();
    std::fputs((*shell == "bash" ? bash_completion(info) : zsh_completion(info)).c_str(), stdout);
  });
}

}  // namespace basin::tools

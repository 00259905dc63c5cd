#include <algorithm>
#include <cstdio>

#include "engine/files.h"
#include "tools/cli/command.h"
#include "tools/cli/manual_pages.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  std::string command, out;
};

constexpr const char* version = "basin " BASIN_VERSION;

void write_all(const CommandInfo& program, const fs::path& folder) {
  make_folder(folder);
  write_atomically(folder / (program.name + ".1"), manual_page(program, version));
  for (const CommandInfo& command : program.subcommands)
    write_atomically(folder / (program.name + "-" + command.name + ".1"), manual_page(program, command, version));
}

void run(const Options& o, const CommandInfo& program) {
  if (!o.out.empty()) return write_all(program, o.out);
  const auto chosen = std::find_if(program.subcommands.begin(), program.subcommands.end(),
                                   [&](const CommandInfo& command) { return command.name == o.command; });
  if (!o.command.empty() && chosen == program.subcommands.end()) refuse(o.command, ": no such command");
  std::fputs((o.command.empty() ? manual_page(program, version) : manual_page(program, *chosen, version)).c_str(),
             stdout);
}

}  // namespace

void add_manual(Command& program) {
  Command command = program.subcommand("manual", "print a manual page: basin manual train | man -l -");
  auto o = std::make_shared<Options>();
  const Option name = command.add("COMMAND", o->command, "the command to be described; default: the whole program");
  command.add("--out", o->out, "folder into which the pages of all commands are written instead").excludes(name);
  command.runs([o, program] { run(*o, program.info()); });
}

}  // namespace basin::tools

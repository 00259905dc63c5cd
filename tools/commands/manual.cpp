#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "engine/files.h"
#include "tools/cli/command.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

/// Text in troff; `words in backquotes` become bold.
std::string troff(const std::string& text) {
  std::string out;
  bool bold = false;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '`')
      out += (bold = !bold) ? "\\fB" : "\\fR";
    else
      out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? fmt::format("\\&{}", out) : out;
}

std::string upper(std::string text) {
  for (char& c : text)
    c = char(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

/// With a capital letter, unless it begins with a name such as .npy, and a full stop.
std::string sentence(std::string text) {
  if (!text.empty()) text[0] = char(std::toupper(static_cast<unsigned char>(text[0])));
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

std::string bold(const std::string& text) { return fmt::format("\\fB{}\\fR", troff(text)); }
std::string italic(const std::string& text) { return fmt::format("\\fI{}\\fR", troff(text)); }

std::string heading(const std::string& name, const std::string& help, const std::string& version) {
  return fmt::format(".TH {} 1 \"\" \"{}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n", upper(troff(name)),
                     troff(version), troff(name), troff(help));
}

std::string entry(const OptionInfo& o) {
  std::string text = fmt::format(".TP\n{}", o.positional ? italic(o.name) : bold(o.name));
  if (!o.positional && !o.value.empty())
    text += fmt::format("{}{}", o.value.starts_with('[') ? "" : " ", italic(o.value));
  text += '\n' + troff(o.help + '.') + '\n';
  for (const std::string& fact : facts_of(o, "range: "))
    text += troff(sentence(fact)) + '\n';
  return text;
}

std::string options_section(const CommandInfo& command) {
  std::string text = ".SH OPTIONS\n";
  for (const bool positional : {true, false})
    for (const OptionInfo& o : command.options)
      if (o.positional == positional) text += entry(o);
  return text;
}

/// The manual page of the program (troff, section 1), with the list of its commands.
std::string manual_page(const CommandInfo& program, const std::string& version) {
  std::string text = heading(program.name, program.help, version);
  text +=
      fmt::format(".SH SYNOPSIS\n{} {} [{}]\n.SH COMMANDS\n", bold(program.name), italic("COMMAND"), italic("OPTIONS"));
  for (const CommandInfo& command : program.subcommands)
    text += fmt::format(".TP\n{}(1)\n{}\n", bold(fmt::format("{}-{}", program.name, command.name)),
                        troff(sentence(command.help)));
  text += options_section(program);
  text +=
      ".SH ENVIRONMENT\n.TP\n\\fBBASIN_MODELS\\fR\nFolders of models that are found by name, separated by colons.\n";
  text += ".SH EXIT STATUS\n0 on full success, otherwise 1.\n";
  return text;
}

/// The manual page of one of its commands: PROGRAM-COMMAND(1).
std::string manual_page(const CommandInfo& program, const CommandInfo& command, const std::string& version) {
  std::string text = heading(fmt::format("{}-{}", program.name, command.name), command.help, version);
  text += fmt::format(".SH SYNOPSIS\n{}", bold(fmt::format("{} {}", program.name, command.name)));
  for (const OptionInfo& o : command.options)
    if (o.positional) text += o.required ? fmt::format(" {}", italic(o.name)) : fmt::format(" [{}]", italic(o.name));
  for (const OptionInfo& o : command.options)
    if (!o.positional && o.required) text += fmt::format(" {} {}", bold(o.name), italic(o.value));
  text += fmt::format(" [{}]\n", italic("OPTIONS")) + options_section(command);
  text += fmt::format(".SH SEE ALSO\n{}(1)\n", bold(program.name));
  return text;
}

struct ManualArguments {
  std::string command, out;
};

constexpr const char* version = "basin " BASIN_VERSION;

void write_all(const CommandInfo& program, const fs::path& folder) {
  make_folder(folder);
  write_atomically(folder / (program.name + ".1"), manual_page(program, version));
  for (const CommandInfo& command : program.subcommands)
    write_atomically(folder / (program.name + "-" + command.name + ".1"), manual_page(program, command, version));
}

void run(const ManualArguments& o, const CommandInfo& program) {
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
  auto o = std::make_shared<ManualArguments>();
  const Option name = command.add("COMMAND", o->command, "the command to be described; default: the whole program");
  command.add("--out", o->out, "folder into which the pages of all commands are written instead").excludes(name);
  command.runs([o, &program] { run(*o, program.info()); });
}

}  // namespace basin::tools

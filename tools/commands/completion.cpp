#include <fmt/format.h>

#include <cstdio>

#include "engine/text.h"
#include "tools/cli/command.h"

namespace basin::tools {
namespace {

/// The text in single quotes of a shell.
std::string quoted(const std::string& text) {
  std::string out(1, '\'');
  for (const char c : text)
    c == '\'' ? out += "'\\''" : out += c;
  return out += '\'';
}

/// With a backslash before each of these characters.
std::string escaped(const std::string& text, const std::string& characters) {
  std::string out;
  for (const char c : text) {
    if (characters.find(c) != std::string::npos) out += '\\';
    out += c;
  }
  return out;
}

/// Prints the names of the shipped models, from the output of `basin models`, in which they begin a line.
constexpr const char* list_models = "models 2>/dev/null | sed -n 's/^\\([^ ][^ ]*\\) .*/\\1/p'";

std::string bash_command(const CommandInfo& command) {
  std::vector<std::string> options;
  std::string cases, files, positional = ":";
  for (const OptionInfo& o : command.options) {
    std::string reply;
    if (!o.choices.empty())
      reply = fmt::format("words={}; files=no", quoted(joined(o.choices, " ")));
    else if (o.model)
      reply = fmt::format("words=$(\"${{COMP_WORDS[0]}}\" {})", list_models);
    if (o.positional) {
      if (!reply.empty()) positional = reply;
      continue;
    }
    options.push_back(o.name);
    if (!reply.empty())
      cases += fmt::format("        {}) {} ;;\n", o.name, reply);
    else if (!o.value.empty())
      files += (files.empty() ? "" : "|") + o.name;
  }
  if (!files.empty()) cases += fmt::format("        {}) ;;\n", files);
  return fmt::format(
      "    {})\n"
      "      case $previous in\n"
      "{}"
      "        *)\n"
      "          if [[ $current == -* ]]; then words={}; files=no\n"
      "          else {}\n"
      "          fi ;;\n"
      "      esac ;;\n",
      command.name, cases, quoted(joined(options, " ")), positional);
}

/// The item of an option for _arguments of zsh.
std::string zsh_item(const OptionInfo& o) {
  std::string action = o.model ? "_basin_models" : "_files";
  if (!o.choices.empty()) action = fmt::format("({})", joined(o.choices, " "));
  if (o.positional) return quoted(fmt::format("*:{}:{}", escaped(o.name, ":[]"), action));
  const std::string help = escaped(o.help, "[]");
  return quoted(o.value.empty() ? fmt::format("{}[{}]", o.name, help)
                                : fmt::format("{}=[{}]:value:{}", o.name, help, action));
}

/// A script for bash that completes the commands of the program, their options, and the values of options that have a
/// list of choices or take the name of a shipped model; file names otherwise. Needs no other package.
std::string bash_completion(const CommandInfo& program) {
  std::vector<std::string> names;
  for (const CommandInfo& command : program.subcommands)
    names.push_back(command.name);
  for (const OptionInfo& o : program.options)
    names.push_back(o.name);
  std::string text = "# Completion of " + program.name + " for bash, printed by `" + program.name +
                     " completion bash`.\n_" + program.name +
                     "() {\n"
                     "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words= files=yes\n"
                     "  # In --name=VALUE bash makes the = a word.\n"
                     "  if [[ $current == = ]]; then\n"
                     "    current=\n"
                     "  elif [[ $previous == = ]]; then\n"
                     "    previous=${COMP_WORDS[COMP_CWORD-2]}\n"
                     "  fi\n"
                     "  if [[ $COMP_CWORD == 1 ]]; then\n"
                     "    COMPREPLY=($(compgen -W " +
                     quoted(joined(names, " ")) +
                     " -- \"$current\"))\n"
                     "    return\n"
                     "  fi\n"
                     "  case ${COMP_WORDS[1]} in\n";
  for (const CommandInfo& command : program.subcommands)
    text += bash_command(command);
  return text +
         "  esac\n"
         "  local IFS=$' \\t\\n'\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  if [[ $files == yes ]]; then\n"
         "    local IFS=$'\\n'\n"
         "    COMPREPLY+=($(compgen -f -- \"$current\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _" +
         program.name + " " + program.name + "\n";
}

/// The same for zsh: a file to be put into a folder of $fpath as _PROGRAM.
std::string zsh_completion(const CommandInfo& program) {
  std::string text = "#compdef " + program.name + "\n# Completion of " + program.name + " for zsh, printed by `" +
                     program.name +
                     " completion zsh`.\n"
                     "_basin_models() {\n"
                     "  local -a names\n"
                     "  names=(${(f)\"$($basin_program " +
                     list_models +
                     ")\"})\n"
                     "  compadd -a names\n"
                     "  _files\n"
                     "}\n"
                     "_" +
                     program.name +
                     "() {\n"
                     "  local basin_program=$words[1]\n"
                     "  local -a commands\n"
                     "  commands=(\n";
  for (const CommandInfo& command : program.subcommands)
    text += fmt::format("    {}\n", quoted(fmt::format("{}:{}", command.name, escaped(command.help, ":"))));
  text += "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    _arguments";
  for (const OptionInfo& o : program.options)
    text += fmt::format(" {}", zsh_item(o));
  text += "\n    return\n  fi\n  shift words\n  (( CURRENT-- ))\n  case $words[1] in\n";
  for (const CommandInfo& command : program.subcommands) {
    text += "    " + command.name + ")\n      _arguments";
    bool positional = false;
    for (const OptionInfo& o : command.options) {
      positional = positional || o.positional;
      text += fmt::format(" \\\n        {}", zsh_item(o));
    }
    text += std::string(positional ? "" : " \\\n        '*:file:_files'") + " ;;\n";
  }
  return text + "  esac\n}\n_" + program.name + " \"$@\"\n";
}

}  // namespace

void add_completion(Command& program) {
  Command command = program.subcommand("completion", "print the completion script for a shell");
  auto shell = std::make_shared<std::string>();
  command.add("SHELL", *shell, "bash or zsh").one_of({"bash", "zsh"}).required();
  command.runs([shell, &program] {
    const CommandInfo info = program.info();
    std::fputs((*shell == "bash" ? bash_completion(info) : zsh_completion(info)).c_str(), stdout);
  });
}

}  // namespace basin::tools

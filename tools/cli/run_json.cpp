#include "tools/cli/run_json.h"

#include "engine/files.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace {

// Of each thread, because a program that loads the library may use it in several.
std::string& command() {
  thread_local std::string line;
  return line;
}

Json& remembered() {
  thread_local Json values = Json::object();
  return values;
}

/// An argument quoted for a shell if needed.
std::string quoted(const std::string& argument) {
  if (argument.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,=+-@%") ==
          argument.npos &&
      !argument.empty())
    return argument;
  std::string out = "'";
  for (const char c : argument)
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  out += '\'';
  return out;
}

}  // namespace

void remember_command(int argc, char** argv) {
  command().clear();
  for (int i = 0; i < argc; ++i) {
    if (i) command() += ' ';
    command() += quoted(argv[i]);
  }
}

void remember_settings(const std::string& subcommand, Json values) {
  remembered() = {{"subcommand", subcommand}};
  remembered().update(values);
}

void resolve_setting(const std::string& name, Json value) {
  if (remembered().contains(name)) remembered()[name] = std::move(value);
}

Json run_record(Json settings) {
  Json run{{"command", command()}, {"folder", std::filesystem::current_path().string()}, {"version", BASIN_VERSION}};
  run.update(remembered());
  run.update(settings);
  return run;
}

void write_run_json(const std::filesystem::path& path, Json settings) {
  write_atomically(path, to_text(run_record(std::move(settings)), 2) + '\n');
}

Json read_run_json(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) return nullptr;
  try {
    Json run = parse_json(read_text(path));  // throws if the file is empty
    return run.is_object() ? run : Json(nullptr);
  } catch (const std::exception&) {
    return nullptr;
  }
}

bool made_by(const std::string& subcommand, const std::filesystem::path& path) {
  const Json run = read_run_json(path);
  return run.is_object() && run.contains("subcommand") && run["subcommand"] == subcommand;
}

bool holds_predictions(const std::filesystem::path& folder) { return made_by("segment", folder / "run.json"); }

void keep_file_of_others(const std::string& subcommand, const std::filesystem::path& file) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(file, none) || std::filesystem::file_size(file, none) == 0) return;
  const std::string record = file.string() + ".run.json";
  if (!made_by(subcommand, record))
    refuse(file.string(), ": already exists, and no ", record, " says that `basin ", subcommand,
           "` wrote it; give another output name");
}

void write_run_json_beside(const std::filesystem::path& file) {
  if (std::filesystem::is_regular_file(file)) write_run_json(file.string() + ".run.json", Json::object());
}

}  // namespace basin::tools

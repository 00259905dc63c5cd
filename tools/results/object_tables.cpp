#include "tools/results/object_tables.h"

#include <cstddef>
#include <map>

#include "data/files/csv.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

fs::path table_of(const fs::path& folder, const std::string& stem) { return folder / (stem + table_suffix); }

/// The lines of a table, of which the first names its columns. Throws if there is none.
std::vector<std::string> lines_of(const fs::path& table) {
  std::vector<std::string> lines = csv_lines(table);
  if (lines.empty()) refuse(table.string(), ": is empty");
  return lines;
}

/// The columns of the joined table, and for each heading that occurs where its columns are.
class Columns {
 public:
  void add(const std::string& heading) {
    const auto [at, is_new] = places_.try_emplace(heading);
    if (!is_new) return;
    for (const std::string& name : split_csv(heading, "table")) {
      const auto [column, is_new_column] = numbers_.try_emplace(name, names_.size());
      if (is_new_column) names_.push_back(name);
      at->second.push_back(column->second);
    }
  }
  const std::vector<std::string>& names() const { return names_; }

  /// The cells of a row under this heading as a row of the joined table.
  std::string placed(const std::string& heading, const std::string& row, const std::string& where) const {
    const std::vector<size_t>& places = places_.at(heading);
    const std::vector<std::string> cells = split_csv(row, where);
    if (cells.size() != places.size())
      refuse(where, ": has ", cells.size(), " fields, but ", places.size(), " columns");
    std::vector<std::string> all(names_.size());
    for (size_t i = 0; i < cells.size(); ++i)
      all[places[i]] = csv_field(cells[i]);
    std::string text;
    for (size_t i = 0; i < all.size(); ++i)
      text += (i ? "," : "") + all[i];
    return text;
  }
  /// Whether rows under this heading need no change.
  bool is_whole(const std::string& heading) const {
    const std::vector<size_t>& places = places_.at(heading);
    for (size_t i = 0; i < places.size(); ++i)
      if (places[i] != i) return false;
    return places.size() == names_.size();
  }

 private:
  std::map<std::string, std::vector<size_t>> places_;
  std::map<std::string, size_t> numbers_;
  std::vector<std::string> names_;
};

}  // namespace

void join_object_tables(const fs::path& folder, const std::vector<std::string>& stems, const fs::path& joined) {
  Columns columns;
  for (const std::string& stem : stems)
    columns.add(lines_of(table_of(folder, stem)).front());
  OutputFile file(joined);
  std::string text = "image";
  for (const std::string& name : columns.names())
    text += ',' + csv_field(name);
  text += '\n';
  for (const std::string& stem : stems) {
    const fs::path path = table_of(folder, stem);
    const std::vector<std::string> lines = lines_of(path);
    const std::string& heading = lines.front();
    const std::string name = csv_field(stem) + ',';
    const bool whole = columns.is_whole(heading);
    for (size_t k = 1; k < lines.size(); ++k) {
      text += name;
      text += whole ? lines[k] : columns.placed(heading, lines[k], path.string());
      text += '\n';
      if (text.size() < size_t(1) << 20) continue;
      file.write(text);
      text.clear();
    }
  }
  file.write(text);
  file.commit();
}

}  // namespace basin::tools

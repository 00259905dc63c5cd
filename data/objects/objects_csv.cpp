#include "data/objects/objects_csv.h"

#include <string>

#include "data/objects/numbers.h"

namespace basin {

void ObjectsCsv::add(const ObjectTable& table) {
  std::string text;
  const size_t columns = table.names.size();
  if (!has_names_)
    for (size_t c = 0; c < columns; ++c)
      text += table.names[c], text += c + 1 < columns ? ',' : '\n';
  has_names_ = true;
  for (size_t i = 0; i < table.numbers.size(); ++i) {
    append_number(text, table.numbers[i]);
    text += (i + 1) % columns ? ',' : '\n';
    if (text.size() < size_t(1) << 20) continue;
    file_.write(text);
    text.clear();
  }
  file_.write(text);
}

void ObjectsCsv::commit() { file_.commit(); }

void write_objects_csv(const std::filesystem::path& path, const ObjectTable& table) {
  ObjectsCsv csv(path);
  csv.add(table);
  csv.commit();
}

}  // namespace basin

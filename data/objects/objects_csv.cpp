#include "data/objects/objects_csv.h"

#include <string>

#include "data/objects/numbers.h"
#include "engine/files.h"

namespace basin {

void write_objects_csv(const std::filesystem::path& path, const ObjectTable& table) {
  OutputFile file(path);
  std::string text;
  const size_t columns = table.names.size();
  for (size_t c = 0; c < columns; ++c)
    text += table.names[c], text += c + 1 < columns ? ',' : '\n';
  for (size_t i = 0; i < table.numbers.size(); ++i) {
    append_number(text, table.numbers[i]);
    text += (i + 1) % columns ? ',' : '\n';
    if (text.size() < size_t(1) << 20) continue;
    file.write(text);
    text.clear();
  }
  file.write(text);
  file.commit();
}

}  // namespace basin

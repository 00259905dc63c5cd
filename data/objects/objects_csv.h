#pragma once
#include <filesystem>

#include "data/objects/measure.h"
#include "engine/files.h"

namespace basin {

/// A file of comma-separated values: a line of names, then one line for each object. Written part by part under a
/// temporary name, and renamed by commit().
class ObjectsCsv {
 public:
  explicit ObjectsCsv(const std::filesystem::path& path) : file_(path) {}

  /// Adds objects. All tables have the same columns.
  void add(const ObjectTable&);
  void commit();

 private:
  OutputFile file_;
  bool has_names_ = false;
};

/// Writes one table to such a file.
void write_objects_csv(const std::filesystem::path&, const ObjectTable&);

}  // namespace basin

#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace basin {

/// A file of records, by which work that was interrupted is continued. A record is on the disk as a whole, or it is not
/// there: what a crash cut short is dropped when the file is opened again. Errors are one sentence with the file's
/// name.
class RecordFile {
 public:
  /// Keeps the records of an earlier run if `keep` is set and the file was begun with the same key, which is what they
  /// depend on. Otherwise it begins again.
  RecordFile(std::filesystem::path, std::string key, bool keep);

  bool kept() const { return kept_; }
  /// Those that were kept.
  const std::vector<std::vector<std::byte>>& records() const { return records_; }
  /// Begins again.
  void restart();
  /// Returns when the record is on the disk.
  void append(std::span<const std::byte> record);

 private:
  std::filesystem::path path_;
  std::string key_;
  bool kept_ = false;
  std::vector<std::vector<std::byte>> records_;
};

}  // namespace basin

#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace basin {

/// A file of records, from which interrupted work is continued. When the file is opened again, it contains only
/// complete records: one that a crash cut short is removed. Errors are one sentence with the file's name.
class RecordFile {
 public:
  /// Keeps the records of an earlier run if `keep` is set and the file has the same key, which describes everything
  /// that the records depend on. Otherwise starts an empty file.
  RecordFile(std::filesystem::path, std::string key, bool keep);

  bool kept() const { return kept_; }
  /// The records that were kept.
  const std::vector<std::vector<std::byte>>& records() const { return records_; }
  /// Starts an empty file.
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

#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace basin {

class Ranks;

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
  /// Returns when the records are on the disk.
  void append(const std::vector<std::vector<std::byte>>& records);

 private:
  std::filesystem::path path_;
  std::string key_;
  bool kept_ = false;
  std::vector<std::vector<std::byte>> records_;
};

/// The records of finished tasks, whose results are in other files, in record files of the ranks that share the tasks:
/// each appends to one of its own, STEM.0, STEM.1, ..., and knows the records that all ranks of an earlier run, however
/// many, left. All ranks construct it and restart it together.
class SharedRecords {
 public:
  /// The first arguments are those of RecordFile. Without ranks, this process is the only one. `flush` waits until all
  /// results are on the disk.
  SharedRecords(std::filesystem::path stem, std::string key, bool keep, Ranks* ranks, std::function<void()> flush);
  /// Records what is left, if that is possible.
  ~SharedRecords();
  SharedRecords(const SharedRecords&) = delete;
  SharedRecords& operator=(const SharedRecords&) = delete;

  /// The records that were kept, those of STEM.0 first.
  const std::vector<std::vector<std::byte>>& records() const { return records_; }
  /// Starts empty files.
  void restart();
  /// Records a task after its results are on the disk. Waiting for the disk takes long, so that this is done for the
  /// tasks of some seconds together.
  void append(std::vector<std::byte> record);
  /// Does so now.
  void settle();

 private:
  void open_own(bool keep);
  /// The numbered files of an earlier run.
  std::vector<std::filesystem::path> found() const;

  std::filesystem::path stem_;
  std::string key_;
  Ranks* ranks_;
  std::vector<std::vector<std::byte>> records_;
  std::optional<RecordFile> own_;
  std::function<void()> flush_;
  std::vector<std::vector<std::byte>> waiting_;
  double settled_;  // when
};

}  // namespace basin

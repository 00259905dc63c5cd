#pragma once
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace basin {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// Throws "PATH: no such file or folder"; for an address on the network, which Basin does not read, a sentence that
/// says so.
[[noreturn]] void refuse_missing(const std::filesystem::path&);

/// Opens a file for reading. Throws one sentence with its name if it is missing, a folder, unreadable or empty.
File open_file(const std::filesystem::path&);

/// Reads a whole file. Throws like open_file.
std::vector<std::byte> read_file(const std::filesystem::path&);
std::string read_text(const std::filesystem::path&);

/// A file being written: under a temporary name in the same folder until commit() renames it. Without commit() it is
/// removed, so that an incomplete file never appears under the final name. A path that is a device or a pipe
/// (/dev/stdout) is written directly. Errors are one sentence with the final name.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path&);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, size_t n);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Like write, for callbacks of C libraries: returns false instead of throwing if it fails; commit() then throws.
  bool put(const void* bytes, size_t n) noexcept;
  bool ok() const { return error_ == 0; }         // nothing has failed so far
  int descriptor() const { return descriptor_; }  // open for reading and writing
  /// Flushes to the disk, renames, flushes the folder. Do not write afterwards.
  void commit();

 private:
  [[noreturn]] void refuse_write() const;

  std::filesystem::path path_, temporary_;  // temporary_ is empty if path_ is written directly
  int descriptor_ = -1;
  int error_ = 0;  // errno of the first write that failed
};

/// An output folder, written under a temporary name beside the final one: commit() renames it and removes what was
/// there before. Without commit() it is removed. Errors are one sentence with the final name.
class OutputFolder {
 public:
  explicit OutputFolder(const std::filesystem::path&);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Writes a file "a/b/c" in the folder, flushed to the disk.
  void write(const std::string& name, std::string_view content);
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;  // of the temporary folder
};

/// OutputFile, write and commit in one call.
void write_atomically(const std::filesystem::path&, const void* bytes, size_t n);
void write_atomically(const std::filesystem::path&, std::string_view text);

/// Adds bytes at the end of a file, which is created if it is missing, and waits until they are on the disk.
void append_to_file(const std::filesystem::path&, const void* bytes, size_t n);

/// Creates an output folder if it does not exist, and removes the temporary files and folders that killed processes
/// left in it on this machine; those that a process is still writing are kept. Throws one sentence with its name if it
/// cannot be created, if it is a file, or if it is not writable.
void make_folder(const std::filesystem::path&);

/// Locks a folder, which is created if it is missing, against others that lock it too: they may be in other processes
/// or, where the file system has locks across the network, on other machines. The lock is that of a file in the folder,
/// and ends with this object, or with the process.
class FolderLock {
 public:
  static constexpr const char* lock_name = ".lock";

  explicit FolderLock(const std::filesystem::path&);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// False if another one has the lock.
  bool held() const { return held_; }

 private:
  int descriptor_ = -1;
  bool held_ = true;
};

/// A file name's extension in lower case, with its dot: ".png".
std::string lower_extension(const std::filesystem::path&);

}  // namespace basin

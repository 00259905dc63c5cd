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

/// Opens a file for reading. Throws one sentence with its name where it is missing, a folder, unreadable or empty.
File open_file(const std::filesystem::path&);

/// A whole file. Throws as open_file does.
std::vector<std::byte> read_file(const std::filesystem::path&);

/// A file in the making: written under a temporary name in the same folder, and renamed to its own by commit(). What
/// is not committed is removed, so that nobody ever sees half a file under the final name. A path that is a device or
/// a pipe (/dev/stdout) is written directly. Errors are one sentence with the final name.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path&);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, size_t n);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// As write, for use inside C libraries: false, not an exception, where it fails; commit() then throws.
  bool put(const void* bytes, size_t n) noexcept;
  bool ok() const { return error_ == 0; }         // nothing failed so far
  int descriptor() const { return descriptor_; }  // open for reading and writing
  /// Flushes to the disk, renames, flushes the folder. Nothing may be written afterwards.
  void commit();

 private:
  [[noreturn]] void refuse_write() const;

  std::filesystem::path path_, temporary_;  // temporary_ is empty where path_ is written directly
  int descriptor_ = -1;
  int error_ = 0;  // errno of the first write that failed
};

/// OutputFile, write, commit.
void write_atomically(const std::filesystem::path&, const void* bytes, size_t n);
void write_atomically(const std::filesystem::path&, std::string_view text);

/// Makes a folder for results where there is none. Throws one sentence with its name where that fails, a file has the
/// name, or nothing may be written there.
void make_folder(const std::filesystem::path&);

/// Removes what OutputFiles of killed processes left in a folder that nobody else writes to.
void remove_temporaries(const std::filesystem::path& folder);

/// A file name's extension in lower case, with its dot: ".png".
std::string lower_extension(const std::filesystem::path&);

}  // namespace basin

#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "data/files/image.h"
#include "data/files/labels.h"
#include "kernels/runtime/platform.h"
#include "tests/support/paths.h"

namespace basin::test {

/// Small files written by other programs' encoders.
inline const std::filesystem::path samples = std::filesystem::path(basin::source_dir()) / "tests/samples";

/// A folder for one test case, removed at its end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "basin-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path_ = name;
  }
  ~Folder() {
    std::error_code none;
    std::filesystem::remove_all(path_, none);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // rewriting a truncated file makes some file systems flush
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The error message of f; the test fails if f does not throw.
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  FAIL_CHECK("expected an error, but none was thrown");
  return "";
}

inline std::string image_refusal(const std::filesystem::path& path) {
  return refusal([&] { read_image(path); });
}

/// How often `part` occurs in `text`.
inline size_t occurrences(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++n;
  return n;
}
inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Labels with the given ids, compacted.
inline Labels labels_of(int height, int width, std::vector<int64_t> ids) {
  return compact(height, width, std::move(ids));
}

/// The folder of real images named by BASIN_DATASETS; empty, with a message, if it is not set.
inline std::filesystem::path datasets() {
  if (const char* folder = std::getenv("BASIN_DATASETS"); folder && std::filesystem::is_directory(folder))
    return folder;
  MESSAGE("BASIN_DATASETS names no folder: this test was not run on real images");
  return {};
}

}  // namespace basin::test

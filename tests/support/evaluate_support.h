#pragma once
// Folders of label images, and `basin evaluate` on them.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/json.h"
#include "tests/support/paths.h"
#include "tests/support/score_support.h"

namespace basin::test {

namespace fs = std::filesystem;

inline std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A new empty folder for each test case, removed at its end.
struct ScoreFolder {
  fs::path path;
  std::string truth = "truth";  // argument of --truth
  explicit ScoreFolder(const std::string& name)
      : path(fs::temp_directory_path() / ("basin_" + name + std::to_string(getpid()))) {
    fs::remove_all(path);
    fs::create_directories(path / "truth");
    fs::create_directories(path / "prediction");
  }
  ~ScoreFolder() { fs::remove_all(path); }

  /// Writes int32 [H,W] as .npy; `ids`, if given, replace 1, 2, ...
  void labels(const std::string& file, const Labels& labels, const std::vector<int32_t>& ids = {}) const {
    std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (" + std::to_string(labels.height) + ", " +
                         std::to_string(labels.width) + "), }";
    header.resize((10 + header.size()) / 64 * 64 + 64 - 10, ' ');
    header.back() = '\n';
    std::ofstream out(path / file, std::ios::binary);
    out << "\x93NUMPY" << '\1' << '\0' << char(header.size() % 256) << char(header.size() / 256) << header;
    for (const int32_t k : labels.ids) {
      const int32_t id = k > 0 && !ids.empty() ? ids[size_t(k) - 1] : k;
      out.write(reinterpret_cast<const char*>(&id), sizeof id);
    }
  }

  void text(const std::string& file, const std::string& content) const { std::ofstream(path / file) << content; }
};

struct Evaluated {
  bool good;
  std::string out, error;
};

inline Evaluated evaluate(const ScoreFolder& folder, const std::string& options = "") {
  const fs::path out = folder.path / "stdout", error = folder.path / "stderr";
  const std::string command = std::string("'") + basin::basin_command() + "' evaluate --pred '" +
                              (folder.path / "prediction").string() + "' --truth '" +
                              (folder.path / folder.truth).string() + "' " + options + " > '" + out.string() +
                              "' 2> '" + error.string() + "'";
  const bool good = std::system(command.c_str()) == 0;
  return {good, read(out), read(error)};
}

inline Json evaluate_json(const ScoreFolder& folder, const std::string& options = "") {
  const fs::path file = folder.path / "scores.json";
  const Evaluated result = evaluate(folder, options + " --json '" + file.string() + "'");
  INFO(result.error);
  REQUIRE(result.good);
  return Json::parse(read(file));
}

/// The error message of a run that must fail.
inline std::string refusal(const ScoreFolder& folder, const std::string& options = "") {
  const Evaluated result = evaluate(folder, options);
  CHECK(!result.good);
  CHECK(result.out.empty());
  return result.error;
}

inline bool mentions(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

/// Three images whose scores are known from the peers' own code; ids have gaps.
inline void write_golden(const ScoreFolder& folder) {
  folder.labels("truth/a_masks.npy", true_a, {3, 70, 1000});
  folder.labels("prediction/a_masks.npy", predicted_a, {1, 2, 3, 40});
  folder.labels("truth/b_masks.npy", square, {9});
  folder.labels("prediction/b_masks.npy", square, {65536});
  folder.labels("truth/d_masks.npy", true_d);
  folder.labels("prediction/d_masks.npy", nothing);
}

}  // namespace basin::test

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "data/image.h"
#include "data/labels.h"
#include "data/synth.h"
#include "engine/json.h"

using namespace basin;
namespace fs = std::filesystem;

namespace {

/// A folder for one test, gone with it.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("basin-synth-" + std::to_string(getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
};

/// The exit code of `basin ARGUMENTS`, its output in `log`.
int basin_command(const std::string& arguments, const fs::path& log) {
  return WEXITSTATUS(
      std::system((std::string(BASIN_COMMAND) + " " + arguments + " >" + log.string() + " 2>&1").c_str()));
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::map<std::string, std::string> pictures_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".png") files[entry.path().filename().string()] = text_of(entry.path());
  return files;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("synth: the command writes the same pairs with any number of threads and of images") {
  const Folder folder;
  const std::string options = "synth --kind nuclei --size 80 --seed 5 ";
  auto run = [&](const std::string& more, const std::string& out) {
    const fs::path log = folder.path / "log";
    REQUIRE_MESSAGE(basin_command(options + more + " --out " + (folder.path / out).string(), log) == 0, text_of(log));
    return pictures_of(folder.path / out);
  };
  const auto one = run("--count 4 --threads 1", "one");
  REQUIRE(one.size() == 8);
  CHECK(one == run("--count 4 --threads 2", "two"));
  CHECK(one == run("--count 4 --threads 7", "seven"));
  const auto few = run("--count 2", "few");
  CHECK(few.size() == 4);
  for (const auto& [name, bytes] : few)
    CHECK(one.at(name) == bytes);

  const Synthetic made = make_synthetic({SynthKind::nuclei, SynthModality::automatic, 80, 5, 1}, 3);
  CHECK(read_image(folder.path / "one/nuclei_003_img.png").pixels == made.image.pixels);
  CHECK(read_labels(folder.path / "one/nuclei_003_masks.png").ids == made.labels.ids);
  const Json json = Json::parse(text_of(folder.path / "few/run.json"));
  CHECK(json["count"] == 2);
  CHECK(json["seed"] == 5);
  CHECK(has(json["command"], "basin synth --kind nuclei"));
}

TEST_CASE("synth: the command refuses what it cannot draw") {
  const Folder folder;
  const fs::path log = folder.path / "log";
  const std::string out = " --out " + (folder.path / "out").string();
  CHECK(basin_command("synth --kind dragons" + out, log) != 0);
  CHECK(basin_command("synth --size 10" + out, log) != 0);
  CHECK(basin_command("synth --count 0" + out, log) != 0);
  CHECK(basin_command("synth --density 9" + out, log) != 0);
  CHECK(basin_command("synth", log) != 0);
  CHECK_FALSE(fs::exists(folder.path / "out"));
  std::ofstream(folder.path / "file") << "x";
  CHECK(basin_command("synth --count 1 --size 32 --out " + (folder.path / "file").string(), log) == 1);
  CHECK(has(text_of(log), (folder.path / "file").string()));
}

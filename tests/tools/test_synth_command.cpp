#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/synth/synth.h"
#include "engine/json.h"
#include "tests/support/paths.h"

using namespace basin;
namespace fs = std::filesystem;

namespace {

/// A folder for one test, removed at its end.
struct SynthFolder {
  fs::path path = fs::temp_directory_path() / ("basin-synth-" + std::to_string(getpid()));
  SynthFolder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~SynthFolder() { fs::remove_all(path); }
};

/// The exit code of `basin ARGUMENTS`, its output in `log`.
int basin_command(const std::string& arguments, const fs::path& log) {
  return WEXITSTATUS(std::system((basin::basin_command() + " " + arguments + " >" + log.string() + " 2>&1").c_str()));
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

TEST_CASE("synth: the command writes the same pairs with any number of threads and images") {
  const SynthFolder folder;
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

TEST_CASE("synth: the command writes colonies as 16-bit images") {
  const SynthFolder folder;
  const fs::path log = folder.path / "log", out = folder.path / "out";
  REQUIRE_MESSAGE(
      basin_command("synth --kind colony --modality brightfield --shape cocci --bits 12 --count 2 --size 64 "
                    "--seed 9 --out " +
                        out.string(),
                    log) == 0,
      text_of(log));
  const Synthetic made =
      make_synthetic({SynthKind::colony, SynthModality::bright_field, 64, 9, 1, 12, SynthShape::cocci}, 1);
  const Image image = read_image(out / "colony_001_img.png");
  CHECK(image.type == PixelType::u16);
  CHECK(image.pixels == made.image.pixels);
  CHECK(read_labels(out / "colony_001_masks.png").ids == made.labels.ids);
}

TEST_CASE("synth: the command requires an empty folder") {
  const SynthFolder folder;
  const std::string out = (folder.path / "used").string();
  fs::create_directories(out);
  std::ofstream(out + "/x") << 1;
  CHECK(std::system(
            (basin::basin_command() + " synth --count 1 --size 64 --out " + out + " >/dev/null 2>&1").c_str()) != 0);
  CHECK(!fs::exists(out + "/run.json"));
}

TEST_CASE("synth: labels without their image do not remain where the disk is full") {
  const Folder folder;
  const Ran ran =
      run_basin(folder, "synth --kind bacteria --count 2 --size 256 --out out", "trap '' XFSZ; ulimit -f 20;");
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.err, "_img.png"), ran.err);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "out"))
    FAIL_CHECK(entry.path().string());
}

TEST_CASE("synth: the command refuses invalid options") {
  const SynthFolder folder;
  const fs::path log = folder.path / "log";
  const std::string out = " --out " + (folder.path / "out").string();
  CHECK(basin_command("synth --kind dragons" + out, log) != 0);
  CHECK(basin_command("synth --size 10" + out, log) != 0);
  CHECK(basin_command("synth --count 0" + out, log) != 0);
  CHECK(basin_command("synth --density 9" + out, log) != 0);
  CHECK(basin_command("synth --kind colony --bits 10" + out, log) != 0);
  CHECK(basin_command("synth --kind colony --shape pears" + out, log) != 0);
  CHECK(basin_command("synth", log) != 0);
  CHECK_FALSE(fs::exists(folder.path / "out"));
  CHECK(basin_command("synth --kind nuclei --bits 16" + out, log) == 1);
  CHECK(has(text_of(log), "16 bits"));
  std::ofstream(folder.path / "file") << "x";
  CHECK(basin_command("synth --count 1 --size 32 --out " + (folder.path / "file").string(), log) == 1);
  CHECK(has(text_of(log), (folder.path / "file").string()));
}
TEST_CASE("report: the command shows images, computes scores and escapes names") {
  const SynthFolder folder;
  const fs::path log = folder.path / "log", data = folder.path / "data", page = folder.path / "page.html";
  REQUIRE(basin_command("synth --kind bacteria --count 2 --size 64 --seed 3 --out " + data.string(), log) == 0);
  const std::string nasty = "<b>&\".png";
  fs::rename(data / "bacteria_000_img.png", data / nasty);
  fs::rename(data / "bacteria_000_masks.png", data / "<b>&\"_masks.png");
  const std::string command = "report " + data.string() + " --pred " + data.string();
  REQUIRE_MESSAGE(basin_command(command + " --truth " + data.string() +
                                    " --title 'a < b' --time train=1.5 --time test=2 --out " + page.string(),
                                log) == 0,
                  text_of(log));
  const std::string html = text_of(page);
  CHECK(has(html, "<h1>a &lt; b</h1>"));
  CHECK(has(html, "<h3>&lt;b&gt;&amp;&quot;.png</h3>"));
  CHECK(has(html, "<h3>bacteria_001_img.png</h3>"));
  CHECK(has(html, "AP50 1.000"));
  CHECK(has(html, "<th scope=\"row\">0.90</th><td class=\"number\">1.000</td><td class=\"number\">1.000</td>"));
  CHECK(has(html, "<th scope=\"row\">sum</th><td class=\"number\">3.5</td>"));
  size_t pictures = 0;
  for (size_t at = 0; (at = html.find("src=\"data:image/png;base64,iVBORw0KGgo", at)) != std::string::npos; ++at)
    ++pictures;
  CHECK(pictures == 6);

  const std::string other = (folder.path / "other").string(), both = "report " + data.string() + ' ' + other +
                                                                     " --pred " + data.string() + " --pred " + other +
                                                                     " --truth " + data.string();
  REQUIRE(basin_command("synth --kind nuclei --count 1 --size 64 --seed 3 --out " + other, log) == 0);
  REQUIRE_MESSAGE(basin_command(both + " --truth " + other + " --limit 1 --out " + page.string(), log) == 0,
                  text_of(log));
  CHECK(has(text_of(page), "data: scores on 2 images"));
  CHECK(has(text_of(page), "other: scores on 1 image<"));
  CHECK(has(text_of(page), "<h3>nuclei_000_img.png</h3>"));
  CHECK_FALSE(has(text_of(page), "bacteria_001_img.png"));
  CHECK(basin_command(both + " --out " + page.string(), log) == 1);

  REQUIRE(basin_command(command + " --limit 1 --out " + page.string(), log) == 0);
  CHECK_FALSE(has(text_of(page), "bacteria_001_img.png"));
  CHECK_FALSE(has(text_of(page), "AP50"));
  CHECK(basin_command(command + " --time train --out " + page.string(), log) == 1);
  fs::remove(data / "bacteria_001_masks.png");
  CHECK(basin_command(command + " --out " + page.string(), log) == 1);
  CHECK(has(text_of(log), "bacteria_001_masks"));
}

#include "engine/json.h"
#include "models/inference/model_file.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

void put_small_image(const fs::path& path) {
  write_png(path, {16, 16, 1, PixelType::u8, std::vector<std::byte>(256, std::byte{9})});
}

Json run_json(const fs::path& folder) { return json_in(folder / "run.json"); }

}  // namespace

TEST_CASE("models: the models of the source tree are listed with their purpose") {
  const Folder folder;
  const Ran listed = run_basin(folder, "models");
  REQUIRE_MESSAGE(listed.code == 0, listed.err);
  CHECK_MESSAGE(contains(listed.out, "nuclei-fluo  vf-h1  "), listed.out);
  CHECK(contains(listed.out, "/nuclei-fluo.safetensors\n"));
  CHECK_MESSAGE(contains(listed.out, "  For nuclei in fluorescence images, grey, about 10 to 60 px across.\n"),
                listed.out);
  CHECK(listed.out.find("bacteria     vf-h1") < listed.out.find("nuclei-fluo"));
}

TEST_CASE("models: a name refers to a file in BASIN_MODELS, unless there is a file of that name") {
  const Folder folder;
  put_small_image(folder / "a.png");
  put_model(folder / "first/mine.safetensors"), put_model(folder / "second/mine.safetensors");
  put_model(folder / "second/other.safetensors");
  write_bytes(folder / "second/mine.md", "# mine\n\nFor cells of\nmine. Nothing else is said.\n\nMore.\n");
  write_bytes(folder / "first/notes.txt", "no model");
  const std::string models = "env BASIN_MODELS='" + (folder / "first").string() + ":" + (folder / "none").string() +
                             ":" + (folder / "second").string() + "'";
  const Ran listed = run_basin(folder, "models", models);
  CHECK_MESSAGE(contains(listed.out, "vf-h1  " + (folder / "first/mine.safetensors").string() + "\n"), listed.out);
  CHECK(!contains(listed.out, "second/mine"));
  CHECK(contains(listed.out, "second/other.safetensors\n"));
  CHECK(contains(listed.out, "nuclei-fluo"));
  CHECK(!contains(listed.out, "notes"));
  fs::copy_file(folder / "second/mine.md", folder / "first/mine.md");
  CHECK(contains(run_basin(folder, "models", models).out, "  For cells of mine.\n"));

  const Ran named = run_basin(folder, "segment a.png --model mine --out out --device cpu", models);
  REQUIRE_MESSAGE(named.code == 0, named.err);
  CHECK(run_json(folder / "out")["model"] == (folder / "first/mine.safetensors").string());
  CHECK(contains(run_basin(folder, "info mine", models).out, "model       vf-h1"));
  put_model(folder / "mine");
  const Ran file = run_basin(folder, "segment a.png --model mine --out out --device cpu", models);
  REQUIRE_MESSAGE(file.code == 0, file.err);
  CHECK(run_json(folder / "out")["model"] == "mine");
}

TEST_CASE("models: an unknown name is refused with a list of the names, a missing path with the path") {
  const Folder folder;
  put_small_image(folder / "a.png");
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
  };
  for (const char* command : {"segment a.png --out out", "tune --val . --out out.safetensors"})
    refused(std::string(command) + " --device cpu --model nuclei",
            "--model nuclei: there is neither a file nor a shipped model of this name; there are bacteria, "
            "cells-phase, nuclei-all, nuclei-fluo\n");
  refused("segment a.png --out out --device cpu --model ./nuclei-fluo", "./nuclei-fluo: ");
  refused("segment a.png --out out --device cpu --model nuclei-fluo.safetensors", "nuclei-fluo.safetensors: ");
  refused("info nuclei", "nuclei: ");
  refused("train --data . --out out --device cpu --finetune nuclei", "--finetune nuclei: there is neither a file nor");
  // A folder is not a model, but the folder of a training run has one.
  fs::create_directories(folder.path() / "empty");
  refused("segment a.png --out out --device cpu --model empty", "--model empty: is a folder; give a model");
  put_model(folder / "run/last.safetensors");
  for (const char* run : {"run", "run/"})
    refused(std::string("segment a.png --out out --device cpu --model ") + run,
            "is a folder; give a model in it, such as run/last.safetensors");
  put_model(folder / "run/best.safetensors");
  refused("train --data . --out out --device cpu --finetune run",
          "--finetune run: is a folder; give a model in it, such as run/best.safetensors");
  CHECK(!fs::exists(folder / "out"));
}

TEST_CASE("models: a damaged model is reported, and the others are listed") {
  const Folder folder;
  write_bytes(folder / "models/bad.safetensors", "no model at all");
  const Ran listed = run_basin(folder, "models", "env BASIN_MODELS='" + (folder / "models").string() + "'");
  CHECK(listed.code == 1);
  CHECK(contains(listed.out, "nuclei-fluo"));
  CHECK_MESSAGE(contains(listed.err, "bad.safetensors"), listed.err);
  CHECK(contains(listed.err, "1 of 5 models could not be read"));
}

TEST_CASE("models: an installation finds its models in share/basin/models, wherever it is moved") {
  const Folder folder;
  fs::copy_file(basin::basin_command(), folder / "there/bin/basin");
  const auto list = [&] {
    return std::system(("'" + (folder / "there/bin/basin").string() + "' models >'" + (folder / ".out").string() +
                        "' 2>'" + (folder / ".err").string() + "'")
                           .c_str());
  };
  CHECK(list() != 0);
  CHECK_MESSAGE(contains(read_bytes(folder / ".err"), "basin: no models were found; $BASIN_MODELS may name a folder"),
                read_bytes(folder / ".err"));
  put_model(folder / "there/share/basin/models/cells.safetensors");
  CHECK(list() == 0);
  CHECK(contains(read_bytes(folder / ".out"), "cells  vf-h1  "));
}

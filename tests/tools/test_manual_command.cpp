#include "tests/support/command_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("manual: there is a page for the program and for every command") {
  const Folder folder;
  const Ran whole = run_basin(folder, "manual"), train = run_basin(folder, "manual train");
  CHECK(whole.code == 0);
  CHECK_MESSAGE(contains(whole.out, ".TH BASIN 1"), whole.out);
  CHECK_MESSAGE(contains(whole.out, "\\fBbasin\\-train\\fR(1)\n"), whole.out);
  CHECK_MESSAGE(contains(train.out, "basin\\-train \\- train a model on labelled images\n"), train.out);
  CHECK_MESSAGE(contains(train.out, "\\fBbasin train\\fR \\fB\\-\\-data\\fR \\fITEXT\\fR"), train.out);
  CHECK_MESSAGE(contains(train.out, "Range: 8 to 16384.\n"), train.out);
  CHECK_MESSAGE(contains(train.out, "One of: images, objects.\nDefault: images.\n"), train.out);
  CHECK(contains(run_basin(folder, "manual cook").err, "cook: no such command"));
  CHECK(run_basin(folder, "manual --out pages").code == 0);
  CHECK(read_bytes(folder / "pages/basin.1") == whole.out);
  CHECK(read_bytes(folder / "pages/basin-train.1") == train.out);
  CHECK(std::filesystem::exists(folder / "pages/basin-check-data.1"));
}

TEST_CASE("completion: bash completes commands, options, choices, model names and files") {
  const Folder folder;
  write_bytes(folder / "cells.tif", "");
  write_bytes(folder / "try.sh",
              "eval \"$(\"$1\" completion bash)\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _basin; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"");
  const auto candidates = [&](const std::string& words) {
    const std::string out = (folder / "out").string();
    const std::string line = "cd '" + folder.path().string() + "' && bash try.sh '" + basin_command() + "' " + words +
                             " >'" + out + "' 2>&1";
    CHECK(std::system(line.c_str()) == 0);
    return read_bytes(out);
  };
  CHECK(candidates("tr") == "train\n");
  CHECK(contains(candidates("''"), "check-data\n"));
  CHECK(candidates("--ver") == "--version\n");
  CHECK(candidates("train --sampl") == "--sampling\n");
  CHECK(candidates("train --sampling o") == "objects\n");
  CHECK(candidates("train --sampling = im") == "images\n");
  CHECK(candidates("train --sampling =") == "images\nobjects\n");
  CHECK(candidates("segment --model nuclei-f") == "nuclei-fluo\n");
  CHECK(candidates("segment cel") == "cells.tif\n");
  CHECK(candidates("segment --out cel") == "cells.tif\n");
  CHECK(candidates("completion z") == "zsh\n");
}

TEST_CASE("version: describes the build and its libraries") {
  const Folder folder;
  const Ran ran = run_basin(folder, "--version");
  CHECK(ran.out.starts_with("basin 0."));
  CHECK_MESSAGE(contains(ran.out, "\nbuild      "), ran.out);
  CHECK_MESSAGE(contains(ran.out, "\nlibraries  oneDNN "), ran.out);
  for (const char* name : {"libtiff", "libpng", "libjpeg", "pugixml", "nlohmann-json", "CLI11", "fmt"})
    CHECK_MESSAGE(contains(ran.out, std::string(", ") + name), ran.out);
}

#include "data/files/encoders.h"
#include "data/synth/synth.h"
#include "engine/json.h"
#include "models/inference/model_file.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

const std::string bacteria = "'" + (fs::path(source_dir()) / "models/pretrained/bacteria.safetensors").string() + "'";
const std::string blocks = " --model " + bacteria + " --device cpu --tiling exact --tile 256 --scale 1 ";

/// Synthetic bacteria side by side, as a TIFF of strips.
void put_bacteria(const fs::path& path) {
  const int side = 256, across = 3, down = 2;
  std::vector<uint16_t> pixels(size_t(side) * side * across * down);
  for (int k = 0; k < across * down; ++k) {
    const Image piece = make_synthetic({.size = side, .seed = 4}, k).image;
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        const size_t from = size_t(y * side + x) * size_t(piece.channels);
        const double v = with_pixels(piece.type, [&](auto zero) { return double(piece.as<decltype(zero)>()[from]); });
        pixels[size_t(k / across * side + y) * size_t(side * across) + size_t(k % across * side + x)] = uint16_t(v);
      }
  }
  raster::write_tiff(path,
                     {side * down, side * across, 1, 16, [&](int y) { return &pixels[size_t(y) * side * across]; }});
}

}  // namespace

TEST_CASE("segment: an image that needs more than --max-memory is segmented in blocks, with the same labels") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string filters = " --min-size 60 --exclude-edges ";
  const Ran whole = run_basin(folder, "segment x.tif --out whole --save labels,zarr" + blocks + filters);
  REQUIRE_MESSAGE(whole.code == 0, whole.err);
  CHECK(!contains(whole.err, "blocks"));
  const Ran parts =
      run_basin(folder, "segment x.tif --out parts --save labels,zarr,overlay --max-memory 135M" + blocks + filters);
  REQUIRE_MESSAGE(parts.code == 0, parts.err);
  CHECK_MESSAGE(contains(parts.err, "768 x 512 pixels would need 142 MB of memory in one piece, and may use 135 MB"),
                parts.err);
  CHECK(contains(parts.err, "network 100 %"));
  CHECK(contains(parts.err, "decoding 100 %"));
  const auto found = [](const std::string& out) { return out.substr(0, out.find('\n')); };
  CHECK(found(parts.out) == found(whole.out));
  CHECK(contains(parts.out, "dropped"));
  const Labels a = read_labels(folder / "whole/x_masks.png"), b = read_labels(folder / "parts/x_masks.tif");
  CHECK(a.count > 20);
  CHECK(b.count == a.count);
  CHECK(b.ids == a.ids);
  CHECK(read_labels(folder / "parts/x_masks.ome.zarr").ids == a.ids);
  for (const std::string file : {".zattrs", "0/.zarray", "0/0/0"})
    CHECK(read_bytes((folder / "parts/x_masks.ome.zarr") / file) == read_bytes((folder / "whole/x_masks.ome.zarr") / file));
  const Image overlay = read_image(folder / "parts/x_overlay.png");
  CHECK(overlay.width == 768);
  CHECK(!fs::exists(folder / "parts/.x.blocks"));
  const Json one = Json::parse(read_bytes(folder / "whole/run.json")),
             other = Json::parse(read_bytes(folder / "parts/run.json"));
  CHECK(one["dropped"] == other["dropped"]);
  CHECK(one["remarks"] == other["remarks"]);
}

TEST_CASE("segment: an image in blocks that was killed again and again is continued, to the same bytes") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string words = "segment x.tif --save labels --max-memory 135M" + blocks;
  REQUIRE(run_basin(folder, words + "--out once").code == 0);
  int killed = 0, continued = 0;
  Ran ran{-1, "", ""};
  for (int tenths = 2; ran.code != 0 && tenths < 200; tenths += tenths / 4 + 1) {
    ran = run_basin(folder, words + "--out often --resume", "timeout -s KILL 0." + std::to_string(tenths));
    if (tenths >= 10) ran = run_basin(folder, words + "--out often --resume");
    killed += ran.code != 0;
    continued += contains(ran.err, "continues after");
  }
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK(killed > 0);
  CHECK(read_bytes(folder / "often/x_masks.tif") == read_bytes(folder / "once/x_masks.tif"));
  CHECK(!fs::exists(folder / "often/.x.blocks"));
}

TEST_CASE("segment: what cannot be done in blocks is refused in one sentence") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, "segment x.tif --out out " + words + blocks);
    CHECK(ran.code != 0);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
    CHECK(!fs::exists(folder / "out/x_masks.tif"));
  };
  refused("--max-memory 135M --save labels,npy", "--save npy needs it whole; use labels, zarr, overlay or outlines");
  refused("--max-memory 135M --tta", "--tta turns the whole image");
  refused("--max-memory 135M --fill-holes", "--fill-holes looks at whole objects");
  refused("--max-memory 135M --snap-noise majority", "--snap-noise majority looks for neighbours in the whole image");
  refused("--max-memory 50M", "50 MB are too little to segment it in blocks");
  refused("--max-memory much", "--max-memory much: expected bytes, such as 2G or 500M");
  // Scratch files of other settings.
  fs::create_directories(folder / "out/.x.blocks");
  write_bytes(folder / "out/.x.blocks/state.json", "{\"norm\": \"none\"}");
  refused("--max-memory 135M --resume", "was begun with other settings");
  CHECK(run_basin(folder, "segment x.tif --out out --max-memory 135M" + blocks).code == 0);
}

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "data/dataset/fill_holes.h"
#include "data/files/encoders.h"
#include "data/synth/synth.h"
#include "engine/files.h"
#include "engine/json.h"
#include "models/inference/model_file.h"
#include "tests/support/command_support.h"
#include "tests/support/image_support.h"
#include "tests/support/model_support.h"
#include "tests/support/support.h"
#include "tools/results/large_objects.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

const std::string bacteria = "'" + (fs::path(source_dir()) / "models/pretrained/bacteria.safetensors").string() + "'";
const std::string tiles = " --model " + bacteria + " --device cpu --tiling exact --tile 256 ";
const std::string blocks = tiles + " --scale 1 ";

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

TEST_CASE("segment: an image that another run is segmenting in blocks is refused") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string words = "segment x.tif --out out --save labels --max-memory 135M" + blocks;
  {
    const FolderLock other(folder / "out/.x.blocks");
    const Ran ran = run_basin(folder, words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(
        contains(ran.err, "x.tif: another run is segmenting it, with its intermediate results in out/.x.blocks"),
        ran.err);
    CHECK(fs::exists(folder / "out/.x.blocks"));
  }
  CHECK(run_basin(folder, words).code == 0);
  CHECK(!fs::exists(folder / "out/.x.blocks"));
}

TEST_CASE("segment: an image that needs more than --max-memory is segmented in blocks, with the same labels") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string filters = " --min-size 60 --exclude-edges ";
  const Ran whole = run_basin(folder, "segment x.tif --out whole --save labels,zarr,ome" + blocks + filters);
  REQUIRE_MESSAGE(whole.code == 0, whole.err);
  CHECK(!contains(whole.err, "blocks"));
  write_bytes(folder / "parts/x_overlay.tif", "of a stack with the same name");
  const Ran parts = run_basin(
      folder, "segment x.tif --out parts --save labels,zarr,ome,overlay --max-memory 135M" + blocks + filters);
  REQUIRE_MESSAGE(parts.code == 0, parts.err);
  CHECK_MESSAGE(contains(parts.err, "768 x 512 pixels would need 171 MB of memory in one piece, but may use 135 MB"),
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
  for (const char* name : {"parts/x_masks.ome.zarr", "parts/x_masks.ome.tif", "whole/x_masks.ome.tif"})
    CHECK(read_labels(folder / name).ids == a.ids);
  for (const std::string file : {".zattrs", "0/.zarray", "0/0/0"})
    CHECK(read_bytes((folder / "parts/x_masks.ome.zarr") / file) ==
          read_bytes((folder / "whole/x_masks.ome.zarr") / file));
  const Image overlay = read_image(folder / "parts/x_overlay.png");
  CHECK(overlay.width == 768);
  CHECK(!fs::exists(folder / "parts/x_overlay.tif"));
  CHECK(!fs::exists(folder / "parts/.x.blocks"));
  const Json one = json_in(folder / "whole/run.json"), other = json_in(folder / "parts/run.json");
  CHECK(one["dropped"] == other["dropped"]);
  CHECK(one["remarks"] == other["remarks"]);
}

TEST_CASE("segment: measurements, outlines and tables of an image in blocks have the bytes of those in one piece") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string plain = "segment x.tif --save labels,csv,table,rois,geojson" + blocks,
                    words = plain + "--min-size 20 ";
  const Ran whole = run_basin(folder, words + "--out whole"),
            parts = run_basin(folder, words + "--out parts --max-memory 135M");
  REQUIRE_MESSAGE(whole.code == 0, whole.err);
  REQUIRE_MESSAGE(parts.code == 0, parts.err);
  CHECK(contains(parts.err, "objects 100 %"));
  for (const char* file : {"x_objects.csv", "objects.csv", "x_rois.zip", "x.geojson"}) {
    CHECK(read_bytes(folder / "whole" / file).size() > 5000);
    CHECK(read_bytes(folder / "parts" / file) == read_bytes(folder / "whole" / file));
  }
  // Without any object the tables have their columns.
  const std::string none = plain + "--min-size 100000 --out none";
  REQUIRE(run_basin(folder, none).code == 0);
  const std::string columns = read_bytes(folder / "none/x_objects.csv"), empty = read_bytes(folder / "none/x.geojson");
  CHECK(contains(columns, "solidity"));
  REQUIRE(run_basin(folder, none + " --max-memory 135M").code == 0);
  CHECK(read_bytes(folder / "none/x_objects.csv") == columns);
  CHECK(read_bytes(folder / "none/x.geojson") == empty);
}

TEST_CASE(
    "segment: probability, flow, scores, maps and Cellpose's file of an image in blocks have the bytes of those in one "
    "piece") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  int number = 0;
  for (const std::string scale : {"0.7", "1"}) {
    if (sanitized && number == 1) break;
    CAPTURE(scale);
    const std::string out = std::to_string(++number);
    const std::string words = "segment x.tif --save labels,npy,probability,flow,scores,field,logit --min-size 20 " +
                              tiles + "--scale " + scale;
    const Ran whole = run_basin(folder, words + " --out whole" + out),
              parts = run_basin(folder, words + " --out parts" + out + " --max-memory 138M");
    REQUIRE_MESSAGE(whole.code == 0, whole.err);
    CHECK(!contains(whole.err, "blocks"));
    REQUIRE_MESSAGE(parts.code == 0, parts.err);
    CHECK(contains(parts.err, "so they are segmented"));
    for (const std::string file :
         {"x_seg.npy", "x_probability.png", "x_flow.png", "x_scores.csv", "x_field.npy", "x_logit.npy"}) {
      CAPTURE(file);
      const std::string want = read_bytes(folder / ("whole" + out) / file);
      CHECK(want.size() > 500);
      CHECK((read_bytes(folder / ("parts" + out) / file) == want));
    }
  }
  // The scores of an earlier run are removed, because they are not those of the new objects.
  REQUIRE(run_basin(folder, "segment x.tif --out parts1 --save labels --max-memory 138M" + blocks).code == 0);
  CHECK(!fs::exists(folder / "parts1/x_scores.csv"));
}

TEST_CASE("segment: at any scale an image in blocks has the labels of the image in one piece") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  int number = 0;
  const auto check_scale = [&](const std::string& scale, const std::string& memory, const std::string& said) {
    CAPTURE(scale);
    const std::string out = std::to_string(++number), words = "segment x.tif --save labels,csv " + tiles + scale;
    const Ran whole = run_basin(folder, words + " --out whole" + out);
    REQUIRE_MESSAGE(whole.code == 0, whole.err);
    CHECK(!contains(whole.err, "blocks"));
    const Ran parts = run_basin(folder, words + " --out parts" + out + " --max-memory " + memory);
    REQUIRE_MESSAGE(parts.code == 0, parts.err);
    CHECK_MESSAGE(contains(parts.err, "so they are segmented" + said), parts.err);
    CHECK(parts.out.substr(0, parts.out.find('\n')) == whole.out.substr(0, whole.out.find('\n')));
    const Labels a = read_labels(folder / ("whole" + out + "/x_masks.png")),
                 b = read_labels(folder / ("parts" + out + "/x_masks.tif"));
    CHECK(a.count > 10);
    CHECK(b.ids == a.ids);
    CHECK(read_bytes(folder / ("parts" + out + "/x_objects.csv")) ==
          read_bytes(folder / ("whole" + out + "/x_objects.csv")));
  };
  check_scale("--scale 0.7", "138M", " at scale 0.7, 538 x 358 pixels, in");
  if (!sanitized) check_scale("--scale 1.4", "140M", " at scale 1.4, 1075 x 717 pixels, in");
  check_scale("--diameter 20", "138M", " at scale 0.");
  check_scale("--scale auto", "138M", "");

  // A run that fails when it writes its results is continued at the same scale only.
  fs::create_directories(folder / "again/x_objects.csv/full");
  const std::string words = "segment x.tif --save labels,csv --max-memory 138M --out again" + tiles;
  CHECK(run_basin(folder, words + "--scale 0.7").code != 0);
  CHECK(!fs::exists(folder / "again/x_masks.tif"));
  fs::remove_all(folder / "again/x_objects.csv");
  const Ran other = run_basin(folder, words + "--scale 0.8 --resume");
  CHECK(other.code != 0);
  CHECK_MESSAGE(contains(other.err, "was started with different settings (scale)"), other.err);
  const Ran same = run_basin(folder, words + "--scale 0.7 --resume");
  CHECK_MESSAGE(same.code == 0, same.err);
  CHECK_MESSAGE(contains(same.err, "continues after 6 of 6 tiles"), same.err);
  CHECK(read_labels(folder / "again/x_masks.tif").ids == read_labels(folder / "parts1/x_masks.tif").ids);
}

TEST_CASE(
    "segment: objects measured in small parts have the bytes of those measured at once; a larger one is refused") {
  const Folder folder;
  const int height = 90, width = 120;
  const Image image = make_synthetic({.size = 128, .seed = 4}, 1).image;
  const auto read = [&](const PixelRect& r) { return cut(image, r); };
  const LargeImage large(read, height, width, image.channels, {}, "x", 1 << 20);
  // Disks on a grid that is a little skew, so that their boxes and rows overlap; every fourth is dropped.
  PlaneFile file(folder / "labels", 1, height, width, 4);
  std::vector<int32_t> ids(size_t(height) * width), numbers{0};
  std::vector<ObjectExtent> objects;
  for (int k = 0; k < 48; ++k) {
    const bool kept = k % 4 != 2;
    numbers.push_back(kept ? int(objects.size()) + 1 : 0);
    ObjectExtent extent;
    const int cy = 7 + k / 8 * 15 + k % 8 / 2, cx = 7 + k % 8 * 15;
    for (int y = std::max(0, cy - 7); y < std::min(height, cy + 7); ++y)
      for (int x = cx - 7; x < cx + 7; ++x)
        if ((y - cy) * (y - cy) + (x - cx) * (x - cx) < 50) ids[size_t(y * width + x)] = k + 1, extent.add(y, x);
    if (kept) objects.push_back(extent);
  }
  file.write(0, {0, 0, height, width}, ids.data(), width);
  const tools::LargeLabels labels(file, numbers, int(objects.size()));
  const auto foreground = [&](const PixelRect& r) {
    std::vector<float> values;
    for (int y = r.y; y < r.y + r.height; ++y)
      for (int x = r.x; x < r.x + r.width; ++x)
        values.push_back(float(y * 7 % 11 + x) / 200);
    return values;
  };
  const auto write = [&](const std::string& name, int64_t memory) {
    tools::ImageFiles files(folder / name);
    tools::write_large_objects(
        {"csv", "geojson", "rois", "scores"},
        {"x.tif", large, labels, objects, {height, width, 1, foreground, {}, {}}, 1 << 20, memory, {}}, files);
    files.keep();
  };
  write("at_once", 1 << 30);
  const auto lines = read_bytes(folder / "at_once_objects.csv");
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 37);
  for (const int64_t part_pixels : {220, 700, 2500}) {
    write("parts", part_pixels * 70);
    for (const std::string end : {"_objects.csv", ".geojson", "_rois.zip", "_scores.csv"})
      CHECK(read_bytes(folder / ("parts" + end)) == read_bytes(folder / ("at_once" + end)));
  }
  CHECK(contains(refusal([&] { write("none", 3000); }), "object 1 alone spans 14 x 14 pixels"));
  CHECK(!std::filesystem::exists(folder / "none_objects.csv"));
}

TEST_CASE("segment: labels that are resized in a file are those of labels that are resized in memory") {
  const Folder folder;
  Labels labels{23, 31, 23 * 31, std::vector<int32_t>(23 * 31)};
  std::iota(labels.ids.begin(), labels.ids.end(), 0);
  labels.count = 23 * 31 - 1;
  for (const auto& [height, width] : {std::pair(40, 9), {7, 55}, {11, 12}}) {
    PlaneFile from(folder / "from", 1, 23, 31, 4), to(folder / "to", 1, height, width, 4);
    from.write(0, {0, 0, 23, 31}, labels.ids.data(), 31);
    std::vector<ObjectExtent> objects = tools::resize_labels(from, 23, 31, to, height, width, labels.count);
    Dropped dropped;
    std::vector<int32_t> numbers = tools::number_kept({}, height, width, objects, dropped);
    CHECK(dropped.total() == 0);
    const Labels want = resized(labels, height, width);
    REQUIRE(int(objects.size()) == want.count);
    const tools::LargeLabels all(to, numbers, want.count);
    std::vector<int32_t> got(want.ids.size());
    all.read(1, {0, 0, height, width}, got.data());
    CHECK(got == want.ids);
    std::vector<ObjectExtent> extents(objects.size());
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        if (want(y, x) > 0) extents[size_t(want(y, x)) - 1].add(y, x);
    for (size_t k = 0; k < extents.size(); ++k)
      CHECK((objects[k].area == extents[k].area && objects[k].y0 == extents[k].y0 && objects[k].x1 == extents[k].x1));
  }
}

TEST_CASE("segment: holes in a file of labels are filled like those in memory, and count as area of their objects") {
  const Folder folder;
  // Rings in rings that share corners, open rings, rings at the edge, and objects of many pieces.
  const int height = 61, width = 83;
  Labels labels{height, width, 40, std::vector<int32_t>(size_t(height) * width)};
  const std::vector<double> u = uniform<double>(200, 0, 1, 3);
  for (int k = 1; k <= 40; ++k) {
    const double cy = u[size_t(4 * k)] * height, cx = u[size_t(4 * k + 1)] * width,
                 radius = 3 + 12 * u[size_t(4 * k + 2)];
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const double d = std::hypot(y - cy, x - cx);
        if (d < radius && d > radius - 2 && (k % 3 > 0 || x > cx - 2)) labels.ids[size_t(y * width + x)] = k;
      }
  }
  const Labels want = fill_holes(labels);
  REQUIRE(want.ids != labels.ids);
  std::vector<ObjectExtent> objects(40), filled(40);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      if (labels(y, x) > 0) objects[size_t(labels(y, x)) - 1].add(y, x);
      if (want(y, x) > 0) filled[size_t(want(y, x)) - 1].add(y, x);
    }
  PlaneFile from(folder / "from", 1, height, width, 4), file(folder / "file", 1, height, width, 4);
  from.write(0, {0, 0, height, width}, labels.ids.data(), width);
  tools::copy_labels(from, height, width, file);
  tools::fill_holes_in_file(file, objects, 1 << 20);
  std::vector<int32_t> got(want.ids.size());
  file.read(0, {0, 0, height, width}, got.data());
  CHECK(got == want.ids);
  for (size_t k = 0; k < objects.size(); ++k)
    CHECK((objects[k].area == filled[k].area && objects[k].y0 == filled[k].y0 && objects[k].x1 == filled[k].x1));
  CHECK(contains(refusal([&] { tools::fill_holes_in_file(file, objects, 5000); }), "an object spans "));
}

TEST_CASE("segment: filters with holes filled drop the same objects of an image in blocks as of one in one piece") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  // Clusters of touching bacteria, which enclose background.
  const std::string words =
      "segment x.tif --save labels,csv --min-size 60 --max-size 8000 --exclude-edges --eps 2.9 "
      "--min-samples 3 --steps 1 --snap-noise none " +
      blocks;
  const Ran whole = run_basin(folder, words + "--fill-holes --out whole"),
            open = run_basin(folder, words + "--out open"),
            parts = run_basin(folder, words + "--fill-holes --out parts --max-memory 135M");
  REQUIRE_MESSAGE(whole.code == 0, whole.err);
  REQUIRE_MESSAGE(parts.code == 0, parts.err);
  CHECK(contains(parts.err, "so they are segmented"));
  const Labels a = read_labels(folder / "whole/x_masks.png"), b = read_labels(folder / "parts/x_masks.tif");
  CHECK(a.ids != read_labels(folder / "open/x_masks.png").ids);
  CHECK(b.ids == a.ids);
  CHECK_MESSAGE(contains(whole.out, "dropped"), whole.out);
  CHECK(parts.out.substr(0, parts.out.find('\n')) == whole.out.substr(0, whole.out.find('\n')));
  CHECK(read_bytes(folder / "parts/x_objects.csv") == read_bytes(folder / "whole/x_objects.csv"));
}

TEST_CASE("segment: with all views an image in blocks has the bytes of the image in one piece") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string words = "segment x.tif --save labels,csv,field --tta --scale 0.7" + tiles + "--out ";
  fs::create_directories(folder / "whole/.x.blocks");  // an interrupted run in blocks
  const Ran whole = run_basin(folder, words + "whole"), parts = run_basin(folder, words + "parts --max-memory 138M");
  REQUIRE_MESSAGE(whole.code == 0, whole.err);
  CHECK(!fs::exists(folder / "whole/.x.blocks"));
  CHECK(!contains(whole.err, "blocks"));
  REQUIRE_MESSAGE(parts.code == 0, parts.err);
  CHECK_MESSAGE(contains(parts.err, "in 48 tiles of its eight views, of 256 x 256 pixels"), parts.err);
  CHECK(read_labels(folder / "parts/x_masks.tif").ids == read_labels(folder / "whole/x_masks.png").ids);
  for (const char* file : {"x_objects.csv", "x_field.npy"})
    CHECK((read_bytes(folder / "parts" / file) == read_bytes(folder / "whole" / file)));
}

TEST_CASE("segment: a run that was killed repeatedly continues an image in blocks, to the same bytes") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string words = "segment x.tif --save labels,csv --fill-holes --max-memory 138M --scale 0.5 --tta" + tiles;
  REQUIRE(run_basin(folder, words + "--out once").code == 0);
  int killed = 0, continued = 0;
  Ran ran{-1, "", ""};
  // The run is killed later and later, because at first it only reads the image.
  for (int tenths = 3; ran.code != 0 && tenths < 300; tenths += tenths / 2 + 1) {
    const std::string seconds = std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
    ran = run_basin(folder, words + "--out often --resume", "timeout -s KILL " + seconds);
    killed += ran.code != 0;
    continued += contains(ran.err, "continues after");
  }
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK(killed > 0);
  CHECK(continued > 0);
  for (const char* file : {"x_masks.tif", "x_objects.csv"})
    CHECK((read_bytes(folder / "often" / file) == read_bytes(folder / "once" / file)));
  CHECK(!fs::exists(folder / "often/.x.blocks"));
}

TEST_CASE("segment: decoding that was interrupted is continued only with the same settings; filters may differ") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  const std::string words =
      "segment x.tif --save labels,csv --max-memory 135M --min-samples 3 --steps 1 --snap-noise none " + blocks;
  // The first run fails when it writes its results. Its clusters have holes.
  fs::create_directories(folder / "other/x_objects.csv/full");
  REQUIRE(run_basin(folder, words + "--eps 2.9 --fill-holes --out other").code != 0);
  fs::remove_all(folder / "other/x_objects.csv");
  for (const char* copy : {"same", "filtered", "stale"})
    fs::copy(folder / "other", folder / copy, fs::copy_options::recursive);
  int number = 0;
  const auto check_continues = [&](const std::string& out, const std::string& options, bool continues) {
    const Ran ran = run_basin(folder, words + options + " --resume --out " + out);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    CHECK_MESSAGE(contains(ran.err, "decoding continues after 100 %") == continues, ran.err);
    const std::string fresh = "fresh" + std::to_string(++number);
    REQUIRE(run_basin(folder, words + options + " --out " + fresh).code == 0);
    CHECK(read_labels(folder / (out + "/x_masks.tif")).ids == read_labels(folder / (fresh + "/x_masks.tif")).ids);
  };
  check_continues("same", "--eps 2.9", true);
  check_continues("filtered", "--eps 2.9 --fill-holes --min-size 500", true);
  // A run with other settings that was killed after it wrote their key, before it emptied the clusters.
  fs::create_directories(folder / "begun/x_objects.csv/full");
  REQUIRE(run_basin(folder, words + "--eps 2.1 --out begun").code != 0);
  std::string records = read_bytes(folder / "begun/.x.blocks/decoding.0");
  uint64_t key_bytes = 0;
  std::memcpy(&key_bytes, records.data(), sizeof key_bytes);
  write_bytes(folder / "stale/.x.blocks/decoding.0", records.substr(0, 2 * sizeof key_bytes + size_t(key_bytes)));
  check_continues("stale", "--eps 2.1", false);
  check_continues("other", "--eps 2.1", false);
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
  refused("--max-memory 135M --snap-noise majority", "--snap-noise majority looks for neighbours in the whole image");
  refused("--max-memory 50M", "50 MB are not enough to segment it in blocks");
  refused("--max-memory much", "--max-memory much: expected bytes, such as 2G or 500M");
  const Ran huge = run_basin(folder, "segment x.tif --out out --scale 90" + tiles);
  CHECK(huge.code != 0);
  CHECK_MESSAGE(contains(huge.err, "x.tif: at scale 90 the network would see 69120 x 46080 pixels"), huge.err);
  // Scratch files of other settings.
  fs::create_directories(folder / "out/.x.blocks");
  write_bytes(folder / "out/.x.blocks/state.json", "{\"norm\": \"none\"}");
  refused("--max-memory 135M --resume", "was started with different settings");
  CHECK(run_basin(folder, "segment x.tif --out out --max-memory 135M" + blocks).code == 0);
}

TEST_CASE("segment: the memory that a refusal recommends suffices") {
  const Folder folder;
  put_bacteria(folder / "x.tif");
  for (const std::string options :
       {"--tiling exact --tile 256 --scale 0.7", "--tiling exact --tile 256 --scale auto", "--scale 1"}) {
    CAPTURE(options);
    const std::string words =
        "segment x.tif --save labels --device cpu --model " + bacteria + " " + options + " --out ";
    const Ran refused = run_basin(folder, words + "never --max-memory 110M");
    CHECK(refused.code == 1);
    const std::string before = "in blocks; ", after = " MB suffice";
    const size_t begin = refused.err.find(before) + before.size(), end = refused.err.find(after);
    REQUIRE_MESSAGE(end != std::string::npos, refused.err);
    const std::string enough = refused.err.substr(begin, end - begin);
    const Ran ran = run_basin(folder, words + "out --max-memory " + enough + "M");
    CHECK_MESSAGE(ran.code == 0, ran.err);
  }
}

TEST_CASE("segment: an image that is read as a whole is refused where it needs more memory than it may use") {
  const Folder folder;
  write_png(folder / "x.png", make_synthetic({.size = 240, .seed = 4}, 0).image);
  write_png(folder / "y.png", make_synthetic({.size = 456, .seed = 4}, 0).image);
  put_model(folder / "m.safetensors");
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, "segment --model m.safetensors --device cpu --out out " + words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
    CHECK(!fs::exists(folder / "out/x_masks.png"));
  };
  refused("x.png --scale 100 --max-memory 2G",
          "basin: x.png: needs about 17.0 GB of memory at scale 100, more than --max-memory 2.0 GB, and cannot be "
          "segmented in blocks: its format is read as a whole; convert it to a tiled TIFF, allow more memory or give a "
          "smaller --scale\n");
  refused("x.png --max-memory 10M", "more than --max-memory 10 MB");
  refused("x.png --max-memory 2", "--max-memory 2: expected at least 1M, with a unit, such as 2G or 500M");
  CHECK(run_basin(folder, "segment x.png --model m.safetensors --device cpu --out good --max-memory 1G").code == 0);

  // Without a limit, an image is refused if it needs more than the free memory; here it needs more than the machine
  // has.
  if (double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGESIZE)) > 55e9) return;
  refused("y.png --scale 100", "y.png: needs about 60.6 GB of memory at scale 100, and only ");
  refused("y.png --scale 100",
          "allow more memory or give a smaller --scale; to try it anyway, give --max-memory 60637M\n");
}

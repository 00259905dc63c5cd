// basin report: which files belong together, and one card for each image or plane.
#include <doctest/doctest.h>

#include <filesystem>

#include "data/files/image.h"
#include "data/objects/write_stack.h"
#include "tests/support/command_support.h"
#include "tests/support/image_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

constexpr int card_side = 8;

/// A square of `width` px; none if 0.
Labels card_square(int width) {
  std::vector<int64_t> ids(card_side * card_side);
  for (int y = 0; y < width; ++y)
    for (int x = 0; x < width; ++x)
      ids[size_t(y * card_side + x)] = 1;
  return labels_of(card_side, card_side, std::move(ids));
}

Image card_image() { return {card_side, card_side, 1, PixelType::u8, std::vector<std::byte>(card_side * card_side)}; }

StackPlanes planes_along_z(int slices) {
  StackPlanes planes;
  planes.slices = slices;
  return planes;
}

/// A stack of labels, one square of each width in each plane.
void put_card_labels(const fs::path& path, const std::vector<int>& widths) {
  fs::create_directories(path.parent_path());
  LabelStack stack(planes_along_z(int(widths.size())));
  for (const int width : widths)
    stack.add(card_square(width), {1});
  stack.write(path);
}

}  // namespace

TEST_CASE("report: results in folders below belong to the images at the same paths") {
  const Folder folder;
  for (const std::string plate : {"p1", "p2"}) {
    write_png(folder / ("data/" + plate + "/x.png"), card_image());
    write_labels(folder / ("data/" + plate + "/x_masks.png"), card_square(plate == "p1" ? 3 : 5));
    write_labels(folder / ("found/" + plate + "/x_masks.png"), card_square(3));
  }
  const Ran ran = run_basin(folder, "report data --pred found --truth data --out r.html");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  const std::string page = read_bytes(folder / "r.html");
  CHECK(contains(page, "p1/x.png"));
  CHECK(contains(page, "p2/x.png"));
  CHECK(contains(page, "Scores on 2 images"));
  CHECK(occurrences(page, "AP50 1.000") == 1);  // of p1; the squares of p2 differ
  fs::remove(folder / "found/p2/x_masks.png");
  const Ran missing = run_basin(folder, "report data --pred found --out m.html");
  CHECK(missing.code == 1);
  CHECK_MESSAGE(contains(missing.err,
                         "data/p2/x.png: found has no label image of the same stem, which would be named "
                         "p2/x_masks.*"),
                missing.err);
}

TEST_CASE("report and evaluate: of segment --recursive, results in the folder itself and below it are used") {
  const Folder folder;
  for (const std::string name : {"x", "sub/x"}) {
    write_png(folder / ("data/" + name + ".png"), card_image());
    write_labels(folder / ("data/" + name + "_masks.png"), card_square(3));
    write_labels(folder / ("found/" + name + "_masks.png"), card_square(3));
  }
  const std::string evaluate = "evaluate --pred found --truth data";
  CHECK(contains(run_basin(folder, evaluate).out, "1 image, 1 true"));  // a folder of labels, with another one in it
  write_bytes(folder / "found/run.json", R"({"subcommand": "segment", "recursive": true})");
  CHECK(contains(run_basin(folder, evaluate).out, "2 images, 2 true"));
  const Ran ran = run_basin(folder, "report data --pred found --truth data --out r.html");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(read_bytes(folder / "r.html"), "Scores on 2 images"));
  // The records of shards count too, and a record that was not written to its end does not.
  fs::rename(folder / "found/run.json", folder / "found/run.shard-1-of-2.json");
  write_bytes(folder / "found/run.json", "{");
  CHECK(contains(run_basin(folder, evaluate).out, "2 images, 2 true"));
  fs::remove(folder / "found/run.shard-1-of-2.json");
  CHECK(contains(run_basin(folder, evaluate).out, "1 image, 1 true"));
  // Broken labels are named, even where folders below have others.
  fs::remove(folder / "found/run.json");
  write_labels(folder / "found/x_masks.tif", card_square(3));
  CHECK(contains(run_basin(folder, evaluate).err, "x_masks.tif: has the same stem as x_masks.png"));
}

TEST_CASE("report and evaluate: folders that are links are searched like segment --recursive does") {
  const Folder folder;
  write_png(folder / "elsewhere/x.png", card_image());
  write_labels(folder / "elsewhere/x_masks.png", card_square(3));
  fs::create_directories(folder / "data");
  fs::create_directory_symlink(folder / "elsewhere", folder / "data/link");
  write_labels(folder / "found/link/x_masks.png", card_square(3));
  const Ran ran = run_basin(folder, "evaluate --pred found --truth data");
  CHECK_MESSAGE(contains(ran.out, "1 image, 1 true and 1 predicted object"), ran.err);
}

TEST_CASE("report: --plane chooses a plane of the image, not one of the masks found in it") {
  const Folder folder;
  fs::create_directories(folder / "data");
  PictureStack pictures(folder / "data/a.tif", planes_along_z(3));
  for (int k = 0; k < 3; ++k)
    pictures.add(card_image());
  pictures.commit();
  fs::create_directories(folder / "found");
  put_card_labels(folder / "found/a_instances.tif", {3, 2});
  const Ran ran = run_basin(folder, "report data --pred found --out r.html --plane Z=1");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(read_bytes(folder / "r.html"), "prediction, 2 objects"));
}

TEST_CASE("report: each plane of a stack has a card and a score") {
  const Folder folder;
  fs::create_directories(folder / "data");
  PictureStack pictures(folder / "data/a.tif", planes_along_z(2));
  pictures.add(card_image()), pictures.add(card_image());
  pictures.commit();
  put_card_labels(folder / "data/a_masks.tif", {3, 4});
  put_card_labels(folder / "found/a_masks.tif", {3, 2});
  const std::string words = "report data --pred found --truth data --out r.html";
  const Ran both = run_basin(folder, words);
  REQUIRE_MESSAGE(both.code == 0, both.err);
  const std::string page = read_bytes(folder / "r.html");
  CHECK(occurrences(page, "<article>") == 2);
  CHECK(contains(page, "a.tif (Z=0)"));
  CHECK(contains(page, "a.tif (Z=1)"));
  CHECK(contains(page, "Scores on 2 images"));
  CHECK(occurrences(page, "AP50 1.000") == 1);
  CHECK(occurrences(page, "AP50 0.000") == 1);
  REQUIRE(run_basin(folder, words + " --limit 1").code == 0);
  CHECK(occurrences(read_bytes(folder / "r.html"), "<article>") == 1);
  REQUIRE(run_basin(folder, words + " --plane Z=0").code == 0);
  CHECK(occurrences(read_bytes(folder / "r.html"), "<article>") == 1);
  CHECK(occurrences(read_bytes(folder / "r.html"), "AP50 1.000") == 1);
  write_labels(folder / "flat/a_masks.png", card_square(3));
  const Ran flat = run_basin(folder, "report data --pred found --truth flat --out s.html");
  CHECK(flat.code == 1);
  CHECK_MESSAGE(contains(flat.err, "flat/a_masks.png: does not have the 2 planes of data/a.tif"), flat.err);
  CHECK(run_basin(folder, "report data --pred found --truth flat --out s.html --plane Z=0").code == 0);
}

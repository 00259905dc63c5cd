#include "engine/json.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// A grey image whose pixels depend on `seed`, with labels of one square.
void put_pair(const Folder& folder, const std::string& stem, int seed, int size = 32) {
  std::vector<std::byte> pixels;
  for (int i = 0; i < 32 * 32; ++i)
    pixels.push_back(std::byte(uint8_t(i * (2 * seed + 1))));
  write_png(folder / (stem + "_img.png"), {32, 32, 1, PixelType::u8, pixels});
  Labels labels{size, size, 1, std::vector<int32_t>(size_t(size) * size_t(size))};
  for (int y = 4; y < 20; ++y)
    for (int x = 4; x < 20; ++x)
      labels.ids[size_t(y * size + x)] = 1;
  write_labels(folder / (stem + "_masks.png"), labels);
}

}  // namespace

TEST_CASE("check-data: a valid data set is described in a table and as JSON") {
  const Folder folder;
  for (int i = 0; i < 4; ++i)
    put_pair(folder, "good/" + std::to_string(i), i);
  const Ran ran = run_basin(folder, "check-data good --json facts.json --strict");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK_MESSAGE(contains(ran.out, "training    3 images with labels, 3 objects\n"), ran.out);
  CHECK_MESSAGE(contains(ran.out, "3 images of 32 x 32 px, 8-bit, 1 channel\n"), ran.out);
  CHECK_MESSAGE(contains(ran.out, "validation  1 image with labels, 1 object\n"), ran.out);
  CHECK_MESSAGE(contains(ran.out, "0 errors, 0 warnings"), ran.out);
  const Json facts = json_in(folder / "facts.json");
  CHECK(facts["errors"] == 0);
  CHECK(facts["images"].size() == 4);
  CHECK(facts["images"][0]["areas"] == Json({256}));
  CHECK(facts["object_sizes"]["longest_side"] == 16);
  CHECK(std::filesystem::exists(folder / "facts.json.run.json"));
  // An input is not overwritten.
  CHECK(run_basin(folder, "check-data good --json good/0_img.png").code == 1);
}

TEST_CASE("check-data and train: a part of each set is held out") {
  const Folder folder;
  for (const char* set : {"one", "two"})
    put_pair(folder, std::string(set) + "/" + set[0], set[0]);
  CHECK(contains(run_basin(folder, "check-data one two").out, "training    2 images with labels"));
  for (const char* name : {"b", "c", "d"})
    put_pair(folder, "two/" + std::string(name), name[0]);
  const Ran ran = run_basin(folder, "check-data one two --val-fraction 0.5 --json facts.json");
  CHECK(ran.code == 0);
  const Ran train = run_basin(folder,
                              "train --data one --data two --val-fraction 0.5 --width 2 --crop 32 --batch 1 --steps 1 "
                              "--device cpu --report-images 0 --out run");
  CHECK_MESSAGE(contains(train.err, "validation: 2 images with labels"), train.err);
  const Json facts = json_in(folder / "facts.json");
  for (const Json& image : facts["images"]) {
    CAPTURE(image["image"].get<std::string>());
    const std::string name = std::filesystem::path(image["image"].get<std::string>()).filename().string();
    const size_t validation = train.err.find("validation: ");
    if (image["image"].get<std::string>().starts_with("two"))
      CHECK((train.err.find("  " + name, validation) != std::string::npos) == image["validation"].get<bool>());
    else
      CHECK(image["validation"] == false);
  }
}

TEST_CASE("check-data: problems that train refuses are errors, and every file is named") {
  const Folder folder;
  put_pair(folder, "bad/fits", 0);
  put_pair(folder, "bad/size", 1, 24);
  put_pair(folder, "bad/alone", 2);
  put_pair(folder, "bad/masks", 3);
  put_pair(folder, "bad/damaged", 4);
  std::filesystem::remove(folder / "bad/alone_masks.png");
  std::filesystem::remove(folder / "bad/masks_img.png");
  write_bytes(folder / "bad/damaged_img.png", "no image");
  const Ran ran = run_basin(folder, "check-data bad --val-fraction 0");
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.out, "error: bad/alone_img.png: has no labels; "), ran.out);
  CHECK_MESSAGE(contains(ran.out, "error: bad/masks_masks.png: has no image; "), ran.out);
  CHECK_MESSAGE(contains(ran.out, "size_masks.png: is 24 x 24 pixels, but its image size_img.png is 32 x 32"), ran.out);
  CHECK_MESSAGE(contains(ran.out, "bad/damaged_img.png"), ran.out);
  CHECK_MESSAGE(contains(ran.out, "4 errors"), ran.out);
  CHECK_MESSAGE(contains(ran.err, "`train` would refuse this training set: 4 errors"), ran.err);
  CHECK(contains(run_basin(folder, "check-data missing").out, "missing: no such file or folder"));
}

TEST_CASE(
    "check-data: every file that cannot be paired is an error, in every layout, and train says how many there are") {
  const Folder folder;
  const auto check = [&](const std::string& source, const std::vector<std::string>& faults,
                         const std::string& refusal) {
    CAPTURE(source);
    const Ran ran = run_basin(folder, "check-data " + source + " --val-fraction 0 --json f.json");
    CHECK(ran.code == 1);
    for (const std::string& fault : faults)
      CHECK_MESSAGE(contains(ran.out, fault), ran.out);
    const Json json = json_in(folder / "f.json");
    CHECK(json["errors"] == faults.size());
    CHECK(json["images"].size() == 1);  // the other files are checked
    CHECK_MESSAGE(contains(run_basin(folder, "train --data " + source + " --steps 1 --out t").err, refusal), ran.err);
  };
  for (const char* name : {"fits", "twice", "alone", "foreign"})
    put_pair(folder, std::string("flat/") + name, name[0]);
  std::filesystem::copy_file(folder / "flat/twice_img.png", folder / "flat/twice.png");
  std::filesystem::copy_file(folder / "flat/twice_masks.png", folder / "flat/twice_masks.bmp");
  std::filesystem::remove(folder / "flat/alone_masks.png");
  std::filesystem::rename(folder / "flat/foreign_masks.png", folder / "flat/foreign_masks.jpg");
  std::filesystem::remove(folder / "flat/fits_masks.png");
  check("flat",
        {"flat/twice_img.png: has the same stem as twice.png", "flat/twice_masks.png: has the same stem as",
         "flat/alone_img.png: has no labels", "flat/fits_img.png: has no labels",
         "flat/foreign_masks.jpg: labels in this format are not supported"},
        "(and 4 more faults)");

  for (const char* name : {"a", "b", "c", "d"}) {
    put_pair(folder, std::string("pairs/") + name, name[0]);
    const std::string id = std::string("dsb/") + name;
    std::filesystem::create_directories(folder / (id + "/images"));
    std::filesystem::create_directories(folder / (id + "/masks"));
    if (*name != 'b')
      std::filesystem::copy_file(folder / ("pairs/" + std::string(name) + "_img.png"), folder / (id + "/images/i.png"));
  }
  Labels one{32, 32, 1, std::vector<int32_t>(32 * 32)};
  std::fill_n(one.ids.begin(), 64, 1);
  write_labels(folder / "dsb/a/masks/1.png", one);
  std::filesystem::remove_all(folder / "dsb/c/masks");
  std::filesystem::copy_file(folder / "pairs/a_img.png", folder / "dsb/d/images/j.png");
  check("dsb",
        {"dsb/b/images: contains no image", "dsb/c/images/i.png: there is no masks folder for this image",
         "dsb/d/images/j.png: only one image is expected here"},
        "dsb/b/images: contains no image (and 2 more faults");

  write_bytes(folder / "pairs.csv",
              "a_img.png\npairs/a_img.png,pairs/a_masks.png\npairs/none.png,pairs/a_masks.png\n"
              "pairs/a_img.png,pairs/b_masks.png\n");
  check("pairs.csv",
        {"pairs.csv: line 1: expected two fields", "line 3: there is no file pairs/none.png",
         "line 4: pairs/a_img.png has the same stem as"},
        "line 1: expected two fields, image,mask (and 2 more faults");

  for (int k = 0; k < 13; ++k)
    std::filesystem::copy_file(folder / "pairs/a_img.png", folder / ("pairs/" + std::to_string(k) + ".png"));
  const Ran many = run_basin(folder, "check-data pairs");
  CHECK_MESSAGE(contains(many.out, "error: images without labels, in 13 files; add a label image"), many.out);
  CHECK_MESSAGE(contains(many.out, "\n  and 3 more\n"), many.out);
}

TEST_CASE("check-data, train and compare-models: labels that segment has written cause a warning") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (int k = 0; k < 4; ++k)
    put_pair(folder, "one/" + std::to_string(k), k);
  const std::string warning = "one: `basin segment` has written results here; its labels are predictions";
  CHECK(!contains(run_basin(folder, "check-data one").out, warning));
  write_bytes(folder / "one/run.json", R"({"subcommand": "segment"})");
  CHECK(contains(run_basin(folder, "check-data one").out, warning));
  CHECK(contains(run_basin(folder, "train --data one --width 4 --crop 16 --batch 1 --steps 1 --out t").err, warning));
  CHECK(contains(run_basin(folder, "compare-models one --models m.safetensors").err, warning));
}

TEST_CASE("check-data: duplicates across sets are warnings, errors with --strict") {
  const Folder folder;
  put_pair(folder, "one/a", 0), put_pair(folder, "one/b", 1);
  put_pair(folder, "two/c", 1), put_pair(folder, "two/d", 2);
  const Ran ran = run_basin(folder, "check-data one --val two");
  CHECK(ran.code == 0);
  CHECK_MESSAGE(contains(ran.out, "two/c_img.png: has the same pixels as the training image one/b_img.png"), ran.out);
  CHECK_MESSAGE(contains(ran.out, "1 warning"), ran.out);
  const Ran strict = run_basin(folder, "check-data one --val two --strict");
  CHECK(strict.code == 1);
  CHECK_MESSAGE(contains(strict.err, "--strict: 1 warning"), strict.err);
}

TEST_CASE("check-data and train: what a method that resizes whole images cannot learn is a warning") {
  const Folder folder;
  Labels grid{300, 400, 0, std::vector<int32_t>(300 * 400, 0)};
  for (int y = 2; y < 290; y += 12)
    for (int x = 2; x < 390; x += 12) {
      ++grid.count;
      for (int v = y; v < y + 8; ++v)
        for (int u = x; u < x + 8; ++u)
          grid.ids[size_t(v * 400 + u)] = grid.count;
    }
  std::vector<std::byte> pixels;
  for (const int32_t id : grid.ids)
    pixels.push_back(std::byte(id > 0 ? 200 : 20 + pixels.size() % 7));
  write_png(folder / "data/x.png", {300, 400, 1, PixelType::u8, pixels});
  write_labels(folder / "data/x_masks.png", grid);
  const std::string objects = std::to_string(grid.count);
  const Ran check = run_basin(folder, "check-data data --model og --crop 128 --val-fraction 0");
  CHECK_MESSAGE(contains(check.out, "warning: " + objects + " of " + objects +
                                        " objects (100.0 %) at most 3 px wide or high "
                                        "where images are resized to 128 px"),
                check.out);
  CHECK_MESSAGE(contains(check.out, "has " + objects + " objects, of which the method finds at most 500"), check.out);
  CHECK_MESSAGE(!contains(check.out, "--scale"), check.out);
  CHECK(!contains(run_basin(folder, "check-data data --model og --crop 384 --val-fraction 0").out, "px wide or high"));
  const Ran train = run_basin(folder,
                              "train --data data --val-fraction 0 --model og --width 2 --crop 128 --batch 1 --steps 1 "
                              "--device cpu --norm percentile:1,99.8 --report-images 0 --out run");
  CHECK_MESSAGE(contains(train.err, "at most 3 px wide or high where images are resized to 128 px"), train.err);
  // What train refuses, check-data does too.
  CHECK(
      contains(run_basin(folder, "check-data data --model wn --crop 24").err, "--crop 24: expected a multiple of 16"));
  CHECK(contains(run_basin(folder, "check-data data --model og --scale 0.5").err, "change --crop instead"));
}

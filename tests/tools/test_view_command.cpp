#include <algorithm>
#include <cmath>

#include "data/arrays/npy.h"
#include "data/dataset/dataset.h"
#include "data/objects/write_stack.h"
#include "data/view/page_files.h"
#include "data/view/view.h"
#include "engine/json.h"
#include "tests/support/command_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

/// The JSON that a script of the view passes to a function.
Json argument(const fs::path& script, const std::string& function) {
  const std::string text = read_bytes(script), begin = function + "(", end = ");\n";
  REQUIRE(text.starts_with(begin));
  REQUIRE(text.ends_with(end));
  return Json::parse(text.substr(begin.size(), text.size() - begin.size() - end.size()));
}
Json list_of(const fs::path& view) { return argument(view / "images.js", "basinView.list"); }
Json image_of(const fs::path& view, int number) {
  return argument(view / ("image-" + std::to_string(number) + ".js"), "basinView.image");
}

/// The picture in a text of base64.
Image decoded(const Folder& folder, const std::string& text) {
  std::string bytes;
  unsigned word = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const size_t digit = std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    REQUIRE(digit != std::string::npos);
    word = word << 6 | unsigned(digit);
    if ((bits += 6) >= 8) bytes += char(word >> (bits -= 8) & 255);
  }
  return read_image(write_bytes(folder / "decoded.png", bytes));
}

/// A folder as `segment` leaves it: images, label images and run.json.
void put_run(const Folder& folder, const Json& changes = Json::object()) {
  Json run{{"command", "basin segment"}, {"folder", folder.path().string()},
           {"subcommand", "segment"},    {"input", {"images"}},
           {"recursive", false},         {"save", {"labels"}},
           {"failed", Json::array()},    {"remarks", Json::array()}};
  run.update(changes);
  write_bytes(folder / "out/run.json", run.dump());
}

void put_viewed_image(const fs::path& path, int height = 3, int width = 4) {
  Image image{height, width, 1, PixelType::u8, std::vector<std::byte>(size_t(height) * size_t(width))};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = std::byte(10 * i);
  write_png(path, image);
}

const std::vector<int64_t> two_objects{1, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0};
const std::string odd_name = "a\"b'<script>&.png";

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("view: pictures keep small integers, and round other numbers to 16 bits between their extremes") {
  const Image grey{1, 2, 1, PixelType::u16, std::vector<std::byte>(4, std::byte{7})};
  const std::vector<ViewPicture> kept = pictures_of(grey);
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].image.pixels == grey.pixels);
  CHECK(kept[0].high == 65535);
  const Image colour{1, 1, 3, PixelType::u8, std::vector<std::byte>(3, std::byte{9})};
  REQUIRE(pictures_of(colour).size() == 1);
  CHECK(pictures_of(colour)[0].image.channels == 3);
  CHECK(!pictures_of(colour)[0].stretch);
  Image floats{1, 2, 2, PixelType::f32, std::vector<std::byte>(4 * sizeof(float))};
  const float values[] = {-1, 5, 3, 5};
  std::copy(std::begin(values), std::end(values), floats.as<float>());
  floats.stack.channel_names = {"DAPI", "GFP"};
  const std::vector<ViewPicture> channels = pictures_of(floats);
  REQUIRE(channels.size() == 2);
  CHECK(channels[1].name == "GFP");
  CHECK(channels[0].low == -1);
  CHECK(channels[0].high == 3);
  CHECK(channels[0].image.as<uint16_t>()[0] == 0);
  CHECK(channels[0].image.as<uint16_t>()[1] == 65535);
  CHECK(channels[1].image.as<uint16_t>()[1] == 0);  // all values are equal
  const int32_t many = 70000;
  Labels labels{1, many, many, std::vector<int32_t>(size_t(many))};
  for (int32_t k = 0; k < many; ++k)
    labels.ids[size_t(k)] = k + 1;
  const Image numbers = label_picture(labels);
  REQUIRE(numbers.channels == 3);
  CHECK(numbers.as<uint8_t>()[3 * 69999] == 1);  // 70000 = 0x011170
  CHECK(numbers.as<uint8_t>()[3 * 69999 + 1] == 0x11);
  CHECK(numbers.as<uint8_t>()[3 * 69999 + 2] == 0x70);
}

TEST_CASE("view: a vector field is shown by hue and brightness, other maps in grey") {
  Array field{ElementType::f32, {2, 1, 3}, std::vector<std::byte>(6 * sizeof(float))};
  const float values[] = {1, -2, 0, 0, 0, 0};  // to the right; to the left and long; zero
  std::copy(std::begin(values), std::end(values), field.as<float>());
  const std::vector<ViewPicture> pictures = pictures_of_map("field", field, "f.npy");
  REQUIRE(pictures.size() == 1);
  const uint8_t* p = pictures[0].image.as<uint8_t>();
  CHECK(std::vector<int>(p, p + 9) == std::vector<int>{255, 0, 0, 0, 255, 255, 0, 0, 0});
  field.shape = {6, 1, 1};
  CHECK(pictures_of_map("logit", field, "f.npy").size() == 6);
  field.shape = {2, 1, 3};
  CHECK(pictures_of_map("colours", field, "f.npy").size() == 2);
  field.shape = {2, 3};
  CHECK(contains(refusal([&] { pictures_of_map("x", field, "f.npy"); }), "f.npy: expected an array"));
  field.shape = {2, 1, 3};
  field.as<float>()[0] = NAN;
  CHECK(contains(refusal([&] { pictures_of_map("x", field, "f.npy"); }), "f.npy: contains values that are not finite"));
}

TEST_CASE("view: an image that could not be segmented is named with its folder below the input") {
  const Folder folder;
  put_viewed_image(folder / "images/p1/bad.png");
  put_viewed_image(folder / "images/a.png");
  write_labels(folder / "out/a_masks.png", labels_of(3, 4, two_objects));
  put_run(folder, {{"recursive", true}, {"failed", {"images/p1/bad.png"}}});
  const Ran ran = run_basin(folder, "view out");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  const Json list = list_of(folder.path() / "out/view")["images"];
  REQUIRE(list.size() == 2);
  CHECK(list[1]["name"] == "p1/bad.png");
}

TEST_CASE("view: writes a page with images, labels, tables and remarks, whatever the names") {
  const Folder folder;
  put_viewed_image(folder / ("images/" + odd_name));
  put_viewed_image(folder / "images/c.png");
  put_viewed_image(folder / "images/d.png");
  write_labels(folder / ("out/" + stem_of(odd_name) + "_masks.png"), labels_of(3, 4, two_objects));
  write_labels(folder / "out/c_masks.png", labels_of(3, 4, std::vector<int64_t>(12)));
  write_bytes(folder / "out/c_objects.csv", "\xef\xbb\xbflabel,area\r\n");  // as a spreadsheet saves it
  put_run(folder, {{"remarks", {{{"image", "images/" + odd_name}, {"remark", "is nearly </script>black"}}}},
                   {"dropped", {{{"image", "images/c.png"}, {"too_small", 2}, {"too_large", 0}, {"at_edge", 1}}}},
                   {"failed", {"images/d.png"}},
                   {"save", {"labels", "csv"}}});
  fs::create_directories(folder.path() / "out/view");  // an empty folder may be filled
  const Ran ran = run_basin(folder, "view out");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK(ran.out == "out/view/index.html: 3 images, 2 objects\n");
  const fs::path view = folder.path() / "out/view";
  CHECK(files_in(view) == std::vector<std::string>{"image-1.js", "image-2.js", "images.js", "index.html", "png.js",
                                                   "rows.js", "run.json", "view.css", "view.js", "viewer.js"});
  CHECK(files_in(folder.path() / "out").size() == 5);  // nothing temporary is left

  const Json list = list_of(view)["images"];
  REQUIRE(list.size() == 3);
  CHECK(list[0]["name"] == odd_name);
  CHECK(list[0]["objects"] == 2);
  CHECK(list[0]["remarks"] == Json{"is nearly </script>black"});
  CHECK(list[1]["remarks"] == Json{"objects that the filters dropped: 2 too small, 1 at the edge"});
  CHECK(list[2]["file"] == "");
  CHECK(list[2]["remarks"] == Json{"this image could not be segmented"});
  for (const char* file : {"images.js", "image-1.js"})
    CHECK(!contains(read_bytes(view / file), "<"));

  const Json image = image_of(view, 1);
  CHECK(image["colours"] == "01");
  REQUIRE(image["columns"][3] == "area");
  CHECK(image["numbers"][0] == Json{1, 2});
  CHECK(image["numbers"][3] == Json{1, 2});
  const Image shown = decoded(folder, image["pictures"][0]["png"]), labels = decoded(folder, image["labels"]);
  CHECK(shown.pixels == read_image(folder.path() / "images" / odd_name).pixels);
  CHECK(labels.type == PixelType::u16);
  CHECK(std::vector<int64_t>(labels.as<uint16_t>(), labels.as<uint16_t>() + 12) == two_objects);
  CHECK(image_of(view, 2)["columns"] == Json{"label", "area"});  // as segment wrote it
}

TEST_CASE("view: the files of the page are those of the source tree, and use no network") {
  const fs::path sources = fs::path(source_dir()) / "data/view/page";
  CHECK(page_files().size() == files_in(sources).size());
  for (const PageFile& file : page_files()) {
    CHECK_MESSAGE((file.text == read_bytes(sources / file.name)), file.name);
    for (const char* forbidden : {"http:", "https:", "fetch(", "XMLHttpRequest", "import ", "innerHTML"})
      CHECK_MESSAGE(!contains(std::string(file.text), forbidden), file.name, " has ", forbidden);
  }
}

TEST_CASE("view: an earlier view is replaced, and nothing else") {
  const Folder folder;
  put_viewed_image(folder / "images/a.png");
  write_labels(folder / "out/a_masks.png", labels_of(3, 4, two_objects));
  put_run(folder);
  REQUIRE(run_basin(folder, "view out --out page").code == 0);
  write_bytes(folder / "page/image-7.js", "of an earlier view");
  REQUIRE(run_basin(folder, "view out --out page/").code == 0);
  CHECK(!fs::exists(folder.path() / "page/image-7.js"));
  CHECK(fs::exists(folder.path() / "page/index.html"));
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran bad = run_basin(folder, "view " + words);
    CHECK(bad.code == 1);
    CHECK_MESSAGE(contains(bad.err, why), bad.err);
  };
  refused("out --out images", "images: contains other files than an earlier view; give another --out");
  refused("out --out out", "out: contains other files than an earlier view; give another --out");
  refused("out --out images/a.png", "images/a.png: is a file; give a folder as --out");
  CHECK(fs::exists(folder.path() / "images/a.png"));
  // A view that cannot be written leaves the earlier one as it was.
  write_bytes(folder / "out/a_masks.png", "damaged");
  refused("out --out page", "out/a_masks.png: ");
  CHECK(list_of(folder.path() / "page")["images"].size() == 1);
}

TEST_CASE("view: one sentence for each bad input") {
  const Folder folder;
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran bad = run_basin(folder, "view " + words);
    CHECK(bad.code == 1);
    CHECK_MESSAGE(bad.err == "basin: " + why + "\n", bad.err);
  };
  refused("out", "out: is not a folder; give one that `basin segment --out` has written");
  fs::create_directories(folder.path() / "out");
  refused("out", "out: has no run.json; give a folder that `basin segment --out` has written");
  write_bytes(folder / "out/run.shard-1-of-2.json", "{}");
  refused("out", "out: contains shards that are not joined; run `basin merge out` first");
  write_bytes(folder / "out/run.json", "{\"sub");
  refused("out", "out/run.json: is damaged: it is not JSON in UTF-8");
  put_run(folder, {{"subcommand", "export"}});
  refused("out", "out/run.json: was not written by `basin segment`");
  put_run(folder, {{"remarks", {7}}});
  refused("out", "out/run.json: is damaged: its member remarks is not a list of objects that each name an image");
  put_run(folder, {{"save", {"overlay"}}});
  refused("out", "out: this run has not saved label images; segment with --save labels,...");
  put_viewed_image(folder / "images/a.png");
  put_run(folder);
  refused("out", "out: contains no label images");
}

TEST_CASE("view: labels are shown alone if the image has moved, changed its size or cannot be read") {
  const Folder folder;
  put_viewed_image(folder / "images/a.png", 3, 5);
  write_bytes(folder / "images/b.png", "damaged");
  for (const char* file : {"a", "b", "c"})
    write_labels(folder / ("out/" + std::string(file) + "_masks.png"), labels_of(3, 4, two_objects));
  put_run(folder, {{"remarks", {{{"image", "images/c.png"}, {"remark", "is saturated"}}}}});
  const Ran ran = run_basin(folder, "view out");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(ran.err, "out: 1 image was not found, so the page shows labels alone; --image says where images are"));
  const Json list = list_of(folder.path() / "out/view")["images"];
  REQUIRE(list.size() == 3);
  CHECK(contains(list[0]["remarks"][0], "the image is 5 x 3 pixels, but its labels are 4 x 3, so it is not shown"));
  CHECK(contains(list[1]["remarks"][0], "images/b.png: "));
  CHECK(list[2]["remarks"] == Json{"is saturated", "the image was not found, so its labels are shown alone"});
  for (int k = 1; k <= 3; ++k) {
    CHECK(image_of(folder.path() / "out/view", k)["pictures"].empty());
    CHECK(image_of(folder.path() / "out/view", k)["numbers"][0] == Json{1, 2});
  }
  // The images are elsewhere.
  for (const char* file : {"a", "b", "c"})
    put_viewed_image(folder / ("moved/" + std::string(file) + ".png"));
  CHECK(run_basin(folder, "view out --image moved").err == "");
  CHECK(image_of(folder.path() / "out/view", 3)["pictures"].size() == 1);
  fs::remove_all(folder.path() / "images");
  const Ran gone = run_basin(folder, "view out");
  CHECK(gone.code == 0);
  CHECK(contains(gone.err, "out: 3 images were not found"));
}

TEST_CASE("view: maps, scores and pixel values of the run are on the page") {
  const Folder folder;
  put_viewed_image(folder / "images/a.png");
  write_labels(folder / "out/a_masks.png", labels_of(3, 4, two_objects));
  write_bytes(folder / "out/a_scores.csv", "label,score\n1,0.25\n2,0.75\n");
  write_npy<float>(folder / "out/a_field.npy", {2, 3, 4}, std::vector<float>(24).data());
  write_npy<float>(folder / "out/a_other.npy", {1, 3, 4}, std::vector<float>(12).data());
  put_viewed_image(folder / "out/a_probability.png");
  put_run(folder, {{"save", {"labels", "field", "probability"}}});
  REQUIRE(run_basin(folder, "view out").code == 0);
  const Json image = image_of(folder.path() / "out/view", 1);
  std::vector<std::string> names;
  for (const Json& picture : image["pictures"])
    names.push_back(picture["name"]);
  CHECK(names == std::vector<std::string>{"image", "field", "probability"});
  CHECK(image["pictures"][2]["high"] == 1);
  const Json& columns = image["columns"];
  const auto column = [&](const char* name) {
    return image["numbers"][size_t(std::find(columns.begin(), columns.end(), name) - columns.begin())];
  };
  CHECK(column("score") == Json{0.25, 0.75});
  CHECK(column("intensity_mean") == Json{0, 55});
}

TEST_CASE("view: each plane of a stack is an image of the page, whose objects keep their numbers") {
  const Folder folder;
  StackPlanes planes;
  planes.slices = 2;
  LabelStack labels(planes);
  labels.add(labels_of(3, 4, two_objects), std::vector<int32_t>{1, 2});
  labels.add(labels_of(3, 4, two_objects), std::vector<int32_t>{2, 5});
  fs::create_directories(folder.path() / "out");
  labels.write(folder.path() / "out/s_masks.tif");
  fs::create_directories(folder.path() / "images");
  PictureStack images(folder.path() / "images/s.tif", planes);
  for (const int value : {3, 4})
    images.add({3, 4, 1, PixelType::u8, std::vector<std::byte>(12, std::byte(value))});
  images.commit();
  put_run(folder);
  const Ran ran = run_basin(folder, "view out");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(ran.out, "1 image, 4 objects"));
  const Json list = list_of(folder.path() / "out/view")["images"];
  REQUIRE(list.size() == 2);
  CHECK(list[1]["name"] == "s Z=1");
  const Json second = image_of(folder.path() / "out/view", 2);
  CHECK(second["numbers"][0] == Json{2, 5});
  CHECK(decoded(folder, second["pictures"][0]["png"]).as<uint8_t>()[0] == 4);
}

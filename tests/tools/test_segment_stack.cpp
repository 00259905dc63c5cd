#include <algorithm>

#include "data/objects/write_stack.h"
#include "engine/json.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

const std::string stack_options = " --model nuclei-fluo --scale 1 --device cpu --threads 1 ";

/// A part of a sample with several nuclei; parts 2 i and 2 i + 1 are equal, and others are shifted.
Image plane_image(int k) {
  static const Image sample = read_image(fs::path(basin::source_dir()) / "data/samples/nuclei_000_img.png");
  constexpr int height = 64, width = 72;
  Image image{height, width, 1, PixelType::u8, std::vector<std::byte>(height * width)};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      image.pixels[size_t(y * width + x)] = sample.pixels[size_t((y + 40) * sample.width + x + 30 + 40 * (k / 2))];
  return image;
}

/// A stack of frames and slices; planes 2 i and 2 i + 1 are equal.
void put_stack(const fs::path& path, int64_t frames, int64_t slices) {
  StackPlanes planes;
  planes.frames = frames, planes.slices = slices;
  planes.stack.pixel = PixelSides{0.5, 0.5};
  PictureStack stack(path, planes);
  for (int k = 0; k < frames * slices; ++k)
    stack.add(plane_image(k));
  stack.commit();
}

/// The values of each plane of a file.
std::vector<std::vector<int>> planes_of_file(const fs::path& path) {
  std::vector<std::vector<int>> planes;
  read_image_planes(path, planes_in(path, {}), {}, [&](int64_t, Image image) {
    with_pixels(image.type, [&](auto zero) {
      const auto* p = image.as<decltype(zero)>();
      planes.emplace_back(p, p + image.height * image.width * image.channels);
    });
  });
  return planes;
}

std::vector<int> ids_of(const fs::path& path) {
  const Labels labels = read_labels(path);
  return {labels.ids.begin(), labels.ids.end()};
}

}  // namespace

TEST_CASE("segment: a stack is segmented plane by plane, as if each plane were a file") {
  const Folder folder;
  put_stack(folder / "s.tif", 2, 2);
  const Ran ran = run_basin(
      folder, "segment s.tif --out out --save labels,overlay,outlines,probability,rois,geojson,table" + stack_options);
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(ran.err, "basin: s.tif: read as T=2 Z=2 Y X, 0.5 um/px; its 4 planes are segmented one by one\n"));
  CHECK(contains(ran.out, "s.tif: 4 planes, "));
  const auto masks = planes_of_file(folder / "out/s_masks.tif");
  const auto overlays = planes_of_file(folder / "out/s_overlay.tif");
  REQUIRE(masks.size() == 4);
  CHECK(planes_in(folder / "out/s_masks.tif", {}).stack.axes == std::vector<StackAxis>{{'T', 2}, {'Z', 2}});
  CHECK(planes_in(folder / "out/s_masks.tif", {}).stack.pixel_size() == doctest::Approx(0.5));
  int objects = 0;
  for (int k = 0; k < 4; ++k) {
    write_png(folder / ("p" + std::to_string(k) + ".png"), plane_image(k));
    const std::string stem = "p" + std::to_string(k);
    CHECK(run_basin(folder, "segment " + stem + ".png --out one --save labels,overlay,csv" + stack_options).code == 0);
    CHECK(masks[size_t(k)] == ids_of(folder / ("one/" + stem + "_masks.png")));
    CHECK(overlays[size_t(k)] == planes_of_file(folder / ("one/" + stem + "_overlay.png"))[0]);
    // A row of the table is that of the single image with the plane behind the label, and um from the stack.
    const std::string table = read_bytes(folder / "out/s_objects.csv");
    const std::string own = read_bytes(folder / ("one/" + stem + "_objects.csv"));
    const size_t first = own.find('\n') + 1;  // the row of object 1
    const std::string row = own.substr(first + 2, own.find('\n', first) - first - 2);
    const std::string place = "\n1," + std::to_string(k) + ',' + std::to_string(k / 2) + ',' + std::to_string(k % 2);
    CHECK_MESSAGE(contains(table, place + ',' + row + ','), row);
    objects += *std::max_element(masks[size_t(k)].begin(), masks[size_t(k)].end());
  }
  CHECK(objects > 4);
  CHECK(contains(ran.out, ", " + std::to_string(objects) + " objects"));
  CHECK(read_bytes(folder / "out/s_objects.csv").starts_with("label,plane,t,z,centroid_y,"));
  CHECK(occurrences(read_bytes(folder / "out/s_objects.csv"), "\n") == size_t(objects) + 1);
  CHECK(read_bytes(folder / "out/objects.csv").starts_with("image,label,plane,t,z,"));
  const Json geojson = json_in(folder / "out/s.geojson");
  CHECK(geojson["features"].size() == size_t(objects));
  CHECK(geojson["features"].back()["geometry"]["plane"] == Json{{"c", -1}, {"z", 1}, {"t", 1}});
  CHECK(contains(read_bytes(folder / "out/s_rois.zip"), "0004-0001.roi"));
  CHECK(planes_of_file(folder / "out/s_probability.tif").size() == 4);
  // One plane is a single image as before, and replaces the files of the stack.
  const Ran single = run_basin(folder, "segment s.tif --plane T=1,Z=0 --out out --save labels,overlay" + stack_options);
  CHECK_MESSAGE(single.code == 0, single.err);
  CHECK(ids_of(folder / "out/s_masks.png") == masks[2]);
  CHECK(!fs::exists(folder / "out/s_masks.tif"));
  CHECK(!fs::exists(folder / "out/s_overlay.tif"));
  CHECK(contains(single.err, "s.tif: read as T=2 Z=2 Y X, 0.5 um/px; plane T=1,Z=0\n"));
}

TEST_CASE("segment: planes without objects have the columns of the others") {
  const Folder folder;
  StackPlanes planes;
  planes.frames = 3;
  PictureStack stack(folder / "s.tif", planes);
  Image blank = plane_image(0);
  std::fill(blank.pixels.begin(), blank.pixels.end(), std::byte(7));
  for (const Image& plane : {blank, plane_image(0), blank})
    stack.add(plane);
  stack.commit();
  write_png(folder / "blank.png", blank);
  write_png(folder / "full.png", plane_image(0));
  for (const std::string name : {"s.tif", "blank.png", "full.png"}) {
    const Ran ran = run_basin(folder, "segment " + name + " --out out --save labels,csv,geojson" + stack_options);
    CHECK_MESSAGE(ran.code == 0, ran.err);
  }
  const auto lines_of = [&](const char* file) {
    std::istringstream text(read_bytes(folder / file));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);)
      lines.push_back(line);
    return lines;
  };
  const std::vector<std::string> full = lines_of("out/full_objects.csv"), of_stack = lines_of("out/s_objects.csv");
  CHECK(lines_of("out/blank_objects.csv") == std::vector<std::string>{full[0]});
  REQUIRE(of_stack.size() == full.size());
  REQUIRE(full.size() > 1);
  CHECK(of_stack[0] == "label,plane,t" + full[0].substr(std::string("label").size()));
  CHECK(of_stack[1] == "1,1,1" + full[1].substr(1));
  CHECK(json_in(folder / "out/s.geojson")["features"].size() == full.size() - 1);
}

TEST_CASE("segment: channels of a stack are used as channels, and ambiguous axes are refused") {
  const Folder folder;
  fs::copy(samples / "slices.ome.tif", folder / "c.ome.tif");  // Z=2 C=2
  fs::copy(samples / "stack.tif", folder / "unknown.tif");
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, "segment " + words + " --out out" + stack_options);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
    CHECK(!fs::exists(folder / "out/c_masks.tif"));
  };
  refused("c.ome.tif", "c.ome.tif (Z=0) has 2 channels, but the model takes 1");
  refused("unknown.tif", "without named axes; name them with --axes, such as ZYX for slices");
  refused(
      "c.ome.tif --channel 1 --save npy",
      "c.ome.tif: --save npy is for single images, and this is a stack of 2 planes; choose one with --plane, or save "
      "labels, scores, zarr, ome");
  refused("c.ome.tif --stitch 1.5", "--stitch");
  refused("c.ome.tif --stitch 0", "--stitch");
  const Ran ran = run_basin(folder, "segment c.ome.tif --channel 1 --out out --save labels" + stack_options);
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(ran.err, "read as Z=2 C=2 Y X; channel 1; its 2 planes"));
  CHECK(planes_of_file(folder / "out/c_masks.tif").size() == 2);
  CHECK(run_basin(folder, "segment unknown.tif --axes TYX --out out --save labels" + stack_options).code == 0);
  CHECK(planes_in(folder / "out/unknown_masks.tif", {}).frames == 2);
}

TEST_CASE("segment: the scores of a stack's objects include their planes") {
  const Folder folder;
  const std::unique_ptr<Method> og =
      make_method("og", {{"width", "4", "test"}, {"channels", "1", "test"}, {"crop", "32", "test"}});
  og->params().allocate({});
  og->init({}, 1);
  // Every pixel of the heat map is likely to be a centre, of an object of 16 px.
  for (const auto& [name, value] : std::vector<std::pair<std::string, float>>{{"hm.2.bias", 2}, {"wh.2.bias", 4}})
    for (const Params::Named& n : og->params().learnt())
      if (n.name == name)
        og->params().value_slice(n).copy_from_host({}, std::vector<float>(size_t(n.shape.size()), value).data());
  save_model(folder / "og.safetensors", {}, *og, Json::object());
  put_stack(folder / "s.tif", 2, 1);
  const Ran ran = run_basin(folder,
                            "segment s.tif --model og.safetensors --out out --save labels --device cpu --threads 1 "
                            "--set confidence=0.2");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  const std::string scores = read_bytes(folder / "out/s_scores.csv");
  CHECK(scores.starts_with("plane,label,score\n0,1,0."));
  CHECK(contains(scores, "\n1,1,0."));
  const std::string skip =
      "segment s.tif --model og.safetensors --out out --save labels --device cpu --threads 1 "
      "--set confidence=0.2 --skip-existing";
  CHECK(contains(run_basin(folder, skip).out, "1 image skipped"));
  std::filesystem::remove(folder / "out/s_scores.csv");
  CHECK(contains(run_basin(folder, skip).out, "s.tif: 2 planes, "));
}

TEST_CASE("segment --stitch: objects keep their ids along Z, or along T if there is no Z") {
  const Folder folder;
  put_stack(folder / "tz.tif", 2, 2), put_stack(folder / "t.tif", 4, 1);
  const auto stitched = [&](const std::string& stem) {
    const Ran ran = run_basin(folder, "segment " + stem + ".tif --out out --save labels --stitch 0.99" + stack_options);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    CHECK(contains(ran.out, ", stitched from "));
    return planes_of_file(folder / ("out/" + stem + "_masks.tif"));
  };
  const auto tz = stitched("tz"), t = stitched("t");
  CHECK(tz[0] == tz[1]);
  CHECK(tz[2] == tz[3]);
  CHECK(tz[0] == t[0]);
  CHECK(t[0] == t[1]);
  CHECK(t[2] == t[3]);
  const auto highest = [](const std::vector<int>& ids) { return *std::max_element(ids.begin(), ids.end()); };
  REQUIRE(highest(tz[0]) > 0);
  REQUIRE(highest(tz[2]) > 0);
  CHECK(std::count(tz[2].begin(), tz[2].end(), 1) > 0);  // another volume begins at 1 again
  CHECK(highest(t[2]) > highest(tz[2]));                 // another time goes on
}

TEST_CASE("segment: a pixel size other than that of the file is reported, with the scale that follows from it") {
  const Folder folder;
  Appearance trained;
  trained.pixel_size = 0.25;
  save_model(folder / "m.safetensors", {}, Untrained().method, {{"appearance", to_json(trained)}});
  put_stack(folder / "one.tif", 1, 1), put_stack(folder / "two.tif", 1, 2);
  PictureStack large(folder / "large.tif", [] {
    StackPlanes plane;
    plane.stack.pixel = PixelSides{0.5, 0.5};
    return plane;
  }());
  Image image{512, 768, 1, PixelType::u8, std::vector<std::byte>(512 * 768)};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = std::byte(i * 7 % 251);
  large.add(image);
  large.commit();
  const auto segmented = [&](const std::string& words) {
    const Ran ran = run_basin(folder, "segment --model m.safetensors --device cpu --out out --save labels " + words);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    return ran;
  };
  const std::string said = "the file gives 0.5 um per pixel; --pixel-size 0.25 is used for the scale\n";
  const Ran one = segmented("one.tif --pixel-size 0.25");
  CHECK_MESSAGE(contains(one.err, "basin: one.tif: " + said), one.err);
  CHECK_MESSAGE(contains(one.out, ", scale 1\n"), one.out);
  const Json remarks = json_in(folder / "out/run.json")["remarks"];
  CHECK(contains(to_text(remarks), "the file gives 0.5 um per pixel"));
  const Ran two = segmented("two.tif --pixel-size 0.25");
  CHECK_MESSAGE(contains(two.err, "basin: two.tif: in 2 of 2 planes, first in Z=0: " + said), two.err);
  CHECK(contains(two.out, ", scale 1\n"));
  const Ran blocks = segmented("large.tif --pixel-size 0.25 --tiling exact --tile 256 --max-memory 120M");
  CHECK_MESSAGE(contains(blocks.err, "so they are segmented in"), blocks.err);
  CHECK_MESSAGE(contains(blocks.err, "basin: large.tif: " + said), blocks.err);
  const Ran same = segmented("one.tif --pixel-size 0.5");
  CHECK(!contains(same.err, "the file gives"));
  CHECK(contains(same.out, ", scale 2\n"));
}

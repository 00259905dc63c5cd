#include <algorithm>
#include <cmath>

#include "data/arrays/npy.h"
#include "data/objects/write_stack.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

const std::string zarr_options = " --scale 1 --device cpu --threads 1 ";
constexpr int height = 64, width = 72;

/// A part of a sample with several nuclei.
Image part_of_sample() {
  const Image sample = read_image(fs::path(basin::source_dir()) / "data/samples/nuclei_000_img.png");
  Image image{height, width, 1, PixelType::u8, std::vector<std::byte>(height * width)};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      image.pixels[size_t(y * width + x)] = sample.pixels[size_t((y + 40) * sample.width + x + 30)];
  return image;
}

/// Frames with 0.25 um/px as OME-Zarr: equal images, in one chunk.
void put_store(const fs::path& store, int frames) {
  const Image image = part_of_sample();
  const std::string plane(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
  std::string all;
  for (int t = 0; t < frames; ++t)
    all += plane;
  fs::create_directories(store / "0/0/0");
  write_bytes(store / ".zattrs",
              R"({"multiscales": [{"version": "0.4", "axes": [{"name": "t", "type": "time"},
              {"name": "y", "type": "space", "unit": "micrometer"}, {"name": "x", "type": "space", "unit": "micrometer"}],
              "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.25, 0.25]}]}]}]})");
  const std::string shape = "[" + std::to_string(frames) + ", 64, 72]";
  write_bytes(store / "0/.zarray",
              R"({"zarr_format": 2, "dtype": "|u1", "compressor": null, "filters": null, "order": "C",
              "fill_value": 0, "dimension_separator": "/", "shape": )" +
                  shape + R"(, "chunks": )" + shape + "}");
  write_bytes(store / "0/0/0/0", all);
}

}  // namespace

TEST_CASE("segment: an OME-Zarr store is one image, and its labels and its field are saved with its size") {
  const Folder folder;
  put_store(folder / "in/a.ome.zarr", 1);
  write_png(folder / "a.png", part_of_sample());
  const std::string words = " --model nuclei-fluo --save labels,zarr,ome,flow,field,csv --out ";
  const Ran ran = run_basin(folder, "segment in" + words + "out" + zarr_options);
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  REQUIRE(run_basin(folder, "segment a.png" + words + "png" + zarr_options).code == 0);
  const Labels labels = read_labels(folder / "png/a_masks.png");
  CHECK(labels.count > 2);
  CHECK(read_labels(folder / "out/a_masks.png").ids == labels.ids);
  for (const std::string name : {"a_masks.ome.zarr", "a_masks.ome.tif"}) {
    CAPTURE(name);
    CHECK(read_labels(folder / "out" / name).ids == labels.ids);
    CHECK(planes_in(folder / "out" / name, {}).stack.pixel_size() == doctest::Approx(0.25));
    CHECK(!planes_in(folder / "png" / name, {}).stack.pixel_size());
  }
  CHECK(contains(read_bytes(folder / "out/a_objects.csv"), "area_um2"));
  const Ran score = run_basin(folder, "evaluate --pred out --truth png");
  CHECK_MESSAGE(score.code == 0, score.err);

  // The brightest of three channels is the length of a vector, its colour the direction.
  const Image flow = read_image(folder / "out/a_flow.png");
  const Array field = read_npy(folder / "out/a_field.npy");
  REQUIRE(flow.channels == 3);
  REQUIRE(flow.width == width);
  const float* x = field.as<float>();
  const float* y = x + height * width;
  int compared = 0;
  for (int p = 0; p < height * width; ++p) {
    const uint8_t* rgb = flow.as<uint8_t>() + 3 * p;
    if (std::hypot(x[p], y[p]) < 0.5f) continue;
    ++compared;
    if (x[p] > 2 * std::abs(y[p])) CHECK(rgb[0] > std::max(rgb[1], rgb[2]));
    if (x[p] < -2 * std::abs(y[p])) CHECK(rgb[0] < std::min(rgb[1], rgb[2]));
  }
  CHECK(compared > 100);

  const Ran again = run_basin(folder, "segment in --skip-existing" + words + "out" + zarr_options);
  CHECK_MESSAGE(again.code == 0, again.err);
  CHECK(!contains(again.out, "a.ome.zarr:"));
  const Ran kept =
      run_basin(folder, "segment a.png --model nuclei-fluo --save zarr --out png --series 1" + zarr_options);
  CHECK(kept.code == 1);
  CHECK(contains(kept.err, "a.png: --series 1 is for OME-Zarr stores"));
  fs::remove(folder / "out/run.json");
  for (const std::string kind : {"zarr", "ome"}) {
    const Ran foreign =
        run_basin(folder, "segment in --model nuclei-fluo --out out" + zarr_options + " --save " + kind);
    CHECK_MESSAGE(contains(foreign.err, "a_masks.png: already exists and may contain true labels"), foreign.err);
  }
}

TEST_CASE("segment: labels in any format replace those that an earlier run wrote in another one") {
  const Folder folder;
  write_png(folder / "a.png", part_of_sample());
  const std::vector<std::pair<std::string, std::vector<std::string>>> kinds{
      {"labels,scores", {"a_masks.png", "a_scores.csv"}},
      {"ome", {"a_masks.ome.tif"}},
      {"zarr", {"a_masks.ome.zarr"}},
      {"labels", {"a_masks.png"}}};
  std::vector<std::string> before;
  for (const auto& [save, files] : kinds) {
    CAPTURE(save);
    const Ran ran = run_basin(folder, "segment a.png --model nuclei-fluo --out out --save " + save + zarr_options);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    for (const std::string& file : files)
      CHECK(fs::exists(folder / "out" / file));
    for (const std::string& file : before) {
      CHECK(!fs::exists(folder / "out" / file));
      CHECK_MESSAGE(contains(ran.err, "removed, as results of an earlier run"), ran.err);
    }
    before = files;
    const Ran view = run_basin(folder, "view out");
    CHECK_MESSAGE(view.code == 0, view.err);
    CHECK(contains(read_bytes(folder / "out/view/image-1.js"), "\"area\""));
  }
  // Labels that the command did not write are kept, and said.
  fs::copy(folder / "out/a_masks.png", folder / "other/a_masks.png");
  const Ran kept = run_basin(folder, "segment a.png --model nuclei-fluo --out other --save ome" + zarr_options);
  CHECK(kept.code == 1);
  CHECK(contains(kept.err, "a_masks.png: already exists and may contain true labels"));
}

TEST_CASE("segment: a time series in OME-Zarr gives stacks of labels and of pictures of the field") {
  const Folder folder;
  put_store(folder / "a.ome.zarr", 2);
  const Ran ran =
      run_basin(folder, "segment a.ome.zarr/ --model nuclei-fluo --stitch 0.5 --save zarr,ome,labels,flow --out out" +
                            zarr_options);
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(ran.err, "read as T=2 Y X, 0.25 um/px; its 2 planes"));
  for (const char* name : {"out/a_masks.ome.zarr", "out/a_masks.ome.tif", "out/a_masks.tif", "out/a_flow.tif"})
    CHECK(to_text(planes_in(folder / name, {}).stack).starts_with("T=2 Y X"));
  PlaneChoice last;
  last.plane = "T=1";
  for (const char* name : {"out/a_masks.ome.zarr", "out/a_masks.ome.tif"})
    CHECK(read_image(folder / name, last).pixels == read_image(folder / "out/a_masks.tif", last).pixels);
  const Ran info = run_basin(folder, "info a.ome.zarr --plane T=0");
  CHECK(contains(info.out, "axes        T=2 Y X, 0.25 um/px"));
}

TEST_CASE("export: label TIFFs have the pixel size of the image") {
  const Folder folder;
  constexpr int side = 780, cell = 3;  // 67,600 objects, more than 16 bits can number
  std::vector<int64_t> ids(side * side);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      ids[size_t(y * side + x)] = 1 + (y / cell) * (side / cell) + x / cell;
  LabelStack stack{StackPlanes()};
  const Labels labels = labels_of(side, side, ids);
  write_labels(folder / "a_masks.npy", labels);
  StackPlanes planes;
  planes.stack.pixel = PixelSides{0.5, 0.5};
  PictureStack image(folder / "a.tif", planes);
  image.add({side, side, 1, PixelType::u8, std::vector<std::byte>(side * side)});
  image.commit();
  const Ran ran = run_basin(folder, "export a_masks.npy --image a.tif --save labels --out out");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  const Image written = read_image(folder / "out/a_masks.tif");
  CHECK(written.type == PixelType::u32);
  CHECK(written.stack.pixel_size() == doctest::Approx(0.5));
  CHECK(read_labels(folder / "out/a_masks.tif").ids == labels.ids);
}

TEST_CASE("segment: the probability of es is its seed map, and other methods refuse what they do not predict") {
  const Folder folder;
  const auto put_method = [&](const std::string& name, const std::string& file,
                              const std::vector<Assignment>& settings) {
    const std::unique_ptr<Method> method = make_method(name, settings);
    method->params().allocate({});
    method->init({}, 1);
    save_model(folder / file, {}, *method, Json::object());
  };
  put_method("es", "es.safetensors", {parse_assignment("width=4")});
  put_method("fc", "fc.safetensors", {});
  write_png(folder / "i.png", part_of_sample());
  const Ran ran =
      run_basin(folder, "segment i.png --model es.safetensors --save probability,raw --out out --device cpu");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  const Image picture = read_image(folder / "out/i_probability.png");
  const Array raw = read_npy(folder / "out/i_raw.npy");
  const float* seed = raw.as<float>() + 4 * height * width;
  int wrong = 0;
  for (int p = 0; p < height * width; ++p)
    wrong += std::abs(picture.as<uint8_t>()[p] - 255 / (1 + std::exp(-seed[p]))) > 0.51;
  CHECK(wrong == 0);
  for (const std::string kind : {"probability", "flow"}) {
    const Ran refused = run_basin(folder, "segment i.png --model fc.safetensors --out fc --device cpu --save " + kind);
    CHECK(refused.code == 1);
    CHECK(contains(refused.err, "--save " + kind + ": models of the method fc can save labels"));
  }
}

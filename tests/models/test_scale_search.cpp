#include <doctest/doctest.h>

#include "engine/json.h"
#include "kernels/image/components.h"
#include "models/inference/model_file.h"
#include "models/inference/scale_search.h"
#include "tests/support/command_support.h"
#include "tests/support/fake_method.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

constexpr double trained_diameter = 12;
const Appearance trained{0, 0, 1, 1, 10, trained_diameter, 14};

/// Imitates a network trained on objects of this diameter, 12 px by default: returns the bright connected components,
/// but misses smaller ones and breaks larger ones into pieces of this size.
template <int usual = int(trained_diameter)>
Instances find_like_a_network(const Exec& exec, const Maps& maps) {
  const Tensor& map = maps["brightness"];
  const std::vector<float> values = map.to_host<float>(exec);
  const int height = map.dim(1), width = map.dim(2);
  std::vector<uint8_t> mask;
  for (const float v : values)
    mask.push_back(v > 0.5);
  std::vector<int32_t> ids(values.size());
  const auto count = kernels::components({}, {mask.data(), {height, width}}, 8, {ids.data(), {height, width}});
  std::vector<double> areas(size_t(count) + 1);
  for (const int32_t id : ids)
    areas[size_t(id)] += 1;
  std::vector<int64_t> found;
  for (size_t i = 0; i < ids.size(); ++i) {
    const double diameter = 2 * std::sqrt(areas[size_t(ids[i])] / 3.14159265);
    const int64_t piece = int64_t(i) / width / usual * 1000 + int64_t(i) % width / usual;
    const bool is_object = ids[i] > 0 && diameter > 0.6 * usual;
    found.push_back(!is_object ? 0 : diameter < 1.6 * usual ? ids[i] : (piece + 1) * 1000 + ids[i]);
  }
  return {compact(height, width, std::move(found)), {}, {}};
}

const FakeMethod method(
    {{"brightness", 1}},
    [](const Exec&, const Tensor& image) {
      return Maps({{"brightness", image}});
    },
    find_like_a_network<>);

/// Bright discs of the given diameter at two of every three positions of a jittered grid. Their brightness falls to 0
/// over this many pixels across the border: at one pixel, as sharply as pixels can show.
Source discs(double diameter, int height, int width, double blur = 1) {
  std::vector<float> values(size_t(height) * size_t(width));
  const int spacing = int(1.5 * diameter) + 2;
  int k = 0;
  for (int y = spacing / 2; y < height; y += spacing)
    for (int x = spacing / 2; x < width; x += spacing) {
      if (++k % 3 == 0) continue;
      const double cy = y + k % 5 * 0.04 * diameter, cx = x + k % 7 * 0.03 * diameter;
      const int reach = int(diameter);
      for (int v = std::max(0, y - reach); v < std::min(height, y + reach); ++v)
        for (int u = std::max(0, x - reach); u < std::min(width, x + reach); ++u)
          if (const double inside = (diameter / 2 - std::hypot(v - cy, u - cx)) / blur + 0.5; inside > 0)
            values[size_t(v) * size_t(width) + size_t(u)] = float(std::min(1.0, inside));
    }
  Image image{height, width, 1, PixelType::f32, std::vector<std::byte>(values.size() * sizeof(float))};
  std::memcpy(image.pixels.data(), values.data(), image.pixels.size());
  return Source(std::move(image), 1, parse_normalisation("none"), "discs");
}

FoundScale found_in(const Exec& exec, const Source& source) {
  return find_scale(exec, method, *method.predictor(exec), source, trained);
}

}  // namespace

TEST_CASE("scale search: objects of 1/3 to 3 times the training size are rescaled to about the training size") {
  for (const Exec& exec : execs())
    for (const double ratio : {1. / 3, 0.5, 2., 3.}) {
      CAPTURE(ratio);
      const FoundScale found = found_in(exec, discs(ratio * trained_diameter, 300, 380));
      CHECK(found.scale * found.diameter / trained_diameter > 0.99 / 1.26);
      CHECK(found.scale * found.diameter / trained_diameter < 1.01 * 1.26);
      CHECK(found.diameter == doctest::Approx(ratio * trained_diameter).epsilon(0.25));
      CHECK(found_in(exec, discs(ratio * trained_diameter, 300, 380)).scale == found.scale);
    }
}

TEST_CASE("scale search: objects in an image so small that its enlarged parts would cut nearly all of them") {
  const Exec cpu;
  const FakeMethod large(
      {{"brightness", 1}},
      [](const Exec&, const Tensor& image) {
        return Maps({{"brightness", image}});
      },
      find_like_a_network<40>);
  for (const double ratio : {0.25, 1. / 3, 0.5}) {
    CAPTURE(ratio);
    const FoundScale found =
        find_scale(cpu, large, *large.predictor(cpu), discs(ratio * 40, 84, 84), {0, 0, 1, 1, 35, 40, 45});
    CHECK(found.diameter == doctest::Approx(ratio * 40).epsilon(0.1));
    CHECK(found.scale == doctest::Approx(1 / ratio).epsilon(0.26));
  }
}

TEST_CASE("scale search: scale 1 is kept where objects have about the training size") {
  const Exec cpu;
  for (const double ratio : {0.85, 1., 1.15}) {
    CAPTURE(ratio);
    const FoundScale found = found_in(cpu, discs(ratio * trained_diameter, 200, 190));
    CHECK(found.scale == 1);
    CHECK(found.diameter == doctest::Approx(ratio * trained_diameter).epsilon(0.1));
  }
  const Appearance wide{0, 0, 1, 1, 4, trained_diameter, 19};
  CHECK(find_scale(cpu, method, *method.predictor(cpu), discs(18, 200, 190), wide).scale == 1);
  CHECK(find_scale(cpu, method, *method.predictor(cpu), discs(22, 200, 190), wide).scale < 1);
}

TEST_CASE("scale search: a network that was trained on many sizes sees objects half-way to the training's median") {
  const Exec cpu;
  for (const double ratio : {1. / 3, 3.}) {
    CAPTURE(ratio);
    const FoundScale found = find_scale(cpu, method, *method.predictor(cpu), discs(ratio * trained_diameter, 300, 380),
                                        {0, 0, 1, 1, 0.3 * trained_diameter, trained_diameter, 2.5 * trained_diameter});
    const double half_way = std::sqrt(found.diameter / trained_diameter);
    CHECK(found.scale * found.diameter / trained_diameter == doctest::Approx(half_way).epsilon(0.02));
  }
}

TEST_CASE(
    "scale search: objects in an image that is smooth from pixel to pixel are reduced to slightly below the training's "
    "median") {
  const Exec cpu;
  const Appearance wide{0, 0, 1, 1, 4, trained_diameter, 40};
  const auto found = [&](double ratio, double blur) {
    return find_scale(cpu, method, *method.predictor(cpu), discs(ratio * trained_diameter, 300, 380, blur), wide);
  };
  CHECK(found(1.5, 1).scale == 1);
  for (const double ratio : {1.05, 1.5, 3.}) {
    CAPTURE(ratio);
    const FoundScale smooth = found(ratio, 8);
    CHECK(smooth.diameter == doctest::Approx(ratio * trained_diameter).epsilon(0.1));
    CHECK(smooth.scale == doctest::Approx(0.95 * trained_diameter / smooth.diameter).epsilon(0.005));
  }
  CHECK(found(0.8, 8).scale == 1);
}

TEST_CASE("scale search: an image of noise is not enlarged until its grains look like objects") {
  const Folder folder;
  Image noise{128, 128, 1, PixelType::u8, std::vector<std::byte>(128 * 128)};
  const std::vector<double> values = uniform<double>(noise.pixels.size(), 30, 90, 1);
  for (size_t i = 0; i < values.size(); ++i)
    noise.pixels[i] = std::byte(int(values[i]));
  write_png(folder / "noise.png", noise);
  const Ran ran = run_basin(folder, "segment noise.png --model nuclei-fluo --out out --device cpu");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK(Json::parse(read_bytes(folder / "out/run.json"))["scales"][0]["scale"] == 1);
}

TEST_CASE("scale search: scale 1 is kept in images without objects or with few pixels") {
  const Exec cpu;
  for (const auto& [height, width] : {std::pair(200, 300), {1, 1}, {1, 40}, {7, 3}}) {
    const FoundScale found = found_in(cpu, discs(0, height, width));
    CHECK(found.scale == 1);
    CHECK(found.diameter == 0);
  }
}

TEST_CASE("scale search: runs the network on a fraction of the image's pixels") {
  const Exec cpu;
  int64_t pixels = 0;
  const FakeMethod counting(
      {{"brightness", 1}},
      [&](const Exec&, const Tensor& image) {
        pixels += int64_t(image.dim(1)) * image.dim(2);
        return Maps({{"brightness", image}});
      },
      find_like_a_network<>);
  for (const double ratio : {1. / 3, 1., 3.}) {
    pixels = 0;
    find_scale(cpu, counting, *counting.predictor(cpu), discs(ratio * trained_diameter, 520, 696), trained);
    CHECK(double(pixels) < (ratio == 1 ? 0.08 : 0.25) * 520 * 696);
  }
}

TEST_CASE("segment: maps of a shrunk image are enlarged before decoding, those of an enlarged image are not resized") {
  const Exec cpu;
  FakeMethod scalable(
      {{"brightness", 1}},
      [](const Exec&, const Tensor& image) {
        return Maps({{"brightness", image}});
      },
      find_like_a_network<>);
  scalable.scalable = true;
  const Source source = discs(6, 40, 60);
  const auto maps_at = [&](double scale) {
    return predict_source(cpu, scalable, *scalable.predictor(cpu), source, {{}, scale, false});
  };
  const Maps shrunk = maps_at(0.5), enlarged = maps_at(2);
  CHECK(shrunk["brightness"].shape() == Shape{1, 40, 60});
  CHECK(shrunk.scale == 2);
  CHECK(enlarged["brightness"].shape() == Shape{1, 80, 120});
  CHECK(enlarged.scale == 1);
  const Labels labels =
      segment_source(cpu, scalable, *scalable.predictor(cpu), source, {{}, 2, false}).instances.labels;
  CHECK(labels.height == 40);
  CHECK(labels.width == 60);
  CHECK(labels.count > 3);
}

TEST_CASE("segment: finds each image's scale if the model records the object sizes of its training data") {
  const Folder folder;
  Model model = load_model(std::filesystem::path(source_dir()) / "models/pretrained/nuclei-fluo.safetensors", {});
  model.info.erase("appearance"), model.info.erase("scale");
  save_model(folder / "sizeless.safetensors", {}, *model.method, model.info);
  model.info["appearance"] = to_json(Appearance{0, 0.1, 0.5, 1, 7.3, 21.4, 50.2});
  save_model(folder / "one_scale.safetensors", {}, *model.method, model.info);
  model.info["scale"] = "auto";
  save_model(folder / "sized.safetensors", {}, *model.method, model.info);
  std::filesystem::copy_file(source_dir() + "/data/samples/nuclei_000_img.png", folder / "in/a.png");
  write_png(folder / "in/flat.png", Image{32, 40, 1, PixelType::u8, std::vector<std::byte>(32 * 40, std::byte{7})});
  const auto run_json = [&](const std::string& out) { return Json::parse(read_bytes(folder / (out + "/run.json"))); };

  const Ran found = run_basin(folder, "segment in --model sized.safetensors --out out --device cpu");
  REQUIRE_MESSAGE(found.code == 0, found.err);
  CHECK_MESSAGE(contains(found.out, " objects, scale 1\n"), found.out);
  CHECK(contains(found.out, "in/flat.png: 0 objects, scale 1\n"));
  CHECK_MESSAGE(contains(found.err,
                         "in/flat.png: no scale was found at which its objects have the size of training objects, "
                         "so scale 1 is used"),
                found.err);
  CHECK(run_json("out")["scale"] == "auto");
  CHECK(run_json("out")["scales"] ==
        Json{{{"image", "in/a.png"}, {"scale", 1.0}}, {{"image", "in/flat.png"}, {"scale", 1.0}}});

  // Recorded sizes alone do not make the search the default.
  const Ran one = run_basin(folder, "segment in --model one_scale.safetensors --out one --device cpu");
  REQUIRE_MESSAGE(one.code == 0, one.err);
  CHECK(run_json("one")["scale"] == 1);

  const Ran fixed = run_basin(folder, "segment in --model sized.safetensors --out fixed --scale 1 --device cpu");
  CHECK(!contains(fixed.out, "scale"));
  CHECK(run_json("fixed")["scale"] == 1);
  CHECK(run_json("fixed")["scales"].empty());
  CHECK(read_bytes(folder / "fixed/a_masks.png") == read_bytes(folder / "out/a_masks.png"));

  for (const char* wrong : {"0", "big", "1x", "nan", "101"})
    CHECK(contains(run_basin(folder, std::string("segment in --model sized.safetensors --out no --scale ") + wrong).err,
                   std::string("basin: --scale ") + wrong + ": expected auto or a number from 0.01 to 100\n"));
  CHECK(contains(
      run_basin(folder, "segment in --model sizeless.safetensors --out no --scale auto --device cpu").err,
      "basin: --scale auto: sizeless.safetensors does not record the size of the objects that it was trained on; give "
      "a number as --scale instead\n"));
}

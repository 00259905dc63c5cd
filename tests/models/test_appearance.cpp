#include <doctest/doctest.h>

#include "data/files/image.h"
#include "data/metrics/metrics.h"
#include "data/synth/synth.h"
#include "engine/json.h"
#include "kernels/image/resize_antialiased.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"
#include "tests/support/command_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

Image image_of(int height, int width, const std::vector<uint16_t>& values) {
  Image image{height, width, 1, PixelType::u16, std::vector<std::byte>(values.size() * 2)};
  std::memcpy(image.pixels.data(), values.data(), image.pixels.size());
  return image;
}

/// A ramp from 0 to `top`, 64 x 64 pixels.
Source ramp(double top, const Normalisation& norm) {
  std::vector<uint16_t> values;
  for (int i = 0; i < 64 * 64; ++i)
    values.push_back(uint16_t(top * i / (64 * 64 - 1)));
  return Source(image_of(64, 64, values), 1, norm, "ramp");
}

Labels squares(int side, int count) {
  Labels labels{64, 64, count, std::vector<int32_t>(64 * 64)};
  for (int k = 0; k < count; ++k)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        labels.ids[size_t(y * 64 + k * (side + 1) + x)] = k + 1;
  return labels;
}

std::string joined(const std::vector<std::string>& remarks) {
  std::string all;
  for (const std::string& r : remarks)
    all += r + "\n";
  return all;
}

}  // namespace

TEST_CASE("appearance: the common pixel size is that of all images, or unknown") {
  const auto with_sizes = [](const std::vector<std::optional<double>>& sizes) {
    std::vector<Example> examples;
    for (const std::optional<double>& size : sizes) {
      Image image = image_of(2, 2, {0, 20000, 40000, 60000});
      if (size) image.stack.pixel = PixelSides{*size, *size};
      examples.push_back({"e", Source(image, 1, parse_normalisation("divide"), "e"), StoredLabels(squares(2, 1))});
    }
    return common_pixel_size(examples);
  };
  CHECK(with_sizes({0.2, 0.2}) == 0.2);
  CHECK(with_sizes({0.2, 0.2015}) == 0.2);
  CHECK(with_sizes({0.2, 0.21}) == 0);
  CHECK(with_sizes({0.2, std::nullopt}) == 0);
  CHECK(with_sizes({}) == 0);
  Appearance known;
  known.pixel_size = 0.25;
  CHECK(appearance_in(Json{{"appearance", to_json(known)}})->pixel_size == 0.25);
}

TEST_CASE("appearance: segmentation reports how an image differs from the training images") {
  const Normalisation divide = parse_normalisation("divide");
  std::vector<Example> examples;
  for (int k = 0; k < 4; ++k)
    examples.push_back({"e" + std::to_string(k), ramp(60000, divide), StoredLabels(squares(8, 5))});
  const Appearance trained = appearance_of(examples);
  CHECK(trained.low_contrast == doctest::Approx(60000 / 65535. * 0.988).epsilon(0.01));
  CHECK(trained.diameter == doctest::Approx(2 * std::sqrt(64 / 3.14159265)));
  const std::optional<Appearance> back = appearance_in(Json{{"appearance", to_json(trained)}});
  REQUIRE(back);
  CHECK(back->diameter == trained.diameter);
  CHECK(back->high_contrast == trained.high_contrast);
  CHECK(!appearance_in(Json{{"appearance", {{"middle", 1}}}}));
  CHECK(!appearance_in(Json::object()));

  const auto remarks = [&](const Source& source, const Labels& labels, double scale = 1) {
    return joined(remarks_on(source, labels, trained, scale, divide));
  };
  CHECK(remarks(ramp(60000, divide), squares(8, 5)) == "");
  CHECK(contains(remarks(ramp(4095, divide), squares(8, 5)), "nearly black"));
  CHECK(contains(remarks(ramp(4095, divide), squares(8, 5)), "--norm percentile:1,99.8 may help"));
  CHECK(
      contains(remarks(ramp(60000, divide), Labels{64, 64, 0, std::vector<int32_t>(64 * 64)}), "no object was found"));
  CHECK(contains(remarks(ramp(0, divide), squares(8, 5)), "the same value"));
  const auto mostly = [&](double background) {  // a ramp over a quarter of the image
    std::vector<uint16_t> values(64 * 64, uint16_t(60000 * background));
    for (int i = 0; i < 64 * 16; ++i)
      values[size_t(i)] = uint16_t(60000 * i / (64 * 16 - 1));
    return Source(image_of(64, 64, values), 1, divide, "mostly");
  };
  CHECK(contains(remarks(mostly(0.95), squares(8, 5)), "the background is far brighter than in training images"));
  CHECK(contains(remarks(mostly(0.05), squares(8, 5)), "the background is far darker than in training images"));
  CHECK(remarks(mostly(0.4), squares(8, 5)) == "");
  CHECK(contains(remarks(ramp(60000, divide), squares(20, 3)), "median diameter of 22.6 px"));
  CHECK(contains(remarks(ramp(60000, divide), squares(2, 9)), "--diameter"));
  // No advice that the user has followed already.
  const std::string given = joined(remarks_on(ramp(60000, divide), squares(2, 9), trained, 1, divide, false));
  CHECK(contains(given, "median diameter"));
  CHECK(!contains(given, "--diameter"));
  CHECK(remarks(ramp(60000, divide), squares(20, 3), 0.4) == "");
  CHECK(joined(remarks_on(ramp(4095, divide), squares(2, 3), {}, 1, divide)) == "");
}

TEST_CASE("appearance: an image of few grey levels, which normalisation spreads over the whole range, is reported") {
  const auto remarks = [&](int levels, const std::string& norm) {
    std::vector<uint16_t> values(64 * 64);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = uint16_t(500 + int(i) % (levels + 1));
    const Normalisation as = parse_normalisation(norm);
    return joined(remarks_on(Source(image_of(64, 64, values), 1, as, "few"), squares(8, 5), {}, 1, as));
  };
  CHECK(remarks(3, "percentile:1,99.8") ==
        "between the percentiles 1 and 99.8 its values differ by only 3, which normalisation spreads over the whole "
        "range: what was found may be noise\n");
  CHECK(remarks(7, "percentile:1,99.8") != "");
  CHECK(remarks(8, "percentile:1,99.8") == "");
  CHECK(remarks(3, "none") == "");
}

TEST_CASE("appearance: a few pixels far above the rest are reported, the objects of a sparse image are not") {
  const Normalisation percentiles = parse_normalisation("percentile:1,99.8");
  // Noise, `objects` squares of 12 x 12 px that are `bright`, and a speck of `side` x `side` px with a rim.
  const auto remarks = [&](int objects, int bright, int side, const Normalisation& norm, int speck = 60000,
                           int rim = 0) {
    std::vector<uint16_t> values(256 * 256);
    const std::vector<float> noise = uniform<float>(values.size(), 90, 110, 1);
    std::transform(noise.begin(), noise.end(), values.begin(), [](float v) { return uint16_t(v); });
    const auto paint = [&](int y, int x, int size, int value) {
      for (int r = y; r < y + size; ++r)
        std::fill_n(values.begin() + r * 256 + x, size, uint16_t(value));
    };
    for (int k = 0; k < objects; ++k)
      paint(8 + k / 12 * 20, 8 + k % 12 * 20, 12, bright);
    paint(230, 230, rim, 3100);
    paint(233, 233, side, speck);
    return joined(remarks_on(Source(image_of(256, 256, values), 1, norm, "specks"), squares(8, 5), {}, 1, norm));
  };
  const std::string speck = remarks(30, 600, 12, percentiles);
  CHECK_MESSAGE(contains(speck, "0.22 % of the pixels are 120 times as far above the middle value as"), speck);
  CHECK_MESSAGE(contains(speck, "--norm percentile:1,99.7 may help"), speck);
  CHECK(remarks(30, 600, 12, parse_normalisation("percentile:1,99.7")) == "");  // the advice, followed
  CHECK(remarks(30, 600, 11, percentiles) == "");                               // above the percentile
  CHECK(remarks(30, 600, 12, parse_normalisation("none")) == "");
  CHECK(remarks(30, 600, 0, percentiles) == "");
  CHECK(remarks(2, 60000, 0, percentiles) == "");
  CHECK(remarks(0, 0, 12, percentiles) == "");
  CHECK(contains(remarks(30, 600, 12, percentiles, 7600), "15 times"));
  CHECK(remarks(30, 600, 12, percentiles, 7600, 18) == "");  // blurred
  CHECK(remarks(30, 600, 12, percentiles, 5000) == "");      // nine times
  CHECK(contains(remarks(30, 600, 12, percentiles, 13000, 18), "26 times"));
}

TEST_CASE("resize: antialiased resizing keeps constants, averages when shrinking and interpolates when enlarging") {
  for (const Exec& exec : execs()) {
    const auto resized = [&](const std::vector<float>& values, int h, int w, int to_h, int to_w) {
      const Tensor from = Tensor::from(exec, {1, h, w}, values), to = Tensor::empty(exec, {1, to_h, to_w});
      kernels::resize_antialiased(exec, from.view<const float, 3>(), to.view<float, 3>());
      return to.to_host<float>(exec);
    };
    for (const float v : resized(std::vector<float>(7 * 5, 2.5f), 7, 5, 3, 11))
      CHECK(v == doctest::Approx(2.5));
    // Pixel 1 of 3 is centred at 2.5 of 6 and its filter reaches 2 px on either side: weights 1/4, 3/4, 3/4, 1/4.
    CHECK(resized({0, 1, 2, 30, 4, 5}, 1, 6, 1, 3)[1] == doctest::Approx((1 * .25 + 2 * .75 + 30 * .75 + 4 * .25) / 2));
    check_close(resized({0, 4}, 1, 2, 1, 4), std::vector<float>{0, 1, 3, 4}, 1e-6, 0);
  }
}

TEST_CASE("segment: an image enlarged by 2 and segmented at scale 0.5 gives the objects of the original") {
  const Exec cpu;
  const Model model =
      load_model(std::filesystem::path(source_dir()) / "models/pretrained/nuclei-fluo.safetensors", cpu);
  const std::string stem = source_dir() + "/data/samples/nuclei_000";
  const Image original = read_image(stem + "_img.png");
  const Labels truth = read_labels(stem + "_masks.png");
  Image large{2 * original.height, 2 * original.width, 1, original.type, {}};
  REQUIRE(original.type == PixelType::u8);
  for (int y = 0; y < large.height; ++y)
    for (int x = 0; x < large.width; ++x)
      large.pixels.push_back(original.pixels[size_t(y / 2) * size_t(original.width) + size_t(x / 2)]);
  const Normalisation norm = model.method->sample_spec().normalisation;
  const auto ap = [&](double scale) {
    const Source source(large, 1, norm, "large");
    const Labels found =
        segment_source(cpu, *model.method, *model.predictor, source, {{}, scale, false}).instances.labels;
    CHECK(found.height == large.height);
    return average_precision(score(resized(truth, large.height, large.width), found), 0.5, Dialect::stardist)
        .value_or(0);
  };
  CHECK(ap(0.5) > 0.9);
}

TEST_CASE("segment: reports that no object was found, and refuses invalid scales") {
  const Folder folder;
  write_png(folder / "flat.png", Image{32, 40, 1, PixelType::u8, std::vector<std::byte>(32 * 40, std::byte{7})});
  const std::string model = " --model '" + source_dir() + "/models/pretrained/nuclei-fluo.safetensors' --out out";
  const Ran ran = run_basin(folder, "segment flat.png" + model);
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK_MESSAGE(contains(ran.err, "basin: flat.png: no object was found"), ran.err);
  CHECK(contains(read_bytes(folder / "out/run.json"), "no object was found"));
  CHECK(contains(run_basin(folder, "segment flat.png --scale 0" + model).err, "--scale"));
  CHECK(contains(run_basin(folder, "segment flat.png --scale 1 --diameter 5" + model).err, "--diameter"));
}

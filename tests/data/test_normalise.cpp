#include <algorithm>
#include <cstring>
#include <limits>

#include "data/dataset/normalise.h"
#include "tests/support/file_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

template <class T>
Image image_of_values(int height, int width, int channels, const std::vector<T>& values) {
  const PixelType type = std::is_same_v<T, uint8_t>    ? PixelType::u8
                         : std::is_same_v<T, uint16_t> ? PixelType::u16
                         : std::is_same_v<T, uint32_t> ? PixelType::u32
                                                       : PixelType::f32;
  Image image{height, width, channels, type, std::vector<std::byte>(values.size() * sizeof(T))};
  std::memcpy(image.pixels.data(), values.data(), image.pixels.size());
  return image;
}

/// All pixels of one channel.
std::vector<float> channel_of(const Source& s, int channel) {
  std::vector<float> values(size_t(s.height()) * size_t(s.width()));
  for (int y = 0; y < s.height(); ++y)
    s.row(channel, y, 0, s.width(), values.data() + y * s.width());
  return values;
}

const Normalisation divide{}, as_stored{Normalisation::Kind::none};
Normalisation percentile(double low, double high) { return {Normalisation::Kind::percentile, low, high}; }

/// The q-th percentile by sorting.
double sorted_percentile(std::vector<float> values, double q) {
  std::sort(values.begin(), values.end());
  const double rank = q / 100 * double(values.size() - 1);
  const size_t i = size_t(rank), j = std::min(i + 1, values.size() - 1);
  return double(values[i]) + (rank - double(i)) * (double(values[j]) - double(values[i]));
}

}  // namespace

TEST_CASE("normalise: the option is parsed and printed") {
  for (const char* text : {"divide", "none", "percentile:1,99.8", "percentile:0,100", "percentile:0.5,99.95"})
    CHECK(to_string(parse_normalisation(text)) == text);
  for (const char* text :
       {"", "div", "percentile", "percentile:", "percentile:1", "percentile:5,4", "percentile:4,4", "percentile:-1,5",
        "percentile:1,101", "percentile:a,b", "percentile:1,nan", "percentile:1,2,3"})
    CHECK(contains(refusal([&] { parse_normalisation(text); }), "--norm"));
}

TEST_CASE("normalise: divide gives the correctly rounded quotient by the type's maximum") {
  std::vector<uint8_t> bytes(256);
  for (size_t i = 0; i < 256; ++i)
    bytes[i] = uint8_t(i);
  const std::vector<float> eight = channel_of(Source(image_of_values(16, 16, 1, bytes), 1, divide, "a"), 0);
  for (size_t i = 0; i < 256; ++i)
    REQUIRE(eight[i] == float(i) / 255.f);
  std::vector<uint16_t> words(65536);
  for (size_t i = 0; i < words.size(); ++i)
    words[i] = uint16_t(i);
  const std::vector<float> sixteen = channel_of(Source(image_of_values(256, 256, 1, words), 1, divide, "a"), 0);
  for (size_t i = 0; i < words.size(); ++i)
    REQUIRE(sixteen[i] == float(i) / 65535.f);
  const std::vector<float> reals{-0.25f, 0.1f, 1};
  CHECK(channel_of(Source(image_of_values(1, 3, 1, reals), 1, divide, "a"), 0) == reals);
  CHECK(refusal([] {
          Source(image_of_values<uint32_t>(1, 1, 1, {1}), 1, divide, "a.tif");
        }).starts_with("a.tif has 32-bit"));
  CHECK(channel_of(Source(image_of_values<uint32_t>(1, 2, 1, {1, 4000000000u}), 1, as_stored, "a"), 0) ==
        std::vector<float>{1, 4e9f});
}

TEST_CASE("normalise: divide is refused where the type's maximum is not the maximum of the values") {
  const auto why = [](const Image& image) { return refusal([&] { Source(image, 1, divide, "a.tif"); }); };
  CHECK(contains(why(image_of_values<float>(1, 2, 1, {20, 200})),
                 "a.tif has floats from 20 to 200, for which --norm divide"));
  CHECK(contains(why(image_of_values<float>(1, 2, 1, {-100, 1})), "use --norm percentile:1,99.8"));
  CHECK(contains(why(image_of_values<uint16_t>(1, 2, 1, {20, 200})), "a.tif has 16-bit values, but none above 200"));
  CHECK(Source(image_of_values<uint16_t>(1, 2, 1, {0, 0}), 1, divide, "a").image().notes.empty());
  CHECK(Source(image_of_values<uint16_t>(1, 2, 1, {20, 4096}), 1, divide, "a").image().notes.empty());
  // One note for all images of a camera with 12 bits, so that they are reported in one line.
  const Source bright(image_of_values<uint16_t>(1, 2, 1, {20, 4095}), 1, divide, "a");
  const Source dark(image_of_values<uint16_t>(1, 2, 1, {20, 1000}), 1, divide, "b");
  REQUIRE(bright.image().notes.size() == 1);
  CHECK(bright.image().notes == dark.image().notes);
  CHECK(channel_of(Source(image_of_values<float>(1, 2, 1, {20, 200}), 1, as_stored, "a"), 0) ==
        std::vector<float>{20, 200});
}

TEST_CASE("normalise: values far outside the percentiles are clipped") {
  std::vector<uint16_t> values(1000, 100);
  for (size_t i = 0; i < 500; ++i)
    values[i] = 300;
  values[7] = 65535;
  const std::vector<float> v = channel_of(Source(image_of_values(10, 100, 1, values), 1, percentile(1, 99.8), "a"), 0);
  CHECK(v[0] == 1);
  CHECK(v[999] == 0);
  CHECK(v[7] == brightest);
  std::vector<float> dead(1000, 0.5f);
  dead[3] = -1e9f, dead[5] = 0.6f, dead[6] = 0.6f, dead[8] = 0.6f;
  CHECK(channel_of(Source(image_of_values(10, 100, 1, dead), 1, percentile(1, 99.8), "a"), 0)[3] == darkest);
}

TEST_CASE("normalise: percentiles by hand") {
  const Source a(image_of_values<uint8_t>(1, 5, 1, {30, 10, 50, 20, 40}), 1, percentile(0, 100), "a");
  CHECK(channel_of(a, 0) == std::vector<float>{0.5f, 0, 1, 0.25f, 0.75f});
  // Ranks .75 and 2.25 of 1, 2, 3, 4: 1.75 and 3.25.
  const Source b(image_of_values<uint16_t>(2, 2, 1, {4, 3, 2, 1}), 1, percentile(25, 75), "b");
  CHECK(channel_of(b, 0) == std::vector<float>{1.5f, 1.25f / 1.5f, 0.25f / 1.5f, -0.5f});
  CHECK(channel_of(Source(image_of_values<uint8_t>(1, 3, 1, {7, 7, 7}), 1, percentile(1, 99), "c"), 0) ==
        std::vector<float>{0, 0, 0});
  CHECK(channel_of(Source(image_of_values<float>(1, 1, 1, {-2}), 1, percentile(1, 99), "d"), 0) ==
        std::vector<float>{0});
}

TEST_CASE("normalise: percentiles of every type equal those of the sorted values") {
  const auto check = [](auto zero, double least, double most, int levels) {
    using T = decltype(zero);
    for (const size_t n : {2, 3, 97, 1000}) {
      std::vector<T> values;
      for (double v : uniform<double>(n, 0, 1, unsigned(n) + 5))
        values.push_back(T(least + (most - least) * std::floor(v * levels) / levels));
      const std::vector<float> reals(values.begin(), values.end());
      for (const auto& [low, high] : {std::pair{1., 99.8}, {0., 100.}, {30., 31.}, {49.9, 50.}}) {
        const double from = sorted_percentile(reals, low), to = sorted_percentile(reals, high);
        std::vector<float> want(n, 0.f);
        if (float(to - from) > 0)
          std::transform(reals.begin(), reals.end(), want.begin(),
                         [&](float v) { return std::clamp((v - float(from)) / float(to - from), darkest, brightest); });
        CHECK(channel_of(Source(image_of_values(1, int(n), 1, values), 1, percentile(low, high), "a"), 0) == want);
      }
    }
  };
  check(uint8_t{}, 0, 255, 256);
  check(uint16_t{}, 0, 65535, 5);
  check(uint16_t{}, 0, 65535, 65536);
  check(uint32_t{}, 0, 4e9, 1 << 20);
  check(float{}, -1000, 1000, 1 << 30);
  check(float{}, -1e-30, 1e-30, 50);
}

TEST_CASE("normalise: grey to RGB, RGB to grey, and separate percentiles for each channel") {
  const Source grey(image_of_values<uint8_t>(1, 2, 1, {51, 255}), 3, divide, "a");
  CHECK(grey.channels() == 3);
  for (int c = 0; c < 3; ++c)
    CHECK(channel_of(grey, c) == std::vector<float>{0.2f, 1});
  const Source rgb(image_of_values<uint8_t>(1, 3, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255}), 1, divide, "a");
  check_close(channel_of(rgb, 0), {0.299f, 0.587f, 0.114f}, 1e-6, 0);
  const Source own(image_of_values<uint8_t>(1, 2, 3, {0, 10, 7, 100, 30, 7}), 3, percentile(0, 100), "a");
  CHECK(channel_of(own, 0) == std::vector<float>{0, 1});
  CHECK(channel_of(own, 1) == std::vector<float>{0, 1});
  CHECK(channel_of(own, 2) == std::vector<float>{0, 0});
  // Where RGB is converted to grey, the percentiles are those of the grey values.
  const Source made(image_of_values<uint8_t>(1, 2, 3, {10, 20, 30, 110, 120, 130}), 1, percentile(0, 100), "a");
  check_close(channel_of(made, 0), {0, 1}, 1e-6, 0);
  for (const auto& [has, wants] : {std::pair{2, 1}, {2, 3}, {3, 2}, {1, 2}, {5, 3}, {3, 5}}) {
    const std::string why = refusal([&, has = has, wants = wants] {
      Source(image_of_values(1, 1, has, std::vector<uint8_t>(size_t(has))), wants, divide, "b.png");
    });
    CHECK_MESSAGE(why.starts_with("b.png has " + std::to_string(has) + (has == 1 ? " channel" : " channels") +
                                  ", but the model takes " + std::to_string(wants)),
                  why);
    CHECK_MESSAGE(contains(why, "; give it an image of " + std::to_string(wants) + " of them") == (has > wants), why);
    const std::string offered = refusal([&, has = has, wants = wants] { check_channels({has, true}, wants, "b.png"); });
    const std::string remedy = "; choose " + std::to_string(wants) + " of them with --channel";
    CHECK_MESSAGE(contains(offered, remedy) == (has > wants), offered);
  }
}

TEST_CASE("normalise: three channels of a stack are not colours, and are not mixed into grey") {
  Image image = image_of_values<uint8_t>(1, 2, 3, {10, 20, 30, 110, 120, 130});
  CHECK_NOTHROW(Source(image, 1, divide, "a.tif"));
  image.separate_channels = true;
  CHECK_NOTHROW(Source(image, 3, divide, "a.tif"));
  const std::string why = refusal([&] { Source(image, 1, divide, "a.tif"); });
  CHECK_MESSAGE(contains(why, "a.tif has 3 channels, but the model takes 1; only grey and RGB are converted"), why);
}

TEST_CASE("normalise: reading part of a row") {
  std::vector<uint8_t> values(12);
  for (size_t i = 0; i < 12; ++i)
    values[i] = uint8_t(i);
  const Source s(image_of_values(3, 4, 1, values), 1, as_stored, "a");
  float part[2];
  s.row(0, 2, 1, 2, part);
  CHECK(part[0] == 9);
  CHECK(part[1] == 10);
}

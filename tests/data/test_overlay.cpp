#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "data/report/flow_picture.h"
#include "data/report/overlay.h"
#include "data/report/report.h"
#include "data/synth/synth.h"
#include "kernels/runtime/platform.h"

using namespace basin;

namespace {

template <class T>
Image overlay_image(int height, int width, int channels, PixelType type, const std::vector<T>& values) {
  Image image{height, width, channels, type, std::vector<std::byte>(values.size() * sizeof(T))};
  std::copy(values.begin(), values.end(), image.as<T>());
  return image;
}

using Rgb = std::array<int, 3>;
Rgb at(const Image& image, int y, int x) {
  const uint8_t* p = image.as<uint8_t>() + 3 * (y * image.width + x);
  return {p[0], p[1], p[2]};
}

int difference(Rgb a, Rgb b) { return std::abs(a[0] - b[0]) + std::abs(a[1] - b[1]) + std::abs(a[2] - b[2]); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<std::byte> bytes(const std::string& text) {
  std::vector<std::byte> out;
  for (char c : text)
    out.push_back(std::byte(c));
  return out;
}

Report with_png(const std::string& png) { return {"t", "", {}, {{"n", "", {{"c", "", bytes(png)}}}}}; }

}  // namespace

TEST_CASE("overlay: background shows the stretched image, objects are tinted, borders have the pure colour") {
  std::vector<uint8_t> values(25, 20);
  values[0] = 10, values[24] = 210, values[12] = 90;
  Labels labels{5, 5, 1, std::vector<int32_t>(25)};
  for (int y = 1; y < 4; ++y)
    for (int x = 1; x < 4; ++x)
      labels.ids[size_t(5 * y + x)] = 1;
  const Image out = overlay(overlay_image(5, 5, 1, PixelType::u8, values), labels);
  CHECK(out.channels == 3);
  CHECK(at(out, 0, 0) == Rgb{0, 0, 0});
  CHECK(at(out, 4, 4) == Rgb{255, 255, 255});
  CHECK(at(out, 0, 1) == Rgb{13, 13, 13});
  CHECK(at(out, 1, 1) == Rgb{230, 159, 0});
  CHECK(at(out, 3, 2) == Rgb{230, 159, 0});
  CHECK(at(out, 1, 2) == Rgb{230, 159, 0});
  CHECK(at(out, 2, 1) == Rgb{230, 159, 0});
  CHECK(at(out, 2, 3) == Rgb{230, 159, 0});
  // (90 - 10) / 200 of 255 is 102, blended with 90/256 of the colour
  CHECK(at(out, 2, 2) == Rgb{(102 * 166 + 230 * 90) / 256, (102 * 166 + 159 * 90) / 256, 102 * 166 / 256});
}

TEST_CASE("overlay: every pixel type and number of channels gives the same grey values") {
  const std::vector<uint8_t> grey{0, 50, 100, 150, 200, 250};
  const Labels none{2, 3, 0, std::vector<int32_t>(6)};
  const Image want = overlay(overlay_image(2, 3, 1, PixelType::u8, grey), none);
  std::vector<uint16_t> wide;
  std::vector<uint32_t> wider;
  std::vector<float> real;
  std::vector<uint8_t> rgb, two, rgba;
  for (uint8_t g : grey) {
    wide.push_back(uint16_t(g * 200)), wider.push_back(g * 1000000u), real.push_back(g * 0.01f - 1);
    for (int c = 0; c < 3; ++c)
      rgb.push_back(g), rgba.push_back(g);
    rgba.push_back(99);
    two.push_back(uint8_t(g / 2)), two.push_back(uint8_t(g - g / 2));
  }
  CHECK(overlay(overlay_image(2, 3, 1, PixelType::u16, wide), none).pixels == want.pixels);
  CHECK(overlay(overlay_image(2, 3, 1, PixelType::u32, wider), none).pixels == want.pixels);
  CHECK(overlay(overlay_image(2, 3, 1, PixelType::f32, real), none).pixels == want.pixels);
  CHECK(overlay(overlay_image(2, 3, 3, PixelType::u8, rgb), none).pixels == want.pixels);
  CHECK(overlay(overlay_image(2, 3, 4, PixelType::u8, rgba), none).pixels == want.pixels);
  CHECK(overlay(overlay_image(2, 3, 2, PixelType::u8, two), none).pixels == want.pixels);
  // Rec. 601 weights of pure red, green and blue
  const Image primaries =
      overlay_image<uint8_t>(1, 5, 3, PixelType::u8, {0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255});
  const Image luma = overlay(primaries, {1, 5, 0, std::vector<int32_t>(5)});
  CHECK(at(luma, 0, 1)[0] == 76);
  CHECK(at(luma, 0, 2)[0] == 150);
  CHECK(at(luma, 0, 3)[0] == 29);
}

TEST_CASE("overlay: constant and non-finite images are black, and outliers do not determine the stretch") {
  const Labels none{1, 3, 0, std::vector<int32_t>(3)};
  CHECK(at(overlay(overlay_image<uint8_t>(1, 3, 1, PixelType::u8, {7, 7, 7}), none), 0, 1) == Rgb{0, 0, 0});
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  CHECK(at(overlay(overlay_image<float>(1, 3, 1, PixelType::f32, {nan, nan, inf}), none), 0, 2) == Rgb{0, 0, 0});
  const Image some = overlay(overlay_image<float>(1, 3, 1, PixelType::f32, {nan, 1, 2}), none);
  CHECK(at(some, 0, 0) == Rgb{0, 0, 0});
  CHECK(at(some, 0, 2) == Rgb{255, 255, 255});
  CHECK(at(overlay(overlay_image<float>(1, 3, 1, PixelType::f32, {inf, 1, 2}), none), 0, 0) == Rgb{0, 0, 0});
  std::vector<uint8_t> sparse(1000, 9);
  sparse[500] = 11;
  const Image spot =
      overlay(overlay_image(1, 1000, 1, PixelType::u8, sparse), {1, 1000, 0, std::vector<int32_t>(1000)});
  CHECK(at(spot, 0, 500) == Rgb{255, 255, 255});
  CHECK(at(spot, 0, 499) == Rgb{0, 0, 0});
  std::vector<uint16_t> ramp(1000);
  for (size_t i = 0; i < ramp.size(); ++i)
    ramp[i] = uint16_t(i % 100);
  ramp[999] = 60000;
  const Image out = overlay(overlay_image(1, 1000, 1, PixelType::u16, ramp), {1, 1000, 0, std::vector<int32_t>(1000)});
  CHECK(at(out, 0, 50)[0] > 100);
  CHECK(overlay({0, 0, 1, PixelType::u8, {}}, {}).pixels.empty());
}

TEST_CASE("overlay: neighbouring objects get clearly different colours") {
  const Synthetic made = make_synthetic({SynthKind::bacteria, SynthModality::automatic, 256, 4, 2}, 1);
  const Image out = overlay(made.image, made.labels);
  int pairs = 0;
  std::set<Rgb> used;
  for (int y = 0; y < 256; ++y)
    for (int x = 0; x + 1 < 256; ++x) {
      const int32_t a = made.labels(y, x), b = made.labels(y, x + 1);
      if (a && b && a != b) {
        ++pairs;
        CHECK(difference(at(out, y, x), at(out, y, x + 1)) > 100);
      }
      if (a && b != a) used.insert(at(out, y, x));
    }
  CHECK(pairs > 20);
  CHECK(used.size() == 6);
  CHECK(overlay(made.image, made.labels).pixels == out.pixels);
}

TEST_CASE("overlay: objects are neighbours up to 6 px apart, along rows, columns and diagonals") {
  const Image dark = overlay_image<uint8_t>(40, 40, 1, PixelType::u8, std::vector<uint8_t>(1600));
  for (const auto& [dx, dy] : {std::pair{1, 0}, {0, 1}, {1, 1}, {-1, 1}})
    for (int distance : {1, 6, 7}) {
      Labels labels{40, 40, 7, std::vector<int32_t>(1600)};
      auto pixel = [&](int x, int y) -> int32_t& { return labels.ids[size_t(40 * y + x)]; };
      for (int id = 2; id <= 6; ++id)
        pixel(6 * id, 38) = id;
      const int x = 20 + distance * dx, y = 10 + distance * dy;
      pixel(20, 10) = 1, pixel(x, y) = 7;
      const Image out = overlay(dark, labels);
      std::set<Rgb> used{at(out, 10, 20)};
      for (int id = 2; id <= 6; ++id)
        used.insert(at(out, 38, 6 * id));
      CHECK(used.size() == 6);  // each object takes the least used colour
      CAPTURE(distance);
      if (distance <= 6)
        CHECK(difference(at(out, 10, 20), at(out, y, x)) > 100);
      else
        CHECK(at(out, 10, 20) == at(out, y, x));
    }
}

TEST_CASE("overlay: an image and labels of different sizes are refused") {
  const Image image = overlay_image<uint8_t>(2, 2, 1, PixelType::u8, {1, 2, 3, 4});
  CHECK_THROWS_AS(overlay(image, {2, 1, 0, {0, 0}}), Error);
}

TEST_CASE("report: text is escaped, and file names become safe URLs") {
  Report report{"A & B", "sum <1>", {{"Times \"x\"", {"stage", "ms"}, {{"<load>", "1.5"}, {"net", "20"}}, "a<b"}}, {}};
  report.items.push_back({"<b>&\".png", "it's", {{"input <i>", "x/<b>&\" ?#%.png", {}}, {"truth", "a:b.png", {}}}});
  const std::string page = report_html(report);
  CHECK(has(page, "<title>A &amp; B</title>"));
  CHECK(has(page, "<h3>&lt;b&gt;&amp;&quot;.png</h3>"));
  CHECK(has(page, "it&#39;s"));
  CHECK(has(page, "alt=\"&lt;b&gt;&amp;&quot;.png: input &lt;i&gt;\""));
  CHECK(has(page, "src=\"./x/%3Cb%3E%26%22%20%3F%23%25.png\""));
  CHECK(has(page, "src=\"./a%3Ab.png\""));
  CHECK_FALSE(has(page, "<b>"));
  CHECK_FALSE(has(page, "<load>"));
  CHECK_FALSE(has(page, "<script"));
  CHECK_FALSE(has(page, "http"));
  CHECK(has(page, "<th scope=\"col\">stage</th><th scope=\"col\" class=\"number\">ms</th>"));
  CHECK(has(page, "<th scope=\"row\">net</th><td class=\"number\">20</td>"));
  CHECK(page.rfind("<!doctype html>", 0) == 0);
  const std::string scores =
      report_html({"t", "", {{"x", {"threshold", "AP", "F1"}, {{"0.5", "0.9", "n/a"}}, ""}}, {}});
  CHECK(has(scores, "<th scope=\"col\">threshold</th><th scope=\"col\" class=\"number\">AP</th><th scope=\"col\">F1"));
  CHECK(has(scores, "<th scope=\"row\">0.5</th><td class=\"number\">0.9</td><td>n/a</td>"));
}

TEST_CASE("report: pictures are embedded as base64 (RFC 4648 vectors)") {
  CHECK(has(report_html(with_png("f")), "data:image/png;base64,Zg==\""));
  CHECK(has(report_html(with_png("fo")), "base64,Zm8=\""));
  CHECK(has(report_html(with_png("foo")), "base64,Zm9v\""));
  CHECK(has(report_html(with_png("foobar")), "base64,Zm9vYmFy\""));
  CHECK(has(report_html(with_png("\xff\xfe\xfb")), "base64,//77\""));
}

TEST_CASE("report: a row with a different number of cells than columns is refused") {
  CHECK_THROWS_AS(report_html({"t", "", {{"x", {"a", "b"}, {{"1"}}, ""}}, {}}), Error);
}

TEST_CASE("flow picture: the hue is the direction, and the brightness the length") {
  const std::vector<float> field{1, 0, -1, 0, 0.5f, 0, 0, 1, 0, -1, 0, 0};  // x of six pixels, then y
  const auto values = [](const Image& image) {
    return std::vector<uint8_t>(image.as<uint8_t>(), image.as<uint8_t>() + image.pixels.size());
  };
  const Image picture = flow_picture(2, 3, field);
  const std::vector<uint8_t> want{255, 0, 0, 128, 255, 0, 0, 255, 255, 128, 0, 255, 128, 0, 0, 0, 0, 0};
  CHECK(values(picture) == want);
  const Image longer = flow_picture(1, 2, {40, 20, 0, 0});
  CHECK(values(longer) == std::vector<uint8_t>{255, 0, 0, 128, 0, 0});
}

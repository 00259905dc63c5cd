#include <atomic>
#include <cmath>
#include <functional>
#include <numeric>

#include "data/files/encoders.h"
#include "data/files/image_parts.h"
#include "data/objects/write_stack.h"
#include "models/inference/large_image.h"
#include "models/inference/map_folder.h"
#include "models/inference/scale_search.h"
#include "models/inference/seen_image.h"
#include "tests/support/file_support.h"
#include "tests/support/image_support.h"
#include "tests/support/model_support.h"
#include "tests/support/support.h"
#include "tests/support/thread_ranks.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

Image noise_image(int height, int width, int channels, PixelType type, unsigned seed) {
  Image image{height, width, channels, type, {}};
  const size_t n = size_t(height) * size_t(width) * size_t(channels);
  image.pixels.resize(n * size_of(type));
  const std::vector<double> u = uniform<double>(n, 0, 1, seed);
  with_pixels(type, [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < n; ++i)
      image.as<T>()[i] = T(u[i] * (type == PixelType::u8 ? 255 : type == PixelType::f32 ? 1 : 40000));
  });
  return image;
}

LargeImage large(const Image& image, int channels, const Normalisation& norm, int64_t max_bytes) {
  return LargeImage([&image](const PixelRect& r) { return cut(image, r); }, image.height, image.width, channels, norm,
                    "x", max_bytes);
}

void check_parts(const fs::path& path, int height, int width, const PlaneChoice& choice = {}) {
  CAPTURE(path.string());
  const Image whole = read_image(path, choice);
  REQUIRE(whole.height == height);
  REQUIRE(whole.width == width);
  for (const PixelRect& r :
       {PixelRect{0, 0, height, width}, PixelRect{0, 0, 1, 1}, PixelRect{height - 1, width - 1, 1, 1},
        PixelRect{height / 3, width / 4, height / 2, width / 2}, PixelRect{height - 9, 3, 9, width - 3},
        PixelRect{1, width - 18, height - 2, 17}}) {
    const Image part = read_image_part(path, choice, r);
    CHECK(part.height == r.height);
    CHECK(part.width == r.width);
    CHECK(part.channels == whole.channels);
    CHECK(part.type == whole.type);
    CHECK(part.pixels == cut(whole, r).pixels);
  }
}

std::vector<float> values_of(const Source& source) {
  std::vector<float> all(size_t(source.channels()) * size_t(source.height()) * size_t(source.width()));
  float* to = all.data();
  for (int c = 0; c < source.channels(); ++c)
    for (int y = 0; y < source.height(); ++y, to += source.width())
      source.row(c, y, 0, source.width(), to);
  return all;
}

}  // namespace

TEST_CASE("parts of images: strips, tiles and chunks give the pixels of the whole image") {
  const Folder folder;
  const Image grey = noise_image(700, 1100, 1, PixelType::u16, 1), rgb = noise_image(300, 200, 3, PixelType::u8, 2);
  const auto rows = [](const Image& image) {
    return raster::Rows{image.height, image.width, image.channels, int(8 * size_of(image.type)), [&image](int y) {
                          return image.pixels.data() +
                                 size_t(y) * size_t(image.width * image.channels) * size_of(image.type);
                        }};
  };
  raster::write_tiff(folder / "strips.tif", rows(grey));
  check_parts(folder / "strips.tif", 700, 1100);
  raster::TiffWriter colours(folder / "rgb.tif", true);
  colours.add(rows(rgb));
  colours.commit();
  check_parts(folder / "rgb.tif", 300, 200);
  raster::Pyramid pyramid{700, 1100, 16, "", {}, {}};
  pyramid.read = [&](int step, const PixelRect& r, void* to) {
    auto* at = static_cast<uint16_t*>(to);
    for (int y = r.y; y < r.y + r.height; ++y)
      for (int x = r.x; x < r.x + r.width; ++x)
        *at++ = grey.as<uint16_t>()[y * step * 1100 + x * step];
  };
  raster::write_tiff_pyramid(folder / "tiles.tif", pyramid);
  CHECK(read_image(folder / "tiles.tif").pixels == grey.pixels);
  check_parts(folder / "tiles.tif", 700, 1100);

  Labels labels{1300, 1500, 1500, std::vector<int32_t>(1300 * 1500)};
  for (size_t i = 0; i < labels.ids.size(); ++i)
    labels.ids[i] = int32_t(i * 7 % 1501);
  std::vector<int32_t> numbers(1500);
  std::iota(numbers.begin(), numbers.end(), 1);
  LabelStack stack{StackPlanes()};
  stack.add(labels, numbers);
  stack.write_zarr(folder / "x.ome.zarr");
  check_parts(folder / "x.ome.zarr", 1300, 1500);

  write_png(folder / "x.png", rgb);
  CHECK(contains(refusal([&] { read_image_part(folder / "x.png", {}, {0, 0, 1, 1}); }), "save it as TIFF or OME-Zarr"));
}

TEST_CASE(
    "parts of images: packed bits, separate planes, JPEG, white as zero and chosen channels are read as in the whole") {
  for (const char* name :
       {"parts_1_bits_tiles", "parts_1_bits_strips", "parts_4_bits_tiles", "parts_4_bits_strips", "parts_12_bits_tiles",
        "parts_12_bits_strips", "parts_white_is_zero", "parts_jpeg", "parts_planes_tiles", "parts_planes_strips"})
    check_parts(samples / (std::string(name) + ".tif"), 70, 83);
  for (const char* name : {"u16_rgb_alpha_planes", "u8_grey_alpha_planes", "u8_rgb_alpha", "u16_lzw_predictor",
                           "f32_deflate_predictor", "f32_big_endian_tiles", "f16_deflate_predictor"})
    check_parts(samples / (std::string(name) + ".tif"), 19, 21);
  // Compared with the formula of make.py, which also finds faults that both ways of reading have in common.
  const auto at = [](const char* name, const PlaneChoice& choice = {}) {
    return read_image_part(samples / name, choice, {33, 41, 2, 3});
  };
  const auto large = [](int y, int x) { return 37 * y + 11 * x + x * y; };
  const Image packed = at("parts_12_bits_tiles.tif"), white = at("parts_white_is_zero.tif");
  const Image planes = at("parts_planes_tiles.tif");
  for (int y = 0; y < 2; ++y)
    for (int x = 0; x < 3; ++x) {
      const int v = large(33 + y, 41 + x);
      CHECK(packed.as<uint16_t>()[y * 3 + x] == v % 4096);
      CHECK(white.as<uint8_t>()[y * 3 + x] == 255 - v % 251);
      CHECK(planes.as<uint8_t>()[(y * 3 + x) * 3 + 1] == v % 241);
    }

  for (const std::vector<std::string>& channels :
       std::vector<std::vector<std::string>>{{}, {"0"}, {"2"}, {"1", "2"}, {"2", "0"}}) {
    const PlaneChoice choice{"", channels, ""};
    check_parts(samples / "parts_channels.ome.tif", 70, 83, choice);
    check_parts(samples / "parts_planes_tiles.tif", 70, 83, choice);
  }
  const Image last = at("parts_channels.ome.tif", {"", {"2"}, ""});
  CHECK(last.channels == 1);
  CHECK(last.as<uint8_t>()[4] == large(34, 42) % 239);
  CHECK(at("parts_planes_tiles.tif", {"", {"2"}, ""}).as<uint8_t>()[4] == large(34, 42) % 239);
}

TEST_CASE("large images: parts are normalised like the whole image, whatever the size of the parts") {
  const struct {
    Image image;
    int channels;
  } cases[] = {{noise_image(301, 77, 1, PixelType::u8, 1), 1},
               {noise_image(40, 513, 1, PixelType::u16, 2), 3},
               {noise_image(99, 98, 3, PixelType::u8, 3), 1},
               {noise_image(50, 60, 2, PixelType::f32, 4), 2},
               {noise_image(1, 1, 1, PixelType::u8, 5), 1}};
  for (const auto& c : cases)
    for (const char* norm : {"percentile:1,99.8", "percentile:0,100", "divide", "none"}) {
      const Normalisation n = parse_normalisation(norm);
      const Source whole(c.image, c.channels, n, "x");
      const LargeImage parts = large(c.image, c.channels, n, 900);
      CHECK(values_of(parts.part({0, 0, c.image.height, c.image.width})) == values_of(whole));
      CHECK(parts.brightness().middle == brightness_of(whole).middle);
      CHECK(parts.brightness().contrast == brightness_of(whole).contrast);
      CHECK(parts.fingerprint() == large(c.image, c.channels, n, 1 << 20).fingerprint());
    }
  Image other = cases[0].image;
  other.pixels.back() ^= std::byte(1);
  CHECK(large(other, 1, {}, 900).fingerprint() != large(cases[0].image, 1, {}, 900).fingerprint());
}

namespace {

/// Whether a part of maps of an image has the values of the whole maps.
bool equal_part(const Maps& part, const Maps& whole, const PixelRect& r) {
  for (const char* name : {"logit", "field"}) {
    const View<const float, 3> a = part[name].view<const float, 3>(), b = whole[name].view<const float, 3>();
    if (a.dim[0] != b.dim[0]) return false;
    for (int c = 0; c < a.dim[0]; ++c)
      for (int y = 0; y < r.height; ++y)
        for (int x = 0; x < r.width; ++x)
          if (a(c, y, x) != b(c, r.y + y, r.x + x)) return false;
  }
  return true;
}

float largest_of(const Tensor& map) {
  const View<const float, 3> view = map.view<const float, 3>();
  return std::transform_reduce(
      view.data, view.data + int64_t(view.dim[0]) * view.dim[1] * view.dim[2], 0.f,
      [](float u, float v) { return std::max(u, v); }, [](float v) { return std::abs(v); });
}

}  // namespace

TEST_CASE("large images: the maps of tiles and of all views are those of the whole image, also after an interruption") {
  const Exec cpu;
  const Untrained untrained;
  const Normalisation norm = parse_normalisation("percentile:1,99.8");
  for (const bool views : {false, true}) {
    CAPTURE(views);
    const int height = views ? 140 : 300, width = views ? 187 : 421;
    const Image image = noise_image(height, width, 1, PixelType::u8, 7);
    const LargeImage parts = large(image, 1, norm, 10000);
    const SegmentOptions options{{Tiling::exact, views ? 128 : 160}, 1, views};
    const Maps want = predict_source(cpu, untrained.method, *untrained.predictor, Source(image, 1, norm, "x"), options);
    const std::vector<ViewTile> tiles =
        view_tiles(height, width, options.tiling, *untrained.predictor->needs_of_exact_tiles(), views);
    const auto all = int64_t(tiles.size());
    REQUIRE(all > 4);
    const PixelRect r{13, 20, height - 30, width - 31};
    for (const int64_t max_bytes : {int64_t(1000), int64_t(1) << 30}) {
      const Folder folder;
      SeenImage seen(parts, 1, max_bytes);
      const auto interrupt = [&](int64_t after) {
        MapFolder maps(folder.path(), untrained.method, height, width, tiles, true);
        CHECK_THROWS(maps.predict(cpu, *untrained.predictor, seen, [&](int64_t done) {
          if (done == after) refuse("stopped");
        }));
      };
      interrupt(3);
      std::ofstream(folder.path() / "tiles.0", std::ios::app) << "cut";  // a record that was being written
      interrupt(all - 2);
      // The maps of a tile are written, but not its record.
      fs::resize_file(folder.path() / "tiles.0", fs::file_size(folder.path() / "tiles.0") - 1);
      for (const int64_t done : {all - 3, all}) {
        MapFolder maps(folder.path(), untrained.method, height, width, tiles, true);
        CHECK(maps.done() == done);
        maps.predict(cpu, *untrained.predictor, seen, {});
        CHECK(equal_part(maps.part(r, height, width), want, r));
        CHECK(maps.largest(height, width) == largest_of(want["field"]));
      }
      CHECK(MapFolder(folder.path(), untrained.method, height, width, tiles, false).done() == 0);
    }
  }
}

TEST_CASE("large images: ranks share the tiles of an image, and another number of ranks continues") {
  const Exec cpu;
  const Untrained untrained;
  const int height = 140, width = 187;
  const Image image = noise_image(height, width, 1, PixelType::u8, 7);
  const Normalisation norm = parse_normalisation("percentile:1,99.8");
  for (const bool views : {false, true}) {
    CAPTURE(views);
    const SegmentOptions options{{Tiling::exact, 96}, 1, views};
    const Maps want = predict_source(cpu, untrained.method, *untrained.predictor, Source(image, 1, norm, "x"), options);
    const std::vector<ViewTile> tiles =
        view_tiles(height, width, options.tiling, *untrained.predictor->needs_of_exact_tiles(), views);
    const PixelRect r{0, 0, height, width};
    const Folder folder;
    std::atomic<int> computed = 0;
    const auto run = [&](int count, int stop_at, const std::function<void(MapFolder&)>& check) {
      ThreadRanks(count).run([&](Ranks& ranks) {
        const LargeImage parts = large(image, 1, norm, 10000);
        SeenImage seen(parts, 1, 10000);
        MapFolder maps(folder.path(), untrained.method, height, width, tiles, true, &ranks);
        maps.predict(cpu, *untrained.predictor, seen, [&](int64_t) {
          if (++computed == stop_at) refuse("stopped");
        });
        check(maps);
      });
    };
    CHECK(refusal([&] { run(2, 3, [](MapFolder&) {}); }).starts_with("stopped"));
    CHECK(computed >= 3);
    CHECK(computed < int(tiles.size()));
    run(3, 0, [&](MapFolder& maps) {
      CHECK(equal_part(maps.part(r, height, width), want, r));
      CHECK(maps.largest(height, width) == largest_of(want["field"]));
    });
    CHECK(computed == int(tiles.size()));
  }
}

TEST_CASE("large images: at a scale, parts of the image and of its maps are those of the whole, to the bit") {
  const Exec cpu;
  const Untrained untrained;
  const int height = 190, width = 263;
  const Image image = noise_image(height, width, 1, PixelType::u8, 8);
  const Normalisation norm = parse_normalisation("percentile:1,99.8");
  const Source source(image, 1, norm, "x");
  const LargeImage parts = large(image, 1, norm, 10000);
  for (const double scale : {0.37, 0.5, 1.6})
    for (const int64_t max_bytes : {int64_t(600), int64_t(1) << 30}) {
      CAPTURE(scale);
      const Tensor whole = at_scale(cpu, part_of(cpu, source, 0, 0, height, width), scale);
      SeenImage seen(parts, scale, max_bytes);
      REQUIRE(seen.height() == whole.dim(1));
      REQUIRE(seen.width() == whole.dim(2));
      for (const PixelRect& r : {PixelRect{0, 0, seen.height(), seen.width()}, PixelRect{0, 0, 1, 1},
                                 PixelRect{11, 17, 40, 31}, PixelRect{seen.height() - 5, 9, 5, seen.width() - 9}}) {
        const Tensor part = seen.part(cpu, r);
        bool equal = true;
        for (int y = 0; y < r.height; ++y)
          for (int x = 0; x < r.width; ++x)
            equal = equal && part.view<const float, 3>()(0, y, x) == whole.view<const float, 3>()(0, r.y + y, r.x + x);
        CHECK(equal);
      }

      const Folder folder;
      const SegmentOptions options{{Tiling::exact, 160}, scale};
      MapFolder maps(
          folder.path(), untrained.method, seen.height(), seen.width(),
          view_tiles(seen.height(), seen.width(), options.tiling, *untrained.predictor->needs_of_exact_tiles(), false),
          false);
      maps.predict(cpu, *untrained.predictor, seen, {});
      Maps want = predict_source(cpu, untrained.method, *untrained.predictor, source, options);
      const std::vector<float> probability = foreground_probability(cpu, untrained.method, want);
      const PixelRect r{13, 20, 150, 201};
      Maps logit{{{"logit", maps.part("logit", r, height, width)}}};
      logit.height = r.height, logit.width = r.width;
      const std::vector<float> got = foreground_probability(cpu, untrained.method, logit);
      bool equal = true;
      for (int y = 0; y < r.height; ++y)
        for (int x = 0; x < r.width; ++x)
          equal = equal && got[size_t(y * r.width + x)] == probability[size_t((r.y + y) * width + r.x + x)];
      CHECK(equal);
      if (scale > 1) continue;  // the maps of the image are not resized
      const Maps part = maps.part(r, height, width);
      const View<const float, 3> a = part["field"].view<const float, 3>(), b = want["field"].view<const float, 3>();
      float largest = 0;
      for (int c = 0; c < 2; ++c)
        for (int y = 0; y < r.height; ++y)
          for (int x = 0; x < r.width; ++x) {
            equal = equal && a(c, y, x) == b(c, r.y + y, r.x + x);
            largest = std::max(largest, std::abs(a(c, y, x)));
          }
      CHECK(equal);
      CHECK(maps.largest(height, width) >= largest);
    }
  CHECK(contains(refusal([&] { seen_size(30000, 30000, 4); }),
                 "at scale 4 the network would see 120000 x 120000 pixels"));
}

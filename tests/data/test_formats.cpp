// Files as microscopes and other programs write them: variants that are easily read wrongly.
#include <cmath>
#include <cstring>
#include <map>

#include "data/arrays/npy.h"
#include "data/files/image.h"
#include "data/files/planes.h"
#include "engine/files.h"
#include "tests/support/file_support.h"
#include "tests/support/tiff_support.h"

using namespace basin;
using namespace basin::test;

namespace {

int base(int y, int x) { return 37 * y + 11 * x; }  // pixel values of the samples, see tests/samples/make.py

template <class T>
std::vector<T> values(const Image& image) {
  const T* p = image.as<T>();
  return {p, p + image.pixels.size() / sizeof(T)};
}

void check_u8(const Image& image) {
  REQUIRE(image.height == 19);
  REQUIRE(image.width == 21);
  REQUIRE(image.channels == 1);
  int wrong = 0;
  for (int y = 0; y < 19; ++y)
    for (int x = 0; x < 21; ++x)
      wrong += image.as<uint8_t>()[y * 21 + x] != base(y, x) % 251;
  CHECK(wrong == 0);
}

/// Three smooth channels, 10 x, 10 y and 90, up to JPEG's compression error.
void check_smooth(const Image& image) {
  REQUIRE(image.height == 19);
  REQUIRE(image.width == 21);
  REQUIRE(image.channels == 3);
  double error = 0;
  for (int y = 0; y < 19; ++y)
    for (int x = 0; x < 21; ++x) {
      const int want[3] = {10 * x, 10 * y, 90};
      for (int c = 0; c < 3; ++c)
        error += std::abs(int(image.as<uint8_t>()[(y * 21 + x) * 3 + c]) - want[c]);
    }
  CHECK(error / (19 * 21 * 3) < 8);
}

bool noted(const std::vector<std::string>& notes, const std::string& part) {
  for (const std::string& note : notes)
    if (contains(note, part)) return true;
  return false;
}

std::string grey_ramp(int n, int step) {
  std::string palette;
  for (int i = 0; i < n; ++i)
    palette += std::string(3, char(i * step)) + '\0';
  return palette;
}

}  // namespace

TEST_CASE("formats: a stack is refused or read plane by plane, however it is stored") {
  CHECK(contains(image_refusal(samples / "imagej_stack.tif"), "imagej_stack.tif: contains 5 images (a stack"));
  CHECK(contains(image_refusal(samples / "volume.tif"), "volume.tif: contains 5 images (a stack"));
  CHECK(contains(image_refusal(samples / "stack.tif"), "contains 2 images (a stack) without named axes"));
  // Options are suggested only if the command has them.
  const std::string one = "but one image is expected here; save the one that you want as a separate file";
  CHECK(contains(image_refusal(samples / "slices.ome.tif"), "a stack of Z=2 C=2 Y X), " + one));
  CHECK(contains(image_refusal(samples / "stack.tif"), "without named axes, " + one));
  PlaneChoice offered;
  offered.offered = true;
  const auto advice = [&](const char* name) { return refusal([&] { read_image(samples / name, offered); }); };
  CHECK(contains(advice("slices.ome.tif"), "a stack of Z=2 C=2 Y X); choose one with --plane Z=N"));
  CHECK(contains(advice("stack.tif"), "without named axes; choose one with --plane N, or name the axes with --axes"));
  for (const char* name : {"imagej_stack.tif", "volume.tif"})
    for (int k = 0; k < 5; ++k) {
      const Image plane = read_image(samples / name, {"", {}, std::to_string(k)});
      REQUIRE(plane.channels == 1);
      CHECK(plane.as<uint16_t>()[2 * 21 + 3] == base(2, 3) * 64 + 1000 * k);
      CHECK(noted(plane.notes, "read as "));
      CHECK(!noted(plane.notes, "read as I="));
    }
  const Image channels = read_image(samples / "volume.tif", {"CYX", {}, ""});
  CHECK(channels.channels == 5);
  CHECK(channels.as<uint16_t>()[5 * (2 * 21 + 3) + 4] == base(2, 3) * 64 + 4000);
  const auto why = [](const char* name, const PlaneChoice& choice) {
    return refusal([&] { read_image(samples / name, choice); });
  };
  CHECK(contains(why("volume.tif", {"", {}, "5"}), "--plane 5 is outside 0 to 4"));
  CHECK(contains(why("volume.tif", {"", {}, "T=1"}), "names an axis that the file does not have"));
  CHECK(contains(why("volume.tif", {"TC", {}, "0"}), "--axes TC does not match"));
  CHECK(contains(why("volume.tif", {"T=2,C=3", {}, "0"}), "does not match its 5 images"));
  CHECK(contains(why("u8.png", {"", {}, "1"}), "does not have"));
}

TEST_CASE("formats: pages that hold the channels of one image are read as channels, with names and pixel size") {
  const Image ome = read_image(samples / "channels.ome.tif");
  CHECK(ome.channels == 2);
  CHECK(ome.as<uint16_t>()[2 * (2 * 21 + 3) + 1] == base(2, 3) * 64 + 1000);
  CHECK(ome.stack.channel_names == std::vector<std::string>{"DAPI", "GFP"});
  REQUIRE(ome.stack.pixel_size());
  CHECK(*ome.stack.pixel_size() == doctest::Approx(0.108));
  CHECK(noted(ome.notes, "read as C=2 Y X, 0.108 um/px"));
  const Image gfp = read_image(samples / "channels.ome.tif", {"", {"GFP"}, ""});
  CHECK(gfp.channels == 1);
  CHECK(gfp.as<uint16_t>()[2 * 21 + 3] == base(2, 3) * 64 + 1000);
  const Image swapped = read_image(samples / "channels.ome.tif", {"", {"1", "DAPI"}, ""});
  CHECK(swapped.as<uint16_t>()[2 * (2 * 21 + 3) + 1] == base(2, 3) * 64);
  CHECK(contains(refusal([] {
                   read_image(samples / "channels.ome.tif", {"", {"CFP"}, ""});
                 }),
                 "has no channel CFP; it has 2, numbered from 0: DAPI, GFP"));
  const Image slice = read_image(samples / "slices.ome.tif", {"", {"1"}, "Z=1"});
  CHECK(slice.as<uint16_t>()[2 * 21 + 3] == base(2, 3) * 64 + 3000);
  const Image imagej = read_image(samples / "imagej_channels.tif");
  CHECK(imagej.channels == 2);
  REQUIRE(imagej.stack.pixel_size());
  CHECK(*imagej.stack.pixel_size() == doctest::Approx(0.108));
  const Image green = read_image(samples / "u8_rgb.png", {"", {"1"}, ""});
  CHECK(green.channels == 1);
  CHECK(green.as<uint8_t>()[0] == 53);
}

TEST_CASE("formats: reduced-resolution copies are left out") {
  check_u8(read_image(samples / "pyramid.tif"));
  CHECK(noted(read_image(samples / "pyramid.tif").notes, "1 reduced copy or mask is left out"));
  const Image unmarked = read_image(samples / "pyramid_unmarked.tif");
  CHECK(unmarked.width == 20);
  CHECK(noted(unmarked.notes, "left out"));
}

TEST_CASE("formats: TIFF with 1, 4 and 12 bits, half and double precision, and rarer compressions") {
  for (const char* name : {"bits.tif", "bits_fax.tif"}) {
    CAPTURE(name);
    const Image bits = read_image(samples / name);
    for (int y = 0; y < 19; ++y)
      for (int x = 0; x < 21; ++x)
        REQUIRE(bits.as<uint8_t>()[y * 21 + x] == (base(y, x) % 251 > 100 ? 255 : 0));
    const Labels labels = read_labels(samples / name);
    CHECK(labels.count == 1);
    CHECK(labels(0, 0) == 0);
    CHECK(labels(3, 0) == 1);
  }
  check_u8(read_image(samples / "u8_zstd.tif"));
  check_u8(read_image(samples / "u8_lzma.tif"));
  CHECK(contains(image_refusal(samples / "u8_jpeg2000.tif"),
                 "is a TIFF file compressed by JPEG 2000, which is not supported"));
  for (const char* name : {"half_float.tif", "f16_deflate_predictor.tif"}) {
    const Image half = read_image(samples / name);
    REQUIRE(half.type == PixelType::f32);
    CHECK(half.as<float>()[3 * 21 + 2] == float(base(3, 2)) * 0.5f - 7);
  }
  const Image wide = read_image(samples / "f64_strips.tif");
  REQUIRE(wide.type == PixelType::f32);
  CHECK(wide.as<float>()[3 * 21 + 2] == float(base(3, 2)));
  // Two rows of three 12-bit values, each row padded to whole bytes.
  const Folder folder;
  const std::string packed("\x12\x3a\xbc\xff\xf0\x00\x00\x01\x00\x20", 10);
  const Image twelve = read_image(write_bytes(folder / "a.tif", tiff_of(tags_of(3, 2, 12, packed), packed)));
  CHECK(values<uint16_t>(twelve) == std::vector<uint16_t>{0x123, 0xabc, 0xfff, 0, 1, 2});
  const std::string four("\x0f\x70", 2);
  const Image nibbles = read_image(write_bytes(folder / "b.tif", tiff_of(tags_of(2, 2, 4, four), four)));
  CHECK(values<uint8_t>(nibbles) == std::vector<uint8_t>{0, 255, 119, 0});
  CHECK(read_labels(folder / "b.tif").count == 2);
}

TEST_CASE("formats: conversion of half-precision numbers by hand") {
  CHECK(half_value(0x3c00) == 1);
  CHECK(half_value(0xc500) == -5);
  CHECK(half_value(0x7bff) == 65504);
  CHECK(half_value(0x0001) == 0x1p-24f);
  CHECK(half_value(0x8000) == 0);
  CHECK(std::isinf(half_value(0x7c00)));
  CHECK(std::isnan(half_value(0x7e00)));
}

TEST_CASE("formats: an invalid orientation tag is ignored; a broken list of images is refused") {
  const Folder folder;
  const std::string pixels = "abcdef";
  std::map<int, uint32_t> tags = tags_of(3, 2, 8, pixels);
  tags[274] = 0;
  CHECK(values<uint8_t>(read_image(write_bytes(folder / "a.tif", tiff_of(tags, pixels)))) ==
        std::vector<uint8_t>{'a', 'b', 'c', 'd', 'e', 'f'});
  std::string chained = tiff_of(tags_of(3, 2, 8, pixels), pixels);
  chained.replace(8 + 2 + 12 * 7, 4, little_endian(100000, 4));  // the next image would lie beyond the end of the file
  CHECK(contains(image_refusal(write_bytes(folder / "b.tif", chained)), "its list of images is incomplete"));
}

TEST_CASE("formats: the orientation tag is applied in every format, and reported") {
  check_smooth(read_image(samples / "turned.jpg"));
  const Image png = read_image(samples / "turned.png");
  check_smooth(png);
  CHECK(noted(png.notes, "turned by 90 degrees clockwise, as its orientation tag says"));
  // The pixels abc / def, for all eight values of the orientation tag.
  const Folder folder;
  const std::string pixels = "abcdef";
  const char* const want[] = {"abcdef", "cbafed", "fedcba", "defabc", "adbecf", "daebfc", "fcebda", "cfbead"};
  for (uint32_t k = 1; k <= 8; ++k) {
    CAPTURE(k);
    std::map<int, uint32_t> tags = tags_of(3, 2, 8, pixels);
    tags[274] = k;
    const Image image = read_image(write_bytes(folder / "a.tif", tiff_of(tags, pixels)));
    CHECK(image.width == (k < 5 ? 3 : 2));
    const std::vector<uint8_t> v = values<uint8_t>(image);
    CHECK(std::string(v.begin(), v.end()) == want[k - 1]);
    CHECK(image.notes.empty() == (k == 1));
    CHECK(read_labels(folder / "a.tif")(0, 0) == want[k - 1][0] - 'a' + 1);
  }
}

TEST_CASE("formats: where 0 is white, unsigned values are inverted and other types are refused") {
  const Folder folder;
  const auto read = [&](uint32_t bits, uint32_t format, const std::string& pixels) {
    std::map<int, uint32_t> tags = tags_of(2, 1, bits, pixels);
    tags[262] = 0, tags[339] = format;
    return write_bytes(folder / "a.tif", tiff_of(tags, pixels));
  };
  CHECK(values<uint8_t>(read_image(read(8, 1, std::string("\0\x14", 2)))) == std::vector<uint8_t>{255, 235});
  CHECK(values<uint16_t>(read_image(read(16, 1, std::string("\0\0\x14\0", 4)))) == std::vector<uint16_t>{65535, 65515});
  CHECK(values<uint16_t>(read_image(read(12, 1, std::string("\0\0\x14", 3)))) == std::vector<uint16_t>{4095, 4075});
  for (const auto& [bits, format] : {std::pair{8, 2}, {16, 2}, {32, 2}, {32, 3}})
    CHECK(contains(image_refusal(read(uint32_t(bits), uint32_t(format), std::string(8, '\0'))), "0 = white"));
  CHECK(noted(read_image(read(8, 1, "ab")).notes, "inverted"));
  // Labels: pure black and white masks are inverted, other labels keep their ids.
  CHECK(read_labels(read(8, 1, std::string("\0\xff", 2))).ids == std::vector<int32_t>{1, 0});
  CHECK(read_labels(read(8, 1, std::string("\0\x02", 2))).ids == std::vector<int32_t>{0, 1});
}

TEST_CASE("formats: a fourth sample not marked as alpha is a channel; alpha is left out and reported") {
  const Folder folder;
  const std::string pixels = "rgbaRGBA";
  std::map<int, uint32_t> tags = tags_of(2, 1, 8, pixels);
  tags[262] = 2, tags[277] = 4;
  CHECK(read_image(write_bytes(folder / "a.tif", tiff_of(tags, pixels))).channels == 4);
  tags[338] = 2;
  const Image image = read_image(write_bytes(folder / "a.tif", tiff_of(tags, pixels)));
  CHECK(image.channels == 3);
  CHECK(noted(image.notes, "alpha"));
  for (const char* name : {"u8_rgb_alpha.png", "u8_grey_alpha.png", "u16_rgb_alpha_planes.tif"})
    CHECK(noted(read_image(samples / name).notes, "alpha"));
  CHECK(read_image(samples / "u8_rgb.png").notes.empty());
}

TEST_CASE("formats: images ignore a look-up table; labels and masks take the black entry as background") {
  const Image lut = read_image(samples / "imagej_lut.tif");
  check_u8(lut);
  CHECK(noted(lut.notes, "palette was ignored"));
  const Folder folder;
  std::string blue;  // a palette that rises smoothly from black to blue
  for (int i = 0; i < 256; ++i)
    blue += std::string{char(i), char(i / 2), 0, 0};
  BmpFile ramp{.palette = blue, .pixels = std::string("\x05\x09\xc8\0\x01\x02\x03\0", 8)};
  CHECK(values<uint8_t>(read_image(write_bytes(folder / "a.bmp", ramp.bytes()))) ==
        std::vector<uint8_t>{1, 2, 3, 5, 9, 200});
  // Pillow's palette for a black and white mask: index 0 is white.
  const Labels mask = read_labels(samples / "mask_white_first.png");
  CHECK(mask.count == 1);
  CHECK(mask(0, 0) == 0);
  CHECK(mask(3, 0) == 1);
  CHECK(noted(mask.notes, "is black in its palette"));
  // A palette without black: ids are unchanged. Two black entries, neither of them 0: ambiguous.
  const std::string red("\0\0\xff\0", 4), green("\0\xff\0\0", 4), black("\0\0\0\0", 4);
  BmpFile some{.palette = red + green + green, .pixels = std::string("\0\x01\x02\0\0\0\0\0", 8)};
  CHECK(read_labels(write_bytes(folder / "b.bmp", some.bytes())).count == 2);
  some.palette = red + black + black;
  CHECK(
      contains(refusal([&] { read_labels(write_bytes(folder / "c.bmp", some.bytes())); }), "background is ambiguous"));
  some.palette = black + black + red;
  CHECK(read_labels(write_bytes(folder / "d.bmp", some.bytes())).count == 2);
}

TEST_CASE("formats: BMP with every bit depth, header and row order") {
  const Folder folder;
  const auto read = [&](const BmpFile& bmp) { return read_image(write_bytes(folder / "a.bmp", bmp.bytes())); };
  using V = std::vector<uint8_t>;
  const std::string rows("\3\4\5\0\0\1\2\0", 8);  // the bottom row first
  const std::string ramp = grey_ramp(6, 10);
  CHECK(values<uint8_t>(read({.palette = ramp, .pixels = rows})) == V{0, 10, 20, 30, 40, 50});
  const Image top_down = read({.height = -2, .palette = ramp, .pixels = rows});
  CHECK(top_down.height == 2);
  CHECK(values<uint8_t>(top_down) == V{30, 40, 50, 0, 10, 20});
  const std::string two("\0\0\0\xff\xff\xff", 6), bits("\xa0\0\0\0\x40\0\0\0", 8);
  CHECK(values<uint8_t>(read({.bits = 1, .palette = two, .pixels = bits, .header = 12})) == V{0, 255, 0, 255, 0, 255});
  CHECK(read_labels(folder / "a.bmp").ids == std::vector<int32_t>{0, 1, 0, 1, 0, 1});
  CHECK(values<uint8_t>(read({.bits = 4, .palette = ramp, .pixels = std::string("\x34\x50\0\0\x01\x20\0\0", 8)})) ==
        V{0, 10, 20, 30, 40, 50});
  // 555, 565 with masks, 24 and 32 bits: red, green and blue in the top row.
  const auto colours = [&](int bits_, int compression, const std::string& masks, std::vector<uint32_t> row) {
    std::string line;
    for (uint32_t v : row)
      line += little_endian(v, bits_ / 8);
    line.resize((line.size() + 3) / 4 * 4);
    return values<uint8_t>(
        read({.height = 1, .bits = bits_, .compression = compression, .pixels = line, .masks = masks}));
  };
  const V rgb{255, 0, 0, 0, 255, 0, 0, 0, 255};
  CHECK(colours(16, 0, "", {0x7c00, 0x03e0, 0x001f}) == rgb);
  CHECK(colours(16, 3, little_endian(0xf800, 4) + little_endian(0x7e0, 4) + little_endian(0x1f, 4),
                {0xf800, 0x7e0, 0x1f}) == rgb);
  CHECK(colours(24, 0, "", {0xff0000, 0xff00, 0xff}) == rgb);
  CHECK(colours(32, 0, "", {0xff0000, 0xff00, 0xff}) == rgb);
  CHECK(colours(32, 3, little_endian(0xff, 4) + little_endian(0xff00, 4) + little_endian(0xff0000, 4),
                {0xff, 0xff00, 0xff0000}) == rgb);
  CHECK(colours(16, 0, "", {0x4210, 0, 0})[0] == 132);  // 16 / 31 of 255, rounded
  // Two pixels of 1; 3, 2, 4 literally (and a padding byte); end of row. Skip one pixel; 5; 1; end of bitmap.
  const std::string rle8("\x02\x01\0\x03\x03\x02\x04\0\0\0\0\x02\x01\0\x01\x05\x01\x01\0\x01", 20);
  const Image runs = read({.width = 5, .compression = 1, .palette = ramp, .pixels = rle8});
  CHECK(values<uint8_t>(runs) == V{0, 50, 10, 0, 0, 10, 10, 30, 20, 40});
  // The mark of the end may be missing, but no pixel.
  const std::string end("\0\0\0\x01", 4), row("\x03\x01\0\0\x03\x02", 6);
  for (const std::string& mark : {end, end.substr(0, 2), end.substr(0, 1), std::string()})
    CHECK(values<uint8_t>(read({.compression = 1, .palette = ramp, .pixels = row + mark})) ==
          V{20, 20, 20, 10, 10, 10});
  const std::string literal("\x03\x01\0\0\0\x03\x02\x04\0", 9);  // without its padding byte
  CHECK(values<uint8_t>(read({.compression = 1, .palette = ramp, .pixels = literal})) == V{20, 40, 0, 10, 10, 10});
  const std::string rle4("\x03\x12\0\0\0\x03\x34\x50\0\x01", 10);
  CHECK(values<uint8_t>(read({.bits = 4, .compression = 2, .palette = ramp, .pixels = rle4})) ==
        V{30, 40, 50, 10, 20, 10});
}

TEST_CASE("formats: inconsistent BMP files are refused, the same way in every run") {
  const Folder folder;
  const auto why = [&](const BmpFile& bmp) { return image_refusal(write_bytes(folder / "a.bmp", bmp.bytes())); };
  const std::string rows("\3\4\5\0\0\1\2\0", 8), ramp = grey_ramp(6, 10);
  CHECK(contains(why({.palette = grey_ramp(4, 10), .pixels = rows}), "pixels of colour 4, but its palette ends at 3"));
  CHECK(read_labels(folder / "a.bmp").count == 5);  // labels do not need a palette
  CHECK(contains(why({.palette = ramp, .pixels = rows.substr(0, 7)}), "pixels are missing"));
  CHECK(contains(why({.compression = 1, .palette = ramp, .pixels = std::string("\x03\x01\0\0", 4)}),
                 "pixels are missing"));
  CHECK(contains(why({.compression = 1, .palette = ramp, .pixels = std::string("\x03\x01\0\0\x02\x01", 6)}),
                 "pixels are missing"));
  CHECK(contains(why({.height = -2, .compression = 1, .palette = ramp, .pixels = std::string("\0\x01", 2)}),
                 "stored top-down"));
  CHECK(contains(why({.bits = 24, .compression = 4, .pixels = rows}), "compression 4"));
  CHECK(contains(why({.bits = 7, .pixels = rows}), "7 bits per pixel"));
  CHECK(contains(why({.pixels = rows}), "the palette is missing"));
}

TEST_CASE("formats: CMYK JPEG is converted if it has an Adobe marker, and refused otherwise") {
  const Image image = read_image(samples / "cmyk_adobe.jpg");
  check_smooth(image);
  CHECK(noted(image.notes, "CMYK"));
  CHECK(contains(image_refusal(samples / "cmyk.jpg"), "without a marker of their meaning"));
}

TEST_CASE("formats: labels altered by lossy compression or interpolation are refused") {
  const auto why = [](const std::filesystem::path& path) { return refusal([&] { read_labels(path); }); };
  CHECK(contains(why(samples / "smooth_grey.jpg"), "lossy compression"));
  CHECK(contains(why(samples / "labels_jpeg.tif"), "lossy compression"));
  const Folder folder;
  write_bytes(folder / "jpeg.png", read_bytes(samples / "smooth_grey.jpg"));  // recognised by its contents
  CHECK(contains(why(folder / "jpeg.png"), "lossy compression"));
  // Two squares, enlarged by 5 / 2 with linear and with nearest-neighbour interpolation.
  const auto label = [](int y, int x) {
    if (y < 8 || y >= 24) return 0;
    return x >= 6 && x < 22 ? 10 : x >= 28 && x < 44 ? 40 : 0;
  };
  const auto enlarged = [&](bool linear) {
    std::vector<uint8_t> ids;
    for (int y = 0; y < 80; ++y)
      for (int x = 0; x < 125; ++x) {
        const double v = (y + .5) / 2.5 - .5, u = (x + .5) / 2.5 - .5;
        const int v0 = int(std::floor(v)), u0 = int(std::floor(u));
        const double t = v - v0, s = u - u0;
        const double mean = (1 - t) * ((1 - s) * label(v0, u0) + s * label(v0, u0 + 1)) +
                            t * ((1 - s) * label(v0 + 1, u0) + s * label(v0 + 1, u0 + 1));
        ids.push_back(linear ? uint8_t(std::lround(mean)) : uint8_t(label(int((y + .5) / 2.5), int((x + .5) / 2.5))));
      }
    write_npy(folder / "l.npy", {80, 125}, ids.data());
    return folder / "l.npy";
  };
  CHECK(read_labels(enlarged(false)).count == 2);
  CHECK(contains(why(enlarged(true)), "is no longer a label image"));
}

TEST_CASE("formats: diagonal lines one pixel wide are accepted as labels") {
  const Folder folder;
  std::vector<uint16_t> ids(300 * 400);
  for (size_t i = 0; i < 260; ++i)
    for (size_t k = 0; k < 5; ++k)
      ids[(i + 10) * 400 + i + 10 + k * 20] = uint16_t(k + 1);
  write_npy(folder / "l.npy", {300, 400}, ids.data());
  CHECK(read_labels(folder / "l.npy").count == 5);
}

TEST_CASE("formats: NaN, infinite and extreme float values are refused with their position") {
  const Folder folder;
  const auto why = [&](float odd) {
    std::string pixels(16, '\0');
    std::memcpy(pixels.data() + 12, &odd, 4);
    std::map<int, uint32_t> tags = tags_of(2, 2, 32, pixels);
    tags[339] = 3;
    return image_refusal(write_bytes(folder / "a.tif", tiff_of(tags, pixels)));
  };
  CHECK(contains(why(1e20f), "a.tif: has the value 1e+20 at x = 1, y = 1, which may mark a missing pixel"));
  CHECK(contains(why(-3.4e38f), "may mark a missing pixel"));
  CHECK(contains(why(std::nanf("")), "NaN"));
  CHECK(contains(why(HUGE_VALF), "infinite"));
}

TEST_CASE("formats: unsupported formats are named in the error, with advice") {
  const Folder folder;
  const auto why = [&](const std::string& bytes) { return image_refusal(write_bytes(folder / "a.tif", bytes)); };
  CHECK(contains(why("ZISRAWFILE" + std::string(100, '\0')), "is a Zeiss CZI file; open it in Fiji"));
  CHECK(contains(why("\xda\xce\xbe\x0a" + std::string(100, '\0')), "Nikon ND2"));
  CHECK(contains(why("\n<!DOCTYPE HTML><html>"), "is a web page"));
  CHECK(contains(why("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS pointer"));
  CHECK(contains(why("GIF89a..."), "GIF"));
  CHECK(contains(why("PK\x03\x04"), "ZIP"));
  CHECK(contains(why(read_bytes(samples / "make.py")), "is not a PNG, JPEG, BMP or TIFF"));
  // An animated PNG: an acTL chunk after the header.
  std::string png = read_bytes(samples / "u8.png");
  png.insert(33, std::string("\0\0\0\x08"
                             "acTL"
                             "\0\0\0\x02\0\0\0\0"
                             "\xf3\x8d\x93\x70",
                             20));
  CHECK(contains(image_refusal(write_bytes(folder / "b.png", png)), "several images"));
}

TEST_CASE("formats: an .npy array with a side of 0 is empty, however long the other sides are") {
  const Folder folder;
  write_npy(folder / "a.npy", {0, 3}, static_cast<const float*>(nullptr));
  std::string bytes = read_bytes(folder / "a.npy");
  const size_t at = bytes.find("(0, 3)"), end = bytes.find('\n', at);
  const std::string shape = "(10000000000, 10000000000, 0), }";
  bytes.replace(at, end - at, shape + std::string(end - at - shape.size(), ' '));
  const Array array = read_npy(write_bytes(folder / "b.npy", bytes));
  CHECK(array.size() == 0);
  CHECK(array.values<double>().empty());
}

TEST_CASE("formats: .npy in Fortran order, big-endian and in half precision") {
  const Folder folder;
  const auto npy = [&](const std::string& descr, const std::string& order, const std::string& shape,
                       const std::string& elements) {
    std::string header = "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
    header.resize(117, ' ');
    return read_npy(write_bytes(folder / "a.npy",
                                std::string("\x93NUMPY\x01\0", 8) + little_endian(118, 2) + header + "\n" + elements));
  };
  const Array turned = npy("|u1", "True", "(2, 3)", "adbecf");
  CHECK(turned.shape == std::vector<int64_t>{2, 3});
  CHECK(turned.values<char>() == std::vector<char>{'a', 'b', 'c', 'd', 'e', 'f'});
  CHECK(npy("|u1", "True", "(2, 1, 2)", "acbd").values<char>() == std::vector<char>{'a', 'b', 'c', 'd'});
  CHECK(npy(">i4", "False", "(2,)", std::string("\0\0\x01\x02\xff\xff\xff\xfe", 8)).values<int>() ==
        std::vector<int>{258, -2});
  const Array half = npy("<f2", "False", "(2,)", std::string("\0\x3c\0\xc5", 4));
  CHECK(half.type == ElementType::f32);
  CHECK(half.values<float>() == std::vector<float>{1, -5});
}

TEST_CASE("formats: an object mask with several different values is refused") {
  Planes planes;
  const auto mask = [](std::vector<uint8_t> v, int channels) {
    Array a{ElementType::u8, {1, int64_t(v.size()) / channels, channels}, {}};
    a.bytes.resize(v.size());
    std::memcpy(a.bytes.data(), v.data(), v.size());
    return a;
  };
  CHECK(contains(refusal([&] { planes.add(mask({0, 1, 2, 2}, 1), "m.png:"); }), "m.png: contains several numbers"));
  CHECK(contains(refusal([&] { planes.add(mask({0, 0, 0, 9, 0, 0, 0, 9, 0}, 3), "m.png:"); }), "several numbers"));
  planes.add(mask({0, 0, 0, 9, 0, 0, 9, 0, 0}, 3), "m.png:");
  CHECK(planes.objects.size() == 1);
}

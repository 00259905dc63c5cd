#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "data/arrays/npy.h"
#include "data/files/image.h"
#include "engine/files.h"
#include "tests/support/file_support.h"
#include "tests/support/tiff_support.h"

using namespace basin;
using namespace basin::test;

namespace {

Image image_of_bytes(int height, int width, int channels, std::vector<uint8_t> values) {
  Image image{height, width, channels, PixelType::u8, {}};
  image.pixels.resize(values.size());
  std::memcpy(image.pixels.data(), values.data(), values.size());
  return image;
}

/// Pixel (y, x) of channel c of the samples (tests/samples/make.py).
int sample_value(int y, int x, int c) { return 37 * y + 11 * x + 53 * c; }

template <class T>
void check_pixels(const Image& image, int channels, const std::function<T(int)>& value) {
  REQUIRE(image.height == 19);
  REQUIRE(image.width == 21);
  REQUIRE(image.channels == channels);
  REQUIRE(image.pixels.size() == size_t(19 * 21 * channels) * sizeof(T));
  int wrong = 0;
  for (int y = 0; y < 19; ++y)
    for (int x = 0; x < 21; ++x)
      for (int c = 0; c < channels; ++c)
        wrong += image.as<T>()[(y * 21 + x) * channels + c] != value(sample_value(y, x, c));
  CHECK(wrong == 0);
}

/// Reads a sample whose name begins with its element type.
void check_sample(const std::string& name, int channels) {
  CAPTURE(name);
  const Image image = read_image(samples / name);
  if (name.starts_with("u8")) {
    REQUIRE(image.type == PixelType::u8);
    check_pixels<uint8_t>(image, channels, [](int b) { return uint8_t(b % 251); });
  } else if (name.starts_with("u16") || name.starts_with("i16")) {
    REQUIRE(image.type == PixelType::u16);
    const int scale = name[0] == 'u' ? 64 : 1;
    check_pixels<uint16_t>(image, channels, [=](int b) { return uint16_t(b * scale); });
  } else if (name.starts_with("u32") || name.starts_with("i32")) {
    REQUIRE(image.type == PixelType::u32);
    const uint32_t scale = name[0] == 'u' ? 4000000 : 1;
    check_pixels<uint32_t>(image, channels, [=](int b) { return uint32_t(b) * scale; });
  } else {
    REQUIRE(image.type == PixelType::f32);
    check_pixels<float>(image, channels, [](int b) { return float(b) * 0.5f - 7; });
  }
}

/// The sample with three smooth channels: 10 x, 10 y and 90, up to JPEG's compression error.
void check_smooth_file(const std::string& name, int channels) {
  CAPTURE(name);
  const Image image = read_image(samples / name);
  REQUIRE(image.height == 19);
  REQUIRE(image.width == 21);
  REQUIRE(image.channels == channels);
  REQUIRE(image.type == PixelType::u8);
  double error = 0;
  for (int y = 0; y < 19; ++y)
    for (int x = 0; x < 21; ++x) {
      const int want[3] = {10 * x, 10 * y, 90};
      for (int c = 0; c < channels; ++c)
        error += std::abs(int(image.as<uint8_t>()[(y * 21 + x) * channels + c]) - want[c]);
    }
  CHECK(error / (19 * 21 * channels) < 6);
}

}  // namespace

TEST_CASE("image: writing and reading a PNG gives the same image") {
  const Folder folder;
  for (int channels : {1, 3}) {
    std::vector<uint8_t> values(size_t(5 * 7 * channels));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = uint8_t(i * 37);
    const Image image = image_of_bytes(5, 7, channels, values);
    write_png(folder / "a.png", image);
    CHECK(read_file(folder / "a.png") == encode_png(image));
    const Image back = read_image(folder / "a.png");
    CHECK(back.height == 5);
    CHECK(back.width == 7);
    CHECK(back.channels == channels);
    CHECK(back.type == PixelType::u8);
    CHECK(back.pixels == image.pixels);
  }
}

TEST_CASE("image: writing and reading labels gives the same labels, with ids renumbered without gaps") {
  const Folder folder;
  for (const char* name : {"a.png", "a.tif", "a.TIFF", "a.npy"}) {
    CAPTURE(name);
    const Labels labels = labels_of(3, 4, {0, 70000, 70000, 5, 0, 5, 5, 5, 0, 0, 1, 70000});
    CHECK(labels.count == 3);
    CHECK(labels.ids == std::vector<int32_t>{0, 3, 3, 2, 0, 2, 2, 2, 0, 0, 1, 3});
    write_labels(folder / name, labels);
    const Labels back = read_labels(folder / name);
    CHECK(back.height == 3);
    CHECK(back.width == 4);
    CHECK(back.count == 3);
    CHECK(back.ids == labels.ids);
  }
}

TEST_CASE("image: more than 65,535 objects are written as 32-bit TIFF and .npy; PNG is refused") {
  const Folder folder;
  std::vector<int64_t> ids(300 * 300);
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = int64_t(i);
  const Labels labels = labels_of(300, 300, ids);
  CHECK(labels.count == 300 * 300 - 1);
  for (const char* name : {"a.tif", "a.npy"}) {
    write_labels(folder / name, labels);
    CHECK(read_labels(folder / name).ids == labels.ids);
  }
  CHECK(contains(refusal([&] { write_labels(folder / "a.png", labels); }), "a.png: there are 89999 objects"));
  CHECK_FALSE(std::filesystem::exists(folder / "a.png"));
}

TEST_CASE("image: TIFF files of every kind from other programs are read") {
  for (const char* name :
       {"u8_strips.tif", "u16_strips.tif", "u32_strips.tif", "f32_strips.tif", "i16_strips.tif", "i32_strips.tif",
        "u8_lzw.tif", "u8_packbits.tif", "u16_lzw_predictor.tif", "f32_deflate_predictor.tif", "u16_big_endian.tif",
        "f32_big_endian_tiles.tif", "u16_bigtiff.tif", "u8_white_is_zero.tif", "u8_grey_palette.tif",
        "u8_grey_alpha_planes.tif"})
    check_sample(name, 1);
  for (const std::string type : {"u8", "u16", "u32", "f32"})
    for (const char* kind : {"_rgb_tiles_deflate.tif", "_rgb_planes.tif", "_rgb_planes_tiles.tif"})
      check_sample(type + kind, 3);
  check_sample("u8_five.tif", 5);
  check_sample("u8_rgb_alpha.tif", 3);
  check_sample("u16_rgb_alpha_planes.tif", 3);
  check_smooth_file("smooth_jpeg.tif", 3);
}

TEST_CASE("image: PNG, JPEG and BMP files from other programs are read") {
  for (const char* name : {"u8.png", "u16.png", "u8_grey_alpha.png", "u8.bmp"})
    check_sample(name, 1);
  for (const char* name :
       {"u8_rgb.png", "u16_rgb.png", "u8_rgb_alpha.png", "u16_rgb_alpha.png", "u8_rgb.bmp", "u8_rgb_alpha.bmp"})
    check_sample(name, 3);
  for (const char* name : {"smooth.jpg", "smooth_progressive.jpg"})
    check_smooth_file(name, 3);
  check_smooth_file("smooth_grey.jpg", 1);
  // The index of a second picture, as cameras with two lenses write it, behind the first marker.
  const Folder folder;
  const std::string one = read_bytes(samples / "smooth.jpg"), index{"\xff\xe2\0\x08MPF\0xx", 10};
  const Image both = read_image(write_bytes(folder / "two.jpg", one.substr(0, 2) + index + one.substr(2)));
  CHECK(both.notes == std::vector<std::string>{"contains several pictures, of which the first is read"});
  CHECK(read_image(samples / "smooth.jpg").notes.empty());
  const Image bits = read_image(samples / "bits.png");
  REQUIRE(bits.channels == 1);
  CHECK(bits.as<uint8_t>()[0] == 0);
  CHECK(bits.as<uint8_t>()[3 * 21] == 255);
}

TEST_CASE("image: a palette image is read as colours, and as ids where labels are expected") {
  for (const char* name : {"u8_palette.tif", "u8_palette.png", "u8_palette_transparent.png"}) {
    CAPTURE(name);
    const Image image = read_image(samples / name);
    REQUIRE(image.channels == 3);
    const uint8_t* at = image.as<uint8_t>() + (2 * 21 + 5) * 3;
    const int index = sample_value(2, 5, 0) % 251;
    CHECK(at[0] == index);
    CHECK(at[1] == 255 - index);
    CHECK(at[2] == 3);
    CHECK(read_labels(samples / name).ids == read_labels(samples / "u8_strips.tif").ids);
  }
}

TEST_CASE("image: labels in every integer type, and in floats with integer values") {
  const Labels labels = read_labels(samples / "i64_strips.tif");
  CHECK(labels.count == 19 * 21 - 1);
  for (const char* name : {"u16_strips.tif", "u32_strips.tif", "i16_strips.tif", "i32_strips.tif", "u16.png",
                           "f64_strips.tif", "u16_big_endian.tif"}) {
    CAPTURE(name);
    CHECK(read_labels(samples / name).ids == labels.ids);
  }
  CHECK(read_labels(samples / "bits.png").count == 1);
  const Folder folder;
  write_labels(folder / "a.png", labels_of(2, 3, {0, 0, 0, 0, 0, 0}));
  CHECK(read_labels(folder / "a.png").count == 0);
  CHECK(compact(1, 4, {int64_t(1) << 62, 3, 0, int64_t(1) << 62}).ids == std::vector<int32_t>{2, 1, 0, 2});
}

TEST_CASE("image: files that are not label images are refused") {
  const auto why = [](const char* name) { return refusal([&] { read_labels(samples / name); }); };
  CHECK(contains(why("u8_rgb.png"), "u8_rgb.png: has 3 channels"));
  CHECK(contains(why("negative.tif"), "negative.tif: has the label -1"));
  CHECK(contains(why("fractions.tif"), "fractions.tif: has the label"));
  CHECK(contains(why("nan.tif"), "nan.tif: has the label"));
  CHECK(contains(why("make.py"), "make.py: is not a PNG"));
  CHECK(contains(refusal([] { compact(1, 2, {1, -5}); }), "-5"));
  const Folder folder;
  CHECK(
      contains(refusal([&] { write_labels(folder / "a.jpg", labels_of(1, 1, {1})); }), "a.jpg: labels can be written"));
}

TEST_CASE("image: a photograph is refused as labels; objects of any shape are accepted") {
  const Folder folder;
  const auto read = [&](const auto& id_of) {
    std::vector<int32_t> ids;
    for (int y = 0; y < 64; ++y)
      for (int x = 0; x < 64; ++x)
        ids.push_back(id_of(y, x));
    write_npy(folder / "l.npy", {64, 64}, ids.data());
    return read_labels(folder / "l.npy").count;
  };
  std::mt19937 rng(1);
  CHECK(contains(refusal([&] { read([&](int y, int x) { return 40 + (y + x) / 8 + int(rng() % 8); }); }),
                 "l.npy: is not a label image"));
  CHECK(read([](int y, int x) { return y / 2 * 32 + x / 2 + 1; }) == 1024);             // adjacent 2 x 2 squares
  CHECK(read([](int y, int x) { return x % 2 ? 0 : x / 2 + 1 + y / 8 * 32; }) == 256);  // lines
  CHECK(read([](int y, int x) { return y * 64 + x + 1; }) == 4096);
}

TEST_CASE("image: unreadable files are refused in one sentence with the file's name") {
  const Folder folder;
  CHECK(contains(image_refusal(folder / "none.png"), "none.png: cannot be opened"));
  CHECK(contains(image_refusal(folder.path()), "is a folder"));
  CHECK(contains(image_refusal(write_bytes(folder / "e.png", "")), "e.png: is empty"));
  CHECK(contains(image_refusal(write_bytes(folder / "t.png", "a text")), "t.png: is not a PNG, JPEG, BMP or TIFF"));
  CHECK(contains(image_refusal("/dev/zero"), "not a regular file"));
  CHECK(contains(image_refusal(samples / "nan.tif"), "NaN"));
  CHECK(contains(image_refusal(samples / "negative.tif"), "negative"));
  CHECK(contains(image_refusal(samples / "i64_strips.tif"), "int64 pixels"));
}

namespace {

/// A TIFF of one row of numbers with a palette of 2^bits colours, `components` of a number as red, green and blue.
std::string with_palette(int bits, const std::vector<uint32_t>& numbers,
                         const std::function<std::vector<uint32_t>(uint32_t)>& components) {
  std::string pixels;
  for (const uint32_t n : numbers)
    pixels += little_endian(n, bits / 8);
  TiffFile file{{{273, {0}}, {278, {1}}}, pixels};
  for (const auto& [tag, value] : tags_of(uint32_t(numbers.size()), 1, uint32_t(bits), pixels))
    file.tags[tag] = {value};
  file.tags[262] = {3};
  std::vector<uint32_t>& map = file.tags[320];
  map.resize(size_t(3) << bits);
  for (uint32_t i = 0; i < 1u << bits; ++i)
    for (uint32_t c = 0; c < 3; ++c)
      map[(c << bits) + i] = components(i)[c];
  return file.bytes();
}

template <class T>
std::vector<int> numbers_of(const Image& image) {
  const T* p = image.as<T>();
  return {p, p + image.pixels.size() / sizeof(T)};
}

}  // namespace

TEST_CASE("image: a palette of 16 bits keeps its 16 bits") {
  const Folder folder;
  const auto read = [&](const std::function<std::vector<uint32_t>(uint32_t)>& components) {
    return read_image(write_bytes(folder / "a.tif", with_palette(16, {0, 222, 978, 65535}, components)));
  };
  const Image same = read([](uint32_t i) { return std::vector{i, i, i}; });
  CHECK(numbers_of<uint16_t>(same) == std::vector<int>{0, 222, 978, 65535});
  CHECK(same.notes.empty());
  const Image green = read([](uint32_t i) { return std::vector{0u, i, 0u}; });
  CHECK(numbers_of<uint16_t>(green) == std::vector<int>{0, 222, 978, 65535});
  CHECK(green.notes == std::vector<std::string>{"its palette was ignored, because it only displays the intensities"});
  const Image inverted = read([](uint32_t i) { return std::vector(3, 65535 - i); });
  CHECK(numbers_of<uint16_t>(inverted) == std::vector<int>{65535, 65313, 64557, 0});
  CHECK(inverted.notes == std::vector<std::string>{"converted to the greys of its palette"});
  const Image colours = read([](uint32_t i) { return std::vector{i, 65535 - i, 7u}; });
  CHECK(numbers_of<uint16_t>(colours) == std::vector<int>{0, 65535, 7, 222, 65313, 7, 978, 64557, 7, 65535, 0, 7});
  // Colours of 8 bits, in either form.
  for (const uint32_t factor : {256u, 257u}) {
    const Image eight = read([=](uint32_t i) { return std::vector{factor * (i >> 8), factor * (255 - (i >> 8)), 0u}; });
    CHECK(numbers_of<uint8_t>(eight) == std::vector<int>{0, 255, 0, 0, 255, 0, 3, 252, 0, 255, 0, 0});
  }
  const Labels labels = read_labels(write_bytes(
      folder / "b.tif", with_palette(16, {0, 5, 1, 0}, [](uint32_t i) { return std::vector(3, 65535 - i); })));
  CHECK(labels.ids == std::vector<int32_t>{0, 2, 1, 0});
}

TEST_CASE("image: a palette that changes numbers is reported, and the pixels that occur do not decide about it") {
  const Folder folder;
  using Colours = std::function<std::vector<uint32_t>(uint32_t)>;
  const auto read = [&](const std::vector<uint32_t>& numbers, const Colours& components) {
    return read_image(write_bytes(folder / "a.tif", with_palette(8, numbers, components)));
  };
  const std::string ignored = "its palette was ignored, because it only displays the intensities";
  const auto grey = [](auto f) { return Colours([f](uint32_t i) { return std::vector(3, uint32_t(f(i)) * 257); }); };
  const Image same = read({0, 10, 207}, grey([](uint32_t i) { return i; }));
  CHECK(numbers_of<uint8_t>(same) == std::vector<int>{0, 10, 207});
  CHECK(same.notes.empty());
  const Image inverted = read({10, 207}, grey([](uint32_t i) { return 255 - i; }));
  CHECK(numbers_of<uint8_t>(inverted) == std::vector<int>{245, 48});
  CHECK(inverted.notes == std::vector<std::string>{"converted to the greys of its palette"});
  const Image brighter = read({10, 207}, grey([](uint32_t i) { return i < 128 ? 2 * i : 255; }));
  CHECK(numbers_of<uint8_t>(brighter) == std::vector<int>{10, 207});
  CHECK(brighter.notes == std::vector<std::string>{ignored});
  // Look-up tables that mark saturated pixels: HiLo, and one that marks several numbers over a ramp of one colour.
  const Colours hilo = [](uint32_t i) {
    return i == 0 ? std::vector{0u, 0u, 65535u} : i == 255 ? std::vector{65535u, 0u, 0u} : std::vector(3, i * 257);
  };
  const Colours glow = [](uint32_t i) {
    return i < 4     ? std::vector{0u, 65535u, 0u}
           : i > 250 ? std::vector{0u, 0u, 65535u}
                     : std::vector{i * 257, i * 128, 0u};
  };
  for (const Colours& table : {hilo, glow})
    for (const std::vector<uint32_t>& numbers : {std::vector<uint32_t>{10, 20}, {10, 255}, {0, 255}}) {
      const Image marked = read(numbers, table);
      CHECK(marked.channels == 1);
      CHECK(numbers_of<uint8_t>(marked) == std::vector<int>(numbers.begin(), numbers.end()));
      CHECK(marked.notes == std::vector<std::string>{ignored});
    }
  // Greys with one colour among them are a picture in colours, whether or not the colour occurs.
  const Colours picture = [](uint32_t i) {
    return i == 100 ? std::vector{65535u, 0u, 0u} : std::vector(3, (i * 37 % 256) * 257);
  };
  CHECK(read({1, 2}, picture).channels == 3);
  CHECK(read({1, 100}, picture).channels == 3);
}

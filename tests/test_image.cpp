#include <cstring>

#include "data/image.h"
#include "tests/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

Image image_of(int height, int width, int channels, std::vector<uint8_t> values) {
  Image image{height, width, channels, PixelType::u8, {}};
  image.pixels.resize(values.size());
  std::memcpy(image.pixels.data(), values.data(), values.size());
  return image;
}

}  // namespace

TEST_CASE("image: a PNG comes back as it was written") {
  const Folder folder;
  for (int channels : {1, 3}) {
    std::vector<uint8_t> values(size_t(5 * 7 * channels));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = uint8_t(i * 37);
    const Image image = image_of(5, 7, channels, values);
    write_png(folder / "a.png", image);
    const Image back = read_image(folder / "a.png");
    CHECK(back.height == 5);
    CHECK(back.width == 7);
    CHECK(back.channels == channels);
    CHECK(back.type == PixelType::u8);
    CHECK(back.pixels == image.pixels);
  }
}

TEST_CASE("image: labels come back as they were written, compacted") {
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

TEST_CASE("image: more objects than 16 bits hold go to 32-bit TIFF and .npy, not to PNG") {
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
  CHECK(contains(refusal([&] { write_labels(folder / "a.png", labels); }), "a.png: holds 89999 objects"));
  CHECK_FALSE(std::filesystem::exists(folder / "a.png"));
}

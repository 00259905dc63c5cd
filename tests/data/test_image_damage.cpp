#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "data/files/image_parts.h"
#include "engine/files.h"
#include "tests/support/file_support.h"
#include "tests/support/image_support.h"
#include "tests/support/tiff_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// A damaged file must either be read or be refused in one sentence that begins with its name.
template <class F>
void read_or_refuse(const std::filesystem::path& path, F read) {
  std::string why;
  try {
    read(path);
  } catch (const Error& e) {
    why = e.what();
  }
  const bool named = why.empty() || why.starts_with(path.string() + ": ");
  CHECK_MESSAGE(named, why);
}

/// A PNG chunk with its checksum.
std::string chunk(const std::string& type, const std::string& data) {
  const auto big = [](uint32_t v) {
    return std::string{char(v >> 24), char(v >> 16 & 255), char(v >> 8 & 255), char(v & 255)};
  };
  uint32_t crc = ~0u;
  for (unsigned char byte : type + data) {
    crc ^= byte;
    for (int k = 0; k < 8; ++k)
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return big(uint32_t(data.size())) + type + data + big(~crc);
}
std::string png_header(uint32_t width, uint32_t height) {
  std::string ihdr;
  for (uint32_t v : {width, height})
    for (int shift : {24, 16, 8, 0})
      ihdr += char(v >> shift & 255);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", ihdr + std::string{8, 0, 0, 0, 0}) + chunk("IDAT", "x") +
         chunk("IEND", "");
}

}  // namespace

TEST_CASE("image: a header with a larger size than the file's data is refused") {
  const Folder folder;
  const auto png = [&](uint32_t width, uint32_t height) {
    return image_refusal(write_bytes(folder / "a.png", png_header(width, height)));
  };
  CHECK(contains(png(0x7fffffff, 0x7fffffff), "a.png: "));
  CHECK(contains(png(1 << 20, 1 << 20), "more than the file can contain"));
  CHECK(contains(png(0, 5), "a.png: "));
  write_bytes(folder / "large.png", png_header(46341, 46341) + std::string(1 << 16, '\0'));
  CHECK(contains(image_refusal(folder / "large.png"), "large.png: has 46341 x 46341 pixels; the limit is"));
  const auto tiff = [&](const std::map<int, uint32_t>& tags) {
    return image_refusal(write_bytes(folder / "a.tif", tiff_of(tags, std::string(64, '\1'))));
  };
  // 256 width, 257 height, 258 bits, 259 compression, 262 photometric, 277 samples, 278 rows, 279 bytes of the strip
  CHECK(contains(tiff({{256, 0x7fffffff}, {257, 0x7fffffff}, {258, 8}, {262, 1}, {279, 64}}),
                 "more than the file can contain"));
  CHECK(contains(tiff({{256, 0xffffffff}, {257, 0xffffffff}, {258, 8}, {262, 1}, {279, 64}}), "a.tif: "));
  CHECK(contains(tiff({{256, 0}, {257, 8}, {258, 8}, {262, 1}, {279, 64}}), "a.tif: "));
  CHECK(contains(tiff({{256, 8}, {257, 9}, {258, 8}, {262, 1}, {279, 64}}), "truncated"));
  CHECK(contains(tiff({{256, 8}, {257, 8}, {258, 8}, {262, 1}, {277, 65535}, {279, 64}}), "a.tif: "));
  CHECK(contains(tiff({{256, 8}, {257, 8}, {258, 40}, {262, 1}, {279, 64}}), "40 bits per sample"));
  CHECK(contains(tiff({{256, 8}, {257, 8}, {258, 8}, {262, 5}, {279, 64}}), "photometric"));
  CHECK(read_image(write_bytes(folder / "b.tif",
                               tiff_of({{256, 8}, {257, 8}, {258, 8}, {262, 1}, {279, 64}}, std::string(64, '\1'))))
            .pixels == std::vector<std::byte>(64, std::byte{1}));
}

#ifndef __SANITIZE_ADDRESS__  // which reserves terabytes of addresses
/// Addresses in use, bytes.
static uint64_t memory_of_this_process() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * uint64_t(sysconf(_SC_PAGESIZE));
}

TEST_CASE("image: a header with a larger size than the file's data is refused before memory is taken for it") {
  const Folder folder;
  write_bytes(folder / "a.png", png_header(0x7fffffff, 1));
  rlimit old{};
  getrlimit(RLIMIT_AS, &old);
  const rlimit small{rlim_t(memory_of_this_process()) + (256 << 20), old.rlim_max};
  setrlimit(RLIMIT_AS, &small);
  const std::string why = image_refusal(folder / "a.png");
  setrlimit(RLIMIT_AS, &old);
  CHECK_MESSAGE(contains(why, "more than the file can contain"), why);
}
#endif

TEST_CASE("image: a JPEG whose Huffman tables are missing or too long is refused") {
  const Folder folder;
  for (const char* name : {"smooth.jpg", "smooth_progressive.jpg"}) {
    const std::string whole = read_bytes(samples / name);
    const size_t table = whole.find("\xff\xc4");
    REQUIRE(table != std::string::npos);
    std::string missing = whole, long_one = whole;
    missing[table + 4] = 3;                       // its id: the scans refer to another one
    long_one.replace(table + 5, 16, 16, '\xff');  // the number of codes of each length
    // If a baseline file has no tables, as in motion JPEG frames, libjpeg-turbo uses the standard's tables.
    if (std::string(name) == "smooth_progressive.jpg")
      CHECK(contains(image_refusal(write_bytes(folder / "a.jpg", missing)), "a.jpg: is a truncated or damaged JPEG"));
    CHECK(contains(image_refusal(write_bytes(folder / "b.jpg", long_one)), "b.jpg: is a truncated or damaged JPEG"));
  }
}

TEST_CASE("image: a pipe is refused at once") {
  const Folder folder;
  REQUIRE(mkfifo((folder / "pipe.png").c_str(), 0600) == 0);
  CHECK(contains(refusal([&] { read_image(folder / "pipe.png"); }), "pipe.png: is not a regular file"));
}

TEST_CASE("image: a truncated file is refused; a file with any byte changed is read or refused") {
  const Folder folder;
  for (const char* name : {"u8.png", "u16_rgb.png", "u8_palette.png", "u8_lzw.tif", "u16_rgb_planes.tif",
                           "f32_rgb_tiles_deflate.tif", "u8_palette.tif", "smooth_jpeg.tif", "u16_bigtiff.tif",
                           "smooth.jpg", "smooth_progressive.jpg", "u8.bmp", "u8_rgb_alpha.bmp", "cmyk_adobe.jpg",
                           "turned.jpg", "turned.png", "imagej_stack.tif", "channels.ome.tif", "pyramid.tif"}) {
    CAPTURE(name);
    const std::string whole = read_bytes(samples / name);
    const std::filesystem::path damaged = folder / name;
    const size_t stride = std::max<size_t>(1, whole.size() / 60);
    for (size_t n = 0; n < whole.size(); n += n < 64 ? 1 : stride) {
      CAPTURE(n);
      CHECK(image_refusal(write_bytes(damaged, whole.substr(0, n))).starts_with(damaged.string() + ": "));
    }
    CHECK(image_refusal(write_bytes(damaged, whole.substr(0, whole.size() - 1))).starts_with(damaged.string()));
    for (size_t i = 0; i < whole.size(); i += i < 256 ? 1 : stride)
      for (int flip : {0x01, 0xff}) {
        std::string bytes = whole;
        bytes[i] = char(bytes[i] ^ flip);
        write_bytes(damaged, bytes);
        read_or_refuse(damaged, [](const std::filesystem::path& path) { read_image(path); });
        if (!std::string_view(name).ends_with("jpg"))
          read_or_refuse(damaged, [](const std::filesystem::path& path) { read_labels(path); });
      }
  }
}

TEST_CASE("image: a failed write is reported and leaves no file behind") {
  const Folder folder;
  const Labels labels = labels_of(200, 300, std::vector<int64_t>(200 * 300, 7));
  const auto write = [&](const std::filesystem::path& path) { return refusal([&] { write_labels(path, labels); }); };
  CHECK(contains(write(folder.path() / "no/such/folder/a.png"), "a.png: cannot be written"));
  std::filesystem::create_directory(folder / "b.tif");
  CHECK(contains(write(folder / "b.tif"), "b.tif: is a folder"));
  // Simulates a full disk: no file of this process may grow beyond 64 bytes.
  std::vector<int64_t> noise(200 * 300);
  for (size_t i = 0; i < noise.size(); ++i)
    noise[i] = int64_t(i * 2654435761u % 60000);
  const Labels large = labels_of(200, 300, noise);
  for (const char* name : {"c.png", "c.tif", "c.npy"}) {
    CAPTURE(name);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    const rlimit small{64, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string why = refusal([&] { write_labels(folder / name, large); });
    setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, handler);
    CHECK(contains(why, std::string(name) + ": cannot be written"));
  }
  write_bytes(folder / "d.png", "old");
  std::filesystem::remove(folder / "b.tif");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  write_labels(folder / "d.png", labels);
  CHECK(read_labels(folder / "d.png").count == 1);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("image: writing to a symbolic link replaces its target; a device is written directly") {
  const Folder folder;
  const Labels labels = labels_of(1, 2, {0, 1});
  write_labels(folder / "there/a.png", labels);
  std::filesystem::create_symlink(folder.path() / "there/a.png", folder / "link.png");
  write_labels(folder / "link.png", labels_of(1, 2, {1, 2}));
  CHECK(std::filesystem::is_symlink(folder / "link.png"));
  CHECK(read_labels(folder / "there/a.png").count == 2);
  CHECK(contains(refusal([] { write_atomically("/dev/full", "text"); }), "/dev/full: cannot be written"));
  CHECK_FALSE(std::filesystem::is_regular_file("/dev/full"));
}

namespace {

/// A TIFF with the pixels 4 y + x: 20 x 40 in tiles of 16 x 16, or 4 x 5 in strips of one row. Those whose number is in
/// `missing` are not stored.
TiffFile sparse(bool tiled, const std::vector<size_t>& missing, uint32_t compression = 1) {
  const uint32_t height = tiled ? 20 : 4, width = tiled ? 40 : 5, across = tiled ? 3 : 1, side = 16;
  TiffFile file{{{256, {width}}, {257, {height}}, {258, {8}}, {259, {compression}}, {262, {1}}}, ""};
  std::vector<uint32_t> places, sizes;
  for (size_t k = 0; k < (tiled ? 6 : height); ++k) {
    std::string chunk;
    for (uint32_t y = 0; y < (tiled ? side : 1); ++y) {
      if (compression == 32773) chunk += char((tiled ? side : width) - 1);  // PackBits: so many bytes, and one more
      for (uint32_t x = 0; x < (tiled ? side : width); ++x)
        chunk += char((y + uint32_t(k) / across * (tiled ? side : 1)) * 4 + x + uint32_t(k) % across * side);
    }
    const bool is_missing = std::find(missing.begin(), missing.end(), k) != missing.end();
    places.push_back(is_missing ? nowhere : uint32_t(file.pixels.size()));
    sizes.push_back(is_missing ? 0 : uint32_t(chunk.size()));
    if (!is_missing) file.pixels += chunk;
  }
  if (tiled)
    file.tags[322] = file.tags[323] = {side}, file.tags[324] = places, file.tags[325] = sizes;
  else
    file.tags[278] = {1}, file.tags[273] = places, file.tags[279] = sizes;
  return file;
}

}  // namespace

TEST_CASE("image: strips and tiles that a TIFF does not store are 0, which is noted") {
  const Folder folder;
  for (const uint32_t compression : {1u, 32773u})
    for (const bool tiled : {false, true}) {
      CAPTURE(compression);
      CAPTURE(tiled);
      const Image image = read_image(write_bytes(folder / "a.tif", sparse(tiled, {0, 3}, compression).bytes()));
      int wrong = 0;
      for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) {
          const int chunk = tiled ? y / 16 * 3 + x / 16 : y;
          wrong += image.as<uint8_t>()[y * image.width + x] != (chunk == 0 || chunk == 3 ? 0 : 4 * y + x);
        }
      CHECK(wrong == 0);
      const std::string note = std::string("2 of its ") + (tiled ? "6 tiles" : "4 strips");
      CHECK(image.notes == std::vector<std::string>{note + " are not stored, so their pixels are 0"});
      CHECK(read_labels(folder / "a.tif").notes == image.notes);
      CHECK(read_image(write_bytes(folder / "a.tif", sparse(tiled, {}, compression).bytes())).notes.empty());
    }
  // A part says the same as the whole image.
  write_bytes(folder / "a.tif", sparse(true, {0, 3}).bytes());
  const Image part = read_image_part(folder / "a.tif", {}, {16, 12, 4, 6});
  CHECK(part.notes == read_image(folder / "a.tif").notes);
  CHECK(part.pixels == cut(read_image(folder / "a.tif"), {16, 12, 4, 6}).pixels);
  // An empty label image, none of whose tiles is stored.
  const Labels none = read_labels(write_bytes(folder / "b.tif", sparse(true, {0, 1, 2, 3, 4, 5}).bytes()));
  CHECK(none.count == 0);
  CHECK(none.notes == std::vector<std::string>{"none of its pixels is stored, so all are 0"});
  TiffFile large{{{256, {2048}}, {257, {4096}}, {258, {8}}, {262, {1}}, {322, {2048}}, {323, {2048}}}, ""};
  large.tags[324] = {nowhere, nowhere}, large.tags[325] = {0, 0};
  CHECK(read_labels(write_bytes(folder / "c.tif", large.bytes())).count == 0);
  TiffFile strip{{{256, {300}}, {257, {300}}, {258, {8}}, {262, {1}}, {273, {nowhere}}, {278, {300}}, {279, {0}}}, ""};
  CHECK(read_labels(write_bytes(folder / "d.tif", strip.bytes())).notes == none.notes);  // libtiff divides the strip
}

TEST_CASE("image: strips and tiles of a TIFF that are lost, or stand for missing data, are refused") {
  const Folder folder;
  const auto why = [&](const TiffFile& file) { return image_refusal(write_bytes(folder / "a.tif", file.bytes())); };
  TiffFile file = sparse(true, {1});
  file.tags[325][1] = 256;
  CHECK(contains(why(file), "a.tif: is a truncated or damaged TIFF file (its tile 1 has no offset)"));
  file = sparse(false, {});
  file.tags[279][2] = 0;
  CHECK(contains(why(file), "(its strip 2 has no size)"));
  file.tags[279] = {5, 5, 3, 5};
  CHECK(contains(why(file), "(its strip 2 has 3 bytes instead of 5)"));
  file = sparse(true, {});
  file.tags[324].resize(4), file.tags[325].resize(4);  // libtiff appends zeros
  CHECK(contains(why(file), "(it lists 4 of its 6 tiles)"));
  file = sparse(true, {1, 2});
  file.texts[42113] = "-9999";
  CHECK(
      contains(why(file), "a.tif: does not hold 2 of its 6 tiles, whose pixels have the value -9999 for missing data"));
  file.texts[42113] = "0";
  CHECK(read_image(write_bytes(folder / "a.tif", file.bytes())).notes.size() == 1);
  // Several images behind a single directory, whose place is lost.
  file = sparse(false, {0});
  file.tags[278] = {4}, file.tags[273] = {nowhere}, file.tags[279] = {0};
  file.texts[270] = "ImageJ=1.53t\nimages=2\nslices=2\n";
  CHECK(contains(refusal([&] {
                   read_image(write_bytes(folder / "a.tif", file.bytes()), {"", {}, "Z=1"});
                 }),
                 "a.tif: "));
}

TEST_CASE("image: a predictor with a compression that has none is refused") {
  const Folder folder;
  for (const uint32_t compression : {1u, 32773u})
    for (const uint32_t predictor : {1u, 2u, 3u}) {
      CAPTURE(compression);
      TiffFile file = sparse(false, {}, compression);
      file.tags[317] = {predictor};
      write_bytes(folder / "a.tif", file.bytes());
      if (predictor == 1)
        CHECK(read_image(folder / "a.tif").as<uint8_t>()[6] == 5);
      else
        CHECK(contains(image_refusal(folder / "a.tif"),
                       "a.tif: has the predictor " + std::to_string(predictor) + " with the compression " +
                           (compression == 1 ? "none" : "PackBits") + ", for which TIFF defines none"));
    }
}

TEST_CASE("image: kinds of JPEG and of JPEG in TIFF that are not supported are not called damaged") {
  const Folder folder;
  const auto jpeg = [&](const std::string& marker) {
    const std::string frame("\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0", 11);
    return image_refusal(write_bytes(folder / "a.jpg", "\xff\xd8\xff" + marker + frame + std::string(20, '\0')));
  };
  CHECK(contains(jpeg("\xf7"), "a.jpg: is a JPEG-LS file; save it as PNG or TIFF"));
  CHECK(contains(jpeg("\xde"), "a.jpg: is an unsupported kind of JPEG file ("));  // hierarchical
  CHECK(contains(jpeg("\xc3"), "a.jpg: is an unsupported kind of JPEG file ("));  // lossless
  CHECK(contains(jpeg("\x02"), "a.jpg: is a truncated or damaged JPEG file ("));
  const std::string lossless("\xff\xd8\xff\xc3\0\x0b\x08\0\x02\0\x03\x01\x01\x11\0\xff\xd9", 17);
  std::map<int, uint32_t> tags = tags_of(3, 2, 8, lossless);
  tags[259] = 7;
  CHECK(contains(image_refusal(write_bytes(folder / "a.tif", tiff_of(tags, lossless))),
                 "a.tif: is a TIFF file of an unsupported kind ("));
}

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "engine/files.h"
#include "tests/support/file_support.h"

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

/// A little-endian TIFF with one strip: these 32-bit tags, followed by `pixels`.
std::string tiff_with(std::vector<std::pair<int, uint32_t>> tags, const std::string& pixels) {
  std::string file = "II*";
  const auto put = [&](uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i)
      file += char(v >> 8 * i & 255);
  };
  put(0, 1), put(8, 4);
  tags.push_back({273, uint32_t(8 + 2 + 12 * (tags.size() + 1) + 4)});
  std::sort(tags.begin(), tags.end());
  put(tags.size(), 2);
  for (const auto& [tag, value] : tags)
    put(uint64_t(tag), 2), put(4, 2), put(1, 4), put(value, 4);
  put(0, 4);
  return file + pixels;
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
  const auto tiff = [&](std::vector<std::pair<int, uint32_t>> tags) {
    return image_refusal(write_bytes(folder / "a.tif", tiff_with(std::move(tags), std::string(64, '\1'))));
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
                               tiff_with({{256, 8}, {257, 8}, {258, 8}, {262, 1}, {279, 64}}, std::string(64, '\1'))))
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

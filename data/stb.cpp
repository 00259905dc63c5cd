// The only file that knows stb_image: JPEG and BMP. It takes a truncated file for a whole one, so that is checked
// first.
#include <climits>
#include <cstring>

#include "data/raster.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <stb_image.h>

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

using Bytes = std::vector<std::byte>;

/// Walks the markers of a JPEG file to its end-of-image marker.
bool jpeg_is_whole(const Bytes& b) {
  size_t at = 2;
  while (at + 1 < b.size()) {
    if (b[at] != std::byte{0xff}) return false;
    const int marker = int(b[at + 1]);
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    at += 2;
    if (marker == 0xd9) return true;
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue;
    if (at + 1 >= b.size()) return false;
    at += size_t(b[at]) << 8 | size_t(b[at + 1]);
    if (marker != 0xda) continue;
    // Coded pixels: until a marker that is neither a stuffed byte nor a restart.
    while (at + 1 < b.size()) {
      const int next = int(b[at + 1]);
      if (b[at] == std::byte{0xff} && next != 0 && next != 0xff && !(next >= 0xd0 && next <= 0xd7)) break;
      ++at;
    }
  }
  return false;
}

uint32_t little(const Bytes& b, size_t at, int bytes) {
  uint32_t v = 0;
  for (int i = 0; i < bytes; ++i)
    v |= uint32_t(b[at + size_t(i)]) << 8 * i;
  return v;
}

/// Whether a BMP file is as long as its header promises.
bool bmp_is_whole(const Bytes& b) {
  if (b.size() < 30) return false;
  const bool core = little(b, 14, 4) == 12;
  const uint64_t width = core ? little(b, 18, 2) : little(b, 18, 4);
  const int64_t rows = core ? int64_t(little(b, 20, 2)) : int64_t(int32_t(little(b, 22, 4)));
  const uint64_t bits = little(b, core ? 24 : 28, 2), height = uint64_t(rows < 0 ? -rows : rows);
  if (width > INT_MAX || height > INT_MAX || bits > 32) return false;
  const __int128 pixels = __int128((width * bits + 31) / 32 * 4) * height;
  return pixels + little(b, 10, 4) <= __int128(b.size());
}

Array decode(const fs::path& path, const Bytes& bytes, const char* kind) {
  const std::string name = path.string();
  const auto damaged = [&](const char* why) {
    refuse(name, ": is a truncated or damaged ", kind, " file (", why, ")");
  };
  if (bytes.size() > INT_MAX) refuse(name, ": is larger than 2 GB, too large for a ", kind, " file");
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(data, int(bytes.size()), &width, &height, &channels)) damaged(stbi_failure_reason());
  const int kept = channels < 3 ? 1 : 3;
  Array image = allocate(path, ElementType::u8, height, width, kept);
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(data, int(bytes.size()), &width, &height, &channels, kept), stbi_image_free);
  if (!pixels) damaged(stbi_failure_reason());
  if (height != image.shape[0] || width != image.shape[1]) damaged("its size is given twice");
  std::memcpy(image.bytes.data(), pixels.get(), image.bytes.size());
  return image;
}

}  // namespace

Array read_jpeg(const fs::path& path) {
  const Bytes bytes = read_file(path);
  if (!jpeg_is_whole(bytes)) refuse(path.string(), ": is a truncated or damaged JPEG file (it has no end)");
  return decode(path, bytes, "JPEG");
}

Array read_bmp(const fs::path& path) {
  const Bytes bytes = read_file(path);
  if (!bmp_is_whole(bytes)) refuse(path.string(), ": is a truncated or damaged BMP file (pixels are missing)");
  Array image = decode(path, bytes, "BMP");
  if (little(bytes, little(bytes, 14, 4) == 12 ? 24 : 28, 2) <= 8) collapse_grey(image);  // grey is a palette too
  return image;
}

}  // namespace basin::raster

// How TIFF stores the pixels of an image: strips or tiles, packed bits, palettes.
#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <map>

#include "data/files/tiff_handle.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

std::string compression_name(uint16_t code) {
  static const std::map<uint16_t, const char*> names = {{COMPRESSION_NONE, "none"},
                                                        {COMPRESSION_CCITTRLE, "CCITT RLE"},
                                                        {COMPRESSION_CCITTFAX3, "CCITT fax 3"},
                                                        {COMPRESSION_CCITTFAX4, "CCITT fax 4"},
                                                        {COMPRESSION_LZW, "LZW"},
                                                        {COMPRESSION_OJPEG, "old JPEG"},
                                                        {COMPRESSION_JPEG, "JPEG"},
                                                        {COMPRESSION_ADOBE_DEFLATE, "deflate"},
                                                        {COMPRESSION_PACKBITS, "PackBits"},
                                                        {COMPRESSION_DEFLATE, "deflate"},
                                                        {33003, "JPEG 2000"},
                                                        {33004, "JPEG 2000"},
                                                        {33005, "JPEG 2000"},
                                                        {34712, "JPEG 2000"},
                                                        {34892, "lossy JPEG"},
                                                        {34933, "PNG"},
                                                        {34934, "JPEG XR"},
                                                        {22610, "JPEG XR"},
                                                        {COMPRESSION_LZMA, "LZMA"},
                                                        {COMPRESSION_ZSTD, "zstd"},
                                                        {COMPRESSION_WEBP, "WebP"},
                                                        {COMPRESSION_LERC, "LERC"},
                                                        {COMPRESSION_JBIG, "JBIG"},
                                                        {50002, "JPEG XL"},
                                                        {52546, "JPEG XL"}};
  const auto found = names.find(code);
  return found == names.end() ? "number " + std::to_string(code) : found->second;
}

ElementType element_type(const TiffLayout& l, const std::string& name) {
  const bool is_signed = l.format == SAMPLEFORMAT_INT;
  if (l.format == SAMPLEFORMAT_IEEEFP) {
    if (l.bits == 16 || l.bits == 32) return ElementType::f32;
    if (l.bits == 64) return ElementType::f64;
  } else if (l.format == SAMPLEFORMAT_UINT || l.format == SAMPLEFORMAT_VOID || is_signed) {
    if (l.bits == 8) return is_signed ? ElementType::i8 : ElementType::u8;
    if (l.bits == 16) return is_signed ? ElementType::i16 : ElementType::u16;
    if (l.bits == 32) return is_signed ? ElementType::i32 : ElementType::u32;
    if (l.bits == 64) return is_signed ? ElementType::i64 : ElementType::u64;
    if (l.bits >= 1 && l.bits < 32 && !is_signed) return unpacked_type(l.bits);
  }
  refuse(
      name, ": is a TIFF file with ", l.bits, " bits per sample (sample format ", l.format,
      "), which is not supported; supported are integers and floats of 8 to 64 bits, and unsigned integers of 1 to 31");
}

/// An entry of the current directory, as it is stored in the file.
struct DirectoryEntry {
  uint64_t count = 0;  // of its values; 0: there is no such entry
  uint64_t value = 0;  // if it is a single one of 16 or 32 bits
};

/// Reads the entry of a tag from the file, because libtiff does not show all of it: it drops tags that a compression
/// does not define, and appends zeros to lists that are too short.
DirectoryEntry entry_of(TIFF* tiff, const fs::path& path, uint16_t tag) {
  const bool big = TIFFIsBigTIFF(tiff), reversed = TIFFIsBigEndian(tiff);
  const auto number = [&](const unsigned char* from, int bytes) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; ++i)
      v |= uint64_t(from[i]) << 8 * (reversed ? bytes - 1 - i : i);
    return v;
  };
  const File file = open_file(path);
  const size_t entry = big ? 20 : 12, first = big ? 8 : 2;
  unsigned char head[8] = {}, bytes[20] = {};
  if (fseeko(file.get(), off_t(TIFFCurrentDirOffset(tiff)), SEEK_SET) != 0 ||
      std::fread(head, 1, first, file.get()) != first)
    return {};
  for (uint64_t n = number(head, int(first)); n > 0 && std::fread(bytes, 1, entry, file.get()) == entry; --n) {
    if (number(bytes, 2) != tag) continue;
    const bool is_short = number(bytes + 2, 2) == TIFF_SHORT;
    return {number(bytes + 4, big ? 8 : 4), number(bytes + (big ? 12 : 8), is_short ? 2 : 4)};
  }
  return {};
}

/// Refuses a predictor for a compression that has none in TIFF: some programs undo it, others, like libtiff, do not.
void check_predictor(TIFF* tiff, const TiffLayout& l, const fs::path& path) {
  const TIFFField* const field = TIFFFindField(tiff, TIFFTAG_PREDICTOR, TIFF_ANY);
  if (field && !TIFFFieldPassCount(field)) return;  // libtiff undoes it
  if (const DirectoryEntry e = entry_of(tiff, path, TIFFTAG_PREDICTOR); e.count > 0 && e.value > 1)
    refuse(path.string(), ": has the predictor ", e.value, " with the compression ", compression_name(l.compression),
           ", for which TIFF defines none, so its pixels are uncertain; save it uncompressed, or with LZW or deflate");
}

}  // namespace

std::vector<uint16_t> samples_without_alpha(TIFF* tiff, uint16_t samples) {
  uint16_t extras = 0;
  const uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extras, &extra);
  std::vector<uint16_t> kept;
  for (uint16_t s = 0; s < samples; ++s) {
    const int e = int(s) - (int(samples) - int(extras));
    if (e < 0 || (extra[e] != EXTRASAMPLE_ASSOCALPHA && extra[e] != EXTRASAMPLE_UNASSALPHA)) kept.push_back(s);
  }
  return kept;
}

TiffLayout read_layout(TIFF* tiff, const fs::path& path, std::vector<std::string>& notes) {
  const std::string name = path.string();
  TiffLayout l;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &l.width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &l.height);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &l.samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &l.bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &l.format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &l.planar);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &l.compression);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &l.photometric);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &l.orientation);
  if (l.orientation < 1 || l.orientation > 8) l.orientation = 1;  // some writers write 0
  if (!TIFFIsCODECConfigured(l.compression))
    refuse(name, ": is a TIFF file compressed by ", compression_name(l.compression),
           ", which is not supported; save it uncompressed, or with LZW or deflate");
  check_predictor(tiff, l, path);
  switch (l.photometric) {
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_PALETTE:
    case PHOTOMETRIC_MASK:
      break;
    case PHOTOMETRIC_YCBCR:
      if (l.compression != COMPRESSION_JPEG && l.compression != COMPRESSION_WEBP)
        refuse(name, ": is a TIFF file in YCbCr colours; save it as RGB");
      if (l.compression == COMPRESSION_JPEG) TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      break;
    default:
      refuse(name, ": is a TIFF file with photometric interpretation ", l.photometric, "; save it as grey or RGB");
  }
  uint32_t depth = 1;
  if (TIFFGetField(tiff, TIFFTAG_IMAGEDEPTH, &depth) && depth > 1)
    refuse(name, ": contains a volume of ", depth, " slices in one image; save each slice as a separate image");
  l.type = element_type(l, name);
  l.kept = samples_without_alpha(tiff, l.samples);
  if (l.kept.size() < l.samples) notes.push_back("its alpha channel is left out");
  return l;
}

namespace {

/// The pixels of the image that a strip or a tile covers, as far as they belong to the part that is read.
struct Chunk {
  uint32_t y, x, height, width;    // in the part
  uint32_t skipped_rows, skipped;  // rows of the chunk, and pixels of each row, before these
  uint32_t stored_width;
  uint16_t first_sample, samples;  // in the file: one sample if planes are separate
};

/// Unpacks libtiff's bytes to whole elements, into the part of the image that is read.
void copy_chunk(const Chunk& c, const std::byte* from, const TiffLayout& l, Array& image) {
  const size_t element = size_of(image.type), channels = size_t(image.shape[2]);
  const uint64_t stored = l.row_bytes(c.stored_width, c.samples);
  std::vector<std::byte> whole(l.is_packed() || l.is_half() ? size_t(c.stored_width) * c.samples * element : 0);
  for (uint32_t y = 0; y < c.height; ++y) {
    const std::byte* in = from + (y + c.skipped_rows) * stored;
    if (l.is_packed()) {
      unpack(in, l.bits, int64_t(c.stored_width) * c.samples, image.type, whole.data());
      in = whole.data();
    } else if (l.is_half()) {
      for (size_t i = 0; i < size_t(c.stored_width) * c.samples; ++i) {
        uint16_t half;
        std::memcpy(&half, in + 2 * i, 2);
        const float value = half_value(half);
        std::memcpy(whole.data() + 4 * i, &value, 4);
      }
      in = whole.data();
    }
    in += size_t(c.skipped) * c.samples * element;
    std::byte* out = image.bytes.data() + (size_t(c.y + y) * size_t(image.shape[1]) + c.x) * channels * element;
    if (c.samples == l.samples && l.samples == channels) {  // all samples are kept and interleaved
      std::memcpy(out, in, size_t(c.width) * channels * element);
      continue;
    }
    for (size_t k = 0; k < channels; ++k) {
      if (l.kept[k] < c.first_sample || l.kept[k] >= c.first_sample + c.samples) continue;
      const std::byte* a = in + size_t(l.kept[k] - c.first_sample) * element;
      std::byte* b = out + k * element;
      for (uint32_t x = 0; x < c.width; ++x, a += c.samples * element, b += channels * element)
        std::memcpy(b, a, element);
    }
  }
}

constexpr uint64_t max_bytes_of_chunk = uint64_t(256) << 20;  // unpacked, when an image is read part by part

std::string chunks_text(uint32_t count, bool tiled) { return std::to_string(count) + (tiled ? " tiles" : " strips"); }

/// Whether the file contains the pixels of a strip or a tile. GDAL and tifffile leave out empty ones and store 0 as
/// their offset and size.
bool is_stored(TIFF* tiff, const TiffLayout& l, uint32_t number, const std::string& name) {
  if (l.compression == COMPRESSION_OJPEG) return true;  // the offset of its pixels may be in other tags
  const bool placed = TIFFGetStrileOffset(tiff, number) != 0, sized = TIFFGetStrileByteCount(tiff, number) != 0;
  if (placed != sized)
    refuse(name, ": is a truncated or damaged TIFF file (its ", TIFFIsTiled(tiff) ? "tile " : "strip ", number, " has ",
           placed ? "no size" : "no offset", ")");
  return placed;
}

}  // namespace

bool note_missing(TIFF* tiff, const TiffLayout& l, const fs::path& path, std::vector<std::string>& notes) {
  const bool tiled = TIFFIsTiled(tiff);
  const uint32_t all = tiled ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
  const std::string name = path.string();
  uint32_t missing = 0;
  for (uint32_t k = 0; k < all; ++k)
    missing += !is_stored(tiff, l, k, name);
  if (missing == 0) return false;
  const DirectoryEntry places = entry_of(tiff, path, tiled ? TIFFTAG_TILEOFFSETS : TIFFTAG_STRIPOFFSETS);
  const uint64_t rows = entry_of(tiff, path, TIFFTAG_ROWSPERSTRIP).value;
  const bool single = !tiled && !l.has_planes() && (rows == 0 || rows >= l.height);  // libtiff may divide that strip
  if (places.count < (single ? 1 : all))
    refuse(name, ": is a truncated or damaged TIFF file (it lists ", places.count, " of its ", chunks_text(all, tiled),
           ")");
  uint32_t length = 0;
  const char* text = nullptr;
  if (TIFFGetField(tiff, TIFFTAG_GDAL_NODATA, &length, &text) && text && std::strtod(text, nullptr) != 0)
    refuse(name, ": does not hold ", missing, " of its ", chunks_text(all, tiled), ", whose pixels have the value ",
           std::string(text), " for missing data (GDAL_NODATA); save it with all pixels");
  notes.push_back(missing == all ? "none of its pixels is stored, so all are 0"
                                 : std::to_string(missing) + " of its " + chunks_text(all, tiled) +
                                       " are not stored, so their pixels are 0");
  return true;
}

void read_chunks(Tiff& tiff, const TiffLayout& l, const fs::path& path, uint32_t top, uint32_t left, Array& image) {
  const std::string name = path.string();
  const bool tiled = TIFFIsTiled(tiff.handle), planes = l.has_planes();
  uint32_t height = 0, width = l.width;
  if (tiled) {
    TIFFGetField(tiff.handle, TIFFTAG_TILELENGTH, &height);
    TIFFGetField(tiff.handle, TIFFTAG_TILEWIDTH, &width);
  } else {
    TIFFGetFieldDefaulted(tiff.handle, TIFFTAG_ROWSPERSTRIP, &height);
    height = std::min(height, l.height);
  }
  if (height == 0 || width == 0) refuse(name, ": is a damaged TIFF file (strips or tiles of size zero)");
  const uint16_t samples = planes ? 1 : l.samples;
  // libtiff's size must match ours: it differs if samples are packed in a way unknown to us.
  const uint64_t row = l.row_bytes(width, samples);
  const uint64_t theirs = tiled ? TIFFTileSize64(tiff.handle) : TIFFVStripSize64(tiff.handle, height);
  if (row * height != theirs || height > INT_MAX || width > INT_MAX)
    refuse(name, ": is a damaged TIFF file (strips or tiles of an impossible size)");
  const bool part = uint64_t(image.shape[0]) < l.height || uint64_t(image.shape[1]) < l.width;
  if (part && row * height > max_bytes_of_chunk)
    refuse(name, ": each of its ", tiled ? "tiles" : "strips", " has ", width, " x ", height,
           " pixels, too many to read it part by part; save it in smaller tiles");
  Array buffer = allocate(path, ElementType::u8, height, int64_t(row), 1);
  uint32_t number = 0;
  for (uint16_t plane = 0; plane < (planes ? l.samples : 1); ++plane) {
    for (uint64_t y = 0; y < l.height; y += height) {
      for (uint64_t x = 0; x < l.width; x += width, ++number) {
        const uint64_t y0 = std::max<uint64_t>(y, top), x0 = std::max<uint64_t>(x, left);
        const uint64_t y1 = std::min(std::min<uint64_t>(y + height, l.height), top + uint64_t(image.shape[0]));
        const uint64_t x1 = std::min(std::min<uint64_t>(x + width, l.width), left + uint64_t(image.shape[1]));
        if (y0 >= y1 || x0 >= x1 || !is_stored(tiff.handle, l, number, name)) continue;
        const Chunk c{uint32_t(y0 - top),
                      uint32_t(x0 - left),
                      uint32_t(y1 - y0),
                      uint32_t(x1 - x0),
                      uint32_t(y0 - y),
                      uint32_t(x0 - x),
                      width,
                      plane,
                      samples};
        const tmsize_t wanted = tmsize_t((tiled ? height : std::min<uint64_t>(height, l.height - y)) * row);
        if (const uint64_t held = TIFFGetStrileByteCount(tiff.handle, number);
            l.compression == COMPRESSION_NONE && held < uint64_t(wanted))
          refuse(name, ": is a truncated or damaged TIFF file (its ", tiled ? "tile " : "strip ", number, " has ", held,
                 " bytes instead of ", wanted, ")");
        const tmsize_t got = tiled ? TIFFReadEncodedTile(tiff.handle, number, buffer.bytes.data(), wanted)
                                   : TIFFReadEncodedStrip(tiff.handle, number, buffer.bytes.data(), wanted);
        if (std::strstr(tiff.message, "nsupported"))
          refuse(name, ": is a TIFF file of an unsupported kind (", tiff.message,
                 "); save it uncompressed, or with LZW or deflate");
        if (got != wanted || *tiff.message)
          refuse(name, ": is a truncated or damaged TIFF file (", *tiff.message ? tiff.message : "pixels are missing",
                 ")");
        copy_chunk(c, buffer.bytes.data(), l, image);
      }
    }
  }
}

void read_behind(TIFF* tiff, const TiffLayout& l, int64_t k, const fs::path& path, Array& image) {
  const std::string name = path.string();
  uint64_t* offsets = nullptr;
  if (l.compression != COMPRESSION_NONE || TIFFIsTiled(tiff) || l.is_packed() || l.kept.size() != l.samples ||
      l.has_planes() || !TIFFGetField(tiff, TIFFTAG_STRIPOFFSETS, &offsets) || offsets[0] == 0)
    refuse(name, ": contains several images that share a directory; save each with its own directory");
  const uint64_t bytes = l.row_bytes(l.width, l.samples) * l.height;
  const __int128 at = __int128(offsets[0]) + __int128(bytes) * k;
  std::vector<std::byte> buffer(static_cast<size_t>(bytes));
  const File file = open_file(path);
  if (at + bytes > __int128(fs::file_size(path)) || fseeko(file.get(), off_t(at), SEEK_SET) != 0 ||
      std::fread(buffer.data(), 1, buffer.size(), file.get()) != buffer.size())
    refuse(name, ": is a truncated or damaged TIFF file (image ", k + 1, " of its stack is missing)");
  if (TIFFIsByteSwapped(tiff)) {
    const size_t width = l.bits / 8;
    for (size_t i = 0; i + width <= buffer.size(); i += width)
      std::reverse(buffer.begin() + ptrdiff_t(i), buffer.begin() + ptrdiff_t(i + width));
  }
  copy_chunk({0, 0, l.height, l.width, 0, 0, l.width, 0, l.samples}, buffer.data(), l, image);
}

void read_palette(TIFF* tiff, const TiffLayout& l, const std::string& name, Decoded& d) {
  uint16_t* map[3] = {};
  if (l.samples != 1 || l.bits > 16 || l.format == SAMPLEFORMAT_IEEEFP ||
      !TIFFGetField(tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
    refuse(name, ": is a damaged TIFF file (a palette without colours)");
  const size_t colours = size_t(1) << l.bits;
  const auto all = [&](auto is) {
    return std::all_of(map, map + 3, [&](const uint16_t* m) { return std::all_of(m, m + colours, is); });
  };
  const bool small =
      all([](uint16_t v) { return v <= 255; });  // some writers store 8-bit colours instead of 16-bit ones
  const bool narrow = small || l.bits <= 8 || all([](uint16_t v) { return v % 257 == 0; }) ||
                      all([](uint16_t v) { return v % 256 == 0; });
  const auto component = [&](uint16_t v) { return uint16_t(narrow && !small ? v >> 8 : v); };
  d.colour_bits = narrow ? 8 : 16;
  for (size_t i = 0; i < colours; ++i)
    d.palette.push_back({component(map[0][i]), component(map[1][i]), component(map[2][i])});
}

bool loses(TIFF* tiff, uint16_t compression) {
  if (compression == COMPRESSION_JPEG || compression == COMPRESSION_OJPEG || compression == 34892) return true;
  if (compression != COMPRESSION_WEBP) return false;
  char head[16] = {};
  const bool tiled = TIFFIsTiled(tiff);
  const uint32_t all = tiled ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
  uint32_t k = 0;
  while (k < all && TIFFGetStrileByteCount(tiff, k) == 0)
    ++k;
  if (k == all) return false;
  const tmsize_t n = tiled ? TIFFReadRawTile(tiff, k, head, sizeof head) : TIFFReadRawStrip(tiff, k, head, sizeof head);
  return n < 16 || std::memcmp(head + 12, "VP8L", 4) != 0;
}

}  // namespace basin::raster

// The only file that knows libtiff.
#include <tiffio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "data/files/raster.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

/// An open TIFF and the first thing libtiff said went wrong.
struct Tiff {
  TIFF* handle = nullptr;
  char message[200] = "";
  Tiff() = default;
  Tiff(const Tiff&) = delete;
  ~Tiff() {
    if (handle) TIFFClose(handle);
  }
};

int on_error(TIFF*, void* tiff, const char*, const char* format, va_list arguments) {
  char* message = static_cast<Tiff*>(tiff)->message;
  if (!*message) std::vsnprintf(message, sizeof Tiff::message, format, arguments);
  return 1;
}
int on_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct Options {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  explicit Options(Tiff& tiff) {
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, &tiff);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, nullptr);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t(1) << 32);
  }
  ~Options() { TIFFOpenOptionsFree(options); }
};

/// What the tags of one image say.
struct Layout {
  uint32_t height = 0, width = 0;
  uint16_t samples = 1, bits = 1, format = SAMPLEFORMAT_UINT, planar = PLANARCONFIG_CONTIG;
  uint16_t photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE;
  std::vector<uint16_t> kept;  // the samples that are not alpha
};

Layout read_layout(TIFF* tiff, const std::string& name) {
  Layout l;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &l.width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &l.height);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &l.samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &l.bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &l.format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &l.planar);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &l.compression);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &l.photometric);
  switch (l.photometric) {
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_PALETTE:
      break;
    case PHOTOMETRIC_YCBCR:
      if (l.compression != COMPRESSION_JPEG) refuse(name, ": is a TIFF file in YCbCr colours; save it as RGB");
      TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      break;
    default:
      refuse(name, ": is a TIFF file of photometric kind ", l.photometric, "; save it as grey or RGB");
  }
  uint16_t extras = 0;
  const uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extras, &extra);
  const bool bare_rgba = l.photometric == PHOTOMETRIC_RGB && l.samples == 4 && extras == 0;
  for (uint16_t s = 0; s < l.samples; ++s) {
    const int e = int(s) - (int(l.samples) - int(extras));
    const bool alpha =
        (e >= 0 && (extra[e] == EXTRASAMPLE_ASSOCALPHA || extra[e] == EXTRASAMPLE_UNASSALPHA)) || (bare_rgba && s == 3);
    if (!alpha) l.kept.push_back(s);
  }
  return l;
}

ElementType element_type(const Layout& l, const std::string& name) {
  const bool is_signed = l.format == SAMPLEFORMAT_INT;
  if (l.format == SAMPLEFORMAT_IEEEFP) {
    if (l.bits == 32) return ElementType::f32;
    if (l.bits == 64) return ElementType::f64;
  } else if (l.format == SAMPLEFORMAT_UINT || l.format == SAMPLEFORMAT_VOID || is_signed) {
    if (l.bits == 8) return is_signed ? ElementType::i8 : ElementType::u8;
    if (l.bits == 16) return is_signed ? ElementType::i16 : ElementType::u16;
    if (l.bits == 32) return is_signed ? ElementType::i32 : ElementType::u32;
    if (l.bits == 64) return is_signed ? ElementType::i64 : ElementType::u64;
  }
  refuse(name, ": is a TIFF file with ", l.bits, " bits a sample (sample format ", l.format,
         "); Basin reads integers of 8, 16, 32 and floats of 32 bits");
}

/// A strip or a tile: which pixels of the image it covers.
struct Chunk {
  uint32_t number, y, x, height, width, stored_width;
  uint16_t first_sample, samples;  // of the file's samples: one where planes are separate
};

void copy_chunk(const Chunk& c, const std::byte* from, const Layout& l, Array& image) {
  const size_t element = size_of(image.type), channels = size_t(image.shape[2]);
  for (uint32_t y = 0; y < c.height; ++y) {
    const std::byte* in = from + size_t(y) * c.stored_width * c.samples * element;
    std::byte* out = image.bytes.data() + (size_t(c.y + y) * l.width + c.x) * channels * element;
    if (c.samples == l.samples && l.samples == channels) {  // neither planes nor an alpha to leave out
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

void read_chunks(Tiff& tiff, const Layout& l, const fs::path& path, Array& image) {
  const std::string name = path.string();
  const size_t element = size_of(image.type);
  const bool tiled = TIFFIsTiled(tiff.handle), planes = l.planar == PLANARCONFIG_SEPARATE && l.samples > 1;
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
  // libtiff's own idea of the size must be ours: it differs where samples are packed in a way we do not know.
  const uint64_t bytes = uint64_t(height) * width * samples * element;
  const uint64_t theirs = tiled ? TIFFTileSize64(tiff.handle) : TIFFVStripSize64(tiff.handle, height);
  if (bytes != theirs || height > INT_MAX || width > INT_MAX)
    refuse(name, ": is a damaged TIFF file (strips or tiles of an impossible size)");
  Array buffer = allocate(path, image.type, height, width, samples);
  uint32_t number = 0;
  for (uint16_t plane = 0; plane < (planes ? l.samples : 1); ++plane) {
    for (uint64_t y = 0; y < l.height; y += height) {
      for (uint64_t x = 0; x < l.width; x += width, ++number) {
        const Chunk c{number,
                      uint32_t(y),
                      uint32_t(x),
                      std::min(height, uint32_t(l.height - y)),
                      std::min(width, uint32_t(l.width - x)),
                      width,
                      plane,
                      samples};
        const tmsize_t wanted = tmsize_t((tiled ? height : c.height) * uint64_t(width) * samples * element);
        const tmsize_t got = tiled ? TIFFReadEncodedTile(tiff.handle, number, buffer.bytes.data(), wanted)
                                   : TIFFReadEncodedStrip(tiff.handle, number, buffer.bytes.data(), wanted);
        if (got != wanted || *tiff.message)
          refuse(name, ": is a truncated or damaged TIFF file (", *tiff.message ? tiff.message : "pixels are missing",
                 ")");
        copy_chunk(c, buffer.bytes.data(), l, image);
      }
    }
  }
}

/// 0 is white: turned round, so that more is brighter.
void invert(Array& image) {
  with_element(image.type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_unsigned_v<T>) {
      T* p = image.as<T>();
      for (int64_t i = 0, n = image.size(); i < n; ++i)
        p[i] = T(~p[i]);
    }
  });
}

Array expand_palette(const Array& index, TIFF* tiff, const fs::path& path) {
  uint16_t* map[3] = {};
  if (index.shape[2] != 1 || size_of(index.type) > 2 ||
      !TIFFGetField(tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
    refuse(path.string(), ": is a damaged TIFF file (a palette without colours)");
  const size_t colours = size_t(1) << 8 * size_of(index.type);
  bool wide = false;  // some writers store 8-bit colours where 16-bit ones belong
  for (const uint16_t* m : map)
    wide = wide || *std::max_element(m, m + colours) > 255;
  Array image = allocate(path, ElementType::u8, index.shape[0], index.shape[1], 3);
  uint8_t* out = image.as<uint8_t>();
  for (int64_t i = 0, n = index.size(); i < n; ++i) {
    const size_t k = size_of(index.type) == 1 ? index.as<uint8_t>()[i] : index.as<uint16_t>()[i];
    for (const uint16_t* m : map)
      *out++ = uint8_t(wide ? m[k] >> 8 : m[k]);
  }
  collapse_grey(image);
  return image;
}

/// A file that is open for reading, at its first image.
class Reader {
 public:
  explicit Reader(const fs::path& path) : path_(path), options_(tiff_) {
    tiff_.handle = TIFFOpenExt(path.c_str(), "rm", options_.options);
    if (!tiff_.handle) refuse(path.string(), ": is a truncated or damaged TIFF file (", tiff_.message, ")");
  }

  Array read(Palette palette) {
    const Layout l = read_layout(tiff_.handle, path_.string());
    Array image = allocate(path_, element_type(l, path_.string()), l.height, l.width, int64_t(l.kept.size()));
    read_chunks(tiff_, l, path_, image);
    if (palette == Palette::colours) {
      if (l.photometric == PHOTOMETRIC_MINISWHITE) invert(image);
      if (l.photometric == PHOTOMETRIC_PALETTE) image = expand_palette(image, tiff_.handle, path_);
    }
    return image;
  }

  /// Goes to the next image that is no reduced copy and no mask of another; false where there is none.
  bool next() {
    while (TIFFReadDirectory(tiff_.handle)) {
      uint32_t kind = 0;
      TIFFGetField(tiff_.handle, TIFFTAG_SUBFILETYPE, &kind);
      if (!(kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK))) return true;
    }
    return false;
  }

 private:
  fs::path path_;
  Tiff tiff_;
  Options options_;
};

}  // namespace

Array read_tiff(const fs::path& path, Palette palette) {
  Reader reader(path);
  Array image = reader.read(palette);
  if (reader.next()) refuse(path.string(), ": holds several images (a stack); save each as a file of its own");
  return image;
}

void for_each_tiff_image(const fs::path& path, const std::function<void(const Array&)>& f) {
  Reader reader(path);
  do
    f(reader.read(Palette::indices));
  while (reader.next());
}

int count_tiff_images(const fs::path& path) {
  Reader reader(path);
  int n = 1;
  while (reader.next())
    ++n;
  return n;
}

void write_tiff(const fs::path& path, const Rows& rows) {
  BASIN_CHECK(rows.channels == 1, rows.channels, " channels");
  OutputFile file(path);
  Tiff tiff;
  const Options options(tiff);
  const int descriptor = dup(file.descriptor());
  const size_t stride = size_t(rows.width) * size_t(rows.bits / 8);
  const bool big = stride * size_t(rows.height) > (size_t(1) << 31);
  tiff.handle = TIFFFdOpenExt(descriptor, path.c_str(), big ? "w8" : "w", options.options);
  if (!tiff.handle) {
    close(descriptor);
    refuse(path.string(), ": cannot be written (", tiff.message, ")");
  }
  TIFFSetField(tiff.handle, TIFFTAG_IMAGEWIDTH, uint32_t(rows.width));
  TIFFSetField(tiff.handle, TIFFTAG_IMAGELENGTH, uint32_t(rows.height));
  TIFFSetField(tiff.handle, TIFFTAG_BITSPERSAMPLE, uint16_t(rows.bits));
  TIFFSetField(tiff.handle, TIFFTAG_SAMPLESPERPIXEL, uint16_t(1));
  TIFFSetField(tiff.handle, TIFFTAG_PHOTOMETRIC, uint16_t(PHOTOMETRIC_MINISBLACK));
  TIFFSetField(tiff.handle, TIFFTAG_PLANARCONFIG, uint16_t(PLANARCONFIG_CONTIG));
  TIFFSetField(tiff.handle, TIFFTAG_COMPRESSION, uint16_t(COMPRESSION_ADOBE_DEFLATE));
  const uint32_t strip = uint32_t(std::clamp<size_t>((size_t(1) << 18) / stride, 1, size_t(rows.height)));
  TIFFSetField(tiff.handle, TIFFTAG_ROWSPERSTRIP, strip);
  std::vector<std::byte> buffer(stride * strip);
  bool ok = true;
  for (uint32_t y = 0, number = 0; ok && y < uint32_t(rows.height); y += strip, ++number) {
    const uint32_t n = std::min(strip, uint32_t(rows.height) - y);
    for (uint32_t k = 0; k < n; ++k)
      std::memcpy(buffer.data() + k * stride, rows.row(int(y + k)), stride);
    ok = TIFFWriteEncodedStrip(tiff.handle, number, buffer.data(), tmsize_t(n * stride)) >= 0;
  }
  if (!ok || !TIFFFlush(tiff.handle)) refuse(path.string(), ": cannot be written (", tiff.message, ")");
  TIFFClose(tiff.handle);
  tiff.handle = nullptr;
  if (*tiff.message) refuse(path.string(), ": cannot be written (", tiff.message, ")");
  file.commit();
}

}  // namespace basin::raster

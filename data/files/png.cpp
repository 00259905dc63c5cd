// The only file that includes libpng. Its errors are long jumps, so the functions that call setjmp contain plain data
// only.
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "data/files/decoders.h"
#include "data/files/encoders.h"
#include "data/files/library_versions.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

struct PngCodec {
  png_structp png = nullptr;
  png_infop info = nullptr;
  bool writing = false;
  char message[160] = "";
  ~PngCodec() {
    if (!png) return;
    writing ? png_destroy_write_struct(&png, &info) : png_destroy_read_struct(&png, &info, nullptr);
  }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  PngCodec* codec = static_cast<PngCodec*>(png_get_error_ptr(png));
  std::strncpy(codec->message, message, sizeof codec->message - 1);
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

struct PngHeader {
  png_uint_32 height = 0, width = 0;
  int channels = 0, bits = 0;
  bool alpha = false, animated = false;
  int colours = 0, orientation = 1;
  png_colorp palette = nullptr;
};

/// The header, before libpng allocates memory for a row.
bool read_header(PngCodec& codec, std::FILE* file, PngHeader& h) {
  if (setjmp(png_jmpbuf(codec.png))) return false;
  png_set_user_limits(codec.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_keep_unknown_chunks(codec.png, PNG_HANDLE_CHUNK_ALWAYS, reinterpret_cast<png_const_bytep>("acTL"), 1);
  png_init_io(codec.png, file);
  png_read_info(codec.png, codec.info);
  const int colour = png_get_color_type(codec.png, codec.info);
  h.bits = png_get_bit_depth(codec.png, codec.info);
  if (colour == PNG_COLOR_TYPE_PALETTE) png_get_PLTE(codec.png, codec.info, &h.palette, &h.colours);
  h.alpha = colour & PNG_COLOR_MASK_ALPHA;
  png_unknown_chunkp unknown = nullptr;
  h.animated = png_get_unknown_chunks(codec.png, codec.info, &unknown) > 0;
#ifdef PNG_eXIf_SUPPORTED
  png_uint_32 exif_size = 0;
  png_bytep exif = nullptr;
  if (png_get_eXIf_1(codec.png, codec.info, &exif_size, &exif)) h.orientation = exif_orientation(exif, exif_size);
#endif
  h.height = png_get_image_height(codec.png, codec.info);
  h.width = png_get_image_width(codec.png, codec.info);
  h.channels = colour == PNG_COLOR_TYPE_RGB || colour == PNG_COLOR_TYPE_RGB_ALPHA ? 3 : 1;
  return true;
}

/// Rows will be read without alpha, each sample in one byte or in two of this machine's order.
bool prepare_rows(PngCodec& codec) {
  if (setjmp(png_jmpbuf(codec.png))) return false;
  png_set_packing(codec.png);
  png_set_strip_alpha(codec.png);
  png_set_swap(codec.png);
  png_set_interlace_handling(codec.png);
  png_read_update_info(codec.png, codec.info);
  return true;
}

bool read_rows(PngCodec& codec, png_bytepp rows) {
  if (setjmp(png_jmpbuf(codec.png))) return false;
  png_read_image(codec.png, rows);
  png_read_end(codec.png, nullptr);
  return true;
}

/// Receives the encoded bytes; returns false on failure, because an exception must not pass through libpng.
struct Sink {
  virtual bool put(const void* bytes, size_t n) noexcept = 0;
};
struct FileSink : Sink {
  OutputFile file;
  explicit FileSink(const fs::path& path) : file(path) {}
  bool put(const void* bytes, size_t n) noexcept override { return file.put(bytes, n); }
};
struct MemorySink : Sink {
  std::vector<std::byte> memory;
  bool put(const void* bytes, size_t n) noexcept override try {
    const std::byte* const first = static_cast<const std::byte*>(bytes);
    memory.insert(memory.end(), first, first + n);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
};

void put_bytes(png_structp png, png_bytep bytes, size_t n) {
  if (!static_cast<Sink*>(png_get_io_ptr(png))->put(bytes, n)) png_error(png, "cannot be written");
}
void flush_nothing(png_structp) {}

bool write_rows(PngCodec& codec, Sink& sink, const Rows& rows) {
  if (setjmp(png_jmpbuf(codec.png))) return false;
  png_set_user_limits(codec.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_write_fn(codec.png, &sink, put_bytes, flush_nothing);
  png_set_IHDR(codec.png, codec.info, png_uint_32(rows.width), png_uint_32(rows.height), rows.bits,
               rows.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(codec.png, codec.info);
  png_set_swap(codec.png);
  for (int y = 0; y < rows.height; ++y)
    png_write_row(codec.png, static_cast<png_const_bytep>(rows.row(y)));
  png_write_end(codec.png, nullptr);
  return true;
}

bool encode(PngCodec& codec, Sink& sink, const Rows& rows) {
  BASIN_CHECK(rows.channels == 1 || rows.channels == 3, rows.channels, " channels");
  codec.writing = true;
  codec.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &codec, on_error, on_warning);
  if (codec.png) codec.info = png_create_info_struct(codec.png);
  if (!codec.info) throw std::bad_alloc();
  return write_rows(codec, sink, rows);
}

}  // namespace

Decoded read_png(const fs::path& path) {
  const File file = open_file(path);
  const auto damaged = [&](const PngCodec& codec) {
    refuse(path.string(), ": is a truncated or damaged PNG file (", codec.message, ")");
  };
  PngCodec codec;
  codec.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &codec, on_error, on_warning);
  if (codec.png) codec.info = png_create_info_struct(codec.png);
  if (!codec.info) throw std::bad_alloc();
  PngHeader h;
  if (!read_header(codec, file.get(), h)) damaged(codec);
  if (h.animated) refuse(path.string(), ": is an animation of several images; save each as a separate file");
  Decoded d;
  d.pixels = allocate(path, h.bits == 16 ? ElementType::u16 : ElementType::u8, h.height, h.width, h.channels);
  if (!prepare_rows(codec)) damaged(codec);
  std::vector<png_bytep> rows(h.height);
  const size_t stride = d.pixels.bytes.size() / h.height;
  for (size_t y = 0; y < rows.size(); ++y)
    rows[y] = reinterpret_cast<png_bytep>(d.pixels.bytes.data()) + y * stride;
  if (!read_rows(codec, rows.data())) damaged(codec);
  if (h.bits < 8) d.bits = h.bits;
  for (int i = 0; i < h.colours; ++i)
    d.palette.push_back({h.palette[i].red, h.palette[i].green, h.palette[i].blue});
  if (h.alpha) d.notes.push_back("its alpha channel is left out");
  d.orientation = h.orientation;
  return d;
}

void write_png(const fs::path& path, const Rows& rows) {
  FileSink sink(path);
  PngCodec codec;
  if (!encode(codec, sink, rows) && sink.file.ok())
    refuse(path.string(), ": cannot be written as PNG (", codec.message, ")");
  sink.file.commit();
}

std::vector<std::byte> encode_png(const Rows& rows) {
  MemorySink sink;
  PngCodec codec;
  if (!encode(codec, sink, rows)) refuse("cannot encode as PNG (", codec.message, ")");
  return std::move(sink.memory);
}

std::string png_version() { return std::string("libpng ") + png_get_libpng_ver(nullptr); }

}  // namespace basin::raster

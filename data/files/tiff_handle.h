#pragma once
// Shared by reading and writing TIFF; not included elsewhere.
#include <tiffio.h>

#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "data/files/decoded.h"

namespace basin::raster {

/// An open TIFF and the first error that libtiff reported.
struct Tiff {
  TIFF* handle = nullptr;
  char message[200] = "";
  /// Why a read has failed: libtiff does not always report it.
  const char* reason() const { return *message ? message : "a part of it cannot be read"; }
  Tiff() = default;
  Tiff(const Tiff&) = delete;
  ~Tiff() {
    if (handle) TIFFClose(handle);
  }
};

inline int on_tiff_error(TIFF*, void* tiff, const char*, const char* format, va_list arguments) {
  char* message = static_cast<Tiff*>(tiff)->message;
  if (!*message) std::vsnprintf(message, sizeof Tiff::message, format, arguments);
  return 1;
}
inline int on_tiff_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct TiffOptions {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  explicit TiffOptions(Tiff& tiff) {
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_tiff_error, &tiff);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_tiff_warning, nullptr);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t(1) << 32);
  }
  ~TiffOptions() { TIFFOpenOptionsFree(options); }
};

/// The tags of one image that say how its pixels are stored.
struct TiffLayout {
  uint32_t height = 0, width = 0;
  uint16_t samples = 1, bits = 1, format = SAMPLEFORMAT_UINT, planar = PLANARCONFIG_CONTIG;
  uint16_t photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE, orientation = ORIENTATION_TOPLEFT;
  std::vector<uint16_t> kept;  // the samples other than alpha
  ElementType type = ElementType::u8;

  bool is_half() const { return format == SAMPLEFORMAT_IEEEFP && bits == 16; }
  bool is_packed() const { return bits != 8 && bits != 16 && bits != 32 && bits != 64; }
  bool has_planes() const { return planar == PLANARCONFIG_SEPARATE && samples > 1; }
  /// Bytes of a row of `n` pixels with `of` samples each, as libtiff returns them.
  uint64_t row_bytes(uint64_t n, uint64_t of) const { return (n * of * bits + 7) / 8; }
};

/// The layout of the current image. Throws one sentence with the file's name for what cannot be read, or might be read
/// wrongly.
TiffLayout read_layout(TIFF*, const std::filesystem::path&, std::vector<std::string>& notes);

/// The samples of an image other than alpha.
std::vector<uint16_t> samples_without_alpha(TIFF*, uint16_t samples);

/// Notes strips or tiles of the current image that the file does not hold, whose pixels are 0; returns whether there
/// are any. Throws one sentence if they are lost, or stand for missing data.
bool note_missing(TIFF*, const TiffLayout&, const std::filesystem::path&, std::vector<std::string>& notes);

/// Reads the part of an image that begins at pixel (top, left) and has the size of `image`, which is 0 at first and
/// remains so where the file holds no pixels.
void read_chunks(Tiff&, const TiffLayout&, const std::filesystem::path&, uint32_t top, uint32_t left, Array& image);

/// Reads the k-th of several images stored one after the other, of which only the first has a directory.
void read_behind(TIFF*, const TiffLayout&, int64_t k, const std::filesystem::path&, Array& image);

/// Reads the palette of the current image.
void read_palette(TIFF*, const TiffLayout&, const std::string& name, Decoded&);

/// Whether the compression of the current image changes its numbers.
bool loses(TIFF*, uint16_t compression);

}  // namespace basin::raster

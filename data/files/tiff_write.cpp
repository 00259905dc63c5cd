// Writes TIFF. Only this file and tiff.cpp include libtiff.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "data/files/encoders.h"
#include "data/files/tiff_handle.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;

void write_tiff(const fs::path& path, const Rows& rows) {
  BASIN_CHECK(rows.channels == 1, rows.channels, " channels");
  OutputFile file(path);
  Tiff tiff;
  const TiffOptions options(tiff);
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

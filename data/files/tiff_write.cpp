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

/// An open TIFF. Its members are destroyed before the file that they write to.
struct TiffWriter::File {
  File(const fs::path& p, bool big) : path(p), output(p), options(tiff) {
    const int descriptor = dup(output.descriptor());
    tiff.handle = TIFFFdOpenExt(descriptor, path.c_str(), big ? "w8" : "w", options.options);
    if (tiff.handle) return;
    close(descriptor);
    refuse(path.string(), ": cannot be written (", tiff.message, ")");
  }

  fs::path path;
  OutputFile output;
  Tiff tiff;
  TiffOptions options;
  int64_t pages = 0;
};

TiffWriter::TiffWriter(const fs::path& path, bool big) : file_(std::make_unique<File>(path, big)) {}

TiffWriter::~TiffWriter() = default;

void TiffWriter::refuse_write() const {
  refuse(file_->path.string(), ": cannot be written (", file_->tiff.message, ")");
}

void TiffWriter::add(const Rows& rows, const std::string& description, double pixels_per_unit) {
  BASIN_CHECK(rows.channels == 1 || rows.channels == 3, rows.channels, " channels");
  TIFF* tiff = file_->tiff.handle;
  if (file_->pages++ > 0 && !TIFFWriteDirectory(tiff)) refuse_write();
  const size_t stride = size_t(rows.width) * size_t(rows.channels) * size_t(rows.bits / 8);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, uint32_t(rows.width));
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, uint32_t(rows.height));
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, uint16_t(rows.bits));
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, uint16_t(rows.channels));
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, uint16_t(rows.channels == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK));
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, uint16_t(PLANARCONFIG_CONTIG));
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, uint16_t(COMPRESSION_ADOBE_DEFLATE));
  if (file_->pages == 1 && !description.empty()) TIFFSetField(tiff, TIFFTAG_IMAGEDESCRIPTION, description.c_str());
  if (file_->pages == 1 && pixels_per_unit > 0) {
    TIFFSetField(tiff, TIFFTAG_XRESOLUTION, pixels_per_unit);
    TIFFSetField(tiff, TIFFTAG_YRESOLUTION, pixels_per_unit);
    TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, uint16_t(RESUNIT_NONE));
  }
  const uint32_t strip = uint32_t(std::clamp<size_t>((size_t(1) << 18) / stride, 1, size_t(rows.height)));
  TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, strip);
  std::vector<std::byte> buffer(stride * strip);
  for (uint32_t y = 0, number = 0; y < uint32_t(rows.height); y += strip, ++number) {
    const uint32_t n = std::min(strip, uint32_t(rows.height) - y);
    for (uint32_t k = 0; k < n; ++k)
      std::memcpy(buffer.data() + k * stride, rows.row(int(y + k)), stride);
    if (TIFFWriteEncodedStrip(tiff, number, buffer.data(), tmsize_t(n * stride)) < 0) refuse_write();
  }
}

void TiffWriter::commit() {
  Tiff& tiff = file_->tiff;
  if (!TIFFFlush(tiff.handle)) refuse_write();
  TIFFClose(tiff.handle);
  tiff.handle = nullptr;
  if (*tiff.message) refuse_write();
  file_->output.commit();
}

void write_tiff(const fs::path& path, const Rows& rows) {
  const size_t bytes = size_t(rows.width) * size_t(rows.bits / 8) * size_t(rows.height);
  TiffWriter writer(path, bytes > (size_t(1) << 31));
  writer.add(rows);
  writer.commit();
}

}  // namespace basin::raster

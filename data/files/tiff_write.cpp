// Writes TIFF.
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

namespace {

constexpr int pyramid_tile = 512, smallest_level = 1024;

/// The number of resolutions of a pyramid.
int levels_of(const Pyramid& p) {
  int levels = 1;
  for (int side = std::max(p.height, p.width); side > smallest_level; side = (side + 1) / 2)
    ++levels;
  return levels;
}

}  // namespace

TiffWriter::TiffWriter(const fs::path& path, bool big) : file_(std::make_unique<File>(path, big)) {}

TiffWriter::~TiffWriter() = default;

void TiffWriter::refuse_write() const {
  refuse(file_->path.string(), ": cannot be written (", file_->tiff.message, ")");
}

void TiffWriter::set_grey(int height, int width, int bits) {
  TIFF* tiff = file_->tiff.handle;
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, uint32_t(width));
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, uint32_t(height));
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, uint16_t(bits));
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, uint16_t(1));
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, uint16_t(PHOTOMETRIC_MINISBLACK));
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, uint16_t(PLANARCONFIG_CONTIG));
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, uint16_t(COMPRESSION_ADOBE_DEFLATE));
}

void TiffWriter::describe(const std::string& description, const Resolution& resolution) {
  TIFF* tiff = file_->tiff.handle;
  if (!description.empty()) TIFFSetField(tiff, TIFFTAG_IMAGEDESCRIPTION, description.c_str());
  if (!(resolution.columns > 0 && resolution.rows > 0)) return;
  TIFFSetField(tiff, TIFFTAG_XRESOLUTION, resolution.columns);
  TIFFSetField(tiff, TIFFTAG_YRESOLUTION, resolution.rows);
  TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, uint16_t(RESUNIT_NONE));
}

void TiffWriter::add(const Rows& rows, const std::string& description, const Resolution& resolution) {
  BASIN_CHECK(rows.channels == 1 || rows.channels == 3, rows.channels, " channels");
  TIFF* tiff = file_->tiff.handle;
  if (file_->pages++ > 0 && !TIFFWriteDirectory(tiff)) refuse_write();
  const size_t stride = size_t(rows.width) * size_t(rows.channels) * size_t(rows.bits / 8);
  set_grey(rows.height, rows.width, rows.bits);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, uint16_t(rows.channels));
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, uint16_t(rows.channels == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK));
  if (file_->pages == 1) describe(description, resolution);
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

void TiffWriter::add_level(const Pyramid& p, int step) {
  TIFF* tiff = file_->tiff.handle;
  const int height = (p.height + step - 1) / step, width = (p.width + step - 1) / step;
  set_grey(height, width, p.bits);
  TIFFSetField(tiff, TIFFTAG_TILEWIDTH, uint32_t(pyramid_tile));
  TIFFSetField(tiff, TIFFTAG_TILELENGTH, uint32_t(pyramid_tile));
  if (step > 1) TIFFSetField(tiff, TIFFTAG_SUBFILETYPE, uint32_t(FILETYPE_REDUCEDIMAGE));
  if (step == 1) {
    describe(p.description, p.resolution);
    const std::vector<uint64_t> offsets(size_t(levels_of(p)) - 1);
    if (!offsets.empty()) TIFFSetField(tiff, TIFFTAG_SUBIFD, uint16_t(offsets.size()), offsets.data());
  }
  const size_t element = size_t(p.bits / 8);
  std::vector<std::byte> tile(size_t(pyramid_tile) * pyramid_tile * element), part;
  uint32_t number = 0;
  for (int y = 0; y < height; y += pyramid_tile)
    for (int x = 0; x < width; x += pyramid_tile, ++number) {
      const PixelRect r{y, x, std::min(pyramid_tile, height - y), std::min(pyramid_tile, width - x)};
      part.resize(size_t(r.pixels()) * element);
      p.read(step, r, part.data());
      std::fill(tile.begin(), tile.end(), std::byte(0));
      for (int row = 0; row < r.height; ++row)
        std::memcpy(tile.data() + size_t(row) * pyramid_tile * element,
                    part.data() + size_t(row) * size_t(r.width) * element, size_t(r.width) * element);
      if (TIFFWriteEncodedTile(tiff, number, tile.data(), tmsize_t(tile.size())) < 0) refuse_write();
    }
  if (!TIFFWriteDirectory(tiff)) refuse_write();
}

void write_tiff_pyramid(const fs::path& path, const Pyramid& p) {
  // Labels compress well, but a file may not end in the middle.
  TiffWriter writer(path, int64_t(p.height) * p.width * (p.bits / 8) > int64_t(1) << 31);
  for (int level = 0; level < levels_of(p); ++level)
    writer.add_level(p, 1 << level);
  writer.commit();
}

void write_tiff(const fs::path& path, const Rows& rows) {
  const size_t bytes = size_t(rows.width) * size_t(rows.bits / 8) * size_t(rows.height);
  TiffWriter writer(path, bytes > (size_t(1) << 31));
  writer.add(rows);
  writer.commit();
}

}  // namespace basin::raster

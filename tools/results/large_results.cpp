#include "tools/results/large_results.h"

#include <algorithm>

#include "data/files/encoders.h"
#include "data/files/labels.h"
#include "data/objects/seg_npy.h"
#include "data/objects/write_stack.h"
#include "data/report/overlay.h"
#include "tools/results/large_objects.h"
#include "tools/results/savers.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr int64_t largest_picture = 2048;  // side of the reduced overlay, px

/// Every step-th pixel of every step-th row of an image.
Image reduced(const LargeImage& image, int step, int64_t max_bytes) {
  Image picture;
  const int rows = image.rows_within(max_bytes);
  size_t pixel = 0;
  for (int y = 0; y < image.height(); y += rows) {
    const Image band = image.raw_part({y, 0, std::min(rows, image.height() - y), image.width()});
    pixel = size_of(band.type) * size_t(band.channels);
    picture.channels = band.channels, picture.type = band.type;
    for (int row = (step - y % step) % step; row < band.height; row += step)
      for (int64_t x = 0; x < image.width(); x += step) {
        const std::byte* from = band.pixels.data() + size_t(int64_t(row) * image.width() + x) * pixel;
        picture.pixels.insert(picture.pixels.end(), from, from + pixel);
      }
  }
  picture.height = (image.height() + step - 1) / step, picture.width = (image.width() + step - 1) / step;
  return picture;
}

/// The pixel size of an image, as that of a stack of one plane.
StackPlanes planes_of(const LargeImage& image) {
  StackPlanes planes;
  planes.stack.pixel = image.stack().pixel, planes.stack.spacing = image.stack().spacing;
  return planes;
}

void write_labels_in_tiles(const fs::path& path, const LargeImage& image, const LargeLabels& labels, TiffForm form) {
  raster::Pyramid pyramid{image.height(), image.width(), labels.is_wide() ? 32 : 16, "", {}, {}};
  const StackPlanes planes = planes_of(image);
  pyramid.description = form == TiffForm::ome ? ome_description(planes, image.height(), image.width(), labels.is_wide())
                                              : imagej_description(planes, labels.count());
  pyramid.resolution = pixels_per_um(planes.stack);
  pyramid.read = [&](int step, const PixelRect& r, void* to) {
    labels.is_wide() ? labels.read(step, r, static_cast<uint32_t*>(to))
                     : labels.read(step, r, static_cast<uint16_t*>(to));
  };
  raster::write_tiff_pyramid(path, pyramid);
}

void write_pictures(const std::set<std::string>& save, const LargeImage& image, const LargeLabels& labels,
                    int64_t max_bytes, ImageFiles& files) {
  if (!save.contains("overlay") && !save.contains("outlines")) return;
  const int step = int((std::max(image.height(), image.width()) + largest_picture - 1) / largest_picture);
  const Image picture = reduced(image, step, max_bytes);
  std::vector<int64_t> ids(size_t(picture.height) * size_t(picture.width));
  labels.read(step, {0, 0, picture.height, picture.width}, ids.data());
  const Labels shown = compact(picture.height, picture.width, std::move(ids));
  const auto write = [&](const char* kind, const std::string& suffix, const auto& draw) {
    if (!save.contains(kind)) return;
    files.write(suffix, [&](const fs::path& path) { write_png(path, draw(picture, shown)); });
  };
  write("overlay", "_overlay.png", [](const Image& i, const Labels& l) { return overlay(i, l); });
  write("outlines", "_outlines.png", [](const Image& i, const Labels& l) { return outlined(i, l); });
}

void write_cellpose_file(const fs::path& path, const LargeResults& r) {
  LabelRows rows{r.image.height(), r.image.width(), {}, {}};
  for (const ObjectExtent& o : r.objects)
    rows.areas.push_back(o.area);
  rows.read = [&](int y, int32_t* to) { r.labels.read(1, {y, 0, 1, r.image.width()}, to); };
  write_seg_npy(path, rows, fs::absolute(r.path));
}

}  // namespace

void write_large_results(const std::set<std::string>& save, const LargeResults& r, ImageFiles& files, NoteList& notes) {
  const LargeImage& image = r.image;
  const LargeLabels& labels = r.labels;
  const auto write_tiff = [&](const char* suffix, TiffForm form) {
    files.write(suffix, [&](const fs::path& file) { write_labels_in_tiles(file, image, labels, form); });
  };
  if (save.contains("labels")) write_tiff("_masks.tif", TiffForm::imagej);
  if (save.contains("ome")) write_tiff(ome_masks_suffix, TiffForm::ome);
  if (save.contains("zarr"))
    files.write(zarr_masks_suffix, [&](const fs::path& file) {
      write_zarr_labels(file, planes_of(image),
                        {image.height(), image.width(), labels.count(),
                         [&](int step, const PixelRect& r, uint32_t* to) { labels.read(step, r, to); }});
    });
  if (save.contains("npy")) files.write("_seg.npy", [&](const fs::path& file) { write_cellpose_file(file, r); });
  write_pictures(save, image, labels, r.band_bytes, files);
  write_large_maps(save, r.maps, files);
  write_large_objects(save, r, files);
  for (const Saver& saver : savers())  // files of a stack with the same name
    if (save.contains(saver.kind) && saver.kind != std::string("labels")) files.remove_unwritten(saver.endings);
  files.keep();
  files.remove_other_objects(object_files(save, "_masks.tif"), notes);
}

}  // namespace basin::tools

#include "data/objects/write_stack.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/files/encoders.h"
#include "kernels/image/runs.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr int64_t classic_limit = int64_t(1) << 31;  // well below the 4 GB of a TIFF that is not BigTIFF

}  // namespace

raster::Resolution pixels_per_um(const Stack& stack) {
  return stack.pixel ? raster::Resolution{1 / stack.pixel->width, 1 / stack.pixel->height} : raster::Resolution{};
}

std::string imagej_description(const StackPlanes& planes, double highest) {
  std::string text = fmt::format("ImageJ=1.53t\nimages={}\n", planes.count());
  if (planes.slices > 1) text += fmt::format("slices={}\n", planes.slices);
  if (planes.frames > 1) text += fmt::format("frames={}\n", planes.frames);
  if (planes.slices > 1 && planes.frames > 1) text += "hyperstack=true\n";
  if (planes.stack.pixel) text += "unit=micron\n";
  if (planes.stack.pixel && planes.stack.spacing && planes.slices > 1)
    text += fmt::format("spacing={:.10g}\n", *planes.stack.spacing);
  if (planes.stack.interval && planes.frames > 1) text += fmt::format("finterval={:.10g}\n", *planes.stack.interval);
  return text + fmt::format("loop=false\nmin=0.0\nmax={:.1f}\n", highest);
}

std::string ome_description(const StackPlanes& planes, int height, int width, bool wide) {
  std::string sizes;
  if (const std::optional<PixelSides>& pixel = planes.stack.pixel)
    sizes = fmt::format(" PhysicalSizeX=\"{:.10g}\" PhysicalSizeY=\"{:.10g}\"", pixel->width, pixel->height);
  if (planes.stack.spacing && *planes.stack.spacing > 0 && planes.slices > 1)
    sizes += fmt::format(" PhysicalSizeZ=\"{:.10g}\"", *planes.stack.spacing);
  if (planes.stack.interval && planes.frames > 1)
    sizes += fmt::format(" TimeIncrement=\"{:.10g}\"", *planes.stack.interval);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\" "
      "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
      "xsi:schemaLocation=\"http://www.openmicroscopy.org/Schemas/OME/2016-06 "
      "http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd\"><Image ID=\"Image:0\"><Pixels ID=\"Pixels:0\" "
      "DimensionOrder=\"XYZCT\" Type=\"{}\" SizeX=\"{}\" SizeY=\"{}\" SizeZ=\"{}\" SizeC=\"1\" SizeT=\"{}\"{}>"
      "<Channel ID=\"Channel:0:0\" Name=\"labels\" SamplesPerPixel=\"1\"/><TiffData IFD=\"0\" PlaneCount=\"{}\"/>"
      "</Pixels></Image></OME>",
      wide ? "uint32" : "uint16", width, height, planes.slices, planes.frames, sizes, planes.count());
}

struct PictureStack::Writer {
  Writer(const std::filesystem::path& p, const StackPlanes& all) : path(p), planes(all) {}

  std::filesystem::path path;
  StackPlanes planes;
  std::optional<raster::TiffWriter> tiff;
};

PictureStack::PictureStack(const std::filesystem::path& path, const StackPlanes& planes)
    : writer_(std::make_unique<Writer>(path, planes)) {}

PictureStack::~PictureStack() = default;

void PictureStack::add(const Image& image) {
  BASIN_CHECK(image.type == PixelType::u8, "type ", int(image.type));
  const int64_t bytes = int64_t(image.pixels.size()) * writer_->planes.count();
  if (!writer_->tiff) writer_->tiff.emplace(writer_->path, bytes > classic_limit);
  const size_t stride = size_t(image.width) * size_t(image.channels);
  writer_->tiff->add({.height = image.height,
                      .width = image.width,
                      .channels = image.channels,
                      .bits = 8,
                      .row = [&](int y) { return image.pixels.data() + size_t(y) * stride; }},
                     imagej_description(writer_->planes, 255), pixels_per_um(writer_->planes.stack));
}

void PictureStack::commit() {
  BASIN_CHECK(writer_->tiff, "no picture");
  writer_->tiff->commit();
}

void write_instances(const std::filesystem::path& path, const Planes& planes, const Stack& of_image) {
  StackPlanes axes;
  axes.stack.pixel = of_image.pixel;
  axes.slices = std::max<int64_t>(1, int64_t(planes.objects.size()));
  // Deflate needs a few bytes for every 258 equal ones, and for every run.
  int64_t bytes = axes.slices * planes.height * planes.width / 64;
  for (const auto& object : planes.objects)
    bytes += 16 * int64_t(object.size());
  raster::TiffWriter tiff(path, bytes > classic_limit);
  std::vector<uint8_t> row(static_cast<size_t>(planes.width));
  const std::vector<Planes::Run> none;
  for (int64_t k = 0; k < axes.slices; ++k) {
    const std::vector<Planes::Run>& runs = planes.objects.empty() ? none : planes.objects[size_t(k)];
    auto run = runs.begin();
    const auto row_of = [&](int y) -> const void* {  // asked for in order
      const int64_t first = int64_t(y) * planes.width, end = first + planes.width;
      std::fill(row.begin(), row.end(), uint8_t(0));
      for (; run != runs.end() && run->begin < end; ++run) {
        std::fill(row.begin() + (std::max(run->begin, first) - first), row.begin() + (std::min(run->end, end) - first),
                  uint8_t(255));
        if (run->end > end) break;  // it goes on in the next row
      }
      return row.data();
    };
    tiff.add({.height = planes.height, .width = planes.width, .channels = 1, .bits = 8, .row = row_of},
             imagej_description(axes, 255), pixels_per_um(axes.stack));
  }
  tiff.commit();
}

void LabelStack::add(const Labels& labels, const std::vector<int32_t>& numbers) {
  BASIN_CHECK(numbers.size() == size_t(labels.count), numbers.size(), " numbers of ", labels.count, " objects");
  if (runs_.empty()) height_ = labels.height, width_ = labels.width;
  BASIN_CHECK(labels.height == height_ && labels.width == width_, "planes of several sizes");
  std::vector<Run>& runs = runs_.emplace_back();
  const size_t width = size_t(width_);
  for (int y = 0; y < height_; ++y)
    for_each_run(labels.ids.data() + size_t(y) * width, width, [&](size_t begin, size_t end, int32_t id) {
      runs.push_back({id == 0 ? 0 : numbers[size_t(id) - 1], int(end - begin)});
      highest_ = std::max(highest_, runs.back().number);
    });
}

void LabelStack::write(const std::filesystem::path& path, TiffForm form) const {
  const bool wide = highest_ > max_in_16_bits;
  // Deflate stores a run in a few bytes, and needs a few more for every 258 bytes of equal ones.
  int64_t bytes = 0;
  for (const std::vector<Run>& runs : runs_)
    bytes += 12 * int64_t(runs.size()) + int64_t(height_) * width_ * (wide ? 4 : 2) / 32;
  const std::string description =
      form == TiffForm::ome ? ome_description(planes_, height_, width_, wide) : imagej_description(planes_, highest_);
  raster::TiffWriter tiff(path, bytes > classic_limit);
  std::vector<uint32_t> row(static_cast<size_t>(width_));
  std::vector<uint16_t> narrow(static_cast<size_t>(width_));
  for (const std::vector<Run>& runs : runs_) {
    auto run = runs.begin();
    const auto next_row = [&](int) -> const void* {  // asked for in order
      for (int x = 0; x < width_; x += run->pixels, ++run)
        std::fill_n(row.begin() + x, run->pixels, uint32_t(run->number));
      if (wide) return row.data();
      std::copy(row.begin(), row.end(), narrow.begin());
      return narrow.data();
    };
    tiff.add({.height = height_, .width = width_, .channels = 1, .bits = wide ? 32 : 16, .row = next_row}, description,
             pixels_per_um(planes_.stack));
  }
  tiff.commit();
}

}  // namespace basin

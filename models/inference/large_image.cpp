#include "models/inference/large_image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/pool.h"
#include "kernels/image/tiles.h"
#include "models/inference/seen_image.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// The larger one; NaN if one is NaN.
float larger(float a, float b) { return std::isnan(a) || std::isnan(b) ? std::nanf("") : std::max(a, b); }

/// Collects every k-th pixel of every k-th row: those that brightness_of() examines in a whole image, as an image.
class Examined {
 public:
  Examined(int height, int width)
      : height_(height),
        width_(width),
        rows_(std::min(height, examined_rows)),
        columns_(std::min(width, examined_columns)) {}

  void add(const Image& band, int top) {
    if (sample_.pixels.empty()) {
      sample_.height = rows_, sample_.width = columns_, sample_.channels = band.channels, sample_.type = band.type;
      sample_.pixels.resize(size_t(rows_) * size_t(columns_) * pixel_bytes());
    }
    for (int r = 0; r < rows_; ++r) {
      const int y = int(int64_t(r) * height_ / rows_);
      if (y < top || y >= top + band.height) continue;
      for (int k = 0; k < columns_; ++k) {
        const int64_t x = int64_t(k) * width_ / columns_;
        std::memcpy(sample_.pixels.data() + size_t(r * columns_ + k) * pixel_bytes(),
                    band.pixels.data() + size_t(int64_t(y - top) * width_ + x) * pixel_bytes(), pixel_bytes());
      }
    }
  }
  Image take() { return std::move(sample_); }

 private:
  size_t pixel_bytes() const { return size_of(sample_.type) * size_t(sample_.channels); }

  int height_, width_, rows_, columns_;
  Image sample_;
};

}  // namespace

LargeImage::LargeImage(Read read, int height, int width, int channels, const Normalisation& norm,
                       const std::string& name, int64_t max_bytes)
    : read_(std::move(read)), height_(height), width_(width), channels_(channels), norm_(norm) {
  const Image first = read_({0, 0, 1, 1});
  check_channels(first.channels, channels, name, first.offers_channels);
  row_bytes_ = int64_t(width) * first.channels * int64_t(size_of(first.type));
  notes_ = first.notes;
  stack_ = first.stack;
  stack_.height = height, stack_.width = width;
  const int rows = rows_within(max_bytes);
  NormalisationSurvey survey(channels, norm, name);
  Examined examined(height, width);
  Fingerprint fingerprint;
  for (int pass = 0; pass < survey.passes(); ++pass) {
    for (int y = 0; y < height; y += rows) {
      const Image band = read_({y, 0, std::min(rows, height - y), width});
      survey.add(band);
      if (pass > 0) continue;
      examined.add(band, y);
      for (int row = 0; row < band.height; ++row)  // by rows, so that it does not depend on the number of rows at once
        fingerprint.add({band.pixels.data() + int64_t(row) * row_bytes_, size_t(row_bytes_)});
    }
    survey.end_pass();
  }
  affine_ = survey.result(notes_);
  fingerprint_ = fingerprint.digits();
  brightness_ = brightness_of(Source(examined.take(), channels, norm, affine_));
}

Source LargeImage::part(const PixelRect& rect) const { return Source(read_(rect), channels_, norm_, affine_); }

int LargeImage::rows_within(int64_t bytes) const {
  int64_t rows = std::max<int64_t>(1, bytes / row_bytes_);
  for (const int64_t even : {1024, 512, 256, 128, 64, 32, 16})  // tiles of files end there
    if (rows >= even) {
      rows = even;
      break;
    }
  return int(std::min<int64_t>(rows, height_));
}

MapFolder::MapFolder(const fs::path& folder, const Method& method, int height, int width, std::vector<ExactTile> tiles,
                     bool resume)
    : records_(folder / "tiles"),
      height_(height),
      width_(width),
      specs_(method.maps()),
      field_(field_map(method)),
      tiles_(std::move(tiles)),
      is_done_(tiles_.size()) {
  for (const MapSpec& spec : specs_)
    files_.push_back(
        std::make_unique<PlaneFile>(folder / spec.name, spec.channels, height, width, sizeof(float), resume));
  const bool kept = std::all_of(files_.begin(), files_.end(), [](const auto& file) { return file->kept(); });
  if (!kept || !fs::exists(records_)) {
    fs::remove(records_);
    return;
  }
  if (fs::file_size(records_) < sizeof(Record)) return;
  const std::vector<std::byte> bytes = read_file(records_);
  for (size_t at = 0; at + sizeof(Record) <= bytes.size(); at += sizeof(Record)) {
    Record r;
    std::memcpy(&r, bytes.data() + at, sizeof r);
    if (r.tile < 0 || size_t(r.tile) >= tiles_.size() || is_done_[size_t(r.tile)]) continue;
    is_done_[size_t(r.tile)] = true;
    largest_ = larger(largest_, r.largest);
    ++done_;
  }
}

void MapFolder::predict(const Exec& exec, const Predictor& predictor, SeenImage& image,
                        const std::function<void(int64_t)>& progress) {
  // A record that was cut short by a crash ends before the next one begins.
  if (fs::exists(records_)) fs::resize_file(records_, fs::file_size(records_) / sizeof(Record) * sizeof(Record));
  for (size_t k = 0; k < tiles_.size(); ++k) {
    if (is_done_[k]) continue;
    const ExactTile& tile = tiles_[k];
    const int bottom = std::min(tile.seen.y + tile.seen.height, height_);
    const int right = std::min(tile.seen.x + tile.seen.width, width_);
    const Tensor part = image.part(exec, {tile.seen.y, tile.seen.x, bottom - tile.seen.y, right - tile.seen.x});
    const Tensor input = Tensor::empty(for_images(exec), {image.channels(), tile.seen.height, tile.seen.width});
    kernels::cut_tile(exec, part.view<const float, 3>(), 0, 0, kernels::Outside::zero, kernels::Outside::zero,
                      input.view<float, 3>());
    // Larger than the tile, so that it is not cut again.
    TilingOptions whole{Tiling::exact, std::max(tile.seen.height, tile.seen.width)};
    write(int64_t(k), exec, predictor.predict(exec, input, whole), tile.own.y - tile.seen.y, tile.own.x - tile.seen.x);
    if (progress) progress(done_);
  }
}

void MapFolder::write(int64_t tile, const Exec& exec, const Maps& maps, int top, int left) {
  const PixelRect& own = tiles_[size_t(tile)].own;
  float largest = 0;
  for (size_t m = 0; m < specs_.size(); ++m) {
    const Tensor map = maps[specs_[m].name].to_host(exec);
    const View<const float, 3> view = map.view<const float, 3>();
    for (int c = 0; c < specs_[m].channels; ++c) {
      files_[m]->write(c, own, &view(c, top, left), view.dim[2]);
      if (specs_[m].name != field_) continue;
      for (int y = 0; y < own.height; ++y)
        for (int x = 0; x < own.width; ++x)
          largest = larger(largest, std::abs(view(c, top + y, left + x)));
    }
  }
  for (const std::unique_ptr<PlaneFile>& file : files_)
    file->flush();
  const Record record{int32_t(tile), largest};
  append_to_file(records_, &record, sizeof record);
  largest_ = larger(largest_, largest);
  is_done_[size_t(tile)] = true;
  ++done_;
}

Maps MapFolder::part(const PixelRect& rect, int height, int width) const {
  Maps maps;
  for (const MapSpec& spec : specs_)
    maps.tensors[spec.name] = part(spec.name, rect, height, width);
  return maps;
}

Tensor MapFolder::part(const std::string& name, const PixelRect& rect, int height, int width) const {
  const auto found = std::find_if(specs_.begin(), specs_.end(), [&](const MapSpec& s) { return s.name == name; });
  BASIN_CHECK(found != specs_.end(), "no map is named ", name);
  const PlaneFile& file = *files_[size_t(found - specs_.begin())];
  const bool resizes = height != height_ || width != width_;
  PixelRect from = rect;
  if (resizes) {
    const kernels::PixelRange rows = kernels::map_sources({rect.y, rect.y + rect.height}, height_, height);
    const kernels::PixelRange columns = kernels::map_sources({rect.x, rect.x + rect.width}, width_, width);
    from = {rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin};
  }
  const Tensor map = Tensor::empty(for_images({}), {found->channels, from.height, from.width});
  for (int c = 0; c < found->channels; ++c)
    file.read(c, from, map.data<float>() + int64_t(c) * from.pixels());
  if (!resizes) return map;
  return at_image_size({}, map, *found, rect.height, rect.width,
                       {{from.y, from.x, height_, width_}, {rect.y, rect.x, height, width}, {}});
}

float MapFolder::largest(int height, int width) const {
  if (height == height_ && width == width_) return largest_;
  constexpr float rounding = 1.00001f;
  return largest_ * std::max(float(height) / float(height_), float(width) / float(width_)) * rounding;
}

int64_t MapFolder::bytes_per_pixel(const Method& method) {
  int64_t bytes = 0;
  for (const MapSpec& spec : method.maps())
    bytes += spec.channels * int64_t(sizeof(float));
  return bytes;
}

}  // namespace basin

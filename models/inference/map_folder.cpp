#include "models/inference/map_folder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/pool.h"
#include "engine/ranks/ranks.h"
#include "kernels/image/tiles.h"
#include "models/inference/seen_image.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// The larger one; NaN if one is NaN.
float larger(float a, float b) { return std::isnan(a) || std::isnan(b) ? std::nanf("") : std::max(a, b); }

/// A tile that is done, and the largest value of the vector field in it.
struct TileRecord {
  int32_t tile = 0;
  float largest = 0;
};

}  // namespace

MapFolder::MapFolder(const fs::path& folder, const Method& method, int height, int width, std::vector<ViewTile> tiles,
                     bool resume, Ranks* ranks)
    : height_(height),
      width_(width),
      specs_(method.maps()),
      field_(field_map(method)),
      tiles_(std::move(tiles)),
      ranks_(ranks),
      records_(folder / "tiles", "", resume, ranks, [this] { flush(); }),
      done_(tiles_.size(), false) {
  bool kept = !records_.records().empty();
  do_first_on_one(ranks_, [&] { kept = open(folder, is_first(ranks_) ? kept : true); });
  if (!value_of_first(ranks_, kept)) records_.restart();
  for (const std::vector<std::byte>& bytes : records_.records()) {
    TileRecord record;
    BASIN_CHECK(bytes.size() == sizeof record, bytes.size(), " bytes");
    std::memcpy(&record, bytes.data(), sizeof record);
    BASIN_CHECK(record.tile >= 0 && record.tile < this->tiles(), "tile ", record.tile, " of ", this->tiles());
    done_[size_t(record.tile)] = true;
    largest_ = larger(largest_, record.largest);
  }
}

bool MapFolder::open(const fs::path& folder, bool keep) {
  bool kept = true;
  for (int set = 0; set <= std::min(1, tiles_.back().view.index); ++set) {
    files_[set].clear();
    for (const MapSpec& spec : specs_) {
      files_[set].push_back(std::make_unique<PlaneFile>(folder / (spec.name + (set > 0 ? "_views" : "")), spec.channels,
                                                        height_, width_, sizeof(float), keep));
      kept = kept && files_[set].back()->kept();
    }
  }
  return kept;
}

void MapFolder::flush() {
  for (const Files& files : files_)
    for (const std::unique_ptr<PlaneFile>& file : files)
      file->flush();
}

Tensor MapFolder::input_of(const Exec& exec, const ViewTile& t, SeenImage& image) const {
  const bool swaps = t.view.swaps_sides();
  const PixelRect& seen = t.tile.seen;
  const PixelRect inside{seen.y, seen.x, std::min(seen.height, (swaps ? width_ : height_) - seen.y),
                         std::min(seen.width, (swaps ? height_ : width_) - seen.x)};
  Tensor part = image.part(exec, before_view(t.view, inside, height_, width_));
  if (t.view.index > 0) {
    const Tensor turned = Tensor::empty(for_images(exec), {image.channels(), inside.height, inside.width});
    kernels::apply_symmetry(exec, t.view, part.view<const float, 3>(), turned.view<float, 3>());
    part = turned;
  }
  const Tensor input = Tensor::empty(for_images(exec), {image.channels(), seen.height, seen.width});
  kernels::cut_tile(exec, part.view<const float, 3>(), 0, 0, kernels::Outside::zero, kernels::Outside::zero,
                    input.view<float, 3>());
  return input;
}

void MapFolder::predict(const Exec& exec, const Predictor& predictor, SeenImage& image,
                        const std::function<void(int64_t)>& progress) {
  for (int view = 0; view <= tiles_.back().view.index; ++view) {  // one after the other: a view is added to the last
    std::vector<int64_t> missing;
    for (int64_t k = 0; k < tiles(); ++k)
      if (tiles_[size_t(k)].view.index == view && !done_[size_t(k)]) missing.push_back(k);
    const int64_t before = done();
    share_tasks(ranks_, int64_t(missing.size()), [&](int64_t k) {
      const ViewTile& t = tiles_[size_t(missing[size_t(k)])];
      // Larger than the tile, so that it is not cut again.
      const TilingOptions whole{Tiling::exact, std::max(t.tile.seen.height, t.tile.seen.width)};
      const Maps maps = predictor.predict(exec, input_of(exec, t, image), whole);
      check_maps(exec, maps);
      add(exec, missing[size_t(k)], maps);
      if (progress) progress(before + k + 1);
    });
    for (const int64_t k : missing)
      done_[size_t(k)] = true;
    do_on_all(ranks_, [&] {
      records_.settle();
      if (!ranks_) return;
      for (const Files& files : files_)
        for (const std::unique_ptr<PlaneFile>& file : files)
          file->reopen();
    });
  }
  for (const float largest : gather_elements(ranks_, std::vector<float>{largest_}))
    largest_ = larger(largest_, largest);
}

Tensor MapFolder::own_part(const Exec& exec, const ViewTile& t, size_t map, const Tensor& of_tile) const {
  const PixelRect &own = t.tile.own, &seen = t.tile.seen;
  const int channels = specs_[map].channels;
  const Tensor part = Tensor::empty(for_images(exec), {channels, own.height, own.width});
  kernels::cut_tile(exec, of_tile.view<const float, 3>(), own.y - seen.y, own.x - seen.x, kernels::Outside::zero,
                    kernels::Outside::zero, part.view<float, 3>());
  if (tiles_.back().view.index == 0) return part.to_host(exec);
  Tensor mean = Tensor::empty(for_images({}), {channels, t.own.height, t.own.width});
  if (t.view.index > 0)
    for (int c = 0; c < channels; ++c)
      files_[(t.view.index - 1) % 2][map]->read(c, t.own, mean.data<float>() + c * t.own.pixels());
  mean = mean.to_device(for_images(exec));
  add_view(exec, specs_[map], t.view, part, mean);
  return mean.to_host(exec);
}

void MapFolder::add(const Exec& exec, int64_t tile, const Maps& maps) {
  const ViewTile& t = tiles_[size_t(tile)];
  const Files& files = files_[t.view.index % 2];
  const bool is_last_view = t.view.index == tiles_.back().view.index;
  float largest = 0;
  for (size_t m = 0; m < specs_.size(); ++m) {
    const Tensor part = own_part(exec, t, m, maps[specs_[m].name]);
    const auto* values = part.data<const float>();
    for (int c = 0; c < specs_[m].channels; ++c)
      files[m]->write(c, t.own, values + c * t.own.pixels(), t.own.width);
    if (is_last_view && specs_[m].name == field_)
      for (int64_t i = 0; i < specs_[m].channels * t.own.pixels(); ++i)
        largest = larger(largest, std::abs(values[i]));
  }
  const TileRecord record{int32_t(tile), largest};
  const auto bytes = std::as_bytes(std::span(&record, 1));
  records_.append(std::vector<std::byte>(bytes.begin(), bytes.end()));
  largest_ = larger(largest_, largest);
}

Maps MapFolder::part(const PixelRect& rect, int height, int width) const {
  Maps maps;
  for (const MapSpec& spec : specs_)
    maps.tensors[spec.name] = part(spec.name, rect, height, width);
  return maps;
}

size_t MapFolder::index_of(const std::string& name) const {
  const auto found = std::find_if(specs_.begin(), specs_.end(), [&](const MapSpec& s) { return s.name == name; });
  BASIN_CHECK(found != specs_.end(), "no map is named ", name);
  return size_t(found - specs_.begin());
}

Tensor MapFolder::part(const std::string& name, const PixelRect& rect, int height, int width) const {
  return part(specs_[index_of(name)], rect, height, width);
}

Tensor MapFolder::part(const MapSpec& as, const PixelRect& rect, int height, int width) const {
  const PlaneFile& file = *complete_files()[index_of(as.name)];
  const bool resizes = height != height_ || width != width_;
  PixelRect from = rect;
  if (resizes) {
    const kernels::PixelRange rows = kernels::map_sources({rect.y, rect.y + rect.height}, height_, height);
    const kernels::PixelRange columns = kernels::map_sources({rect.x, rect.x + rect.width}, width_, width);
    from = {rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin};
  }
  const Tensor map = Tensor::empty(for_images({}), {as.channels, from.height, from.width});
  for (int c = 0; c < as.channels; ++c)
    file.read(c, from, map.data<float>() + int64_t(c) * from.pixels());
  if (!resizes) return map;
  return at_image_size({}, map, as, rect.height, rect.width,
                       {{from.y, from.x, height_, width_}, {rect.y, rect.x, height, width}, {}});
}

float MapFolder::largest(int height, int width) const {
  if (height == height_ && width == width_) return largest_;
  constexpr float rounding = 1.00001f;
  return largest_ * std::max(float(height) / float(height_), float(width) / float(width_)) * rounding;
}

int64_t MapFolder::bytes_per_pixel(const Method& method, bool all_views) {
  int64_t bytes = 0;
  for (const MapSpec& spec : method.maps())
    bytes += spec.channels * int64_t(sizeof(float));
  return all_views ? 2 * bytes : bytes;
}

std::vector<float> foreground_probability(const Method& method, const MapFolder& maps, const PixelRect& r, int height,
                                          int width) {
  Maps part;
  part.tensors[method.foreground_logit()] = maps.part(method.foreground_logit(), r, height, width);
  part.height = r.height, part.width = r.width;
  return foreground_probability({}, method, part);
}

std::vector<float> field_of(const Method& method, const MapFolder& maps, double scale, const PixelRect& r, int height,
                            int width) {
  const std::string name = field_map(method);
  const bool resizes = resizes_maps(method, scale);
  Maps part;
  // Maps that are decoded at their own size keep the length of their vectors when they are resized for output.
  part.tensors[name] = resizes ? maps.part(name, r, height, width) : maps.part(MapSpec{name, 2}, r, height, width);
  part.height = r.height, part.width = r.width;
  if (resizes) part.scale = 1 / scale;
  return field_of({}, method, part);
}

}  // namespace basin

#include "tools/segmentation/large_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

#include "data/files/decoded.h"
#include "data/files/image_parts.h"
#include "engine/json.h"
#include "kernels/flow/integrate.h"
#include "models/inference/map_folder.h"
#include "models/inference/memory_estimate.h"
#include "tools/cli/machine.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

// Estimates, rounded up; docs/segmentation.md says what an image of 6,000 x 6,000 pixels took.
constexpr int64_t program_bytes = 100'000'000;        // the program and a model
constexpr int64_t bytes_per_decoded_pixel = 74;       // of a window, if all of it is foreground
constexpr int64_t max_window_pixels = 12'000'000;     // larger ones save little
constexpr int64_t max_band_bytes = 128'000'000;       // rows of the image that are held at a time
constexpr int64_t label_bytes = 2 * sizeof(int32_t);  // on disk, per decoded pixel: clusters and labels

/// Why a run needs the whole image, as part of a sentence; empty if it does not.
std::string reason_for_whole_image(const Work& work) {
  const Method& method = *work.model.method;
  if (const std::string why = method.reason_for_whole_image(); !why.empty()) return why;
  if (!work.model.predictor->needs_of_exact_tiles()) return "the network of " + method.name() + " sees whole images";
  const Tiling tiling = work.plan.options.tiling.tiling;
  if (tiling != Tiling::fit && tiling != Tiling::exact)
    return "--tiling " + to_string(tiling) + " averages tiles of the whole image; use fit or exact";
  return {};
}

/// "; convert it to a tiled TIFF, allow more memory or give a smaller --scale"
std::string advice_on_memory(bool has_parts, double scale) {
  const bool enlarged = scale > 1;
  return std::string("; ") +
         (has_parts  ? ""
          : enlarged ? "convert it to a tiled TIFF, "
                     : "convert it to a tiled TIFF or ") +
         "allow more memory" + (enlarged ? " or give a smaller --scale" : "");
}

/// Pixels of a tile of a large image.
int64_t largest_tile(const TilingOptions& o) {
  return o.tiling == Tiling::fit ? o.max_tile_pixels : int64_t(o.tile) * o.tile;
}

/// Bytes that an image with so many bytes per pixel needs in one piece, apart from the network.
int64_t bytes_in_one_piece(const Work& work, const LargeSizes& sizes, int64_t image_bytes) {
  return program_bytes + sizes.pixels() * (image_bytes + work.kept_map_bytes()) +
         work.model.method->memory_needs().per_pixel * std::max(sizes.pixels(), sizes.decoded_pixels());
}

/// Bytes of the results of a kind whose size does not follow from what they compress to, before the scratch files go.
int64_t bytes_on_disk(const Method& method, const std::string& kind, const LargeSizes& sizes) {
  if (kind == "npy") return 8 * sizes.pixels();
  if (kind == "flow") return 3 * sizes.pixels();
  if (kind == "probability") return sizes.pixels();
  int64_t bytes = 0;
  for (const MapSpec& map : method.maps())
    if (map.name == kind) bytes += int64_t(sizeof(float)) * map.channels * sizes.pixels();
  return bytes;
}

}  // namespace

LargeSizes::LargeSizes(const Method& method, int image_height, int image_width, double at_scale)
    : scale(at_scale), height(image_height), width(image_width) {
  std::tie(seen_height, seen_width) = seen_size(height, width, scale);
  const bool resizes = resizes_maps(method, scale);
  decoded_height = resizes ? height : seen_height, decoded_width = resizes ? width : seen_width;
}

LargeBlocks::LargeBlocks(const Work& work, const LargeSizes& sizes, int64_t limit) {
  const Method& method = *work.model.method;
  tiles = view_tiles(sizes.seen_height, sizes.seen_width, work.plan.options.tiling,
                     *work.model.predictor->needs_of_exact_tiles(), sees_views(work));
  fixed = program_bytes + sizes.pixels() / 200 * 40;
  int64_t max_tile_pixels = 0;
  for (const ViewTile& t : tiles)
    max_tile_pixels = std::max(max_tile_pixels, t.tile.seen.pixels());
  network = network_bytes(method, max_tile_pixels);
  bands = sizes.scale == 1 ? 2 : 3;
  left = std::max<int64_t>(0, limit - fixed);
  band = band_within(limit);
  window = std::min(max_window_pixels, left / bytes_per_decoded_pixel);
  needed = needed_within(limit);
  peak = std::max(needed, fixed + window * bytes_per_decoded_pixel);
  for (const std::string& kind : work.save)
    disk += bytes_on_disk(method, kind, sizes);
  disk += sizes.seen_pixels() * MapFolder::bytes_per_pixel(method, sees_views(work)) +
          sizes.decoded_pixels() * label_bytes +
          sizes.pixels() * (sizes.resizes_labels() || work.plan.filter.fill_holes ? 6 : 2);
}

int64_t LargeBlocks::enough_memory(const Work& work, const LargePlan& plan) const {
  if (!work.plan.finds_scale) return std::min(least_limit(), plan.in_one_piece);
  LargeBlocks largest = *this;
  largest.bands = 3;
  largest.network = std::max(network, network_bytes(*work.model.method, largest_tile(work.plan.options.tiling)));
  return largest.least_limit();
}

int64_t LargeBlocks::band_within(int64_t limit) const {
  return std::min(max_band_bytes, std::max<int64_t>(0, limit - fixed) / 16);
}

int64_t LargeBlocks::least_limit() const {
  int64_t limit = 0;
  while (needed_within(limit) > limit)  // repeated, because larger limits have larger bands, which need more memory
    limit = needed_within(limit);
  return limit;
}

bool sees_views(const Work& work) { return work.plan.options.tta || work.model.method->averages_views(); }

std::string in_bytes(int64_t bytes) {
  return bytes < 1'000'000'000 ? fmt::format("{:.0f} MB", std::ceil(double(bytes) / 1e6))
                               : fmt::format("{:.1f} GB", double(bytes) / 1e9);
}

int64_t megabytes(int64_t bytes) { return (bytes + 999'999) / 1'000'000; }

int64_t parse_bytes(const std::string& option, const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit;
  for (const char* c = end; c != text.data() + text.size(); ++c)
    if (*c != ' ') unit += char(std::toupper(static_cast<unsigned char>(*c)));
  if (unit.ends_with('B')) unit.pop_back();
  const double factor = unit == "K"    ? 1e3
                        : unit == "M"  ? 1e6
                        : unit == "G"  ? 1e9
                        : unit == "T"  ? 1e12
                        : unit.empty() ? 1
                                       : 0;
  if (error != std::errc() || factor == 0 || !(number * factor < 1e18))
    refuse(option, ' ', text, ": expected bytes, such as 2G or 500M");
  if (!(number * factor >= 1e6)) refuse(option, ' ', text, ": expected at least 1M, with a unit, such as 2G or 500M");
  return int64_t(number * factor);
}

int64_t memory_limit(const Work& work) {
  return work.max_memory > 0 ? work.max_memory : memory_available() / 2 / work.processes;
}

std::optional<LargePlan> plan_large(const Work& work, const fs::path& path, const StackPlanes& planes,
                                    std::optional<double> found_scale) {
  const int64_t height = planes.stack.height, width = planes.stack.width;
  // Images that are refused as a whole are refused in blocks too.
  if (height <= 0 || width <= 0 || height * width > raster::max_pixels ||
      std::max(height, width) >= kernels::field_side_limit)
    return {};
  const bool asked = work.max_memory > 0;
  const int64_t limit = memory_limit(work);
  if (limit <= 0) return {};
  const bool is_for_ranks = work.ranks > 1 && height * width >= min_pixels_for_ranks;
  const double scale = found_scale ? *found_scale : work.plan.finds_scale ? 1 : work.plan.options.scale;
  const Method& method = *work.model.method;
  const LargeSizes sizes = with_name(path.string(), [&] { return LargeSizes(method, int(height), int(width), scale); });
  // Blocks do not reduce the memory of the network, so it counts only if the user has set a limit.
  const int64_t network =
      asked ? network_bytes(method, tile_pixels(method, work.plan.options.tiling, sizes.seen_height, sizes.seen_width))
            : 0;
  constexpr int64_t max_per_channel = 8;
  const bool fits =
      bytes_in_one_piece(work, sizes, max_per_channel * std::max(1, planes.stack.samples)) + network <= limit;
  if (fits && !is_for_ranks) return {};
  const std::string why = reason_for_whole_image(work);
  if (!why.empty() && (fits || !asked)) return {};
  LargePlan plan{int(height), int(width), 0, limit, found_scale};
  try {
    const Image first = read_image_part(path, work.choice, {0, 0, 1, 1});
    plan.in_one_piece = bytes_in_one_piece(work, sizes, first.channels * int64_t(size_of(first.type))) + network;
  } catch (const Error&) {
    if (asked && !fits) throw;
    return {};
  }
  if (plan.in_one_piece <= limit && (!is_for_ranks || !why.empty())) return {};
  if (!why.empty())
    refuse(path.string(), ": needs about ", in_bytes(plan.in_one_piece), " of memory, more than --max-memory ",
           in_bytes(limit), ", and cannot be segmented in blocks: ", why);
  return plan;
}

void check_memory(const Work& work, const std::string& name, const StackPlanes& planes, const Image& image,
                  double scale, int64_t available) {
  const bool asked = work.max_memory > 0;
  // On a GPU most of an image in one piece is in the memory of the GPU, and found to be too little there.
  if (!asked && (available <= 0 || work.exec.device != Device::cpu)) return;
  const Method& method = *work.model.method;
  const LargeSizes sizes = with_name(name, [&] { return LargeSizes(method, image.height, image.width, scale); });
  const int64_t without_network = bytes_in_one_piece(work, sizes, image.channels * int64_t(size_of(image.type)));
  const int64_t needed = without_network + network_bytes(method, tile_pixels(method, work.plan.options.tiling,
                                                                             sizes.seen_height, sizes.seen_width));
  if (asked ? needed <= work.max_memory : without_network <= available / 2) return;
  const bool has_parts = planes.stack.height > 0;
  std::string why = reason_for_whole_image(work);
  if (planes.count() > 1) why = "planes of a stack are segmented one by one";
  if (!has_parts) why = "its format is read as a whole";
  if (!why.empty()) why = ", and cannot be segmented in blocks: " + why;
  const std::string needs = name + ": needs about " + in_bytes(needed) + " of memory" +
                            (scale == 1 ? "" : fmt::format(" at scale {:g}", scale));
  if (asked)
    refuse(needs, ", more than --max-memory ", in_bytes(work.max_memory), why, advice_on_memory(has_parts, scale));
  if (without_network > available)
    refuse(needs, ", and only ", in_bytes(available), " are free", why, advice_on_memory(has_parts, scale),
           "; to try it anyway, give --max-memory ", megabytes(needed), "M");
  std::fprintf(stderr, "basin: %s, of %s that are free%s\n", needs.c_str(), in_bytes(available).c_str(), why.c_str());
}

}  // namespace basin::tools

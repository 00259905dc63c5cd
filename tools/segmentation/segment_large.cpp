#include "tools/segmentation/segment_large.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <tuple>
#include <utility>

#include "data/files/decoded.h"
#include "data/files/image_parts.h"
#include "engine/clock.h"
#include "engine/json.h"
#include "engine/pool.h"
#include "kernels/flow/integrate.h"
#include "kernels/runtime/isa.h"
#include "models/inference/memory_estimate.h"
#include "models/inference/scale_search.h"
#include "models/inference/seen_image.h"
#include "tools/cli/counted.h"
#include "tools/cli/machine.h"
#include "tools/cli/progress.h"
#include "tools/cli/version.h"
#include "tools/results/large_results.h"
#include "tools/results/scratch_folder.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

// Estimates, rounded up; docs/segmentation.md says what an image of 6,000 x 6,000 pixels took.
constexpr int64_t program_bytes = 100'000'000;        // the program and a model
constexpr int64_t bytes_per_decoded_pixel = 74;       // of a window, if all of it is foreground
constexpr int64_t max_window_pixels = 12'000'000;     // larger ones save little
constexpr int64_t max_band_bytes = 128'000'000;       // rows of the image that are held at a time
constexpr int64_t label_bytes = 2 * sizeof(int32_t);  // on disk, per decoded pixel: clusters and labels

int64_t megabytes(int64_t bytes) { return (bytes + 999'999) / 1'000'000; }

std::string gigabytes(int64_t bytes) {
  return bytes < 1'000'000'000 ? fmt::format("{:.0f} MB", std::ceil(double(bytes) / 1e6))
                               : fmt::format("{:.1f} GB", double(bytes) / 1e9);
}

/// Why a run needs the whole image, as part of a sentence; empty if it does not.
std::string reason_for_whole_image(const Work& work) {
  const Method& method = *work.model.method;
  if (const std::string why = method.reason_for_whole_image(); !why.empty()) return why;
  if (!work.model.predictor->needs_of_exact_tiles()) return "the network of " + method.name() + " sees whole images";
  const Tiling tiling = work.plan.options.tiling.tiling;
  if (tiling != Tiling::fit && tiling != Tiling::exact)
    return "--tiling " + to_string(tiling) + " averages tiles of the whole image; use fit or exact";
  if (work.plan.options.tta || method.averages_views()) return "--tta turns the whole image";
  if (work.plan.filter.fill_holes) return "--fill-holes looks at whole objects";
  for (const std::string& kind : work.save)
    if (!large_kinds().contains(kind))
      return "--save " + kind + " needs it whole; use " + in_words({large_kinds().begin(), large_kinds().end()});
  return {};
}

/// "; convert it to a tiled TIFF, allow more memory or give a smaller --scale"
std::string advice_on_memory(bool has_parts, double scale) {
  return std::string("; ") + (has_parts ? "" : "convert it to a tiled TIFF, ") + "allow more memory" +
         (scale > 1 ? " or give a smaller --scale" : "");
}

/// Pixels of a tile of a large image.
int64_t largest_tile(const TilingOptions& o) {
  return o.tiling == Tiling::fit ? o.max_tile_pixels : int64_t(o.tile) * o.tile;
}

/// The sizes of an image at a scale.
struct Sizes {
  double scale;
  int height, width;                  // of the image
  int seen_height, seen_width;        // as the network sees it
  int decoded_height, decoded_width;  // of the maps that are decoded

  Sizes(const Method& method, int image_height, int image_width, double at_scale)
      : scale(at_scale), height(image_height), width(image_width) {
    std::tie(seen_height, seen_width) = seen_size(height, width, scale);
    const bool resizes = resizes_maps(method, scale);
    decoded_height = resizes ? height : seen_height, decoded_width = resizes ? width : seen_width;
  }
  int64_t pixels() const { return int64_t(height) * width; }
  int64_t seen_pixels() const { return int64_t(seen_height) * seen_width; }
  int64_t decoded_pixels() const { return int64_t(decoded_height) * decoded_width; }
  bool resizes_labels() const { return decoded_height != height || decoded_width != width; }
};

/// Bytes that an image with so many bytes per pixel needs in one piece, apart from the network.
int64_t bytes_in_one_piece(const Method& method, const Sizes& sizes, int64_t image_bytes) {
  return program_bytes + sizes.pixels() * image_bytes +
         method.memory_needs().per_pixel * std::max(sizes.pixels(), sizes.decoded_pixels());
}

/// How an image is divided, and what that needs.
struct Blocks {
  std::vector<ExactTile> tiles;
  int64_t fixed = 0;    // bytes for the program and for what is known of each object
  int64_t network = 0;  // bytes for a tile
  int bands = 0;        // how many times a band is held
  int64_t band = 0;     // bytes of the image that are held at a time
  int64_t window = 0;   // pixels of a block and its surroundings
  int64_t needed = 0;   // bytes of memory, at least, with bands of this size
  int64_t peak = 0;     // bytes of memory that are used
  int64_t left = 0;     // bytes beside the fixed ones
  int64_t disk = 0;     // bytes

  Blocks(const Work& work, const Sizes& sizes, int64_t limit) {
    const Method& method = *work.model.method;
    tiles = exact_tiles(sizes.seen_height, sizes.seen_width, work.plan.options.tiling,
                        *work.model.predictor->needs_of_exact_tiles());
    fixed = program_bytes + sizes.pixels() / 200 * 40;
    network = network_bytes(method, tiles.front().seen.pixels());
    bands = sizes.scale == 1 ? 2 : 3;
    left = std::max<int64_t>(0, limit - fixed);
    band = band_within(limit);
    window = std::min(max_window_pixels, left / bytes_per_decoded_pixel);
    needed = needed_within(limit);
    peak = std::max(needed, fixed + window * bytes_per_decoded_pixel);
    disk = sizes.seen_pixels() * MapFolder::bytes_per_pixel(method) + sizes.decoded_pixels() * label_bytes +
           sizes.pixels() * (sizes.resizes_labels() ? 6 : 2);
  }

  /// The smallest limit that suffices: bands grow with the limit, and more memory is needed for them.
  int64_t least_limit() const {
    int64_t limit = 0;
    while (needed_within(limit) > limit)
      limit = needed_within(limit);
    return limit;
  }

 private:
  int64_t band_within(int64_t limit) const {
    return std::min(max_band_bytes, std::max<int64_t>(0, limit - fixed) / 16);
  }
  int64_t needed_within(int64_t limit) const { return fixed + network + bands * band_within(limit); }
};

/// What the maps in a scratch folder depend on.
Json scratch_record(const Work& work, const LargeImage& image, double scale) {
  return {{"image", image.fingerprint()},
          {"size", {image.width(), image.height()}},
          {"scale", fmt::format("{}", scale)},
          {"model", work.model_fingerprint},
          {"norm", to_string(work.plan.norm)},
          {"tiling", to_string(work.plan.options.tiling.tiling)},
          {"tile", work.plan.options.tiling.tiling == Tiling::exact ? work.plan.options.tiling.tile : 0},
          {"precision", work.precision},
          {"device", work.exec.device == Device::cpu ? name_of(isa()) : "cuda"},  // each rounds in its own way
          {"program", version_text()}};
}

/// The segmentation of one image in blocks, stage by stage.
class Segmenting {
 public:
  Segmenting(const Work& work, const fs::path& path, const LargePlan& plan, ImageFiles& files, Outcome& outcome)
      : work_(work),
        method_(*work.model.method),
        path_(path),
        name_(path.string()),
        plan_(plan),
        files_(files),
        outcome_(outcome),
        scratch_(scratch_folder(files.path(""))),
        asked_(work.max_memory > 0) {}

  std::optional<std::string> run() {
    const bool searches = work_.plan.finds_scale && !plan_.scale;
    Sizes sizes = sizes_at(plan_.scale ? *plan_.scale : searches ? 1 : work_.plan.options.scale);
    Blocks blocks(work_, sizes, plan_.limit);
    if (!has_memory(blocks)) return {};
    const LargeImage image([&](const PixelRect& part) { return read_image_part(path_, work_.choice, part); },
                           plan_.height, plan_.width, method_.sample_spec().channels, work_.plan.norm, name_,
                           blocks.band);
    lap(&Seconds::read);
    if (searches) {
      const FoundScale found = with_name(name_, [&] {
        return find_scale(work_.exec, method_, *work_.model.predictor, image, *work_.plan.trained, blocks.band);
      });
      lap(&Seconds::scale);
      sizes = sizes_at(found.scale);
      blocks = Blocks(work_, sizes, plan_.limit);
      if (!has_memory(blocks) || !has_disk(blocks)) return {};
      outcome_.note_scale(name_, found);
    }
    if (!has_disk(blocks)) return {};
    outcome_.notes.add(name_, image.notes());
    outcome_.converted += image.raw_part({0, 0, 1, 1}).channels != image.channels();
    print_plan(sizes, blocks);
    const bool resumed = prepare_scratch(scratch_, scratch_record(work_, image, sizes.scale), work_.resume, name_);
    MapFolder maps(scratch_, method_, sizes.seen_height, sizes.seen_width, blocks.tiles, resumed);
    predict(maps, image, sizes, blocks);
    return decode(maps, image, sizes, blocks);
  }

 private:
  Sizes sizes_at(double scale) const {
    return with_name(name_, [&] { return Sizes(method_, plan_.height, plan_.width, scale); });
  }

  /// Whether the memory suffices. Throws if it does not and the user has set the limit.
  bool has_memory(const Blocks& blocks) const {
    if (blocks.needed <= plan_.limit) return true;
    if (!asked_) return false;
    refuse(name_, ": ", plan_.limit / 1'000'000, " MB are too little to segment it in blocks; ",
           megabytes(enough_memory(blocks)), " MB suffice",
           blocks.tiles.front().seen.pixels() > 256 * 256 ? ", and fewer with --tiling exact --tile 256" : "");
  }
  /// A limit with which the image is segmented, in one piece or in blocks, whatever scale a search finds.
  int64_t enough_memory(const Blocks& blocks) const {
    if (!work_.plan.finds_scale) return std::min(blocks.least_limit(), plan_.in_one_piece);
    Blocks largest = blocks;
    largest.bands = 3;
    largest.network = std::max(blocks.network, network_bytes(method_, largest_tile(work_.plan.options.tiling)));
    return largest.least_limit();
  }
  bool has_disk(const Blocks& blocks) const {
    const int64_t available = room_for(scratch_);
    if (available >= blocks.disk) return true;
    if (!asked_) return false;
    refuse(name_, ": segmenting it in blocks needs ", gigabytes(blocks.disk), " of disk in ", scratch_.string(),
           ", and only ", gigabytes(available), " are free");
  }

  void print_plan(const Sizes& sizes, const Blocks& blocks) const {
    const std::string scaled = sizes.scale == 1 ? ""
                                                : fmt::format(" at scale {:g}, {} x {} pixels,", sizes.scale,
                                                              sizes.seen_width, sizes.seen_height);
    std::fprintf(
        stderr,
        "basin: %s: %d x %d pixels would need %s of memory in one piece, and may use %s, so they are segmented%s in "
        "%s of %d x %d pixels, with at most %s of memory and %s of disk in %s\n",
        name_.c_str(), sizes.width, sizes.height, gigabytes(plan_.in_one_piece).c_str(), gigabytes(plan_.limit).c_str(),
        scaled.c_str(), counted(int64_t(blocks.tiles.size()), "tile").c_str(), blocks.tiles[0].seen.width,
        blocks.tiles[0].seen.height, gigabytes(blocks.peak).c_str(), gigabytes(blocks.disk).c_str(), scratch_.c_str());
  }

  void predict(MapFolder& maps, const LargeImage& image, const Sizes& sizes, const Blocks& blocks) {
    if (maps.done() > 0)
      std::fprintf(stderr, "basin: %s: continues after %lld of %s\n", name_.c_str(),
                   static_cast<long long>(maps.done()), counted(maps.tiles(), "tile").c_str());
    Progress progress(name_, "network", double(maps.done()) / double(maps.tiles()));
    with_name(name_, [&] {
      SeenImage seen(image, sizes.scale, blocks.band);
      maps.predict(work_.exec, *work_.model.predictor, seen,
                   [&](int64_t done) { progress(double(done) / double(maps.tiles())); });
    });
    lap(&Seconds::network);
    pool_of(work_.exec.device).trim();  // the memory of the network
  }

  /// The labels of the decoded maps in a file, at the size of the image, and the extents of their objects.
  std::vector<ObjectExtent> decoded_labels(const MapFolder& maps, const Sizes& sizes, const Blocks& blocks,
                                           std::unique_ptr<PlaneFile>& labels) {
    const int height = sizes.decoded_height, width = sizes.decoded_width;
    const auto plane = [&](const char* file, int rows, int columns) {
      return std::make_unique<PlaneFile>(scratch_ / file, 1, rows, columns, sizeof(int32_t));
    };
    labels = plane("labels", height, width);
    const std::unique_ptr<PlaneFile> clusters = plane("clusters", height, width);
    Progress progress(name_, "decoding", 0);
    BlockDecoding image{height, width, blocks.window, maps.largest(height, width)};
    image.scale = resizes_maps(method_, sizes.scale) ? 1 / sizes.scale : 1;
    image.maps = [&](const PixelRect& part) { return maps.part(part, height, width); };
    image.clusters = clusters.get(), image.labels = labels.get();
    image.progress = [&](double share) { progress(share); };
    std::vector<ObjectExtent> found = with_name(name_, [&] { return method_.decode_blocks(image); });
    if (!sizes.resizes_labels()) return found;
    std::unique_ptr<PlaneFile> resized = plane("resized", sizes.height, sizes.width);
    found = resize_labels(*labels, height, width, *resized, sizes.height, sizes.width, int(found.size()));
    labels = std::move(resized);
    return found;
  }

  std::string decode(const MapFolder& maps, const LargeImage& image, const Sizes& sizes, const Blocks& blocks) {
    std::unique_ptr<PlaneFile> labels;
    std::vector<ObjectExtent> objects = decoded_labels(maps, sizes, blocks, labels);
    pool_of(Device::cpu).trim();  // the memory of the blocks
    lap(&Seconds::decode);
    std::vector<int64_t> areas;
    for (const ObjectExtent& o : objects)
      areas.push_back(o.area);
    std::vector<std::string> remarks = pixel_size_remark(image.stack(), work_.plan);
    for (std::string& remark : remarks_on(image.brightness(), areas, work_.plan.trained, sizes.scale, work_.plan.norm,
                                          !work_.plan.scale_from_size))
      remarks.push_back(std::move(remark));
    Dropped dropped;
    std::vector<int32_t> numbers = number_kept(work_.plan.filter, sizes.height, sizes.width, objects, dropped);
    const auto count = int(objects.size());
    const LargeLabels numbered(*labels, std::move(numbers), count);
    Progress progress(name_, "objects", 0);
    LargeResults results{image, numbered, std::move(objects), {}, blocks.band, blocks.left, {}};
    results.progress = [&](double share) { progress(share); };
    if (work_.needs_foreground())
      results.foreground = [&](const PixelRect& part) {
        Maps logit;
        logit.tensors[method_.foreground_logit()] =
            maps.part(method_.foreground_logit(), part, sizes.height, sizes.width);
        logit.height = part.height, logit.width = part.width;
        return foreground_probability({}, method_, logit);
      };
    with_name(name_, [&] { write_large_results(work_.save, results, files_); });
    remove_scratch(scratch_);
    lap(&Seconds::write);
    for (const std::string& remark : remarks)
      outcome_.remark(name_, remark);
    if (work_.plan.filter.does_anything()) outcome_.note_dropped(name_, dropped);
    return describe_objects(count, work_.plan.filter, dropped) + describe_scale(work_.plan, sizes.scale);
  }

  /// Adds the time since the last lap to those of a stage.
  void lap(double Seconds::*stage) {
    const double now = clock_seconds();
    outcome_.seconds.*stage += now - std::exchange(mark_, now);
  }

  const Work& work_;
  const Method& method_;
  const fs::path& path_;
  std::string name_;
  const LargePlan& plan_;
  ImageFiles& files_;
  Outcome& outcome_;
  fs::path scratch_;
  bool asked_;  // the user has set the limit
  double mark_ = clock_seconds();
};

}  // namespace

int64_t parse_bytes(const std::string& option, const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit;
  for (const char* c = end; c != text.data() + text.size(); ++c)
    if (*c != ' ') unit += char(std::toupper(static_cast<unsigned char>(*c)));
  if (unit.ends_with('B')) unit.pop_back();
  const double factor = unit == "K" ? 1e3 : unit == "M" ? 1e6 : unit == "G" ? 1e9 : unit == "T" ? 1e12 : unit.empty();
  if (error != std::errc() || factor == 0 || !(number * factor < 1e18))
    refuse(option, ' ', text, ": expected bytes, such as 2G or 500M");
  if (!(number * factor >= 1e6)) refuse(option, ' ', text, ": expected at least 1M, with a unit, such as 2G or 500M");
  return int64_t(number * factor);
}

std::optional<LargePlan> plan_large(const Work& work, const fs::path& path, const StackPlanes& planes,
                                    std::optional<double> found_scale) {
  const int64_t height = planes.stack.height, width = planes.stack.width;
  // Images that are refused as a whole are refused in blocks too.
  if (height <= 0 || width <= 0 || height * width > raster::max_pixels ||
      std::max(height, width) >= kernels::field_side_limit)
    return {};
  const bool asked = work.max_memory > 0;
  const int64_t limit = asked ? work.max_memory : memory_available() / 2;
  if (limit <= 0) return {};
  const double scale = found_scale ? *found_scale : work.plan.finds_scale ? 1 : work.plan.options.scale;
  const Method& method = *work.model.method;
  const Sizes sizes = with_name(path.string(), [&] { return Sizes(method, int(height), int(width), scale); });
  // The network needs as much for its tiles in blocks. Where no limit was set, that alone is no reason for them.
  const int64_t network =
      asked ? network_bytes(method, tile_pixels(method, work.plan.options.tiling, sizes.seen_height, sizes.seen_width))
            : 0;
  constexpr int64_t most_per_channel = 8;
  if (bytes_in_one_piece(method, sizes, most_per_channel * std::max(1, planes.stack.samples)) + network <= limit)
    return {};
  const std::string why = reason_for_whole_image(work);
  if (!why.empty() && !asked) return {};
  LargePlan plan{int(height), int(width), 0, limit, found_scale};
  try {
    const Image first = read_image_part(path, work.choice, {0, 0, 1, 1});
    plan.in_one_piece = bytes_in_one_piece(method, sizes, first.channels * int64_t(size_of(first.type))) + network;
  } catch (const Error&) {
    if (asked) throw;
    return {};
  }
  if (plan.in_one_piece <= limit) return {};
  if (!why.empty())
    refuse(path.string(), ": needs about ", gigabytes(plan.in_one_piece), " of memory, more than --max-memory ",
           gigabytes(limit), ", and cannot be segmented in blocks: ", why);
  return plan;
}

void check_memory(const Work& work, const std::string& name, const StackPlanes& planes, const Image& image,
                  double scale, int64_t available) {
  const bool asked = work.max_memory > 0;
  // On a GPU most of an image in one piece is in the memory of the GPU, and found to be too little there.
  if (!asked && (available <= 0 || work.exec.device != Device::cpu)) return;
  const Method& method = *work.model.method;
  const Sizes sizes = with_name(name, [&] { return Sizes(method, image.height, image.width, scale); });
  const int64_t without_network = bytes_in_one_piece(method, sizes, image.channels * int64_t(size_of(image.type)));
  const int64_t needed = without_network + network_bytes(method, tile_pixels(method, work.plan.options.tiling,
                                                                             sizes.seen_height, sizes.seen_width));
  if (asked ? needed <= work.max_memory : without_network <= available / 2) return;
  const bool has_parts = planes.stack.height > 0;
  std::string why = reason_for_whole_image(work);
  if (planes.count() > 1) why = "planes of a stack are segmented one by one";
  if (!has_parts) why = "its format is read as a whole";
  if (!why.empty()) why = ", and cannot be segmented in blocks: " + why;
  const std::string needs = name + ": needs about " + gigabytes(needed) + " of memory" +
                            (scale == 1 ? "" : fmt::format(" at scale {:g}", scale));
  if (asked)
    refuse(needs, ", more than --max-memory ", gigabytes(work.max_memory), why, advice_on_memory(has_parts, scale));
  if (without_network > available)
    refuse(needs, ", and only ", gigabytes(available), " are free", why, advice_on_memory(has_parts, scale),
           "; --max-memory ", megabytes(needed), "M tries it all the same");
  std::fprintf(stderr, "basin: %s, of %s that are free%s\n", needs.c_str(), gigabytes(available).c_str(), why.c_str());
}

std::optional<std::string> segment_large(const Work& work, const fs::path& path, const LargePlan& plan,
                                         ImageFiles& files, Outcome& outcome) {
  return Segmenting(work, path, plan, files, outcome).run();
}

}  // namespace basin::tools

#include "tools/commands/segment_large.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/files/decoded.h"
#include "data/files/image_parts.h"
#include "engine/clock.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/pool.h"
#include "kernels/flow/integrate.h"
#include "kernels/runtime/isa.h"
#include "models/inference/large_image.h"
#include "models/inference/scale_search.h"
#include "tools/cli/counted.h"
#include "tools/cli/machine.h"
#include "tools/cli/progress.h"
#include "tools/cli/version.h"
#include "tools/results/large_results.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

// Estimates, rounded up; docs/segmentation.md says what an image of 6,000 x 6,000 pixels took.
constexpr int64_t program_bytes = 100'000'000;        // the program and a model
constexpr int64_t bytes_per_decoded_pixel = 72;       // of a window, if all of it is foreground
constexpr int64_t bytes_per_whole_pixel = 29;         // of an image in one piece, apart from the image
constexpr int64_t max_window_pixels = 12'000'000;     // larger ones save little
constexpr int64_t max_band_bytes = 128'000'000;       // rows of the image that are held at a time
constexpr const char* state_name = "state.json";      // in a scratch folder
constexpr int64_t label_bytes = 2 * sizeof(int32_t);  // on disk, per pixel: clusters and labels

std::string gigabytes(int64_t bytes) {
  return bytes < 1'000'000'000 ? fmt::format("{:.0f} MB", std::ceil(double(bytes) / 1e6))
                               : fmt::format("{:.1f} GB", double(bytes) / 1e9);
}

/// Bytes that the network needs while it computes tiles of this many pixels.
int64_t network_bytes(const Method& method, int64_t tile_pixels) {
  const int64_t width = method.config().value("width", 32);
  return tile_pixels * width * 28;
}

std::vector<ExactTile> tiles_of(const Work& work, int height, int width) {
  return exact_tiles(height, width, work.plan.options.tiling, *work.model.predictor->needs_of_exact_tiles());
}

/// Pixels of a tile of an image in one piece.
int64_t tile_pixels(const TilingOptions& o, int64_t pixels) {
  return std::min(pixels, o.tiling == Tiling::fit ? o.max_tile_pixels : int64_t(o.tile) * o.tile);
}

int64_t largest_tile(const std::vector<ExactTile>& tiles) { return tiles.front().seen.pixels(); }

/// Why a run needs the whole image, as part of a sentence; empty if it does not.
std::string reason_for_whole_image(const Work& work) {
  const Method& method = *work.model.method;
  if (const std::string why = method.reason_for_whole_image(); !why.empty()) return why;
  if (!work.model.predictor->needs_of_exact_tiles()) return "the network of " + method.name() + " sees whole images";
  const Tiling tiling = work.plan.options.tiling.tiling;
  if (tiling != Tiling::fit && tiling != Tiling::exact)
    return "--tiling " + to_string(tiling) + " averages tiles of the whole image; use fit or exact";
  if (work.plan.options.tta || method.averages_views()) return "--tta turns the whole image";
  if (!work.plan.finds_scale && work.plan.options.scale != 1)
    return fmt::format("it is scaled by {:g} as a whole; use --scale 1", work.plan.options.scale);
  if (work.plan.filter.fill_holes) return "--fill-holes looks at whole objects";
  const std::set<std::string> possible{"labels", "zarr", "overlay", "outlines"};
  for (const std::string& kind : work.save)
    if (!possible.contains(kind)) return "--save " + kind + " needs it whole; use labels, zarr, overlay or outlines";
  return {};
}

/// What the maps in a scratch folder depend on.
Json scratch_record(const Work& work, const LargeImage& image) {
  return {{"image", image.fingerprint()},
          {"size", {image.width(), image.height()}},
          {"model", work.model_fingerprint},
          {"norm", to_string(work.plan.norm)},
          {"tiling", to_string(work.plan.options.tiling.tiling)},
          {"tile", work.plan.options.tiling.tiling == Tiling::exact ? work.plan.options.tiling.tile : 0},
          {"precision", work.precision},
          {"device", work.exec.device == Device::cpu ? name_of(isa()) : "cuda"},  // each rounds in its own way
          {"program", version_text()}};
}

/// Removes a scratch folder. Its state goes first, so that nothing continues from a folder that was removed in part.
void remove_scratch(const fs::path& scratch) {
  fs::remove(scratch / state_name);
  fs::remove_all(scratch);
}

/// Prepares the scratch folder. Returns whether it holds maps of the same image, model and settings to continue with.
bool prepare_scratch(const fs::path& scratch, const Json& record, bool resume, const std::string& name) {
  const fs::path path = scratch / state_name;
  if (resume && fs::exists(path)) {
    const std::vector<std::byte> bytes = read_file(path);
    const Json found = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (found == record) return true;
    std::string differing;
    for (const auto& [key, value] : record.items())
      if (!found.is_object() || found.value(key, Json()) != value) differing += (differing.empty() ? "" : ", ") + key;
    refuse(name, ": ", scratch.string(), " was begun with other settings (", differing,
           "); repeat these, or start again without --resume");
  }
  remove_scratch(scratch);
  make_folder(scratch);
  write_atomically(path, to_text(record, 2) + '\n');
  return false;
}

/// The bytes that are free on the disk of a folder, which need not exist yet.
int64_t free_disk(fs::path folder) {
  while (!folder.empty() && !fs::exists(folder) && folder != folder.parent_path())
    folder = folder.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(folder.empty() ? "." : folder, error);
  return error ? INT64_MAX : int64_t(std::min<uintmax_t>(space.available, INT64_MAX));
}

/// Where an image whose results begin with `base` keeps its scratch files. Hidden, so that no command takes them for
/// results.
fs::path scratch_folder(const fs::path& base) {
  return base.parent_path() / ('.' + base.filename().string() + ".blocks");
}

/// Bytes on the disk that a folder holds, if there is one.
int64_t bytes_in(const fs::path& folder) {
  int64_t bytes = 0;
  if (!fs::exists(folder)) return bytes;
  for (const auto& entry : fs::directory_iterator(folder)) {
    struct stat found {};
    if (stat(entry.path().c_str(), &found) == 0) bytes += int64_t(found.st_blocks) * 512;
  }
  return bytes;
}

/// The numbers of the objects that a filter keeps, and why it drops the others.
std::vector<int32_t> numbers_of_kept(const ObjectFilter& filter, const std::vector<ObjectExtent>& objects, int height,
                                     int width, Dropped& dropped) {
  std::vector<int32_t> numbers(objects.size() + 1);
  int32_t kept = 0;
  for (size_t k = 0; k < objects.size(); ++k) {
    const ObjectExtent& o = objects[k];
    const bool at_edge = o.y0 == 0 || o.x0 == 0 || o.y1 == height || o.x1 == width;
    if (!count_dropped(filter, at_edge, o.area, dropped)) numbers[k + 1] = ++kept;
  }
  return numbers;
}

}  // namespace

int64_t parse_bytes(const std::string& option, const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit;
  for (const char* c = end; c != text.data() + text.size(); ++c)
    if (*c != ' ') unit += char(std::toupper(static_cast<unsigned char>(*c)));
  if (unit.ends_with('B')) unit.pop_back();
  const double factor = unit == "K" ? 1e3 : unit == "M" ? 1e6 : unit == "G" ? 1e9 : unit == "T" ? 1e12 : unit.empty();
  if (error != std::errc() || factor == 0 || !(number * factor >= 1 && number * factor < 1e18))
    refuse(option, ' ', text, ": expected bytes, such as 2G or 500M");
  return int64_t(number * factor);
}

std::optional<LargePlan> plan_large(const Work& work, const fs::path& path, const StackPlanes& planes) {
  const int64_t height = planes.stack.height, width = planes.stack.width;
  // Images that are refused as a whole are refused in blocks too.
  if (height <= 0 || width <= 0 || height * width > raster::max_pixels ||
      std::max(height, width) >= kernels::field_side_limit)
    return {};
  const bool asked = work.max_memory > 0;
  const int64_t limit = asked ? work.max_memory : memory_available() / 2, pixels = height * width;
  if (limit <= 0) return {};
  // The network needs as much for its tiles in blocks. Where no limit was set, that alone is no reason for them.
  const int64_t network = asked ? network_bytes(*work.model.method, tile_pixels(work.plan.options.tiling, pixels)) : 0;
  constexpr int64_t most_per_channel = 8;
  if (pixels * (bytes_per_whole_pixel + most_per_channel * std::max(1, planes.stack.samples)) + program_bytes +
          network <=
      limit)
    return {};
  const std::string why = reason_for_whole_image(work);
  if (!why.empty() && !asked) return {};
  LargePlan plan{int(height), int(width), 0, limit};
  try {
    const Image first = read_image_part(path, work.choice, {0, 0, 1, 1});
    plan.in_one_piece =
        pixels * (bytes_per_whole_pixel + first.channels * int64_t(size_of(first.type))) + program_bytes + network;
  } catch (const Error&) {
    if (asked) throw;
    return {};
  }
  if (plan.in_one_piece <= limit) return {};
  if (!why.empty())
    refuse(path.string(), ": needs about ", gigabytes(plan.in_one_piece), ", more than --max-memory ", gigabytes(limit),
           ", and cannot be segmented in blocks: ", why);
  return plan;
}

std::optional<std::string> segment_large(const Work& work, const fs::path& path, const LargePlan& plan,
                                         ImageFiles& files, Outcome& outcome) {
  const std::string name = path.string();
  const Method& method = *work.model.method;
  const int64_t pixels = int64_t(plan.height) * plan.width;
  const std::vector<ExactTile> tiles = tiles_of(work, plan.height, plan.width);
  // What is left beside the program, and beside what is known of each object.
  const int64_t objects = pixels / 200 * 40, fixed = program_bytes + objects;
  const int64_t band = std::min(max_band_bytes, std::max<int64_t>(0, plan.limit - fixed) / 16);
  const int64_t network = network_bytes(method, largest_tile(tiles)) + 2 * band;
  const int64_t window =
      std::min(max_window_pixels, std::max<int64_t>(0, plan.limit - fixed) / bytes_per_decoded_pixel);
  const int64_t peak = fixed + std::max(network, window * bytes_per_decoded_pixel);
  const bool asked = work.max_memory > 0;
  if (fixed + network > plan.limit && !asked) return {};
  if (fixed + network > plan.limit)
    refuse(name, ": ", gigabytes(plan.limit), " are too little to segment it in blocks; ", gigabytes(fixed + network),
           " suffice", largest_tile(tiles) > 256 * 256 ? ", and fewer with --tiling exact --tile 256" : "");
  const fs::path scratch = scratch_folder(files.path(""));
  const int64_t disk = pixels * (MapFolder::bytes_per_pixel(method) + label_bytes + 2);

  Seconds& seconds = outcome.seconds;
  double mark = clock_seconds();
  const auto lap = [&] { return clock_seconds() - std::exchange(mark, clock_seconds()); };
  const LargeImage image([&](const PixelRect& part) { return read_image_part(path, work.choice, part); }, plan.height,
                         plan.width, method.sample_spec().channels, work.plan.norm, name, band);
  seconds.read += lap();
  if (work.plan.finds_scale) {
    const FoundScale found = with_name(
        name, [&] { return find_scale(work.exec, method, *work.model.predictor, image, *work.plan.trained, band); });
    seconds.scale += lap();
    if (found.scale != 1 && !asked) return {};
    if (found.scale != 1)
      refuse(name,
             fmt::format(": looks best at scale {:g}, but in blocks it can only be segmented at scale 1; give ",
                         found.scale),
             "--scale 1 for that, or resize the image");
    outcome.note_scale(name, found);
  }
  outcome.notes.add(name, image.notes());
  outcome.converted += image.raw_part({0, 0, 1, 1}).channels != image.channels();

  // What an earlier run has left there is used again, or removed.
  const int64_t available = free_disk(scratch) + bytes_in(scratch);
  if (available < disk && !asked) return {};
  if (available < disk)
    refuse(name, ": segmenting it in blocks needs ", gigabytes(disk), " of disk in ", scratch.string(), ", and only ",
           gigabytes(available), " are free");
  std::fprintf(
      stderr,
      "basin: %s: %d x %d pixels would need %s of memory in one piece, and may use %s, so they are segmented in "
      "%s of %d x %d pixels, with at most %s of memory and %s of disk in %s\n",
      name.c_str(), plan.width, plan.height, gigabytes(plan.in_one_piece).c_str(), gigabytes(plan.limit).c_str(),
      counted(int64_t(tiles.size()), "tile").c_str(), tiles[0].seen.width, tiles[0].seen.height,
      gigabytes(peak).c_str(), gigabytes(disk).c_str(), scratch.c_str());
  const bool resumed = prepare_scratch(scratch, scratch_record(work, image), work.resume, name);
  MapFolder maps(scratch, method, plan.height, plan.width, tiles, resumed);
  if (maps.done() > 0)
    std::fprintf(stderr, "basin: %s: continues after %lld of %s\n", name.c_str(), static_cast<long long>(maps.done()),
                 counted(maps.tiles(), "tile").c_str());
  Progress network_progress(name, "network", double(maps.done()) / double(maps.tiles()));
  with_name(name, [&] {
    maps.predict(work.exec, *work.model.predictor, image, band,
                 [&](int64_t done) { network_progress(double(done) / double(maps.tiles())); });
  });
  seconds.network += lap();
  pool_of(work.exec.device).trim();  // the memory of the network

  PlaneFile clusters(scratch / "clusters", 1, plan.height, plan.width, sizeof(int32_t));
  PlaneFile labels(scratch / "labels", 1, plan.height, plan.width, sizeof(int32_t));
  Progress decoding_progress(name, "decoding", 0);
  BlockDecoding blocks{plan.height, plan.width, window, maps.largest()};
  blocks.maps = [&](const PixelRect& part) { return maps.part(part); };
  blocks.clusters = &clusters, blocks.labels = &labels;
  blocks.progress = [&](double share) { decoding_progress(share); };
  const std::vector<ObjectExtent> found = with_name(name, [&] { return method.decode_blocks(blocks); });
  seconds.decode += lap();

  Dropped dropped;
  std::vector<int32_t> numbers = numbers_of_kept(work.plan.filter, found, plan.height, plan.width, dropped);
  std::vector<int64_t> areas;
  for (const ObjectExtent& o : found)
    areas.push_back(o.area);
  const int count = int(int64_t(found.size()) - dropped.total());
  write_large_results(work.save, image, LargeLabels(labels, std::move(numbers), count), band, files);
  remove_scratch(scratch);
  seconds.write += lap();
  for (const std::string& remark : remarks_on(image.brightness(), areas, work.plan.trained, 1, work.plan.norm))
    outcome.remark(name, remark);
  if (work.plan.filter.does_anything()) outcome.note_dropped(name, dropped);
  return describe_objects(count, work.plan.filter, dropped) + (work.plan.finds_scale ? ", scale 1" : "");
}

}  // namespace basin::tools

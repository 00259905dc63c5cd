#include "tools/segmentation/segment_large.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "data/files/image_parts.h"
#include "engine/clock.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/pool.h"
#include "engine/ranks/ranks.h"
#include "engine/text.h"
#include "kernels/runtime/isa.h"
#include "models/inference/map_folder.h"
#include "models/inference/scale_search.h"
#include "models/inference/seen_image.h"
#include "tools/cli/counted.h"
#include "tools/cli/progress.h"
#include "tools/cli/version.h"
#include "tools/results/large_labels.h"
#include "tools/results/scratch_folder.h"
#include "tools/segmentation/large_outputs.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

/// What the maps in a scratch folder depend on.
Json scratch_record(const Work& work, const LargeImage& image, double scale) {
  return {{"image", image.fingerprint()},
          {"size", {image.width(), image.height()}},
          {"scale", fmt::format("{}", scale)},
          {"model", work.model_fingerprint},
          {"norm", to_string(work.plan.norm)},
          {"tiling", to_string(work.plan.options.tiling.tiling)},
          {"tile", work.plan.options.tiling.tiling == Tiling::exact ? work.plan.options.tiling.tile : 0},
          {"views", sees_views(work)},
          {"precision", work.precision},
          {"device", work.exec.device == Device::cpu ? name_of(isa()) : "cuda"},  // each rounds in its own way
          {"program", version_text()}};
}

/// The segmentation of one image in blocks, stage by stage.
class Segmenting {
 public:
  Segmenting(const Work& work, const fs::path& path, const LargePlan& plan, Ranks* ranks, ImageFiles& files,
             Outcome& outcome)
      : work_(work),
        method_(*work.model.method),
        path_(path),
        name_(path.string()),
        plan_(plan),
        ranks_(ranks),
        files_(files),
        outcome_(outcome),
        scratch_(scratch_folder(files.path(""))),
        asked_(work.max_memory > 0) {}

  std::optional<std::string> run() {
    const bool searches = work_.plan.finds_scale && !plan_.scale;
    std::optional<Layout> layout = layout_at(plan_.scale ? *plan_.scale : searches ? 1 : work_.plan.options.scale);
    if (!layout) return {};
    std::optional<LargeImage> image;
    bool converts = false;  // between grey and RGB
    do_on_all(ranks_, [&] {
      image.emplace([&](const PixelRect& part) { return read_image_part(path_, work_.choice, part); }, plan_.height,
                    plan_.width, method_.sample_spec().channels, work_.plan.norm, name_, layout->blocks.band);
      converts = image->raw_part({0, 0, 1, 1}).channels != image->channels();
    });
    lap(&Seconds::read);
    std::optional<FoundScale> found;
    if (searches) {
      do_on_all(ranks_, [&] {
        found = with_name(name_, [&] {
          return find_scale(work_.exec, method_, *work_.model.predictor, *image, *work_.plan.trained,
                            layout->blocks.band);
        });
      });
      lap(&Seconds::scale);
      found->scale = value_of_first(ranks_, found->scale);
      layout = layout_at(found->scale);
      if (!layout) return {};
    }
    const auto& [sizes, blocks] = *layout;
    if (!has_disk(blocks)) return {};
    if (is_first(ranks_)) {
      if (found) outcome_.note_scale(name_, *found);
      outcome_.notes.add(name_, image->notes());
      outcome_.converted += converts;
      print_plan(sizes, blocks);
    }
    const Json record = scratch_record(work_, *image, sizes.scale);
    check_same(record);
    std::optional<FolderLock> lock;
    do_on_all(ranks_, [&] {
      if (!is_first(ranks_)) return;
      if (!lock.emplace(scratch_).held())
        refuse(name_, ": another run is segmenting it, with its intermediate results in ", scratch_.string());
      resumed_ = prepare_scratch(scratch_, record, work_.resume, name_);
    });
    resumed_ = value_of_first(ranks_, resumed_);
    const std::string objects = predict_and_decode(*image, sizes, blocks);
    do_on_all(ranks_, [] {});  // until no rank has its files open
    do_on_all(ranks_, [&] {
      if (is_first(ranks_)) remove_scratch(scratch_);
    });
    return objects;
  }

 private:
  struct Layout {
    LargeSizes sizes;
    LargeBlocks blocks;
  };
  /// The blocks at a scale. Nothing if the memory does not suffice; throws if the user has set the limit.
  std::optional<Layout> layout_at(double scale) const {
    std::optional<Layout> layout;
    do_on_all(ranks_, [&] {
      const LargeSizes sizes = with_name(name_, [&] { return LargeSizes(method_, plan_.height, plan_.width, scale); });
      const LargeBlocks blocks(work_, sizes, plan_.limit);
      if (blocks.needed <= plan_.limit)
        layout = {sizes, blocks};
      else if (asked_)
        refuse(name_, ": ", plan_.limit / 1'000'000, " MB are not enough to segment it in blocks; ",
               megabytes(blocks.enough_memory(work_, plan_)), " MB suffice",
               blocks.tiles.front().tile.seen.pixels() > 256 * 256 ? ", and less with --tiling exact --tile 256" : "");
    });
    return layout;
  }
  /// Whether the disk suffices. Throws if it does not and the user has set the limit of the memory.
  bool has_disk(const LargeBlocks& blocks) const {
    bool has = false;
    do_on_all(ranks_, [&] {
      if (!is_first(ranks_)) return;
      const int64_t available = room_for(scratch_);
      has = available >= blocks.disk;
      if (!has && asked_)
        refuse(name_, ": segmenting it in blocks needs ", in_bytes(blocks.disk), " of disk in ", scratch_.string(),
               ", but only ", in_bytes(available), " are free");
    });
    return value_of_first(ranks_, has);
  }
  /// Throws if a rank would compute something else than rank 0, for example from another file with the same name.
  void check_same(const Json& record) const {
    if (!ranks_) return;
    const std::vector<std::string> all = ranks_->gather_texts(to_text(record));
    do_on_all(ranks_, [&] {
      const Json first = parse_json(all[0]);
      for (size_t r = 1; r < all.size(); ++r) {
        const Json other = parse_json(all[r]);
        std::string differing;
        for (const auto& [key, value] : first.items())
          if (other[key] != value) add_to_list(differing, key);
        if (!differing.empty()) refuse(name_, ": rank ", r, " has another ", differing, " than rank 0");
      }
    });
  }

  void print_plan(const LargeSizes& sizes, const LargeBlocks& blocks) const {
    const std::string tiles =
        counted(int64_t(blocks.tiles.size()), "tile") + (sees_views(work_) ? " of its eight views," : "");
    const std::string scaled = sizes.scale == 1 ? ""
                                                : fmt::format(" at scale {:g}, {} x {} pixels,", sizes.scale,
                                                              sizes.seen_width, sizes.seen_height);
    const std::string why = ranks_ ? fmt::format("are shared by {} ranks, and", ranks_->count())
                                   : fmt::format("would need {} of memory in one piece, but may use {}, so they are",
                                                 in_bytes(plan_.in_one_piece), in_bytes(plan_.limit));
    std::fprintf(stderr,
                 "basin: %s: %d x %d pixels %s segmented%s in %s of %d x %d pixels, with at most %s of memory%s and %s "
                 "of disk in %s\n",
                 name_.c_str(), sizes.width, sizes.height, why.c_str(), scaled.c_str(), tiles.c_str(),
                 blocks.tiles[0].tile.seen.width, blocks.tiles[0].tile.seen.height, in_bytes(blocks.peak).c_str(),
                 ranks_ ? " for each" : "", in_bytes(blocks.disk).c_str(), scratch_.c_str());
  }

  std::string predict_and_decode(const LargeImage& image, const LargeSizes& sizes, const LargeBlocks& blocks) {
    MapFolder maps(scratch_, method_, sizes.seen_height, sizes.seen_width, blocks.tiles, resumed_, ranks_);
    predict(maps, image, sizes, blocks);
    return decode(maps, image, sizes, blocks);
  }

  void predict(MapFolder& maps, const LargeImage& image, const LargeSizes& sizes, const LargeBlocks& blocks) {
    if (maps.done() > 0 && is_first(ranks_))
      std::fprintf(stderr, "basin: %s: continues after %lld of %s\n", name_.c_str(),
                   static_cast<long long>(maps.done()), counted(maps.tiles(), "tile").c_str());
    Progress progress(name_, "network", double(maps.done()) / double(maps.tiles()));
    with_name(name_, [&] {
      SeenImage seen(image, sizes.scale, blocks.band);
      maps.predict(work_.exec, *work_.model.predictor, seen, [&](int64_t done) {
        if (is_first(ranks_)) progress(double(done) / double(maps.tiles()));
      });
    });
    lap(&Seconds::network);
    pool_of(work_.exec.device).trim();  // the memory of the network
  }

  /// Describes everything but the maps that decoded blocks depend on.
  std::string decoding_key(const LargeBlocks& blocks) const {
    return to_text(Json{{"method", method_.config()}, {"window", blocks.window}});
  }

  /// The labels of the decoded maps in a file, at the size of the image, and the extents of their objects.
  std::vector<ObjectExtent> decoded_labels(const MapFolder& maps, const LargeSizes& sizes, const LargeBlocks& blocks,
                                           std::unique_ptr<PlaneFile>& labels) {
    const int height = sizes.decoded_height, width = sizes.decoded_width;
    const auto plane = [&](const char* file, int rows, int columns, bool keep) {
      return std::make_unique<PlaneFile>(scratch_ / file, 1, rows, columns, sizeof(int32_t), keep);
    };
    std::unique_ptr<PlaneFile> clusters;
    SharedRecords records(scratch_ / "decoding", decoding_key(blocks), resumed_, ranks_,
                          [&] { clusters->flush(), labels->flush(); });
    // Without records the file of clusters may be incomplete: an earlier run may have been stopped before it wrote it.
    bool kept = !records.records().empty();
    do_first_on_one(ranks_, [&] {
      const bool keep = kept || !is_first(ranks_);
      labels = plane("labels", height, width, keep), clusters = plane("clusters", height, width, keep);
      kept = labels->kept() && clusters->kept();
    });
    if (!value_of_first(ranks_, kept)) records.restart();
    std::optional<Progress> progress;
    BlockDecoding image{height, width, blocks.window, maps.largest(height, width)};
    image.scale = resizes_maps(method_, sizes.scale) ? 1 / sizes.scale : 1;
    image.maps = [&](const PixelRect& part) { return maps.part(part, height, width); };
    image.clusters = clusters.get(), image.labels = labels.get(), image.records = &records, image.ranks = ranks_;
    image.progress = [&](double share) {
      if (!is_first(ranks_)) return;
      if (!progress) {
        progress.emplace(name_, "decoding", share);
        if (share > 0)
          std::fprintf(stderr, "basin: %s: decoding continues after %.0f %%\n", name_.c_str(), 100 * share);
      }
      (*progress)(share);
    };
    std::vector<ObjectExtent> found = with_name(name_, [&] { return method_.decode_blocks(image); });
    if (!is_first(ranks_)) return {};
    if (!sizes.resizes_labels()) return found;
    std::unique_ptr<PlaneFile> resized = plane("resized", sizes.height, sizes.width, false);
    found = resize_labels(*labels, height, width, *resized, sizes.height, sizes.width, int(found.size()));
    labels = std::move(resized);
    return found;
  }

  std::string decode(const MapFolder& maps, const LargeImage& image, const LargeSizes& sizes,
                     const LargeBlocks& blocks) {
    std::unique_ptr<PlaneFile> labels;
    std::vector<ObjectExtent> objects = decoded_labels(maps, sizes, blocks, labels);
    pool_of(Device::cpu).trim();  // the memory of the blocks
    lap(&Seconds::decode);
    std::string found;
    do_on_all(ranks_, [&] {
      if (is_first(ranks_)) found = write(maps, image, sizes, blocks, std::move(labels), std::move(objects));
    });
    return found;
  }

  std::string write(const MapFolder& maps, const LargeImage& image, const LargeSizes& sizes, const LargeBlocks& blocks,
                    std::unique_ptr<PlaneFile> labels, std::vector<ObjectExtent> objects) {
    std::vector<int64_t> areas;
    for (const ObjectExtent& o : objects)
      areas.push_back(o.area);
    std::vector<std::string> remarks = pixel_size_remark(image.stack(), work_.plan);
    for (std::string& remark : remarks_on(image.brightness(), areas, work_.plan.trained, sizes.scale, work_.plan.norm,
                                          !work_.plan.scale_from_size))
      remarks.push_back(std::move(remark));
    const LargeKept kept = with_name(name_, [&] {
      LargeFound found{path_, scratch_, sizes, blocks, image, maps, std::move(labels), std::move(objects)};
      return write_large_outputs(work_, std::move(found), files_, outcome_.notes);
    });
    lap(&Seconds::write);
    for (const std::string& remark : remarks)
      outcome_.remark(name_, remark);
    if (work_.plan.filter.does_anything()) outcome_.note_dropped(name_, kept.dropped);
    return describe_objects(kept.objects, work_.plan.filter, kept.dropped) + describe_scale(work_.plan, sizes.scale);
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
  Ranks* ranks_;
  ImageFiles& files_;
  Outcome& outcome_;
  fs::path scratch_;
  bool asked_;            // the user has set the limit
  bool resumed_ = false;  // there are scratch files to continue with
  double mark_ = clock_seconds();
};

}  // namespace

std::optional<std::string> segment_large(const Work& work, const fs::path& path, const LargePlan& plan, Ranks* ranks,
                                         ImageFiles& files, Outcome& outcome) {
  return Segmenting(work, path, plan, ranks, files, outcome).run();
}

}  // namespace basin::tools

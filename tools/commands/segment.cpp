#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/ranks/ranks.h"
#include "engine/text.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/run_json.h"
#include "tools/cli/segmentation_options.h"
#include "tools/cli/shipped_models.h"
#include "tools/results/object_tables.h"
#include "tools/results/run_record.h"
#include "tools/results/shards.h"
#include "tools/segmentation/segment_batch.h"
#include "tools/segmentation/segment_image.h"
#include "tools/segmentation/segment_large.h"
#include "tools/segmentation/segment_work.h"
#include "tools/segmentation/shared_batch.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct SegmentArguments {
  Common common;
  std::vector<std::string> inputs, save{"labels", "overlay"};
  std::string model, out, shard, max_memory;
  std::optional<double> stitch;
  SegmentationOptions segmentation;
  PlaneChoice choice;
  bool recursive = false, skip_existing = false, resume = false, tiff = false;
};

/// Throws if --save names something that the method does not produce.
void check_kinds(const std::set<std::string>& save, const Method& method) {
  std::vector<std::string> known;
  for (const Saver& saver : savers())
    if (can_save(saver, method)) known.push_back(saver.kind);
  known.push_back("table");
  for (const MapSpec& map : method.maps())
    known.push_back(map.name);
  for (const std::string& kind : save)
    if (std::find(known.begin(), known.end(), kind) == known.end())
      refuse("--save ", kind, ": models of the method ", method.name(), " can save ", joined(known));
}

/// Reads the options into what the segmentation of every image needs.
Work prepare(const SegmentArguments& o, const fs::path& model_path) {
  Work work;
  work.exec = make_exec(o.common);
  work.model = load_model(model_path, work.exec);
  resolve_setting("model", model_path.string());
  const Method& method = *work.model.method;
  work.plan = o.segmentation.plan(*work.model.method, work.model.info, o.model);
  work.save = {o.save.begin(), o.save.end()};
  check_kinds(work.save, method);
  const bool saves_objects = work.save.contains("labels") || work.save.contains("instances");
  if (work.save.contains("scores") && !saves_objects)
    refuse("--save scores: the scores are those of the objects in another file; save it too: --save labels,scores",
           method.may_share_pixels() ? " or --save instances,scores" : "");
  if (work.save.contains("table")) work.save.insert("csv");
  if (saves_objects && method.gives_scores()) work.save.insert("scores");
  work.tiff = o.tiff;
  work.choice = o.choice;
  work.stitch = o.stitch;
  if (!o.max_memory.empty()) work.max_memory = parse_bytes("--max-memory", o.max_memory);
  work.resume = o.resume;
  if (const Ranks* const ranks = ranks_of_run()) work.ranks = ranks->count(), work.processes = ranks->count_here();
  work.model_fingerprint = fingerprint_of_file(model_path);
  if (work.exec.precision == Precision::bf16 && !method.supports_bfloat16()) {
    std::fprintf(stderr, "basin: --precision bf16 is not used: the network of %s computes in fp32\n",
                 method.name().c_str());
    work.exec.precision = Precision::fp32;
    resolve_setting("precision", name_of(work.exec.precision));
  }
  work.precision = name_of(work.exec.precision);
  for (const std::string& unused : o.segmentation.unused_options(method))
    std::fprintf(stderr, "basin: %s\n", unused.c_str());
  if (work.model.info.contains("source"))  // a checkpoint that Basin did not write
    std::fprintf(stderr, "basin: %s: contains no settings; uses the method's default normalisation (%s) and decoding\n",
                 o.model.c_str(), to_string(method.sample_spec().normalisation).c_str());
  return work;
}

/// Whether the existing results of an image can be kept. Damaged ones are reported and not kept. If results contradict
/// each other, one of them may have been edited: they are kept, and the image is noted as failed.
bool keeps_results(const fs::path& base, const ImageFile& image, const Endings& endings, Outcome& outcome) {
  const ResultFault fault = fault_of_results(base, endings);
  if (!fault.contradiction.empty())
    outcome.fail(image.path, (fault.contradiction + "; remove the one that is wrong, and run this again").c_str());
  if (!fault.damage.empty())
    std::fprintf(stderr, "basin: %s; %s is segmented again\n", fault.damage.c_str(), image.path.c_str());
  return fault.damage.empty();
}

/// Prepares the output folder, and returns the images that are to be segmented: all of the batch, or with
/// --skip-existing those that are not done. `settings`: what run.json contains besides the options of the command; the
/// time since which the results in the folder have these settings is added.
std::vector<ImageFile> prepare_folder(const SegmentArguments& o, const Work& work, const Batch& batch, Json& settings,
                                      Outcome& outcome) {
  const fs::path out = o.out;
  if (o.skip_existing && fs::exists(out / "run.json")) read_record(out / "run.json");  // throws if it is damaged
  const bool filled = filled_before(out);
  for (const ImageFile& image : batch.images)
    keep_labels(image.stem, out, filled, work.save, true);
  std::optional<EarlierResults> earlier;
  if (o.skip_existing && filled) earlier = earlier_results(out, batch.shard, run_record(settings));
  const Endings endings = result_endings(work.save, work.tiff);
  std::vector<ImageFile> images;
  int64_t since = earlier ? earlier->since : 0;  // the time since which results in the folder are valid; 0: from now on
  for (const ImageFile& image : batch.images) {
    const fs::path base = out / image.stem;
    // Results are not older than their image.
    if (earlier && is_done(base, endings, std::max(earlier->since, time_of(image.path)))) {
      if (const std::optional<fs::path> other = earlier->other_image(image)) {
        std::fprintf(stderr, "basin: %s: the results with this name in %s are those of %s and are replaced\n",
                     image.path.c_str(), o.out.c_str(), other->c_str());
        since = 0;  // the folder has results of other images: if this run is interrupted, the next one keeps none
      } else if (keeps_results(base, image, endings, outcome)) {
        continue;
      }
    }
    images.push_back(image);
  }
  make_folder(out);
  // If this run is killed, the next one needs this record to recognise the results in the folder.
  const fs::path record = out / shard_file("run", ".json", batch.shard);
  if (since > 0) {
    Json others = Json::array();
    for (const Json& inputs : earlier->inputs)
      if (inputs != inputs_of(run_record(Json::object()))) others.push_back(inputs);
    if (!others.empty()) settings[earlier_inputs_key] = others;
  }
  Json unfinished = settings;
  if (since > 0) unfinished[since_key] = since;
  unfinished["finished"] = false;
  write_run_json(record, std::move(unfinished));
  settings[since_key] = since > 0 ? since : time_of(record);
  return images;
}

void print_times(const Outcome& outcome, bool finds_scale) {
  const Seconds& s = outcome.seconds;
  const std::string scale_time = finds_scale ? fmt::format("scale {:.3f} s, ", s.scale) : "";
  std::printf("%s: read %.3f s, %snetwork %.3f s, decode %.3f s, write %.3f s\n",
              counted(int64_t(outcome.done), "image").c_str(), s.read, scale_time.c_str(), s.network, s.decode,
              s.write);
}

/// Segments images into a folder.
class Segmenter {
 public:
  Segmenter(const Work& work, fs::path out, Outcome& outcome)
      : work_(work), out_(std::move(out)), outcome_(outcome), folders_{out_} {}

  /// Segments an image. `for_all_ranks`: see segment_image().
  void segment(const ImageFile& image, std::optional<LargePlan>* for_all_ranks = nullptr) {
    attempt(outcome_, image.path, [&] {
      make_folder_of(image);
      ImageFiles files(out_ / image.stem);
      const std::string found = segment_image(work_, image.path, files, outcome_, for_all_ranks);
      if (!for_all_ranks || !*for_all_ranks) report(image, found);
    });
  }

  /// Segments images that the ranks share: most images by one rank each, large ones by all of them together.
  void segment_on(Ranks& ranks, const std::vector<ImageFile>& images) {
    struct Large {
      int64_t image;
      LargePlan plan;
    };
    std::vector<Large> large;
    ranks.share(int64_t(images.size()), [&](int64_t k) {
      std::optional<LargePlan> plan;
      segment(images[size_t(k)], &plan);
      if (plan) large.push_back({k, *plan});
    });
    large = gather_elements(&ranks, large);
    std::sort(large.begin(), large.end(), [](const Large& a, const Large& b) { return a.image < b.image; });
    for (const Large& l : large)
      segment_together(ranks, images[size_t(l.image)], l.plan);
  }

 private:
  void segment_together(Ranks& ranks, const ImageFile& image, LargePlan plan) {
    for (const int64_t limit : gather_elements(&ranks, std::vector<int64_t>{memory_limit(work_)}))
      plan.limit = std::min(plan.limit, limit);
    std::optional<std::string> found;
    try {
      do_on_all(&ranks, [&] {
        if (is_first(&ranks)) make_folder_of(image);
      });
      ImageFiles files(out_ / image.stem);
      found = segment_large(work_, image.path, plan, &ranks, files, outcome_);
    } catch (const JointError& e) {  // any other error ends the run of all ranks
      if (is_first(&ranks)) outcome_.fail(image.path, e.what());
      return;
    }
    if (!is_first(&ranks)) return;
    if (found)
      report(image, *found);
    else
      segment(image);
  }

  /// Makes the folder of an image's results, unless that was done for another image.
  void make_folder_of(const ImageFile& image) {
    if (const fs::path folder = (out_ / image.stem).parent_path(); folders_.insert(folder).second) make_folder(folder);
  }
  void report(const ImageFile& image, const std::string& found) {
    std::printf("%s: %s\n", image.path.string().c_str(), found.c_str());
    std::fflush(stdout);
    ++outcome_.done;
  }

  const Work& work_;
  fs::path out_;
  Outcome& outcome_;
  std::set<fs::path> folders_;  // that exist
};

/// Segments the images, or if this run has several ranks, those of rank 0 on all of them.
void segment_images(const Work& work, const fs::path& out, const std::vector<ImageFile>& images, Outcome& outcome) {
  Segmenter segmenter(work, out, outcome);
  Ranks* const ranks = ranks_of_run();
  if (!ranks) {
    for (const ImageFile& image : images)
      segmenter.segment(image);
    return;
  }
  const std::vector<ImageFile> shared = share_images(*ranks, images);
  ranks->write_messages();
  segmenter.segment_on(*ranks, shared);
  if (ranks->rank() > 0) report_notes(outcome.notes.lines());
  join_outcomes(*ranks, images, outcome);
  set_ranks_of_run(nullptr);
}

/// Throws unless this run can be that of several ranks.
void check_run_on_ranks(Ranks& ranks, const Work& work, const Shard& shard) {
  if (!shard.is_whole) refuse("--shard: the ranks share the images already; leave it out");
  if (work.exec.device != Device::cpu) refuse("several ranks segment on the CPU: give --device cpu");
  check_ranks(ranks, work);
}

void run(const SegmentArguments& o) {
  explain_interrupt(
      "the results of finished images are complete; the same command with --skip-existing --resume does the others");
  const Shard shard = parse_shard(o.shard);
  const fs::path model_path = model_file(o.model), out = o.out;
  const Work work = prepare(o, model_path);
  const Method& method = *work.model.method;
  Outcome outcome;
  Ranks* const ranks = ranks_of_run();
  if (ranks) {
    check_run_on_ranks(*ranks, work, shard);
    if (ranks->rank() > 0) return segment_images(work, out, {}, outcome);
  }
  const Batch batch = plan_batch(o.inputs, o.recursive, shard, outcome);
  if (batch.images_of_all_shards == 0) refuse_failed(outcome.failed, outcome.failed.size());
  Json settings{
      {"model_fingerprint", work.model_fingerprint}, {"config", method.config()}, {"norm", to_string(work.plan.norm)}};
  const size_t failed_before = outcome.failed.size();
  const std::vector<ImageFile> images = prepare_folder(o, work, batch, settings, outcome);
  const size_t skipped = batch.images.size() - images.size() - (outcome.failed.size() - failed_before);
  if (skipped > 0)
    std::printf("%s skipped because of complete results in %s\n", counted(int64_t(skipped), "image").c_str(),
                o.out.c_str());
  segment_images(work, out, images, outcome);
  report_notes(outcome.notes.lines());
  report_converted(outcome.converted, method.sample_spec().channels);
  if (outcome.done > 0) print_times(outcome, work.plan.finds_scale);
  if (work.save.contains("table"))
    join_object_tables(out, batch.stems_without(outcome.failed), out / shard_file("objects", ".csv", shard));
  const Seconds& s = outcome.seconds;
  Json seconds{{"read", s.read}, {"network", s.network}, {"decode", s.decode}, {"write", s.write}};
  if (work.plan.finds_scale) seconds["scale"] = s.scale;
  Json record{{"images", outcome.done},     {"converted", outcome.converted}, {"failed", outcome.failed},
              {"remarks", outcome.remarks}, {"scales", outcome.scales},       {"dropped", outcome.dropped}};
  record.update(settings);
  record["seconds"] = seconds;
  if (o.skip_existing) record["skipped"] = skipped;
  if (ranks) record["ranks"] = ranks->count();
  if (!shard.is_whole) record["shard_of"] = shard_record(batch);
  write_run_json(out / shard_file("run", ".json", shard), std::move(record));
  if (!outcome.failed.empty()) refuse_failed(outcome.failed, outcome.failed.size() + outcome.done + skipped);
}

}  // namespace

void add_segment(Command& program) {
  Command command = program.subcommand("segment", "segment images with a trained model");
  auto o = std::make_shared<SegmentArguments>();
  command.add("INPUT", o->inputs, "images, or folders of images").required();
  command.add("--model", o->model, "a .safetensors file, or a name that `basin models` lists").model().required();
  command.add("--out", o->out, "output folder").required();
  command.flag("--recursive", o->recursive,
               "search the folders below the given ones too; results are laid out like the images");
  command.flag("--skip-existing", o->skip_existing, "leave out images whose results in --out are complete");
  command.add("--shard", o->shard,
              "I/N: only every N-th image, from the I-th on, so that N runs with the same arguments share the work; "
              "`basin merge` then joins their records and tables");
  command
      .add("--save", o->save,
           "what to write: labels (with scores if the method gives them), scores (of the objects, by which "
           "`evaluate` ranks them), instances (a mask for each object, of methods whose objects may "
           "share "
           "pixels), zarr and ome (labels as OME-Zarr and OME-TIFF), overlay, outlines, rois (ImageJ), geojson "
           "(QuPath), csv (measurements), "
           "table (those of all images in one file), npy (Cellpose), probability (of methods that compute it), flow "
           "(the "
           "vector field as a picture), and maps of the network such as field and logit")
      .list()
      .shown();
  command.flag("--tiff", o->tiff, "write label images as TIFF, with the pixel size of the image, instead of PNG");
  o->segmentation.add_to(command);
  command.add("--max-memory", o->max_memory,
              "memory that an image may need, such as 2G; TIFF and OME-Zarr images that need more are segmented in "
              "blocks, with the same results, at any scale; default: half of what is free");
  command.flag("--resume", o->resume, "continue images that were segmented in blocks when an earlier run was stopped");
  add_plane_options(command, o->choice);
  command
      .add(
          "--stitch", o->stitch,
          "stacks: objects of neighbouring planes whose intersection over union is at least this get one number, along "
          "Z, or along T where there is no Z; default: the objects of each plane are numbered from 1")
      .above(0, 1);
  add_precision_option(command, o->common);
  add_device_options(command, o->common);
  command.runs_on_ranks();
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

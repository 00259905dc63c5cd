#include "tools/segmentation/segment_image.h"

#include <fmt/format.h>

#include "data/arrays/npy.h"
#include "engine/clock.h"
#include "tools/cli/machine.h"
#include "tools/cli/progress.h"
#include "tools/results/scratch_folder.h"
#include "tools/segmentation/segment_large.h"
#include "tools/segmentation/segment_work.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

void save_map(const Exec& exec, const fs::path& path, const Tensor& map) {
  const Tensor here = map.to_host(exec);
  write_npy(path, {map.dim(0), map.dim(1), map.dim(2)}, here.data<const float>());
}

std::optional<Source> read(const Work& work, const fs::path& path, Seconds& seconds) {
  const double start = clock_seconds();
  std::optional<Source> source(std::in_place, read_image(path, work.choice), work.model.method->sample_spec().channels,
                               work.plan.norm, path.string());
  seconds.read += clock_seconds() - start;
  return source;
}

}  // namespace

double find_scale_of(const Work& work, const std::string& name, const Source& source, Outcome& outcome) {
  const double start = clock_seconds();
  const FoundScale found = with_name(name, [&] {
    return find_scale(work.exec, *work.model.method, *work.model.predictor, source, *work.plan.trained);
  });
  outcome.seconds.scale += clock_seconds() - start;
  outcome.note_scale(name, found);
  return found.scale;
}

std::string describe_scale(const SegmentationPlan& plan, double scale) {
  return plan.finds_scale || plan.scale_from_size ? fmt::format(", scale {:.3g}", scale) : "";
}

std::string segment_image(const Work& work, const fs::path& path, ImageFiles& files, Outcome& outcome,
                          std::optional<LargePlan>* for_all_ranks) {
  const StackPlanes planes = planes_in(path, work.choice);
  if (planes.count() > 1) return segment_stack(work, path, planes, files, outcome);
  if (work.stitch) outcome.notes.add(path.string(), {"--stitch is not used, because this is a single image"});
  if (const std::optional<LargePlan> plan = plan_large(work, path, planes)) {
    if (for_all_ranks) return *for_all_ranks = plan, "";
    if (const std::optional<std::string> found = segment_large(work, path, *plan, nullptr, files, outcome))
      return *found;
  }
  Seconds& seconds = outcome.seconds;
  std::optional<Source> held = read(work, path, seconds);
  const bool finds_scale = work.plan.finds_scale;
  const double scale = finds_scale ? find_scale_of(work, path.string(), *held, outcome) : work.plan.options.scale;
  if (finds_scale && scale > 1)  // it may need blocks at this scale only
    if (const std::optional<LargePlan> plan = plan_large(work, path, planes, scale)) {
      if (for_all_ranks) return *for_all_ranks = plan, "";
      held.reset();
      if (const std::optional<std::string> found = segment_large(work, path, *plan, nullptr, files, outcome))
        return *found;
      held = read(work, path, seconds);
    }
  const Source& source = *held;
  check_memory(work, path.string(), planes, source.image(), scale,
               memory_available() + int64_t(source.image().pixels.size()));
  outcome.notes.add(path.string(), source.image().notes);
  outcome.converted += source.image().channels != source.channels();
  const Model& model = work.model;
  Results results;
  SegmentationPlan plan = work.plan;
  Progress progress(path.string(), "network", 0, Progress::Short::silent);
  plan.options.tiling.progress = [&](double share) { progress(share); };
  const auto save_maps = [&](const Maps& maps) {
    if (progress.has_reported()) std::fprintf(stderr, "basin: %s: decoding\n", path.c_str());
    const double begin = clock_seconds();
    for (const auto& [name, map] : maps.tensors)
      if (work.save.contains(name))
        files.write("_" + name + ".npy", [&, &map = map](const fs::path& file) { save_map(work.exec, file, map); });
    work.keep_maps(maps, results);
    seconds.write += clock_seconds() - begin;
  };
  FoundObjects found = with_name(path.string(), [&] {
    return find_objects(work.exec, *model.method, *model.predictor, source, plan, scale, save_maps);
  });
  seconds.network += found.network_seconds, seconds.decode += found.decode_seconds;
  const Labels& labels = found.instances.labels;
  const double begin = clock_seconds();
  results.path = path, results.image = &source.image(), results.labels = &labels;
  results.tiff = work.tiff;
  if (model.method->gives_scores()) results.scores = std::move(found.instances.scores);
  if (found.instances.planes) results.planes = &*found.instances.planes;
  save_results(work.save, results, files);
  files.keep();
  remove_abandoned_scratch(
      scratch_folder(files.path("")));  // of an interrupted run in blocks, which these results replace
  files.remove_other_objects(object_files(work.save, labels_suffix(results)), outcome.notes);
  seconds.write += clock_seconds() - begin;
  for (const std::string& remark : found.remarks)
    outcome.remark(path.string(), remark);
  if (work.plan.filter.does_anything()) outcome.note_dropped(path.string(), found.dropped);
  return describe_objects(labels.count, work.plan.filter, found.dropped) + describe_scale(work.plan, scale);
}

}  // namespace basin::tools

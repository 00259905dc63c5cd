#include "models/inference/segmentation.h"

#include <fmt/format.h>

#include <cmath>

#include "data/dataset/fill_holes.h"

namespace basin {
namespace {

Dropped filter_instances(const ObjectFilter& filter, bool may_share_pixels, Instances& instances) {
  if (!filter.does_anything()) return {};
  // Each whole mask is filled by itself, also where an object lies in the hole of another.
  if (filter.fill_holes && may_share_pixels && !instances.planes) instances.planes = masks_of(instances.labels);
  std::vector<int32_t> kept;
  const Dropped dropped = drop_objects(filter, instances.labels, kept);
  instances.keep(kept);
  if (instances.planes && filter.fill_holes) instances.planes = fill_holes(*instances.planes);
  return dropped;
}

}  // namespace

SegmentationPlan default_plan(const Method& method, const Json& info) {
  SegmentationPlan plan;
  plan.norm = method.sample_spec().normalisation;
  plan.trained = appearance_in(info);
  if (method.sees_one_size()) return plan;
  plan.finds_scale = searches_scale(info);
  plan.options.scale = stored_scale(info);
  return plan;
}

FoundObjects find_objects(const Exec& exec, const Method& method, const Predictor& predictor, const Source& source,
                          const SegmentationPlan& plan, double scale, const std::function<void(const Maps&)>& see) {
  SegmentOptions options = plan.options;
  options.scale = scale;
  Segmentation s = segment_source(exec, method, predictor, source, options, see);
  FoundObjects found;
  found.remarks = pixel_size_remark(source.image().stack, plan);
  for (std::string& remark : remarks_on(source, s.instances.labels, plan.trained, scale, plan.norm,
                                        !plan.scale_from_size && !method.sees_one_size()))
    found.remarks.push_back(std::move(remark));
  for (const std::string& remark : s.instances.remarks)
    found.remarks.push_back(remark);
  found.dropped = filter_instances(plan.filter, method.may_share_pixels(), s.instances);
  found.instances = std::move(s.instances);
  found.network_seconds = s.network_seconds, found.decode_seconds = s.decode_seconds;
  return found;
}

std::vector<std::string> pixel_size_remark(const Stack& stack, const SegmentationPlan& plan) {
  const std::optional<double> size = stack.pixel_size();
  if (plan.pixel_size <= 0 || !size || std::abs(*size / plan.pixel_size - 1) <= 0.01) return {};
  return {
      fmt::format("the file gives {:g} um per pixel; --pixel-size {:g} is used for the scale", *size, plan.pixel_size)};
}

}  // namespace basin

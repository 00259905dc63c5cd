#include "models/inference/segmentation.h"

namespace basin {

FoundObjects find_objects(const Exec& exec, const Method& method, const Predictor& predictor, const Source& source,
                          const SegmentationPlan& plan, double scale, const std::function<void(const Maps&)>& see) {
  SegmentOptions options = plan.options;
  options.scale = scale;
  Segmentation s = segment_source(exec, method, predictor, source, options, see);
  FoundObjects found;
  found.remarks = remarks_on(source, s.instances.labels, plan.trained, scale, plan.norm);
  found.dropped = filter_objects(plan.filter, s.instances.labels, s.instances.scores);
  found.instances = std::move(s.instances);
  found.network_seconds = s.network_seconds, found.decode_seconds = s.decode_seconds;
  return found;
}

}  // namespace basin

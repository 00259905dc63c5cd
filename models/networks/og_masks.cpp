#include "models/networks/og_masks.h"

#include <algorithm>
#include <numeric>

namespace basin {

OgRegions og_regions(const Exec& exec, const std::vector<RoiBox>& boxes, int levels) {
  OgRegions regions;
  std::vector<int> held;
  for (const RoiBox& box : boxes)
    held.push_back(roi_levels(box, levels));
  for (size_t k = 0; k < boxes.size(); ++k)
    if (held[k] > 0) regions.source.push_back(int(k));
  std::stable_sort(regions.source.begin(), regions.source.end(),
                   [&](int a, int b) { return held[size_t(a)] > held[size_t(b)]; });
  for (int level = 0; level < levels; ++level) {
    std::vector<RoiBox> there;
    for (const int k : regions.source)
      if (held[size_t(k)] > level) there.push_back(boxes[size_t(k)]);
    if (there.empty()) break;
    regions.levels.push_back(roi_list(exec, there, level));
  }
  return regions;
}

OgMasks::OgMasks(Params& params, const OgOptions& options) : layers_(params, options) {
  const int w = options.width, channels[] = {w, w, 4 * w, 8 * w, 16 * w};
  for (int k = 0; k < 4; ++k)
    combinations_.push_back(
        layers_.add_combination("seg_combine." + std::to_string(k), channels[k + 1], channels[k], false));
  head_[0] = layers_.add_conv("seg_head.0", w, w, 3);
  head_[1] = layers_.add_conv("seg_head.2", w, 1, 3);
  for (int k = 0; k < 2; ++k)
    points_[k] = layers_.add_pointwise("point_head" + std::to_string(k) + ".0", (k + 1) * w);
}

OgMasks::Features OgMasks::forward(Tape& tape, const std::vector<Var>& pyramid, const OgRegions& regions) const {
  const std::vector<RoiList>& levels = regions.levels;
  BASIN_CHECK(!levels.empty() && levels.size() <= pyramid.size() && pyramid.size() == combinations_.size() + 1,
              "regions on ", levels.size(), " of ", pyramid.size(), " levels");
  Features f;
  Var features;
  for (size_t l = levels.size(); l-- > 0;) {
    const Var fine = roi_sample(tape, pyramid[l], levels[l]);
    if (l + 1 == levels.size()) {
      features = fine;
    } else {
      const OgLayers::Combination& c = combinations_[l];
      const int count = levels[l + 1].count();
      const Var coarse = roi_resize(tape, features, levels[l + 1], levels[l].first(count));
      const Var up = roi_norm_relu(tape, layers_.conv(tape, {coarse}, c.up), levels[l], count);
      features = roi_norm_relu(tape, layers_.conv(tape, {fine, up}, c.cat), levels[l], count, fine);
    }
    if (l < 2) f.levels[l] = features;
  }
  const Var hidden = roi_inside(tape, layers_.conv(tape, {features}, head_[0], true), levels[0]);
  f.logits = roi_values(tape, layers_.conv(tape, {hidden}, head_[1]), levels[0]);
  return f;
}

std::vector<OgMasks::PointLogits> OgMasks::refine(Tape& tape, const Features& f, const OgRegions& regions,
                                                  const RoiPlaces& uncertain) const {
  std::vector<PointLogits> all;
  if (uncertain.count > 0)
    all.push_back({layers_.pointwise(tape, point_sample(tape, f.levels[0], regions.levels[0], uncertain), points_[0]),
                   uncertain});
  if (regions.levels.size() < 2) return all;
  const RoiPlaces both = uncertain.first(regions.levels[1].count());
  if (both.count == 0) return all;
  const Var fine = point_sample(tape, f.levels[0], regions.levels[0], both);
  const Var coarse = point_sample(tape, f.levels[1], regions.levels[1], both);
  all.push_back({layers_.pointwise(tape, concat(tape, {fine, coarse}, Layout::nchw), points_[1]), both});
  return all;
}

}  // namespace basin

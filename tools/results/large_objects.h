#pragma once
// The files about the objects of a large image: their measurements and outlines.
#include <set>
#include <string>

#include "tools/results/large_results.h"

namespace basin::tools {

/// Writes those of csv, geojson, rois and scores that `save` names. The files have the same bytes as if the image were
/// segmented in one piece. Objects are measured and outlined in the order of their numbers, each in a part of the image
/// that contains all of it. Throws one sentence if the bounding box of a single object is too large for
/// LargeResults::memory.
void write_large_objects(const std::set<std::string>& save, const LargeResults&, ImageFiles&);

}  // namespace basin::tools

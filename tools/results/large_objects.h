#pragma once
// The files about the objects of a large image: their measurements and outlines.
#include <set>
#include <string>

#include "tools/results/large_results.h"

namespace basin::tools {

/// Writes those of csv, geojson, rois and scores that `save` names, with the bytes of those of the image in one piece:
/// objects are measured and outlined in the order of their numbers, each in a part of the image that contains it as a
/// whole. Throws one sentence if an object alone has a bounding box too large for LargeResults::memory.
void write_large_objects(const std::set<std::string>& save, const LargeResults&, ImageFiles&);

}  // namespace basin::tools

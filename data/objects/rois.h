#pragma once
#include <filesystem>

#include "data/objects/outlines.h"

namespace basin {

/// Writes the outlines as a zip file of ImageJ ROIs, for ImageJ's ROI Manager: one entry LABEL.roi for each object, its
/// number padded with zeros to at least four digits. An object in one piece without holes is a traced polygon with
/// whole coordinates along the edges of its pixels, as ImageJ's wand makes it; any other object, and one beyond
/// coordinate 32,767 or with more than 32,767 corners, is a composite ROI. Uncompressed; written under a temporary name
/// and renamed.
///
/// Objects of a stack (`places`) have entries PLANE-LABEL.roi, with planes counted from 1 as in ImageJ, and the
/// position in the stack at which ImageJ shows them: in all channels if the stack has several.
void write_rois(const std::filesystem::path&, const Outlines&, const ObjectPlaces& places = {});

}  // namespace basin

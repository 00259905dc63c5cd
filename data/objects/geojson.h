#pragma once
#include <filesystem>

#include "data/objects/measure.h"
#include "data/objects/outlines.h"

namespace basin {

/// Writes the outlines as a GeoJSON FeatureCollection (RFC 7946), as QuPath imports it: one feature for each object, a
/// Polygon with its holes or a MultiPolygon, in pixels from the image's upper left corner. Its properties are
/// objectType "detection", the label as name, and the table's other columns as measurements. Written under a temporary
/// name and renamed. The geometry of an object of a stack (`places`) has the member "plane" with its indices from 0, as
/// in files of QuPath.
void write_geojson(const std::filesystem::path&, const Outlines&, const ObjectTable&, const ObjectPlaces& places = {});

}  // namespace basin

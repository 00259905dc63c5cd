#pragma once
#include <filesystem>

#include "data/objects/measure.h"
#include "data/objects/outlines.h"
#include "engine/files.h"

namespace basin {

/// A GeoJSON FeatureCollection (RFC 7946) of outlines, as QuPath imports it: one feature for each object, a Polygon
/// with its holes or a MultiPolygon, in pixels from the image's upper left corner. Its properties are objectType
/// "detection", the label as name, and the other columns of its table as measurements. In a stack (`places`) the
/// geometry of an object has the member "plane" with its indices from 0, as in QuPath's files. Written part by part
/// under a temporary name, and renamed by commit().
class GeoJson {
 public:
  explicit GeoJson(const std::filesystem::path&, ObjectPlaces places = {});

  /// Adds the next objects; the table has a row for each.
  void add(const Outlines&, const ObjectTable&);
  void commit();

 private:
  OutputFile file_;
  ObjectPlaces places_;
  size_t objects_ = 0;
};

/// Writes all objects to such a file.
void write_geojson(const std::filesystem::path&, const Outlines&, const ObjectTable&, const ObjectPlaces& places = {});

}  // namespace basin

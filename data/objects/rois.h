#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "data/objects/outlines.h"

namespace basin {

/// A zip file of ImageJ ROIs, for ImageJ's ROI Manager: one entry LABEL.roi for each object, its number padded with
/// zeros to at least four digits. An object in one piece without holes is a traced polygon with whole coordinates along
/// the edges of its pixels, as ImageJ's wand makes it; any other object, and one beyond coordinate 32,767 or with more
/// than 32,767 corners, is a composite ROI. Uncompressed. Written part by part under a temporary name, and renamed by
/// commit().
///
/// Objects of a stack (`places`) have entries PLANE-LABEL.roi, with planes counted from 1 as in ImageJ, and the
/// position in the stack at which ImageJ shows them: in all channels if the stack has several.
class RoiZip {
 public:
  /// `count`: of all objects.
  RoiZip(const std::filesystem::path&, int64_t count, ObjectPlaces places = {});
  ~RoiZip();

  /// Adds the next objects.
  void add(const Outlines&);
  void commit();

 private:
  class Zip;

  std::string name_of(size_t object) const;

  std::unique_ptr<Zip> zip_;
  ObjectPlaces places_;
  size_t digits_, plane_digits_;
  size_t objects_ = 0;
};

/// Writes all objects to such a file.
void write_rois(const std::filesystem::path&, const Outlines&, const ObjectPlaces& places = {});

/// Whether RoiZip wrote a zip file: false if its entries are compressed or begin without their sizes, as other programs
/// write them. Throws one sentence with the file's name if it has been cut or an entry has changed.
bool check_rois(const std::filesystem::path&);

}  // namespace basin

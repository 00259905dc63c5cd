#pragma once
#include "kernels/roi/rois.h"

// Shared by the kernels that run over the points of sheets.

namespace basin::kernels {

/// Index i of a loop over all groups of channels and, inside each, over all points.
struct PointOfGroup {
  int group, point;

  BASIN_HD PointOfGroup(const Rois& rois, int64_t i)
      : group(int(quotient(i, rois.points()))), point(int(i - int64_t(group) * rois.points())) {}
};
template <class T>
int64_t points_of_groups(const Rois& rois, const FeatureView<T>& sheet) {
  return int64_t(sheet.groups()) * rois.points();
}

/// The lanes of a group of channels at a pixel of a sheet.
template <class T>
BASIN_HD T* lanes_of_pixel(const FeatureView<T>& sheet, int group, int pixel) {
  return sheet.data + (int64_t(group) * sheet.pixels() + pixel) * sheet.block;
}

template <class T>
void check_sheet(const Rois& rois, const FeatureView<T>& sheet) {
  BASIN_CHECK(rois.place.dim[1] == 6 && rois.grid.dim[0] == rois.count() && rois.grid.dim[1] == 4 &&
                  rois.point.dim[1] == 2 && sheet.n == 1 && sheet.h == rois.sheet_h && sheet.w == rois.sheet_w,
              rois.count(), " regions on a sheet of ", rois.sheet_h, "x", rois.sheet_w, ", maps ", sheet);
}

}  // namespace basin::kernels

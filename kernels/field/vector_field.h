#pragma once
#include <utility>

#include "kernels/field/centroid_field.h"
#include "kernels/field/distance_field.h"

namespace basin::kernels {

/// The vector fields that a network can be trained to predict.
enum class FieldKind { sdf, affinity, omnipose, centroid };
inline constexpr std::pair<FieldKind, const char*> field_kinds[] = {{FieldKind::sdf, "sdf"},
                                                                    {FieldKind::affinity, "affinity"},
                                                                    {FieldKind::omnipose, "omnipose"},
                                                                    {FieldKind::centroid, "centroid"}};

struct FieldOptions {
  FieldKind kind = FieldKind::sdf;
  SdfFieldOptions sdf;                     // its kernel is also that of the affinity field
  CentroidMode mode = CentroidMode::unit;  // of the centroid field
};

/// How far a label can affect the field. 1 if the field depends on whole objects, which distinguishes the border of an
/// image from the middle of an object; see depends_on_whole_objects().
int field_margin(const FieldOptions&);

/// The distance from an object's border beyond which its field is 0, px; 0 if it is not limited.
int field_reach(const FieldOptions&);

/// Whether an object's field at any pixel depends on all of its pixels.
bool depends_on_whole_objects(FieldKind);

/// The field [2,H,W] of labels [H,W] from sdf_field(), affinity_field(), omnipose_field() or centroid_field().
void make_field(const Exec&, View<const int32_t, 2> labels, const FieldOptions&, View<float, 3> field);

}  // namespace basin::kernels

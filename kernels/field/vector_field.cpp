#include "kernels/field/vector_field.h"

#include "kernels/field/affinity_field.h"
#include "kernels/field/omnipose_field.h"

namespace basin::kernels {

int field_margin(const FieldOptions& options) {
  if (depends_on_whole_objects(options.kind)) return 1;
  return options.kind == FieldKind::sdf ? sdf_field_margin(options.sdf) : options.sdf.kernel / 2;
}

int field_reach(const FieldOptions& options) {
  return depends_on_whole_objects(options.kind) ? 0 : field_margin(options);
}

bool depends_on_whole_objects(FieldKind kind) { return kind == FieldKind::omnipose || kind == FieldKind::centroid; }

void make_field(const Exec& exec, View<const int32_t, 2> labels, const FieldOptions& options, View<float, 3> field) {
  switch (options.kind) {
    case FieldKind::sdf:
      return sdf_field(exec, labels, options.sdf, field);
    case FieldKind::affinity:
      return affinity_field(exec, labels, options.sdf.kernel, field);
    case FieldKind::omnipose:
      return omnipose_field(exec, labels, field);
    case FieldKind::centroid:
      return centroid_field(exec, labels, options.mode, field);
  }
}

}  // namespace basin::kernels

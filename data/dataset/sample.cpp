#include "data/dataset/sample.h"

#include "kernels/image/symmetry.h"
#include "kernels/runtime/scratch.h"

namespace basin {

void prepare(const Exec& exec, const RawSample& raw, const MakeTargets& make_targets, const Sample& to) {
  const int size = raw.labels.dim[0], crop = raw.image.dim[1];
  BASIN_CHECK(raw.labels.dim[1] == size && raw.image.dim[2] == crop && crop > 0, "image ", raw.image, ", labels ",
              raw.labels);
  const Temp<int32_t> memory(exec, int64_t(size) * size);
  kernels::move_pixels<int32_t>(exec, square_map(raw.transform, size), {raw.labels.data, {1, size, size}},
                                {memory.data(), {1, size, size}});
  kernels::move_pixels<float>(exec, square_map(raw.transform, crop), raw.image, to.image);
  const View<const int32_t, 2> labels{memory.data(), {size, size}};
  kernels::mask_of_middle(exec, labels, to.mask);
  make_targets(exec, labels, to.target);
}

}  // namespace basin

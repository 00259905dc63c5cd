#include "models/methods/colour_decoding.h"

#include <algorithm>

#include "engine/pool.h"
#include "kernels/image/components.h"
#include "kernels/image/label_filter.h"
#include "models/methods/object_colouring.h"

namespace basin {
Labels decode_colours(const Exec& exec, Tensor maps, const ColourDecoding& o) {
  const int height = maps.dim(1), width = maps.dim(2);
  const Exec room = for_images(exec);
  const Tensor colours = Tensor::empty(room, {height, width}, DType::i32);
  kernels::object_colours(exec, maps.view<const float, 3>(), o.background, colours.view<int32_t, 2>());
  maps = {};
  const Tensor objects = Tensor::empty(room, {height, width}, DType::i32);
  int64_t count =
      kernels::components_of_labels(exec, colours.view<const int32_t, 2>(), o.connectivity, objects.view<int32_t, 2>());
  if (o.min_size > 1) count = kernels::drop_small_labels(exec, o.min_size, count, objects.view<int32_t, 2>());
  return {height, width, int(count), objects.to_host<int32_t>(exec)};
}

void write_one_hot(View<const int32_t, 2> labels, const std::vector<int>& colour_of_object, View<float, 3> maps) {
  std::fill_n(maps.data, maps.size(), 0.0f);
  for (int64_t i = 0; i < labels.size(); ++i) {
    const int32_t id = labels.data[i];
    maps.data[(id == 0 ? 0 : colour_of_object[size_t(id) - 1] + 1) * labels.size() + i] = 1;
  }
}

Tensor colour_oracle(const Exec& exec, const Labels& labels, int colours, double radius) {
  if (colours < 2) refuse("colours = ", colours, ": expected at least 2, one of which is the background's");
  const Shape shape{colours, labels.height, labels.width};
  std::vector<float> maps(size_t(shape.size()));
  write_one_hot({labels.ids.data(), {labels.height, labels.width}},
                colour_objects(object_graph(labels, radius), colours - 1),
                {maps.data(), {colours, labels.height, labels.width}});
  return Tensor::from(exec, shape, maps);
}

}  // namespace basin

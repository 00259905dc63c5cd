#include "models/inference/seen_image.h"

#include <algorithm>
#include <tuple>

#include "engine/pool.h"
#include "kernels/image/resize_antialiased.h"
#include "models/inference/segmenter.h"

namespace basin {
namespace {

using kernels::PixelRange;

bool contains(const PixelRect& outer, const PixelRect& inner) {
  return inner.y >= outer.y && inner.y + inner.height <= outer.y + outer.height && inner.x >= outer.x &&
         inner.x + inner.width <= outer.x + outer.width;
}

}  // namespace

SeenImage::SeenImage(const LargeImage& image, double scale, int64_t max_bytes)
    : image_(image), scale_(scale), max_bytes_(max_bytes) {
  std::tie(height_, width_) = seen_size(image.height(), image.width(), scale);
}

PixelRect SeenImage::needed_for(const PixelRect& r) const {
  if (scale_ == 1) return r;
  const PixelRange rows = kernels::antialiased_sources({r.y, r.y + r.height}, image_.height(), height_);
  const PixelRange columns = kernels::antialiased_sources({r.x, r.x + r.width}, image_.width(), width_);
  return {rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin};
}

void SeenImage::hold(const PixelRect& r) {
  if (held_ && contains(held_part_, r)) return;
  held_.reset();
  held_.emplace(image_.part(r));
  held_part_ = r;
}

Tensor SeenImage::values(const Exec& exec, const PixelRect& r) {
  hold(r);
  return part_of(exec, *held_, r.y - held_part_.y, r.x - held_part_.x, r.height, r.width);
}

Tensor SeenImage::part(const Exec& exec, const PixelRect& r) {
  const PixelRect all = needed_for(r);
  // Full rows, if they fit: the parts to the left and right need them too, and strips of files consist of them.
  if (all.height * image_.row_bytes() <= max_bytes_) hold({all.y, 0, all.height, image_.width()});
  if (scale_ == 1) return values(exec, r);
  const Tensor to = Tensor::empty(for_images(exec), {channels(), r.height, r.width});
  // Only as many rows at a time as fit into memory as normalised values.
  const int64_t bytes_of_row = int64_t(all.width) * channels() * int64_t(sizeof(float));
  const int64_t rows_at_once = std::max<int64_t>(1, max_bytes_ / bytes_of_row * r.height / all.height);
  for (int64_t y = r.y; y < r.y + r.height; y += rows_at_once) {
    const PixelRange rows{int(y), int(std::min<int64_t>(y + rows_at_once, r.y + r.height))};
    const PixelRect from = needed_for({rows.begin, r.x, rows.end - rows.begin, r.width});
    kernels::resize_antialiased(exec, values(exec, from).view<const float, 3>(), to.view<float, 3>(),
                                {{from.y, from.x, image_.height(), image_.width()}, {r.y, r.x, height_, width_}, rows});
  }
  return to;
}

}  // namespace basin

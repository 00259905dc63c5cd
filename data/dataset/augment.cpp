#include "data/dataset/augment.h"

#include <algorithm>
#include <utility>

namespace basin {

Augmentation parse_augmentation(const std::string& text) {
  Augmentation a{false, false, false, false};
  if (text == "none") return a;
  for (size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    if (item == "flip")
      a.flip = true;
    else if (item == "rotate")
      a.rotate = true;
    else if (item == "brightness")
      a.brightness = true;
    else if (item == "noise")
      a.noise = true;
    else
      refuse("--augment ", text, ": expected a list of flip, rotate, brightness, noise, or none");
  }
  return a;
}

std::string to_string(const Augmentation& a) {
  std::string text;
  const std::pair<bool, const char*> items[] = {
      {a.flip, "flip"}, {a.rotate, "rotate"}, {a.brightness, "brightness"}, {a.noise, "noise"}};
  for (const auto& [on, name] : items) {
    if (!on) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text.empty() ? "none" : text;
}

Transform draw_transform(const Augmentation& a, Random& random) {
  Transform t;  // every number is drawn, whatever is switched on, so that options do not shift each other
  const float rows = random.uniform(), columns = random.uniform();
  const int rotation = random.below(4);
  const float gain = random.uniform(0.7f, 1.3f), offset = random.uniform(-0.1f, 0.1f), noise = random.uniform(0, 0.05f);
  if (a.flip) t.flip_rows = rows < 0.25f, t.flip_columns = columns < 0.25f;
  if (a.rotate) t.rotation = rotation;
  if (a.brightness) t.gain = gain, t.offset = offset;
  if (a.noise) t.noise = noise;
  return t;
}

void Transform::source(int size, int y, int x, int& from_y, int& from_x) const {
  if (flip_columns) x = size - 1 - x;
  if (flip_rows) y = size - 1 - y;
  for (int k = 0; k < rotation; ++k) {  // counter-clockwise: (x, y) goes to (y, size - 1 - x)
    const int old_x = size - 1 - y;
    y = x;
    x = old_x;
  }
  from_y = y, from_x = x;
}

kernels::SquareMap square_map(const Transform& t, int size) {
  int y0, x0, y_down, x_down, y_right, x_right;
  t.source(size, 0, 0, y0, x0);
  t.source(size, 1, 0, y_down, x_down);
  t.source(size, 0, 1, y_right, x_right);
  return {int64_t(y0) * size + x0, int64_t(y_down - y0) * size + (x_down - x0),
          int64_t(y_right - y0) * size + (x_right - x0)};
}

}  // namespace basin

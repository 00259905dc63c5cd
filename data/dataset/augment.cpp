#include "data/dataset/augment.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/text.h"

namespace basin {
namespace {

struct AugmentKind {
  const char* name;
  float Augmentation::*strength;
  float max;  // largest strength; 0: the kind takes no strength
};
constexpr AugmentKind kinds[] = {
    {"flip", &Augmentation::flip, 0},
    {"rotate", &Augmentation::rotate, 0},
    {"brightness", &Augmentation::brightness, 3},
    {"noise", &Augmentation::noise, 10},
    {"scale", &Augmentation::scale, 3},
    {"angle", &Augmentation::angle, 1},
    {"shear", &Augmentation::shear, 4},
    {"elastic", &Augmentation::elastic, 1.5},  // beyond this the displacement may fold the image
    {"invert", &Augmentation::invert, 0},
    {"gamma", &Augmentation::gamma, 3},
    {"illumination", &Augmentation::illumination, 2},
    {"blur", &Augmentation::blur, 5},
    {"sharpen", &Augmentation::sharpen, 5},
    {"poisson", &Augmentation::poisson, 5},
    {"correlated", &Augmentation::correlated, 10},
    {"cutout", &Augmentation::cutout, 4},
};

constexpr const char* moderate =
    "flip,rotate,brightness,noise:0.5,scale:0.5,angle,elastic:0.5,gamma:0.5,illumination:0.5,blur";

Augmentation no_augmentation() {
  Augmentation a;
  for (const AugmentKind& k : kinds)
    a.*k.strength = 0;
  return a;
}

void read_item(const std::string& text, const std::string& item, Augmentation& a) {
  const size_t colon = std::min(item.find(':'), item.size());
  const std::string name = item.substr(0, colon);
  const auto kind =
      std::find_if(std::begin(kinds), std::end(kinds), [&](const AugmentKind& k) { return name == k.name; });
  if (kind == std::end(kinds))
    refuse("--augment ", text, ": \"", item, "\" is not an augmentation; expected ", augmentation_names(),
           "; or moderate or none as the whole list");
  float strength = 1;
  if (colon < item.size()) {
    if (kind->max == 0) refuse("--augment ", text, ": ", name, " takes no strength, but the item is ", item);
    const char *begin = item.data() + colon + 1, *end = item.data() + item.size();
    const auto read = std::from_chars(begin, end, strength);
    if (read.ec != std::errc() || read.ptr != end || !(strength > 0 && strength <= kind->max))
      refuse("--augment ", text, ": expected a strength above 0 and up to ", kind->max, " in ", item);
  }
  if (a.*kind->strength != 0) refuse("--augment ", text, ": ", name, " is given twice");
  a.*kind->strength = strength;
}

float log_uniform(float low, float high, float at) { return low * std::pow(high / low, at); }

}  // namespace

Augmentation parse_augmentation(const std::string& text) {
  Augmentation a = no_augmentation();
  if (text == "none") return a;
  if (text == "moderate") return parse_augmentation(moderate);
  for (size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    read_item(text, text.substr(begin, end - begin), a);
  }
  return a;
}

std::string to_string(const Augmentation& a) {
  std::string text;
  for (const AugmentKind& k : kinds) {
    const float strength = a.*k.strength;
    if (strength == 0) continue;
    if (!text.empty()) text += ',';
    text += k.name;
    char digits[32];
    if (strength != 1) text += ':' + std::string(digits, std::to_chars(digits, digits + sizeof digits, strength).ptr);
  }
  return text.empty() ? "none" : text;
}

std::string augmentation_names() {
  std::string all;
  for (const AugmentKind& k : kinds)
    add_to_list(all, k.name);
  return all;
}

Drawn draw_augmentation(const Augmentation& a, int size, Random& random) {
  Drawn d;
  const float rows = random.uniform(), columns = random.uniform();
  const int rotation = random.below(4);
  const float gain = random.uniform(0.7f, 1.3f), offset = random.uniform(-0.1f, 0.1f), noise = random.uniform(0, 0.05f);
  Transform& t = d.transform;
  if (a.flip > 0) t.flip_rows = rows < 0.25f, t.flip_columns = columns < 0.25f;
  if (a.rotate > 0) t.rotation = rotation;
  if (a.brightness > 0) t.gain = 1 + a.brightness * (gain - 1), t.offset = a.brightness * offset;
  if (a.noise > 0) t.noise = a.noise * noise;

  // For each kind one number decides whether it is applied to this sample, and the others decide how.
  const auto done = [&](float strength, float probability) {
    return (random.uniform() < probability) & (strength > 0);
  };
  const auto either_way = [&] { return random.uniform(-1, 1); };
  const auto key = [&] {
    const uint64_t high = random.word();
    return high << 32 | random.word();
  };
  const auto put = [](bool is_done, float& to, float value) {
    if (is_done) to = value;
  };
  Warp& w = d.warp;
  bool is = done(a.scale, 0.5f);
  put(is, w.scale, std::exp2(a.scale * either_way()));
  is = done(a.angle, 0.5f);
  put(is, w.angle, 3.14159265f * a.angle * either_way());
  is = done(a.shear, 0.25f);
  put(is, w.shear, 0.2f * a.shear * either_way());
  is = done(a.elastic, 0.25f);
  w.displacement.spacing = log_uniform(24, 64, random.uniform());
  put(is, w.displacement.max, 0.2f * a.elastic * w.displacement.spacing * random.uniform());
  w.displacement.key = key();

  ValueChange& c = d.change;
  c.invert = done(a.invert, 0.1f);
  is = done(a.gamma, 0.3f);
  put(is, c.gamma, std::exp2(a.gamma * either_way()));
  is = done(a.illumination, 0.2f);
  c.illumination_spacing = float(size) * random.uniform(0.5f, 1);
  put(is, c.illumination, 0.5f * a.illumination * random.uniform());
  is = done(a.blur, 0.2f);
  put(is, c.blur, a.blur * random.uniform(0.3f, 1.5f));
  is = done(a.sharpen, 0.2f);
  put(is, c.sharpen, a.sharpen * random.uniform());
  is = done(a.poisson, 0.2f);
  put(is, c.photons, log_uniform(50, 1000, random.uniform()) / (a.poisson * a.poisson));
  is = done(a.correlated, 0.2f);
  c.grain = random.uniform(2, 6);
  put(is, c.correlated, 0.1f * a.correlated * random.uniform());
  is = done(a.cutout, 0.2f);
  const int cutouts = 1 + random.below(3);
  c.cutouts = is ? cutouts : 0;
  c.cutout_side = 0.25f * a.cutout;
  c.key = key();
  return d;
}

bool ValueChange::any() const {
  return invert || gamma != 1 || illumination > 0 || blur > 0 || sharpen > 0 || photons > 0 || correlated > 0 ||
         cutouts > 0;
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

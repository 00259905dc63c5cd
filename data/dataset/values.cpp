#include "data/dataset/values.h"

#include <algorithm>
#include <cmath>

#include "data/dataset/smooth_noise.h"

namespace basin {
namespace {

/// The part of a sample inside the image: `height` rows of `width` values, `stride` apart.
struct Plane {
  float* values;
  int height, width, stride;

  float* row(int y) const { return values + int64_t(y) * stride; }
  template <class F>
  void each(F f) const {
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        f(row(y)[x]);
  }
};

/// Adds Gaussian noise with this standard deviation to n values (Box-Muller: two normal numbers from two uniform ones).
void add_noise(float deviation, Random& random, int n, float* values) {
  for (int i = 0; i < n; i += 2) {
    const float radius = deviation * std::sqrt(-2 * std::log(1 - random.uniform()));
    const float angle = 6.2831853f * random.uniform();
    values[i] += radius * std::cos(angle);
    if (i + 1 < n) values[i + 1] += radius * std::sin(angle);
  }
}

/// v to the power of gamma for v in [0, 1], from a table of 257 points, linear in sqrt(v) between them.
class Power {
 public:
  explicit Power(float gamma) {
    for (int i = 0; i <= steps; ++i)
      table_[i] = std::pow(float(i) / steps, 2 * gamma);
    table_[steps + 1] = 1;
  }
  float operator()(float v) const {
    const float at = std::sqrt(v) * steps;
    const int i = int(at);
    return table_[i] + (at - float(i)) * (table_[i + 1] - table_[i]);
  }

 private:
  static constexpr int steps = 256;
  float table_[steps + 2];
};

/// Convolves with a normalised Gaussian, cut at three standard deviations; the border is repeated.
void blur(const Plane& plane, float deviation, std::vector<float>& memory) {
  const int reach = std::max(1, int(std::ceil(3 * deviation)));
  std::vector<float> weight(size_t(reach) + 1);
  float sum = 0;
  for (int k = 0; k <= reach; ++k) {
    weight[size_t(k)] = std::exp(-0.5f * float(k * k) / (deviation * deviation));
    sum += (k == 0 ? 1 : 2) * weight[size_t(k)];
  }
  for (float& w : weight)
    w /= sum;
  const int height = plane.height, width = plane.width, padded = width + 2 * reach;
  memory.resize(size_t(height) * size_t(width) + size_t(padded));
  float* line = memory.data() + int64_t(height) * width;
  for (int y = 0; y < height; ++y) {
    const float* from = plane.row(y);
    std::fill_n(line, reach, from[0]);
    std::copy_n(from, width, line + reach);
    std::fill_n(line + reach + width, reach, from[width - 1]);
    float* to = memory.data() + int64_t(y) * width;
    for (int x = 0; x < width; ++x)
      to[x] = weight[0] * line[x + reach];
    for (int k = 1; k <= reach; ++k)
      for (int x = 0; x < width; ++x)
        to[x] += weight[size_t(k)] * (line[x + reach - k] + line[x + reach + k]);
  }
  for (int y = 0; y < height; ++y) {
    float* to = plane.row(y);
    const auto row = [&](int at) { return memory.data() + int64_t(std::clamp(at, 0, height - 1)) * width; };
    const float* middle = row(y);
    for (int x = 0; x < width; ++x)
      to[x] = weight[0] * middle[x];
    for (int k = 1; k <= reach; ++k) {
      const float *above = row(y - k), *below = row(y + k);
      for (int x = 0; x < width; ++x)
        to[x] += weight[size_t(k)] * (above[x] + below[x]);
    }
  }
}

void sharpen(const Plane& plane, float amount, std::vector<float>& memory) {
  std::vector<float> sharp(size_t(plane.height) * size_t(plane.width));
  for (int y = 0; y < plane.height; ++y)
    std::copy_n(plane.row(y), plane.width, sharp.data() + int64_t(y) * plane.width);
  blur(plane, 1, memory);
  for (int y = 0; y < plane.height; ++y) {
    const float* before = sharp.data() + int64_t(y) * plane.width;
    float* to = plane.row(y);
    for (int x = 0; x < plane.width; ++x)
      to[x] = before[x] + amount * (before[x] - to[x]);
  }
}

/// Calls f(value, smooth) for each value, with a smooth function of its position.
template <class F>
void with_smooth(const Plane& plane, uint64_t key, float spacing, F f) {
  SmoothNoise smooth(key, spacing, 0, plane.width);
  for (int y = 0; y < plane.height; ++y) {
    const float* s = smooth.row(y);
    for (int x = 0; x < plane.width; ++x)
      f(plane.row(y)[x], s[x]);
  }
}

}  // namespace

ValueChanger::ValueChanger(const SampleKey& key, const Transform& transform, const ValueChange& change,
                           const Inside& inside, int size)
    : transform_(transform),
      change_(change),
      inside_(inside),
      size_(size),
      seed_key_(change.key),
      noise_(key.seed, Purpose::noise, key.epoch, key.position),
      shot_(key.seed, Purpose::noise, key.epoch, key.position + (uint64_t(1) << 40)) {
  Random random(key.seed, Purpose::noise, key.epoch, key.position + (uint64_t(2) << 40));
  for (int k = 0; k < change.cutouts; ++k) {
    const auto side = [&] {
      return std::clamp(int(float(size) * random.uniform(std::min(0.0625f, change.cutout_side), change.cutout_side)), 1,
                        size);
    };
    const int height = side(), width = side();
    const int y = random.below(size - height + 1), x = random.below(size - width + 1);
    cutouts_.push_back({y, y + height, x, x + width});
  }
}

void ValueChanger::apply(float* values, CutMemory& memory) {
  const int height = inside_.y_end - inside_.y_begin, width = inside_.x_end - inside_.x_begin;
  if (height <= 0 || width <= 0) return;
  if (change_.any()) change(values, memory);
  const Plane plane{values + int64_t(inside_.y_begin) * size_ + inside_.x_begin, height, width, size_};
  const bool turn_up = transform_.gain != 1 || transform_.offset != 0;
  for (int y = 0; y < height; ++y) {
    float* row = plane.row(y);
    if (turn_up) {
      for (int x = 0; x < width; ++x)
        row[x] = row[x] * transform_.gain + transform_.offset;
    }
    if (transform_.noise > 0) add_noise(transform_.noise, noise_, width, row);
  }
  for (size_t i = 0; i < inside_.within.size(); ++i)
    if (!inside_.within[i]) values[i] = 0;
}

void ValueChanger::change(float* values, CutMemory& memory) {
  const ValueChange& c = change_;
  const Plane plane{values + int64_t(inside_.y_begin) * size_ + inside_.x_begin, inside_.y_end - inside_.y_begin,
                    inside_.x_end - inside_.x_begin, size_};
  float low = plane.values[0], high = low;
  plane.each([&](float v) { low = std::min(low, v), high = std::max(high, v); });
  const float range = high - low;
  if (!(range > 0)) return;
  if (c.invert) plane.each([&](float& v) { v = low + (high - v); });
  if (c.gamma != 1) {
    const Power power(c.gamma);
    plane.each([&](float& v) { v = low + range * power(std::clamp((v - low) / range, 0.f, 1.f)); });
  }
  if (c.illumination > 0)
    with_smooth(plane, seed_key_, c.illumination_spacing,
                [&](float& v, float s) { v = low + (v - low) * (1 + c.illumination * s); });
  if (c.blur > 0) blur(plane, c.blur, memory.values);
  if (c.sharpen > 0) sharpen(plane, c.sharpen, memory.values);
  if (c.photons > 0) {
    memory.x.assign(size_t(plane.width), 0);
    for (int y = 0; y < plane.height; ++y) {
      std::fill(memory.x.begin(), memory.x.end(), 0.f);
      add_noise(range / std::sqrt(c.photons), shot_, plane.width, memory.x.data());
      float* row = plane.row(y);
      for (int x = 0; x < plane.width; ++x)
        row[x] += memory.x[size_t(x)] * std::sqrt(std::max((row[x] - low) / range, 0.f));
    }
  }
  if (c.correlated > 0)  // 0.28: the standard deviation of the smooth function
    with_smooth(plane, ++seed_key_, c.grain, [&](float& v, float s) { v += c.correlated / 0.28f * range * s; });
  if (!cutouts_.empty()) {
    double sum = 0;
    plane.each([&](float v) { sum += double(v); });
    const float mean = float(sum / (double(plane.height) * plane.width));
    for (const Rectangle& r : cutouts_)
      for (int y = std::max(r.y_begin, inside_.y_begin); y < std::min(r.y_end, inside_.y_end); ++y)
        for (int x = std::max(r.x_begin, inside_.x_begin); x < std::min(r.x_end, inside_.x_end); ++x)
          values[int64_t(y) * size_ + x] = mean;
  }
}

}  // namespace basin

#include "data/synth/synth_optics.h"

#include <algorithm>
#include <cmath>

#include "data/synth/synth_random.h"

namespace basin::synth {
namespace {

/// Typical thickness of the objects: the mean over their pixels, px. 1 if there are none.
double mean_thickness(const Scene& scene) {
  double sum = 0;
  int64_t n = 0;
  for (float t : scene.thickness)
    if (t > 0) sum += t, ++n;
  return n ? sum / double(n) : 1;
}

}  // namespace

std::vector<float> factors(int count, double spread, Random& random) {
  std::vector<float> f(size_t(count) + 1, 1);
  for (int k = 1; k <= count; ++k)
    f[size_t(k)] = float(log_normal(random, spread));
  return f;
}

void illuminate(Plane& plane, double tilt, double vignette, Random& random) {
  const double direction = turn(random);
  const double cx = random.uniform(0.35f, 0.65f), cy = random.uniform(0.35f, 0.65f);
  const double gx = tilt * std::cos(direction), gy = tilt * std::sin(direction);
  for (int y = 0; y < plane.height; ++y)
    for (int x = 0; x < plane.width; ++x) {
      const double u = (x + 0.5) / plane.width - cx, v = (y + 0.5) / plane.height - cy;
      plane.at[size_t(y) * size_t(plane.width) + size_t(x)] *=
          float(1 + gx * u + gy * v - vignette * (u * u + v * v - 1.0 / 6));
    }
}

Plane blur(const Plane& in, double sigma) {
  const int reach = std::max(1, int(std::ceil(3 * sigma)));
  std::vector<float> weight(size_t(reach) + 1);
  double sum = 0;
  for (int k = 0; k <= reach; ++k)
    sum += (k ? 2 : 1) * std::exp(-0.5 * k * k / (sigma * sigma));
  for (int k = 0; k <= reach; ++k)
    weight[size_t(k)] = float(std::exp(-0.5 * k * k / (sigma * sigma)) / sum);

  const int h = in.height, w = in.width;
  Plane out{h, w, std::vector<float>(in.at.size())};
  std::vector<float> row(size_t(w) + 2 * size_t(reach));
  for (int y = 0; y < h; ++y) {
    float* const middle = row.data() + reach;
    for (int x = 0; x < w; ++x)
      middle[x] = weight[0] * in.at[size_t(y) * size_t(w) + size_t(x)];
    for (int k = 1; k <= reach; ++k) {
      const float* const up = &in.at[size_t(std::max(0, y - k)) * size_t(w)];
      const float* const down = &in.at[size_t(std::min(h - 1, y + k)) * size_t(w)];
      const float g = weight[size_t(k)];
      for (int x = 0; x < w; ++x)
        middle[x] += g * (up[x] + down[x]);
    }
    std::fill(row.begin(), row.begin() + reach, middle[0]);
    std::fill(row.end() - reach, row.end(), middle[w - 1]);
    float* const to = &out.at[size_t(y) * size_t(w)];
    for (int x = 0; x < w; ++x)
      to[x] = weight[0] * middle[x];
    for (int k = 1; k <= reach; ++k) {
      const float g = weight[size_t(k)];
      for (int x = 0; x < w; ++x)
        to[x] += g * (middle[x - k] + middle[x + k]);
    }
  }
  return out;
}

Plane smooth_noise(int height, int width, double sigma, Random& random) {
  Plane noise{height, width, std::vector<float>(size_t(height) * size_t(width))};
  for (float& v : noise.at)
    v = random.uniform(-1, 1);
  noise = blur(noise, sigma);
  double sum = 0, squares = 0;
  for (float v : noise.at)
    sum += v, squares += double(v) * v;
  const double n = double(noise.at.size()), mean = sum / n, deviation = std::sqrt(squares / n - mean * mean);
  for (float& v : noise.at)
    v = float((v - mean) / deviation);
  return noise;
}

Plane phase_contrast(const Scene& scene, const PhaseOptics& optics, Random& random) {
  const int h = scene.height, w = scene.width;
  const double unit = mean_thickness(scene);
  const std::vector<float> factor = factors(scene.count, 0.08, random);
  const Plane grain = smooth_noise(h, w, 1.2, random), dirt = smooth_noise(h, w, 1.8, random);
  const Plane clouds = smooth_noise(h, w, 0.06 * w, random);
  Plane delay{h, w, std::vector<float>(scene.thickness.size())};
  for (size_t p = 0; p < delay.at.size(); ++p) {
    const float inside = scene.thickness[p] / float(unit) * factor[size_t(scene.ids[p])];
    delay.at[p] = inside * (1 + float(optics.texture) * grain.at[p]) + 0.12f * std::max(0.f, dirt.at[p] - 2.2f);
  }
  const Plane sharp = blur(delay, optics.psf_sigma), wide = blur(delay, optics.halo_sigma);
  Plane out{h, w, std::vector<float>(delay.at.size())};
  for (size_t p = 0; p < out.at.size(); ++p) {
    const double ring = optics.halo * wide.at[p] - optics.absorption * sharp.at[p];
    // Light cannot be negative: deep phase saturates.
    const double level = ring < 0 ? std::exp(ring * 1.1) : 1 + ring;
    out.at[p] = float(optics.background * (level + optics.dirt * dirt.at[p] + 0.015 * clouds.at[p]));
  }
  illuminate(out, 0.18, 0.2, random);
  return out;
}

Plane fluorescence(const Scene& scene, const FluorescenceOptics& optics, Random& random) {
  const int h = scene.height, w = scene.width;
  const std::vector<float> factor = factors(scene.count, optics.spread, random);
  const Plane fine = smooth_noise(h, w, optics.texture_sigma, random);
  const Plane coarse = smooth_noise(h, w, 3 * optics.texture_sigma, random);
  const Plane clouds = smooth_noise(h, w, 0.12 * w, random);
  Plane dye{h, w, std::vector<float>(scene.thickness.size())};
  for (size_t p = 0; p < dye.at.size(); ++p) {
    if (scene.ids[p] == 0) continue;
    const double profile = std::pow(double(scene.thickness[p]) / (2 * double(scene.radius[p])), optics.flatness);
    const double texture = 1 + optics.texture * (fine.at[p] + 0.7 * coarse.at[p]);
    dye.at[p] = float(profile * factor[size_t(scene.ids[p])] * std::max(0.2, texture));
  }
  const Plane sharp = blur(dye, optics.psf_sigma), wide = blur(dye, optics.haze_sigma);
  Plane out{h, w, std::vector<float>(dye.at.size())};
  for (size_t p = 0; p < out.at.size(); ++p) {
    const double light = (1 - optics.haze) * sharp.at[p] + optics.haze * wide.at[p];
    const double dark = optics.background * (1 + 0.25 * std::clamp(double(clouds.at[p]), -3.0, 3.0));
    out.at[p] = float(optics.brightness * light + dark);
  }
  illuminate(out, 0.25, 0.5, random);
  return out;
}

Image expose(const Plane& plane, const Camera& camera, uint64_t seed, uint64_t index) {
  Image image{plane.height, plane.width, 1, PixelType::u8, std::vector<std::byte>(plane.at.size())};
  uint8_t* const out = image.as<uint8_t>();
  for (int y = 0; y < plane.height; ++y) {
    Random random(seed, Purpose::noise, uint32_t(y), index);
    for (int x = 0; x < plane.width; ++x) {
      const size_t p = size_t(y) * size_t(plane.width) + size_t(x);
      const double photons = std::max(0.0, double(plane.at[p])) * camera.photons;
      const double noise = gaussian(random) * std::sqrt(photons + camera.read_noise * camera.read_noise);
      out[p] = uint8_t(std::clamp(std::lround((photons + noise) / camera.photons * camera.gain), 0L, 255L));
    }
  }
  return image;
}

}  // namespace basin::synth

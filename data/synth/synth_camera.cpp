#include "data/synth/synth_camera.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_random.h"

namespace basin::synth {
namespace {

/// The recorded pixel values, in units of light.
Plane counted(const Plane& light, const Sensor& sensor, uint64_t seed, uint64_t index) {
  Plane out = light;
  std::vector<double> columns(size_t(light.width), 1.0);
  Random pattern(seed, Purpose::noise, uint32_t(light.height), index);
  for (double& c : columns)
    c += sensor.columns * gaussian(pattern);
  for (int y = 0; y < light.height; ++y) {
    Random random(seed, Purpose::noise, uint32_t(y), index);
    const double row = 1 + sensor.rows * gaussian(random);
    for (int x = 0; x < light.width; ++x) {
      float& value = out.at[size_t(y) * size_t(light.width) + size_t(x)];
      const double photons = std::max(0.0, double(value)) * row * columns[size_t(x)] * sensor.photons;
      const double noise = gaussian(random) * std::sqrt(photons + sensor.read_noise * sensor.read_noise);
      value = float((photons + noise) / sensor.photons);
    }
  }
  for (int k = int(std::lround(sensor.hot * double(out.at.size()))); k > 0; --k) {
    const size_t y = size_t(pattern.below(light.height)), x = size_t(pattern.below(light.width));
    out.at[y * size_t(light.width) + x] += float(sensor.white) * pattern.uniform(0.1f, 1);
  }
  return out;
}

}  // namespace

Image record(const Plane& light, const Sensor& sensor, uint64_t seed, uint64_t index) {
  Plane plane = counted(light, sensor, seed, index);
  if (sensor.smoothing > 0) plane = blur(plane, sensor.smoothing);
  if (sensor.sharpening > 0) {
    const Plane soft = blur(plane, 1.2);
    for (size_t p = 0; p < plane.at.size(); ++p)
      plane.at[p] += float(sensor.sharpening) * (plane.at[p] - soft.at[p]);
  }
  for (float& v : plane.at)
    v = float(sensor.black + (1 - sensor.black) * std::pow(std::max(0.0, double(v) / sensor.white), sensor.gamma));
  double low = 0, high = 1;
  if (sensor.stretched) {
    const auto [min, max] = std::minmax_element(plane.at.begin(), plane.at.end());
    low = *min, high = std::max(*max, *min + 1e-6f);
  }
  const double full = sensor.bits == 8 ? 255 : sensor.bits == 12 ? 4095 : 65535;
  Image image{plane.height, plane.width, 1, sensor.bits == 8 ? PixelType::u8 : PixelType::u16, {}};
  image.pixels.resize(plane.at.size() * size_of(image.type));
  for (size_t p = 0; p < plane.at.size(); ++p) {
    const double grey = (plane.at[p] - low) / (high - low) * sensor.top * full;
    const long value = std::clamp(std::lround(grey), 0L, long(full));
    if (sensor.bits == 8)
      image.as<uint8_t>()[p] = uint8_t(value);
    else
      image.as<uint16_t>()[p] = uint16_t(value);
  }
  return image;
}

}  // namespace basin::synth

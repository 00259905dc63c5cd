#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_camera.h"

using namespace basin;
using namespace basin::synth;

namespace {

Plane flat(float light) { return {200, 300, std::vector<float>(200 * 300, light)}; }

struct Moments {
  double mean = 0, variance = 0;
};
template <class T>
Moments moments(const Image& image) {
  const size_t n = size_t(image.height) * size_t(image.width);
  double sum = 0, squares = 0;
  for (size_t p = 0; p < n; ++p)
    sum += image.as<T>()[p], squares += double(image.as<T>()[p]) * image.as<T>()[p];
  return {sum / double(n), squares / double(n) - sum / double(n) * sum / double(n)};
}

Sensor quiet() {
  Sensor sensor;
  sensor.bits = 16, sensor.white = 4, sensor.black = 0.1, sensor.read_noise = 0, sensor.photons = 1e12;
  return sensor;
}

}  // namespace

TEST_CASE("synth: light is mapped to grey values by the sensor's range") {
  Sensor sensor = quiet();
  for (const auto& [bits, full] : {std::pair(8, 255), std::pair(12, 4095), std::pair(16, 65535)}) {
    sensor.bits = bits;
    const Image image = record(flat(1), sensor, 1, 2);
    CHECK(image.type == (bits == 8 ? PixelType::u8 : PixelType::u16));
    const double expected = (0.1 + 0.9 * 0.25) * full;
    CHECK((bits == 8 ? image.as<uint8_t>()[7] : image.as<uint16_t>()[7]) == std::lround(expected));
    const Image bright = record(flat(9), sensor, 1, 2);
    CHECK((bits == 8 ? bright.as<uint8_t>()[7] : bright.as<uint16_t>()[7]) == full);
  }
  sensor.top = 0.5, sensor.gamma = 2;
  CHECK(record(flat(1), sensor, 1, 2).as<uint16_t>()[0] == std::lround((0.1 + 0.9 * 0.0625) * 0.5 * 65535));
}

TEST_CASE("synth: sensor noise has the variance of the photon count") {
  Sensor sensor = quiet();
  sensor.photons = 1000, sensor.read_noise = 20;
  const Image image = record(flat(1), sensor, 1, 2);
  const Moments m = moments<uint16_t>(image);
  const double scale = 0.9 / 4 / 1000 * 65535;  // grey values per photon
  CHECK(m.mean == doctest::Approx(0.325 * 65535).epsilon(0.002));
  CHECK(m.variance == doctest::Approx((1000 + 400) * scale * scale).epsilon(0.03));
  CHECK(record(flat(1), sensor, 1, 2).pixels == image.pixels);
  CHECK(record(flat(1), sensor, 1, 3).pixels != image.pixels);
  CHECK(record(flat(1), sensor, 2, 2).pixels != image.pixels);
  sensor.smoothing = 1;
  CHECK(moments<uint16_t>(record(flat(1), sensor, 1, 2)).variance < 0.2 * m.variance);
  sensor.smoothing = 0, sensor.sharpening = 1;
  CHECK(moments<uint16_t>(record(flat(1), sensor, 1, 2)).variance > 2 * m.variance);
}

TEST_CASE("synth: stripes, hot pixels and contrast stretching") {
  Sensor sensor = quiet();
  sensor.columns = 0.1;
  const Image striped = record(flat(1), sensor, 1, 2);
  const uint16_t* const grey = striped.as<uint16_t>();
  CHECK(grey[5] == grey[5 + 300]);
  CHECK(grey[5] != grey[6]);
  sensor.columns = 0, sensor.rows = 0.1;
  const Image banded = record(flat(1), sensor, 1, 2);
  CHECK(banded.as<uint16_t>()[5] == banded.as<uint16_t>()[6]);
  CHECK(banded.as<uint16_t>()[5] != banded.as<uint16_t>()[305]);
  sensor.rows = 0, sensor.hot = 1e-3;
  const Image hot = record(flat(1), sensor, 1, 2);
  const int usual = hot.as<uint16_t>()[0];
  const auto n = std::count_if(hot.as<uint16_t>(), hot.as<uint16_t>() + 60000, [=](int v) { return v > usual; });
  CHECK(n > 50);
  CHECK(n <= 60);
  sensor.stretched = true, sensor.top = 0.8;
  const Image stretched = record(flat(1), sensor, 1, 2);
  const auto [lo, hi] = std::minmax_element(stretched.as<uint16_t>(), stretched.as<uint16_t>() + 60000);
  CHECK(*lo == 0);
  CHECK(*hi == std::lround(0.8 * 65535));
}

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_optics.h"
#include "data/synth/synth_shapes.h"

using namespace basin;
using namespace basin::synth;

TEST_CASE("synth: blur is Gaussian and preserves total intensity") {
  Plane plane{31, 40, std::vector<float>(31 * 40)};
  plane.at[15 * 40 + 20] = 1;
  const Plane out = blur(plane, 2);
  double sum = 0;
  for (float v : out.at)
    sum += v;
  CHECK(sum == doctest::Approx(1));
  CHECK(out.at[15 * 40 + 23] / out.at[15 * 40 + 20] == doctest::Approx(std::exp(-9.0 / 8)).epsilon(1e-5));
  CHECK(out.at[18 * 40 + 20] == doctest::Approx(out.at[15 * 40 + 23]));
  CHECK(out.at[15 * 40 + 17] == doctest::Approx(out.at[15 * 40 + 23]));
  CHECK(out.at[13 * 40 + 20] == doctest::Approx(out.at[17 * 40 + 20]));
  const Plane flat = blur({5, 7, std::vector<float>(35, 3.f)}, 4);  // the border is replicated
  for (float v : flat.at)
    CHECK(v == doctest::Approx(3));
}

TEST_CASE("synth: phase contrast has a halo, and fluorescence is brightest inside cells") {
  Body body = rod({40, 4, 0, 0});
  body.at = {50, 50};
  const Scene scene = draw({body}, 100, 100, 1);
  auto mean = [&](const Plane& plane, double from, double to) {
    double sum = 0;
    int n = 0;
    for (int y = 0; y < 100; ++y)
      for (int x = 0; x < 100; ++x) {
        const double beyond = std::max(0.0, std::abs(x - 50) - 16.0), distance = std::hypot(beyond, y - 50);
        if (distance >= from && distance < to) sum += double(plane.at[size_t(100 * y + x)]), ++n;
      }
    return sum / n;
  };
  Random random(1, Purpose::test);
  const Plane phase = phase_contrast(scene, {}, random), glow = fluorescence(scene, {}, random);
  CHECK(mean(phase, 0, 3) < 0.8 * mean(phase, 25, 40));
  CHECK(mean(phase, 5.5, 8) > 1.03 * mean(phase, 25, 40));
  CHECK(mean(glow, 0, 3) > 4 * mean(glow, 25, 40));
  CHECK(mean(glow, 7, 10) < 0.4 * mean(glow, 0, 3));
}

TEST_CASE("synth: shot and read noise have the variance of the camera model") {
  const Plane plane{200, 300, std::vector<float>(200 * 300, 0.4f)};
  const Image image = expose(plane, {1000, 10, 255}, 1, 2);
  double sum = 0, squares = 0;
  for (std::byte b : image.pixels)
    sum += double(b), squares += double(b) * double(b);
  const double n = 60000, mean = sum / n, variance = squares / n - mean * mean;
  CHECK(mean == doctest::Approx(0.4 * 255).epsilon(0.002));
  const double scale = 255.0 / 1000;
  CHECK(variance == doctest::Approx((400 + 100) * scale * scale + 1.0 / 12).epsilon(0.03));
  CHECK(expose(plane, {1000, 10, 255}, 1, 2).pixels == image.pixels);
  CHECK(expose(plane, {1000, 10, 255}, 1, 3).pixels != image.pixels);
  CHECK(expose(plane, {1000, 10, 255}, 2, 2).pixels != image.pixels);
  CHECK(expose({1, 1, {7.f}}, {1000, 0, 255}, 1, 2).as<uint8_t>()[0] == 255);
  CHECK(expose({1, 1, {-7.f}}, {1000, 0, 255}, 1, 2).as<uint8_t>()[0] == 0);
}

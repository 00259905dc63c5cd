#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_debris.h"
#include "data/synth/synth_layout.h"
#include "data/synth/synth_microscope.h"

using namespace basin;
using namespace basin::synth;

namespace {

constexpr int side = 140;

Plane empty_plane() { return {side, side, std::vector<float>(size_t(side) * side)}; }

Specimen specimen_of(const std::vector<Body>& cells, double radius) {
  return {draw(cells, side, side, 1), radius, empty_plane(), empty_plane()};
}

float value_at(const Plane& plane, int y, int x) { return plane.at[size_t(y) * size_t(plane.width) + size_t(x)]; }

Body rod_of_length(double x, double y, double length, double radius) {
  Body body = rod({length, radius, 0, 0});
  body.at = {x, y};
  return body;
}

/// Nine parallel rods, 9 px apart, the middle one at y = 70, with x from 40 to 100.
std::vector<Body> colony() {
  std::vector<Body> cells;
  for (int k = -4; k <= 4; ++k)
    cells.push_back(rod_of_length(70, 70 + 9 * k, 60, 4.5));
  return cells;
}

RingOptics quiet_ring() {
  RingOptics optics;
  optics.spread = optics.texture = optics.agar = 0;
  return optics;
}

}  // namespace

TEST_CASE("synth: the cytosol is the thickness inside the outline, minus the envelope") {
  const Scene scene = draw({rod_of_length(70, 70, 60, 6)}, side, side, 1);
  const Plane whole = cytosol(scene, 6, 0, 1), inner = cytosol(scene, 6, 1, 1), slab = cytosol(scene, 3, 0, 0);
  CHECK(value_at(whole, 70, 70) == doctest::Approx(1));
  CHECK(value_at(whole, 73, 70) == doctest::Approx(std::sqrt(1 - 9.0 / 36)).epsilon(1e-3));
  CHECK(value_at(inner, 70, 70) == doctest::Approx(5.0 / 6));
  CHECK(value_at(inner, 73, 70) == doctest::Approx(5.0 / 6 * std::sqrt(1 - 9.0 / 25)).epsilon(1e-3));
  CHECK(value_at(inner, 75, 70) == doctest::Approx(0).epsilon(0.01));
  CHECK(value_at(slab, 75, 70) == doctest::Approx(2));
  CHECK(value_at(whole, 80, 70) == 0);
}

TEST_CASE("synth: the fast blur for large widths agrees with the exact blur") {
  Random random(3, Purpose::test);
  Plane noise = smooth_noise(90, 131, 3, random);
  for (int y = 0; y < 90; ++y)  // the grids replicate their borders at different positions
    for (int x = 0; x < 131; ++x)
      if (std::min({x, y, 130 - x, 89 - y}) < 15) noise.at[size_t(131 * y + x)] = 0;
  for (const double sigma : {2.0, 6.0, 11.0, 20.0}) {
    const Plane exact = blur(noise, sigma), fast = wide_blur(noise, sigma);
    double worst = 0, deviation = 0;
    for (size_t p = 0; p < exact.at.size(); ++p) {
      worst = std::max(worst, std::abs(double(exact.at[p]) - fast.at[p]));
      deviation = std::max(deviation, std::abs(double(exact.at[p])));
    }
    CHECK(worst < 0.08 * deviation);
  }
}

TEST_CASE("synth: phase contrast shows a halo, shade-off and bright gaps") {
  Random random(1, Purpose::test);
  const Plane empty = ring_phase_contrast(specimen_of({}, 4.5), quiet_ring(), random);
  for (float v : empty.at)
    REQUIRE(v == doctest::Approx(1));

  const Plane image = ring_phase_contrast(specimen_of(colony(), 4.5), quiet_ring(), random);
  const float inside = value_at(image, 70, 70), edge = value_at(image, 70 + 36, 70), far = value_at(image, 3, 3);
  CHECK(far == doctest::Approx(1).epsilon(0.05));
  CHECK(inside > edge + 0.1);  // shade-off
  CHECK(inside < 0.9);         // the inside is still dark
  CHECK(edge < 0.4);
  CHECK(value_at(image, 74, 70) > inside);    // between two touching cells
  CHECK(value_at(image, 70 + 44, 70) > 1.2);  // halo around the colony

  // A single cell is darker than a cell in a colony, and its halo is weaker than the colony's.
  const Plane alone = ring_phase_contrast(specimen_of({rod_of_length(70, 70, 60, 4.5)}, 4.5), quiet_ring(), random);
  CHECK(value_at(alone, 70, 70) < inside);
  CHECK(value_at(alone, 78, 70) > 1.05);
  CHECK(value_at(alone, 86, 70) < value_at(image, 70 + 36 + 16, 70));

  // With the opposite phase shift of the ring the cells are bright.
  RingOptics negative = quiet_ring();
  negative.shift = -negative.shift;
  CHECK(value_at(ring_phase_contrast(specimen_of(colony(), 4.5), negative, random), 106, 70) > 1.3);
}

TEST_CASE("synth: bright-field contrast changes sign with the defocus") {
  Random random(1, Purpose::test);
  BrightFieldOptics optics;
  optics.spread = optics.texture = optics.agar = optics.absorption = 0, optics.scale = 4;
  const Specimen specimen = specimen_of({rod_of_length(70, 70, 60, 5)}, 5);
  const Plane above = bright_field(specimen, optics, random);
  optics.defocus = -optics.defocus;
  const Plane below = bright_field(specimen, optics, random);
  CHECK(value_at(above, 70, 70) > 1.05);
  CHECK(value_at(below, 70, 70) < 0.95);
  CHECK(value_at(above, 76, 70) < 1);
  for (size_t p = 0; p < above.at.size(); ++p)
    REQUIRE(above.at[p] + below.at[p] == doctest::Approx(2));
  optics.defocus = 0, optics.absorption = 0.2;
  CHECK(value_at(bright_field(specimen, optics, random), 70, 70) < 0.9);
}

TEST_CASE("synth: a membrane dye is brightest at the outline, a cytosol dye in the middle") {
  Random random(1, Purpose::test);
  StainOptics optics;
  optics.spread = optics.texture = optics.haze = optics.background = 0, optics.psf = 0.7;
  Specimen specimen = specimen_of({rod_of_length(70, 70, 60, 8)}, 8);
  const Plane body = stained(specimen, optics, random);
  optics.cytosol = 0, optics.membrane = 1;
  const Plane shell = stained(specimen, optics, random);
  CHECK(value_at(body, 70, 70) == doctest::Approx(1).epsilon(0.08));
  CHECK(value_at(body, 77, 70) < 0.6);
  CHECK(value_at(shell, 76, 70) > 1.4 * value_at(shell, 70, 70));
  CHECK(value_at(body, 90, 70) == doctest::Approx(0).epsilon(1e-3));
  optics.membrane = 0, optics.nucleoid = 1;
  specimen.nucleoid.at[size_t(70 * side + 70)] = 16;
  const Plane spot = stained(specimen, optics, random);
  CHECK(value_at(spot, 70, 70) > 0.2);
  CHECK(value_at(spot, 70, 80) < 0.01);
  optics.haze = 0.5, optics.background = 0.1;
  CHECK(value_at(stained(specimen, optics, random), 5, 5) == doctest::Approx(0.1).epsilon(0.5));
}

TEST_CASE("synth: every kind of debris is drawn only if requested") {
  Random random(2, Purpose::test);
  auto range = [](const Plane& plane) {
    const auto [lo, hi] = std::minmax_element(plane.at.begin(), plane.at.end());
    return std::pair(*lo, *hi);
  };
  DebrisOptions options;
  CHECK(range(debris(60, 70, options, random)) == std::pair(0.f, 0.f));
  options.specks = 40, options.rings = 5;
  CHECK(range(debris(60, 70, options, random)).first < 0);
  options.positive = true;
  CHECK(range(debris(60, 70, options, random)).first == 0);
  for (int* part : {&options.specks, &options.rings, &options.ghosts, &options.fibres}) {
    options.specks = options.rings = options.ghosts = options.fibres = 0;
    *part = 6;
    const Plane plane = debris(90, 80, options, random);
    REQUIRE(plane.at.size() == 90 * 80);
    CHECK(range(plane).second > 0.02);
  }
}

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_shapes.h"
#include "tests/support/synth_support.h"

using namespace basin;
using namespace basin::synth;
using namespace basin::test;

TEST_CASE("synth: a rod covers the pixels whose centres lie inside the capsule") {
  Body body = rod({25, 4, 0, 0});
  body.at = {20.3, 17.8}, body.angle = 0.7;
  const Scene scene = draw({body}, 37, 41, 1);
  const double half = (25 - 8) / 2.0, c = std::cos(0.7), s = std::sin(0.7);
  int inside = 0;
  for (int y = 0; y < 37; ++y)
    for (int x = 0; x < 41; ++x) {
      const double u = (x - 20.3) * c + (y - 17.8) * s, v = (y - 17.8) * c - (x - 20.3) * s;
      const double beyond = std::max(0.0, std::abs(u) - half), distance = std::sqrt(beyond * beyond + v * v);
      CAPTURE(x);
      CAPTURE(y);
      CHECK(scene.ids[size_t(y * 41 + x)] == (distance < 4));
      const double thickness = distance < 4 ? 2 * std::sqrt(16 - distance * distance) : 0;
      CHECK(scene.thickness[size_t(y * 41 + x)] == doctest::Approx(thickness).epsilon(1e-4));
      inside += distance < 4;
    }
  CHECK(inside > 150);
}

TEST_CASE("synth: a body is rotated, then translated") {
  Body body;
  body.disks = {{{1, 2}, 3}};
  body.at = {10, 20}, body.angle = std::acos(0.0);
  const Disk placed = body.placed()[0];
  CHECK(placed.centre.x == doctest::Approx(8));
  CHECK(placed.centre.y == doctest::Approx(21));
  CHECK(placed.radius == 3);
}

TEST_CASE("synth: a worm is thickest in the middle, a filament is uniform, a dividing rod has a constriction") {
  auto radius = [](const Body& body, double u) {
    return body.disks[size_t(std::lround(u * double(body.disks.size() - 1)))].radius;
  };
  const Body tapered = worm({110, 6, 0.6, 90, 0, 0, true});
  CHECK(radius(tapered, 0) == doctest::Approx(0.6 * 6));
  CHECK(radius(tapered, 0.4) == doctest::Approx(6));
  CHECK(radius(tapered, 1) == doctest::Approx(0.45 * 6));
  const Body even = worm({110, 6, 0.6, 90, 0, 0, false});
  CHECK(radius(even, 0) == 6);
  CHECK(radius(even, 1) == 6);
  const Body dividing = rod({40, 4, 0, 0.3});
  CHECK(radius(dividing, 0) == doctest::Approx(4));
  CHECK(radius(dividing, 0.5) == doctest::Approx(0.7 * 4));
  // A branch leaves the stem at the given position and angle.
  const Body branched = branched_rod({40, 4, 0, 0}, {0.5, 1.2, 15});
  const size_t last = branched.disks.size() - 1;
  size_t root = last;
  while (branched.joined[root] == int(root) - 1)
    --root;
  CHECK(root > 10);
  const Point a = branched.disks[size_t(branched.joined[root])].centre, b = branched.disks[last].centre;
  CHECK(std::hypot(b.x - a.x, b.y - a.y) == doctest::Approx(15));
  CHECK(std::atan2(b.y - a.y, b.x - a.x) == doctest::Approx(1.2));
}

TEST_CASE("synth: a nucleus without deformation is an ellipse") {
  Body body = nucleus({13, 8, 0, 0, 0});
  body.at = {25.2, 24.9}, body.angle = -0.4;
  const Scene scene = draw({body}, 50, 51, 1);
  const double c = std::cos(-0.4), s = std::sin(-0.4);
  for (int y = 0; y < 50; ++y)
    for (int x = 0; x < 51; ++x) {
      const double u = (x - 25.2) * c + (y - 24.9) * s, v = (y - 24.9) * c - (x - 25.2) * s;
      const double level = std::sqrt(u * u / 169 + v * v / 64);
      if (std::abs(level - 1) < 0.03) continue;
      CAPTURE(x);
      CAPTURE(y);
      CHECK(scene.ids[size_t(y * 51 + x)] == (level < 1));
    }
}

TEST_CASE("synth: cones between disks of different sizes, also where one disk contains the other") {
  Body body;
  body.disks = {{{0, 0}, 6}, {{10, 0}, 2}, {{1, 0}, 3}};
  body.joined = {0, 0, 0};
  body.at = {12, 10};
  const Scene scene = draw({body}, 20, 30, 1);
  for (int y = 0; y < 20; ++y)
    for (int x = 0; x < 30; ++x) {
      double best = 1;  // the smallest ratio of distance to radius, by brute force along the spine
      for (int k = 0; k <= 20000; ++k) {
        const double t = k / 20000.0;
        best = std::min(best, std::hypot(x - 12 - 10 * t, y - 10) / (6 - 4 * t));
      }
      if (std::abs(best - 1) < 1e-6) continue;
      CAPTURE(x);
      CAPTURE(y);
      CHECK(scene.ids[size_t(y * 30 + x)] == (best < 1));
    }
}

TEST_CASE("synth: a disk inside a later disk does not hide that disk") {
  Body body;
  body.disks = {{{0, 0}, 2}, {{1, 0}, 6}};
  body.joined = {0, 0};
  body.at = {8, 8};
  const Scene scene = draw({body}, 17, 17, 1);
  CHECK(scene.ids[8 * 17 + 14] == 1);
  CHECK(scene.ids[3 * 17 + 9] == 1);
  CHECK(scene.ids[2 * 17 + 9] == 0);  // exactly on the circle
}

TEST_CASE("synth: pieces at opposite image edges are not joined") {
  for (const bool left : {true, false}) {
    Body body;
    body.disks = {{{0, 5}, left ? 3.2 : 1.2}, {{19, 4}, left ? 1.2 : 3.2}};
    body.joined = {0, 1};
    const Scene scene = draw({body}, 9, 20, 1);
    CHECK(scene.count == 1);
    CHECK(scene.ids[5 * 20] == left);
    CHECK(scene.ids[4 * 20 + 19] == !left);
  }
}

TEST_CASE("synth: a pixel in two bodies belongs to the one it lies deeper in, in a tie to the earlier one") {
  const Scene scene = draw({ball(10, 8, 6), ball(16, 8, 4)}, 17, 24, 1);
  auto id = [&](int x) { return scene.ids[size_t(8 * 24 + x)]; };
  CHECK(id(13) == 1);  // 3 / 6 against 3 / 4
  CHECK(id(14) == 2);  // 4 / 6 against 2 / 4
  const Scene tie = draw({ball(6, 6, 4), ball(10, 6, 4)}, 13, 20, 1);
  CHECK(tie.ids[size_t(6 * 20 + 8)] == 1);
}

TEST_CASE("synth: of a body in pieces the largest is kept, small ones are removed, ids are in raster order") {
  // A bar cut off-centre by a wide disk: 17 columns on the left, fewer on the right.
  const std::vector<Body> bodies{ball(26, 10, 9), bar(20, 10, 18, 1.2), ball(3, 2, 1.1)};
  const Scene scene = draw(bodies, 21, 44, 6);
  CHECK(scene.count == 2);
  CHECK(scene.ids[size_t(10 * 44 + 26)] == 1);  // the disk is first in raster order
  CHECK(scene.ids[size_t(10 * 44 + 8)] == 2);
  CHECK(scene.ids[size_t(10 * 44 + 38)] == 0);
  CHECK(scene.thickness[size_t(10 * 44 + 38)] == 0);
  CHECK(scene.ids[size_t(2 * 44 + 3)] == 0);  // 5 px
  CHECK(draw(bodies, 21, 44, 5).count == 3);
}

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_colony.h"
#include "data/synth/synth_layout.h"

using namespace basin;
using namespace basin::synth;

namespace {

Body rod_at(double x, double y, double half, double radius) {
  Body body = rod({2 * half + 2 * radius, radius, 0, 0});
  body.at = {x, y};
  return body;
}

double distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }

}  // namespace

TEST_CASE("synth: bodies are rotated about the origin, then translated") {
  std::vector<Body> bodies{rod_at(10, 0, 5, 2)};
  move(bodies, {3, 4}, std::acos(0.0));
  CHECK(bodies[0].at.x == doctest::Approx(3));
  CHECK(bodies[0].at.y == doctest::Approx(14));
  const std::vector<Disk> placed = bodies[0].placed();
  CHECK(placed.front().centre.x == doctest::Approx(placed.back().centre.x));
  CHECK(distance(placed.front().centre, placed.back().centre) == doctest::Approx(10));
}

TEST_CASE("synth: bending with constant curvature gives a circle and preserves widths") {
  // Heading s / 50: the axis becomes a circle of radius 50 around (0, 50).
  std::vector<Body> bodies{rod_at(20, 0, 15, 2), rod_at(-20, 10, 15, 2), rod_at(0, -10, 15, 2)};
  const size_t disks = bodies[0].disks.size();
  bend(bodies, {1 / 50.0, 0, 100, 0});
  REQUIRE(bodies[0].disks.size() == disks);
  const double radii[] = {50, 40, 60};
  for (size_t k = 0; k < 3; ++k)
    for (const Disk& d : bodies[k].placed()) {
      CHECK(distance(d.centre, {0, 50}) == doctest::Approx(radii[k]).epsilon(0.002));
      CHECK(d.radius == 2);
    }
  // A quarter circle ends above the centre's height: y grows with x.
  CHECK(bodies[0].placed().back().centre.x == doctest::Approx(50 * std::sin(0.7)).epsilon(0.01));
  CHECK(bodies[0].placed().back().centre.y == doctest::Approx(50 - 50 * std::cos(0.7)).epsilon(0.01));
  // The body's frame has its origin at the centroid.
  double x = 0;
  for (const Disk& d : bodies[0].disks)
    x += d.centre.x;
  CHECK(x == doctest::Approx(0));

  std::vector<Body> wave{rod_at(0, 0, 40, 2)};
  bend(wave, {0, 0.5, 80, 0});  // the initial direction is x
  const std::vector<Disk> placed = wave[0].placed();
  const size_t middle = placed.size() / 2;
  CHECK(std::abs(placed[middle].centre.y) < 1);
  CHECK(placed.back().centre.y == doctest::Approx(2 * 40 * 0.5 / 3.14159).epsilon(0.12));
}

TEST_CASE("synth: the cells of a raft lie side by side and end to end") {
  Random random(4, Purpose::test);
  RaftOptions options;
  options.rows = 5, options.radius_spread = 0, options.gap = 0, options.missing = 0, options.length_spread = 0.2;
  const std::vector<Body> bodies = raft(options, random);
  REQUIRE(bodies.size() >= 5 * 4);
  CHECK(overlap(bodies) < 1);
  std::vector<double> heights;
  for (const Body& body : bodies)
    heights.push_back(body.at.y);
  std::sort(heights.begin(), heights.end());
  heights.erase(std::unique(heights.begin(), heights.end()), heights.end());
  REQUIRE(heights.size() == 5);
  CHECK(heights[0] == doctest::Approx(-16));
  CHECK(heights[1] == doctest::Approx(-8));
  options.missing = 1;
  CHECK(raft(options, random).empty());
}

TEST_CASE("synth: each coccus of a chain touches the previous one") {
  Random random(5, Purpose::test);
  ChainOptions options;
  options.cells = 12, options.winding = 0.2, options.dividing = 0.5;
  const std::vector<Body> bodies = chain(options, random);
  REQUIRE(bodies.size() == 12);
  int dividing = 0;
  for (size_t k = 1; k < bodies.size(); ++k) {
    double gap = 1e9;
    for (const Disk& a : bodies[k - 1].placed())
      for (const Disk& b : bodies[k].placed())
        gap = std::min(gap, distance(a.centre, b.centre) - a.radius - b.radius);
    CHECK(std::abs(gap) < 0.6);
    dividing += bodies[k].disks.size() > 2;
  }
  CHECK(dividing >= 2);
  CHECK(dividing <= 10);
}

TEST_CASE("synth: the cells of a mother machine lie in its channels") {
  Random random(6, Purpose::test);
  ChannelOptions options;
  const Channels made = channels(options, random);
  REQUIRE(made.walls.size() == 6);
  REQUIRE(made.cells.size() >= 6);
  CHECK(made.walls[1].at.y - made.walls[0].at.y == doctest::Approx(30));
  for (const Body& cell : made.cells) {
    double nearest = 1e9;
    for (const Body& wall : made.walls)
      nearest = std::min(nearest, std::abs(wall.at.y - cell.at.y));
    CHECK(nearest <= 1.0 + 1e-9);  // half the channel's width minus the cell's radius
    for (const Disk& d : cell.placed())
      CHECK(std::abs(d.centre.x) < 75 + 24);
  }
}

TEST_CASE("synth: a stalk is thin, has the given length and is attached to the cell") {
  Random random(7, Purpose::test);
  const Body body = stalked_rod({30, 5, 0, 0}, {60, 1.2, 0.2}, random);
  double length = 0;
  int thin = 0;
  for (size_t k = 1; k < body.disks.size(); ++k) {
    REQUIRE(body.joined[k] == int(k) - 1);
    if (body.disks[k].radius > 2) continue;
    ++thin;
    if (thin > 1) length += distance(body.disks[k].centre, body.disks[k - 1].centre);
    CHECK(body.disks[k].radius == 1.2);
  }
  CHECK(length == doctest::Approx(60).epsilon(0.05));
  Body placed = body;
  placed.at = {100, 100};
  const Scene scene = draw({placed}, 200, 200, 1);
  CHECK(scene.count == 1);
  int area = 0;
  for (int32_t id : scene.ids)
    area += id == 1;
  CHECK(area > 0.9 * (30 * 10 - 21 + 60 * 2.4));
}

TEST_CASE("synth: nucleoids lie inside their cells") {
  Random random(8, Purpose::test);
  const std::vector<Body> cells{rod_at(40, 40, 30, 5), rod_at(40, 60, 1, 5)};
  const std::vector<Body> parts = nucleoids(cells, 0.6, 3, random);
  REQUIRE(parts.size() >= 3);
  const Scene outer = draw(cells, 100, 100, 1), inner = draw(parts, 100, 100, 1);
  int pixels = 0;
  for (size_t p = 0; p < outer.ids.size(); ++p) {
    if (inner.ids[p] == 0) continue;
    ++pixels;
    CHECK(outer.ids[p] != 0);
    CHECK(inner.thickness[p] <= 0.6 * outer.thickness[p] + 6 * 0.4);
  }
  CHECK(pixels > 50);
}

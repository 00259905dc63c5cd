#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_colony.h"
#include "data/synth/synth_shapes.h"
#include "tests/support/synth_support.h"

using namespace basin;
using namespace basin::synth;
using namespace basin::test;

TEST_CASE("synth: the grid finds the same overlaps as a search over all pairs") {
  Random random(3, Purpose::test);
  std::vector<Body> bodies;
  for (int k = 0; k < 40; ++k) {
    Body body = rod({random.uniform(10, 30), random.uniform(2, 5), 0.02, 0});
    body.at = {random.uniform(-20, 120), random.uniform(-20, 90)};
    body.angle = random.uniform(0, 6);
    bodies.push_back(body);
    double deepest = 0;
    for (size_t i = 0; i < bodies.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        for (const Disk& a : bodies[i].placed())
          for (const Disk& b : bodies[j].placed())
            deepest =
                std::max(deepest, a.radius + b.radius - std::hypot(a.centre.x - b.centre.x, a.centre.y - b.centre.y));
    CHECK(overlap(bodies) == doctest::Approx(deepest));
    if (k > 0) {
      const std::vector<Body> others(bodies.begin(), bodies.end() - 1);
      CHECK(std::max(overlap(others), overlap_with(others, bodies.back())) == doctest::Approx(deepest));
    }
  }
}

TEST_CASE("synth: the grid finds disks that barely touch") {
  const std::vector<Body> bodies{ball(0, 90, 5), ball(4.9, 0, 5), ball(14.8, 0, 5)};
  CHECK(overlap(bodies) == doctest::Approx(0.1));
  CHECK(overlap({ball(0, 0, 5), ball(10, 0, 5)}) == 0);
  CHECK(overlap({ball(0, 20, 5), ball(0, 12, 5), ball(60, 5, 5)}) == doctest::Approx(2));
  CHECK(overlap({ball(0, 12, 5), ball(0, 20, 5), ball(60, 5, 5)}) == doctest::Approx(2));
  CHECK(overlap({ball(20, 0, 5), ball(12, 0, 5), ball(5, 60, 5)}) == doctest::Approx(2));
  CHECK(overlap({ball(12, 0, 5), ball(20, 0, 5), ball(5, 60, 5)}) == doctest::Approx(2));
}

TEST_CASE("synth: pushing bodies apart conserves momentum") {
  std::vector<Body> two{ball(0, 0, 5), ball(6, 0, 5)};
  push_apart(two, 1, 0);
  CHECK(two[0].at.x == doctest::Approx(-2));
  CHECK(two[1].at.x == doctest::Approx(8));
  CHECK(two[0].at.y == 0);

  std::vector<Body> unequal{bar(0, 0, 16, 3), ball(20, 0, 3)};
  push_apart(unequal, 1, 0);
  CHECK(unequal[0].at.x == doctest::Approx(-0.2));
  CHECK(unequal[1].at.x == doctest::Approx(21.8));
  std::swap(unequal[0] = bar(0, 0, 16, 3), unequal[1] = ball(20, 0, 3));
  push_apart(unequal, 1, 0);
  CHECK(unequal[0].at.x == doctest::Approx(21.8));
  CHECK(unequal[1].at.x == doctest::Approx(-0.2));

  std::vector<Body> same_place{ball(3, 3, 2), ball(3, 3, 2)};
  push_apart(same_place, 50, 1e-3);
  CHECK(overlap(same_place) <= 1e-3);

  // A ball below the right end of a bar lifts that end (y points down) and rotates the bar counter-clockwise.
  for (const bool bar_first : {true, false}) {
    std::vector<Body> lever{bar(0, 0, 16, 3), ball(16, 5, 3)};
    if (!bar_first) std::swap(lever[0], lever[1]);
    const Body &beam = lever[bar_first ? 0 : 1], &load = lever[bar_first ? 1 : 0];
    push_apart(lever, 60, 1e-3);
    CHECK(overlap(lever) <= 1e-3);
    CHECK(beam.angle < -0.01);
    CHECK(beam.at.y < 0);
    CHECK(load.at.y > 5);
    CHECK(load.at.y < 6);
    CHECK(9 * beam.at.y + load.at.y == doctest::Approx(5));  // a body's mass is its number of disks
  }
}

TEST_CASE("synth: a contact uses the positions left by earlier contacts of the same sweep") {
  // Resolving the contact at one end rotates the bar into the ball at the other end.
  for (const double side : {-1.0, 1.0})
    for (const bool upright : {false, true})
      for (const size_t place : {0, 1, 2}) {
        std::vector<Body> bodies{ball(-16, -3, 1), ball(16, 3 * side, 1)};
        bodies.insert(bodies.begin() + std::ptrdiff_t(place), bar(0, 0, 16, 3));
        if (upright)
          for (Body& body : bodies)
            body.at = {-body.at.y, body.at.x}, body.angle = std::acos(0.0);
        push_apart(bodies, 1, 0);
        const Body& beam = bodies[place];
        const double first = overlap_with({beam}, bodies[place == 0]),
                     second = overlap_with({beam}, bodies[2 - (place == 2)]);
        CHECK(std::min(first, second) < 0.02);
        CHECK(std::max(first, second) < 0.25);
      }
}

TEST_CASE("synth: later bodies that still overlap are removed") {
  std::vector<Body> bodies{ball(0, 0, 5), ball(5, 0, 5), ball(9.5, 0, 5), ball(30, 0, 5)};
  remove_overlapping(bodies, 0.3);  // removes 1, which overlaps 0; 2 overlaps 1, and 0 by only .5
  REQUIRE(bodies.size() == 3);
  CHECK(bodies[1].at.x == 9.5);
  CHECK(bodies[2].at.x == 30);
}

TEST_CASE("synth: a colony grows to the given size with hardly any overlap") {
  Random random(5, Purpose::test);
  ColonyOptions options;
  options.cells = 50, options.colonies = 1;
  const std::vector<Body> bodies = grow(options, {bar(128, 128, 20, 4)}, random);
  CHECK(bodies.size() >= 51);
  CHECK(bodies.size() < 200);
  CHECK(overlap(bodies) < 0.3 * 4);
}

TEST_CASE("synth: daughter cells lie end to end") {
  Random random(6, Purpose::test);
  ColonyOptions options;
  options.cells = 2, options.colonies = 1;
  const std::vector<Body> two = grow(options, {}, random);
  REQUIRE(two.size() == 2);
  double gap = 1e9;
  for (const Disk& a : two[0].placed())
    for (const Disk& b : two[1].placed())
      gap = std::min(gap, std::hypot(a.centre.x - b.centre.x, a.centre.y - b.centre.y) - a.radius - b.radius);
  CHECK(std::abs(gap) < 1);
  CHECK(std::abs(std::sin(two[0].angle - two[1].angle)) < 0.3);
}

TEST_CASE("synth: founders keep the given positions, and late cells are longer") {
  Random random(7, Purpose::test);
  ColonyOptions options;
  options.cells = 2, options.colonies = 2;
  options.founders = {{60, 70}, {200, 190}};
  const std::vector<Body> two = grow(options, {}, random);
  REQUIRE(two.size() == 2);
  CHECK(std::hypot(two[0].at.x - 60, two[0].at.y - 70) < 1e-9);
  CHECK(std::hypot(two[1].at.x - 200, two[1].at.y - 190) < 1e-9);

  auto longest = [](double late) {
    Random draws(8, Purpose::test);
    ColonyOptions colony;
    colony.cells = 40, colony.late = late;
    size_t disks = 0;
    for (const Body& body : grow(colony, {}, draws))
      disks = std::max(disks, body.disks.size());
    return disks;
  };
  CHECK(longest(0.3) > 3 * longest(0) / 2);
}

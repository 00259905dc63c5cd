#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "data/synth.h"
#include "data/synth_colony.h"
#include "data/synth_optics.h"
#include "data/synth_shapes.h"
#include "kernels/platform.h"

using namespace basin;
using namespace basin::synth;

namespace {

Body ball(double x, double y, double radius) {
  Body body;
  body.disks = {{{0, 0}, radius}};
  body.joined = {0};
  body.at = {x, y};
  return body;
}

/// Straight, of length 2 half + 2 radius, along x.
Body bar(double x, double y, double half, double radius) {
  Body body;
  for (int k = 0; k <= 8; ++k) {
    body.disks.push_back({{half * (k - 4) / 4.0, 0}, radius});
    body.joined.push_back(std::max(0, k - 1));
  }
  body.at = {x, y};
  return body;
}

/// Slow and plain: the pieces of each object, by repeated relabelling to the smallest neighbour.
int pieces_of(const Labels& labels, int id) {
  std::vector<int> root(labels.ids.size());
  for (size_t p = 0; p < root.size(); ++p)
    root[p] = int(p);
  const int w = labels.width, h = labels.height;
  for (bool changed = true; changed;) {
    changed = false;
    auto join = [&](int p, int q) {
      if (labels.ids[size_t(p)] != id || labels.ids[size_t(q)] != id || root[size_t(p)] == root[size_t(q)]) return;
      root[size_t(p)] = root[size_t(q)] = std::min(root[size_t(p)], root[size_t(q)]);
      changed = true;
    };
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        if (x + 1 < w) join(y * w + x, y * w + x + 1);
        if (y + 1 < h) join(y * w + x, y * w + x + w);
      }
  }
  std::set<int> roots;
  for (size_t p = 0; p < root.size(); ++p)
    if (labels.ids[p] == id) roots.insert(root[p]);
  return int(roots.size());
}

bool same(const Synthetic& a, const Synthetic& b) {
  return a.image.pixels == b.image.pixels && a.labels.ids == b.labels.ids && a.labels.count == b.labels.count;
}

/// Pairs of side by side pixels of different objects.
int contacts(const Labels& labels) {
  int n = 0;
  auto differ = [](int32_t a, int32_t b) { return a && b && a != b; };
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) {
      if (x > 0) n += differ(labels(y, x - 1), labels(y, x));
      if (y > 0) n += differ(labels(y - 1, x), labels(y, x));
    }
  return n;
}

}  // namespace

TEST_CASE("synth: a rod's pixels are those whose centre lies in the capsule") {
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

TEST_CASE("synth: a body is turned, then moved") {
  Body body;
  body.disks = {{{1, 2}, 3}};
  body.at = {10, 20}, body.angle = std::acos(0.0);
  const Disk placed = body.placed()[0];
  CHECK(placed.centre.x == doctest::Approx(8));
  CHECK(placed.centre.y == doctest::Approx(21));
  CHECK(placed.radius == 3);
}

TEST_CASE("synth: a worm is thickest in the middle, a filament is even, a dividing rod has a waist") {
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
  // A branch leaves the stem where and under the angle it is told to.
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

TEST_CASE("synth: cones between disks of different size, one inside the other too") {
  Body body;
  body.disks = {{{0, 0}, 6}, {{10, 0}, 2}, {{1, 0}, 3}};
  body.joined = {0, 0, 0};
  body.at = {12, 10};
  const Scene scene = draw({body}, 20, 30, 1);
  for (int y = 0; y < 20; ++y)
    for (int x = 0; x < 30; ++x) {
      double best = 1;  // the least distance over radius, by brute force over the spine
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

TEST_CASE("synth: a disk inside a later one does not hide it") {
  Body body;
  body.disks = {{{0, 0}, 2}, {{1, 0}, 6}};
  body.joined = {0, 0};
  body.at = {8, 8};
  const Scene scene = draw({body}, 17, 17, 1);
  CHECK(scene.ids[8 * 17 + 14] == 1);
  CHECK(scene.ids[3 * 17 + 9] == 1);
  CHECK(scene.ids[2 * 17 + 9] == 0);  // exactly on the circle
}

TEST_CASE("synth: pieces do not join around the image's edge") {
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

TEST_CASE("synth: a contested pixel goes to the body it lies deeper in, a tie to the earlier one") {
  const Scene scene = draw({ball(10, 8, 6), ball(16, 8, 4)}, 17, 24, 1);
  auto id = [&](int x) { return scene.ids[size_t(8 * 24 + x)]; };
  CHECK(id(13) == 1);  // 3 / 6 against 3 / 4
  CHECK(id(14) == 2);  // 4 / 6 against 2 / 4
  const Scene tie = draw({ball(6, 6, 4), ball(10, 6, 4)}, 13, 20, 1);
  CHECK(tie.ids[size_t(6 * 20 + 8)] == 1);
}

TEST_CASE("synth: of a body in pieces the largest stays, small ones go, ids follow the raster") {
  // A bar cut by a wide disk off its middle: 17 columns on the left, fewer on the right.
  const std::vector<Body> bodies{ball(26, 10, 9), bar(20, 10, 18, 1.2), ball(3, 2, 1.1)};
  const Scene scene = draw(bodies, 21, 44, 6);
  CHECK(scene.count == 2);
  CHECK(scene.ids[size_t(10 * 44 + 26)] == 1);  // the disk reaches higher up
  CHECK(scene.ids[size_t(10 * 44 + 8)] == 2);
  CHECK(scene.ids[size_t(10 * 44 + 38)] == 0);
  CHECK(scene.thickness[size_t(10 * 44 + 38)] == 0);
  CHECK(scene.ids[size_t(2 * 44 + 3)] == 0);  // 5 px
  CHECK(draw(bodies, 21, 44, 5).count == 3);
}

TEST_CASE("synth: the grid finds the overlap of all pairs") {
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

TEST_CASE("synth: the grid finds balls that only just meet") {
  const std::vector<Body> bodies{ball(0, 90, 5), ball(4.9, 0, 5), ball(14.8, 0, 5)};
  CHECK(overlap(bodies) == doctest::Approx(0.1));
  CHECK(overlap({ball(0, 0, 5), ball(10, 0, 5)}) == 0);
  CHECK(overlap({ball(0, 20, 5), ball(0, 12, 5), ball(60, 5, 5)}) == doctest::Approx(2));
  CHECK(overlap({ball(0, 12, 5), ball(0, 20, 5), ball(60, 5, 5)}) == doctest::Approx(2));
  CHECK(overlap({ball(20, 0, 5), ball(12, 0, 5), ball(5, 60, 5)}) == doctest::Approx(2));
  CHECK(overlap({ball(12, 0, 5), ball(20, 0, 5), ball(5, 60, 5)}) == doctest::Approx(2));
}

TEST_CASE("synth: bodies are pushed apart with their momentum") {
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

  // A ball under the right end of a bar lifts that end (y points down) and turns the bar against the clock.
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
    CHECK(9 * beam.at.y + load.at.y == doctest::Approx(5));  // mass is the number of disks
  }
}

TEST_CASE("synth: a contact sees what earlier contacts of the sweep have moved") {
  // Resolving the ball at one end turns the bar into the ball at the other.
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
  remove_overlapping(bodies, 0.3);  // 1 goes because of 0; 2 overlaps only 1 and 0 by .5
  REQUIRE(bodies.size() == 3);
  CHECK(bodies[1].at.x == 9.5);
  CHECK(bodies[2].at.x == 30);
}

TEST_CASE("synth: a colony grows to its size and hardly overlaps") {
  Random random(5, Purpose::test);
  ColonyOptions options;
  options.cells = 50, options.colonies = 1;
  const std::vector<Body> bodies = grow(options, {bar(128, 128, 20, 4)}, random);
  CHECK(bodies.size() >= 51);
  CHECK(bodies.size() < 200);
  CHECK(overlap(bodies) < 0.3 * 4);
}

TEST_CASE("synth: daughters lie end to end") {
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

TEST_CASE("synth: blur keeps the light and is a Gaussian") {
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

TEST_CASE("synth: phase contrast has a halo, fluorescence is brightest inside") {
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

TEST_CASE("synth: shot and read noise have the variance of the camera") {
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

TEST_CASE("synth: labels are exact and the picture shows them") {
  for (SynthKind kind : {SynthKind::bacteria, SynthKind::worms, SynthKind::nuclei})
    for (SynthModality modality : {SynthModality::phase, SynthModality::fluorescence}) {
      int touching = 0;
      for (int index = 0; index < 4; ++index) {
        CAPTURE(int(kind));
        CAPTURE(int(modality));
        CAPTURE(index);
        const SynthOptions options{kind, modality, 200, 11, 1};
        const Synthetic made = make_synthetic(options, index);
        const Labels& labels = made.labels;
        REQUIRE(made.image.pixels.size() == 200 * 200);
        REQUIRE(made.image.height == 200);
        REQUIRE(labels.ids.size() == 200 * 200);
        REQUIRE(labels.count >= 1);
        CHECK(labels.count <= 150);
        std::vector<int> area(size_t(labels.count) + 1);
        std::vector<double> light(size_t(labels.count) + 1);
        int32_t next = 1;
        bool ordered = true;
        for (size_t p = 0; p < labels.ids.size(); ++p) {
          const int32_t id = labels.ids[p];
          if (id < 0 || id > labels.count) FAIL("id ", id, " of ", labels.count);
          if (id == next) ++next;
          ordered = ordered && id < next;  // in raster order of the first pixel
          ++area[size_t(id)];
          light[size_t(id)] += double(made.image.pixels[p]);
        }
        CHECK(ordered);
        CHECK(next == labels.count + 1);
        const double background = light[0] / area[0];
        for (int id = 1; id <= labels.count; ++id) {
          CAPTURE(id);
          CHECK(area[size_t(id)] >= 30);
          if (id % 8 == 1) CHECK(pieces_of(labels, id) == 1);
          const double mean = light[size_t(id)] / area[size_t(id)];
          if (modality == SynthModality::phase)
            CHECK(mean < background - 5);
          else
            CHECK(mean > background + 5);
        }
        touching += contacts(labels);
      }
      CHECK(touching >= 6);
    }
}

TEST_CASE("synth: an image depends on the options and its index alone") {
  for (SynthKind kind : {SynthKind::bacteria, SynthKind::worms, SynthKind::nuclei}) {
    const SynthOptions options{kind, SynthModality::automatic, 96, 7, 1};
    std::vector<Synthetic> reference;
    for (int index = 0; index < 6; ++index)
      reference.push_back(make_synthetic(options, index));
    CHECK_FALSE(same(reference[0], reference[1]));
    SynthOptions other = options;
    other.seed = 8;
    CHECK_FALSE(same(reference[0], make_synthetic(other, 0)));
    const int before = omp_get_max_threads();
    for (int threads : {1, 2, 7}) {
      std::vector<Synthetic> made(6);
      omp_set_num_threads(threads);
#pragma omp parallel for schedule(dynamic)
      for (int index = 5; index >= 0; --index)
        made[size_t(index)] = make_synthetic(options, index);
      for (size_t k = 0; k < made.size(); ++k)
        CHECK(same(made[k], reference[k]));
    }
    omp_set_num_threads(before);
  }
}

TEST_CASE("synth: size and density scale the number of objects") {
  auto objects = [](int size, double density) {
    int n = 0;
    for (int index = 0; index < 4; ++index)
      n += make_synthetic({SynthKind::nuclei, SynthModality::automatic, size, 2, density}, index).labels.count;
    return n;
  };
  const int usual = objects(256, 1);
  CHECK(objects(256, 0.25) < 0.5 * usual);
  CHECK(objects(512, 1) > 2.5 * usual);
  CHECK(make_synthetic({SynthKind::bacteria, SynthModality::automatic, 32, 2, 0.05}, 0).image.pixels.size() == 1024);
}

TEST_CASE("synth: options out of range are refused") {
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 31, 0, 1}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 9000, 0, 1}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 64, 0, 3}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 64, 0, std::nan("")}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({}, -1), Error);
}

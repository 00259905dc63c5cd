#include "data/synth/synth_layout.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/synth/synth_colony.h"
#include "data/synth/synth_random.h"

namespace basin::synth {
namespace {

/// Moves the body's frame to the centroid of `placed`, without rotation.
void replace_disks(Body& body, const std::vector<Disk>& placed) {
  Point middle;
  for (const Disk& d : placed)
    middle.x += d.centre.x / double(placed.size()), middle.y += d.centre.y / double(placed.size());
  body.disks = placed;
  for (Disk& d : body.disks)
    d.centre.x -= middle.x, d.centre.y -= middle.y;
  body.at = middle;
  body.angle = 0;
}

/// The distance from the centre to the ends of a straight body along its axis.
double reach(const Body& body) {
  double most = 0;
  for (const Disk& d : body.disks)
    most = std::max(most, d.centre.x + d.radius);
  return most;
}

/// Fills [from, to] of the x axis with rods end to end.
void add_row(std::vector<Body>& bodies, double from, double to, double y, const RaftOptions& options, Random& random) {
  double x = from;
  while (x < to) {
    RodShape shape;
    shape.radius = options.radius * (1 + options.radius_spread * random.uniform(-1, 1));
    shape.length = std::max(2.2 * shape.radius, options.length * log_normal(random, options.length_spread));
    if (random.uniform() < 0.15f) shape.waist = random.uniform(0.05f, 0.35f);
    Body body = rod(shape);
    body.at = {x + shape.length / 2, y};
    body.angle = random.uniform(-0.02f, 0.02f);
    x += shape.length + 2 * options.gap * double(random.uniform()) * options.radius;
    if (random.uniform() >= float(options.missing)) bodies.push_back(std::move(body));
  }
}

}  // namespace

Point anywhere(int size, Random& random) {
  const double x = size * double(random.uniform(-0.03f, 1.03f));
  return {x, size * double(random.uniform(-0.03f, 1.03f))};
}

void place(std::vector<Body>& bodies, Body body, double cluster, int size, Random& random) {
  const double radius = body.disks[body.disks.size() / 2].radius, slack = 0.3 * radius;
  double best = std::numeric_limits<double>::infinity();
  Body chosen = body;
  for (int attempt = 0; attempt < 30 && best > slack; ++attempt) {
    body.angle = turn(random);
    body.at = anywhere(size, random);
    if (!bodies.empty() && random.uniform() < cluster) {
      const Body& other = bodies[size_t(random.below(int(bodies.size())))];
      const Disk near = other.placed()[size_t(random.below(int(other.disks.size())))];
      const Disk own = body.placed()[size_t(random.below(int(body.disks.size())))];
      const double reach = near.radius + own.radius - slack / 2, direction = turn(random);
      body.at.x += near.centre.x - own.centre.x + reach * std::cos(direction);
      body.at.y += near.centre.y - own.centre.y + reach * std::sin(direction);
    }
    const double depth = overlap_with(bodies, body);
    if (depth < best) best = depth, chosen = body;
  }
  bodies.push_back(std::move(chosen));
}

void move(std::vector<Body>& bodies, Point by, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  for (Body& body : bodies) {
    body.at = {c * body.at.x - s * body.at.y + by.x, s * body.at.x + c * body.at.y + by.y};
    body.angle += angle;
  }
}

void bend(std::vector<Body>& bodies, const Bend& bend) {
  double reach = 1;
  for (const Body& body : bodies)
    for (const Disk& d : body.placed())
      reach = std::max(reach, std::abs(d.centre.x) + 1);
  const int n = int(std::ceil(reach)) + 1;
  auto heading = [&](double s) {
    return bend.curvature * s +
           bend.amplitude * (std::sin(two_pi * s / bend.wavelength + bend.phase) - std::sin(bend.phase));
  };
  // The curve at whole arc lengths -n to n, by the midpoint rule.
  std::vector<Point> curve(2 * size_t(n) + 1);
  for (int k = 1; k <= n; ++k) {
    const Point &forward = curve[size_t(n + k - 1)], &back = curve[size_t(n - k + 1)];
    curve[size_t(n + k)] = {forward.x + std::cos(heading(k - 0.5)), forward.y + std::sin(heading(k - 0.5))};
    curve[size_t(n - k)] = {back.x - std::cos(heading(0.5 - k)), back.y - std::sin(heading(0.5 - k))};
  }
  for (Body& body : bodies) {
    std::vector<Disk> placed = body.placed();
    for (Disk& d : placed) {
      const double s = d.centre.x, y = d.centre.y, h = heading(s);
      const int k = std::clamp(int(std::floor(s)) + n, 0, 2 * n - 1);
      const double t = s - (k - n);
      const Point &a = curve[size_t(k)], &b = curve[size_t(k) + 1];
      d.centre = {a.x + t * (b.x - a.x) - y * std::sin(h), a.y + t * (b.y - a.y) + y * std::cos(h)};
    }
    replace_disks(body, placed);
  }
}

std::vector<Body> raft(const RaftOptions& options, Random& random) {
  std::vector<Body> bodies;
  const double pitch = 2 * options.radius * (1 + 0.3 * options.radius_spread);
  for (int row = 0; row < options.rows; ++row) {
    const double y = pitch * (row - 0.5 * (options.rows - 1));
    const double outward = options.rows > 1 ? std::abs(2.0 * row / (options.rows - 1) - 1) : 0;
    const double length = options.row_length * (1 - options.taper * outward * outward) * random.uniform(0.75f, 1.1f);
    const double from = -length / 2 + options.length * random.uniform(-0.6f, 0.6f);
    add_row(bodies, from, from + length, y, options, random);
  }
  return bodies;
}

std::vector<Body> chain(const ChainOptions& options, Random& random) {
  std::vector<Body> bodies;
  Point at;
  double heading = 0, last = 0;
  for (int k = 0; k < options.cells; ++k) {
    RodShape shape;
    shape.radius = options.radius * (1 + options.radius_spread * random.uniform(-1, 1));
    shape.length = 2.1 * shape.radius;
    if (random.uniform() < float(options.dividing)) {
      shape.length = shape.radius * random.uniform(2.3f, 3.4f);
      shape.waist = 0.35 * (shape.length / shape.radius - 2.2) / 1.2;
    }
    Body body = rod(shape);
    if (k > 0) {
      heading += options.winding * std::clamp(gaussian(random), -2.0, 2.0);
      const double step = last + reach(body);
      at.x += step * std::cos(heading), at.y += step * std::sin(heading);
    }
    last = reach(body);
    body.at = at, body.angle = heading;
    bodies.push_back(std::move(body));
  }
  return bodies;
}

Channels channels(const ChannelOptions& options, Random& random) {
  Channels out;
  RaftOptions row;
  row.radius = options.radius, row.radius_spread = 0.03;
  row.length = options.cell_length, row.length_spread = options.length_spread;
  row.gap = 0.15, row.missing = 0;
  for (int k = 0; k < options.channels; ++k) {
    const double y = options.spacing * (k - 0.5 * (options.channels - 1)), closed = -options.length / 2;
    Body wall = rod({options.length, options.width / 2, 0, 0});
    wall.at = {0, y};
    out.walls.push_back(std::move(wall));
    const double filled = options.length * std::min(1.0, options.filling * double(random.uniform(0.5f, 1.2f)));
    const size_t first = out.cells.size();
    add_row(out.cells, closed + 1, closed + filled - options.cell_length, y, row, random);
    const double play = std::max(0.0, options.width / 2 - options.radius);
    for (size_t c = first; c < out.cells.size(); ++c)
      out.cells[c].at.y += play * double(random.uniform(-1, 1));
  }
  return out;
}

Body stalked_rod(const RodShape& shape, const StalkShape& stalk, Random& random) {
  Body body = rod(shape);
  const double step = std::max(1.0, stalk.radius);
  const size_t n = body.disks.size();
  Point at = body.disks[n - 1].centre;
  const Point before = body.disks[n - 2].centre;
  double heading = std::atan2(at.y - before.y, at.x - before.x), turn = 0;
  at.x += (shape.radius - stalk.radius) * std::cos(heading), at.y += (shape.radius - stalk.radius) * std::sin(heading);
  for (double s = 0; s < stalk.length; s += step) {
    body.joined.push_back(int(body.disks.size()) - 1);
    body.disks.push_back({at, stalk.radius});
    // The turn itself is a random walk, so that bends are smooth.
    turn = 0.9 * turn + 0.44 * stalk.winding * std::clamp(gaussian(random), -2.0, 2.0);
    heading += turn;
    at.x += step * std::cos(heading), at.y += step * std::sin(heading);
  }
  std::vector<Disk> disks = body.placed();
  replace_disks(body, disks);
  return body;
}

std::vector<Body> nucleoids(const std::vector<Body>& cells, double thickness, double spacing, Random& random) {
  std::vector<Body> out;
  for (const Body& cell : cells) {
    const std::vector<Disk> placed = cell.placed();
    const int n = int(placed.size());
    const double radius = placed[size_t(n / 2)].radius;
    const int count = std::max(1, int(std::lround(0.5 * n / spacing * random.uniform(0.8f, 1.2f))));
    for (int k = 0; k < count; ++k) {
      const double middle = (k + 0.5 + 0.15 * random.uniform(-1, 1)) * n / count;
      const double half = 0.5 * n / count * random.uniform(0.35f, 0.75f);
      const int from = std::clamp(int(middle - half), 0, n - 1), to = std::clamp(int(middle + half), from, n - 1);
      Body part;
      std::vector<Disk> disks;
      for (int i = from; i <= to; ++i) {
        disks.push_back({placed[size_t(i)].centre, std::min(placed[size_t(i)].radius, radius) * thickness});
        part.joined.push_back(std::max(0, i - from - 1));
      }
      replace_disks(part, disks);
      out.push_back(std::move(part));
    }
  }
  return out;
}

}  // namespace basin::synth

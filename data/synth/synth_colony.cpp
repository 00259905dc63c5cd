#include "data/synth/synth_colony.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace basin::synth {
namespace {

struct Ball {
  double x, y, radius;
  int body;
};

std::vector<Ball> balls_of(const std::vector<Body>& bodies) {
  std::vector<Ball> balls;
  for (size_t k = 0; k < bodies.size(); ++k)
    for (const Disk& d : bodies[k].placed())
      balls.push_back({d.centre.x, d.centre.y, d.radius, int(k)});
  return balls;
}

/// Balls sorted into square cells as wide as the largest ball, so that a ball can touch only those in the 3 x 3 cells
/// around it.
class Grid {
 public:
  /// `slack`: how far balls may move before pairs could be missed.
  Grid(const std::vector<Ball>& balls, double slack) {
    double x1 = -1e300, y1 = -1e300, largest = 0;
    for (const Ball& b : balls) {
      x0_ = std::min(x0_, b.x), y0_ = std::min(y0_, b.y), x1 = std::max(x1, b.x), y1 = std::max(y1, b.y);
      largest = std::max(largest, b.radius);
    }
    side_ = 2 * largest + slack;
    columns_ = int((x1 - x0_) / side_) + 1, rows_ = int((y1 - y0_) / side_) + 1;
    start_.assign(size_t(columns_) * size_t(rows_) + 1, 0);
    for (const Ball& b : balls)
      ++start_[cell(b) + 1];
    for (size_t c = 1; c < start_.size(); ++c)
      start_[c] += start_[c - 1];
    order_.resize(balls.size());
    std::vector<int> next(start_.begin(), start_.end() - 1);
    for (size_t i = 0; i < balls.size(); ++i)
      order_[size_t(next[cell(balls[i])]++)] = int(i);
  }

  /// Calls meet(i, j) once for each pair i < j of different bodies in neighbouring cells.
  template <class Meet>
  void pairs(const std::vector<Ball>& balls, const Meet& meet) const {
    for (size_t i = 0; i < balls.size(); ++i) {
      const int cx = int((balls[i].x - x0_) / side_), cy = int((balls[i].y - y0_) / side_);
      for (int y = std::max(0, cy - 1); y <= std::min(rows_ - 1, cy + 1); ++y) {
        const size_t row = size_t(y) * size_t(columns_);
        const int from = start_[row + size_t(std::max(0, cx - 1))];
        const int to = start_[row + size_t(std::min(columns_ - 1, cx + 1)) + 1];
        for (int k = from; k < to; ++k) {
          const size_t j = size_t(order_[size_t(k)]);
          if (j > i && balls[j].body != balls[i].body) meet(i, j);
        }
      }
    }
  }

 private:
  size_t cell(const Ball& b) const {
    return size_t(int((b.y - y0_) / side_)) * size_t(columns_) + size_t(int((b.x - x0_) / side_));
  }
  double x0_ = 1e300, y0_ = 1e300, side_ = 1;
  int columns_ = 0, rows_ = 0;
  std::vector<int> start_, order_;
};

double depth(const Ball& a, const Ball& b) {
  const double reach = a.radius + b.radius, dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
  return square >= reach * reach ? 0 : reach - std::sqrt(square);
}

/// How far a body moves and turns in one sweep, and its inertia.
struct Motion {
  double x = 0, y = 0, turn = 0, per_mass = 0, per_inertia = 0;
};

/// One Gauss-Seidel sweep: a contact sees the movements by earlier contacts. Returns the deepest overlap found.
double sweep(std::vector<Body>& bodies) {
  const std::vector<Ball> balls = balls_of(bodies);
  std::vector<Motion> motion(bodies.size());
  for (size_t k = 0; k < bodies.size(); ++k) {
    double mass = 0, inertia = 0;
    for (const Disk& d : bodies[k].disks) {
      mass += 1;
      inertia += d.centre.x * d.centre.x + d.centre.y * d.centre.y + d.radius * d.radius / 2;
    }
    motion[k].per_mass = 1 / mass, motion[k].per_inertia = 1 / inertia;
  }
  double deepest = 0;
  Grid(balls, 0).pairs(balls, [&](size_t i, size_t j) {
    const double reach = balls[i].radius + balls[j].radius;
    if (std::abs(balls[i].x - balls[j].x) > reach || std::abs(balls[i].y - balls[j].y) > reach) return;
    const Body &a = bodies[size_t(balls[i].body)], &b = bodies[size_t(balls[j].body)];
    Motion &ma = motion[size_t(balls[i].body)], &mb = motion[size_t(balls[j].body)];
    const double ax = balls[i].x - a.at.x, ay = balls[i].y - a.at.y, bx = balls[j].x - b.at.x, by = balls[j].y - b.at.y;
    double dx = balls[j].x + mb.x - mb.turn * by - balls[i].x - ma.x + ma.turn * ay;
    double dy = balls[j].y + mb.y + mb.turn * bx - balls[i].y - ma.y - ma.turn * ax;
    double distance = std::sqrt(dx * dx + dy * dy);
    const double gap = distance - reach;
    if (gap >= 0) return;
    deepest = std::max(deepest, -gap);
    if (distance < 1e-9) dx = 1, dy = 0, distance = 1;
    dx /= distance, dy /= distance;
    const double turn_a = ax * dy - ay * dx, turn_b = bx * dy - by * dx;
    const double yield =
        ma.per_mass + mb.per_mass + turn_a * turn_a * ma.per_inertia + turn_b * turn_b * mb.per_inertia;
    const double push = -gap / yield;
    ma.x -= push * ma.per_mass * dx, ma.y -= push * ma.per_mass * dy, ma.turn -= push * ma.per_inertia * turn_a;
    mb.x += push * mb.per_mass * dx, mb.y += push * mb.per_mass * dy, mb.turn += push * mb.per_inertia * turn_b;
  });
  for (size_t k = 0; k < bodies.size(); ++k)
    bodies[k].at.x += motion[k].x, bodies[k].at.y += motion[k].y, bodies[k].angle += motion[k].turn;
  return deepest;
}

/// A growing cell; its body is bodies[index].
struct Cell {
  RodShape shape;
  double division = 32, rate = 0.06;
};

Cell newborn(const ColonyOptions& options, double length, double radius, Random& random) {
  Cell cell;
  cell.shape.length = length;
  cell.shape.radius = radius;
  cell.shape.curvature = options.curvature * random.uniform(0.5f, 1.5f);
  cell.shape.curvature += random.uniform(-0.008f, 0.008f);
  cell.division = options.length * random.uniform(0.85f, 1.2f);
  cell.rate = random.uniform(0.045f, 0.075f);
  if (options.late > 0 && random.uniform() < float(options.late)) cell.division *= random.uniform(1.5f, 4);
  return cell;
}

void reshape(Body& body, const Cell& cell) {
  Body next = rod(cell.shape);
  body.disks = std::move(next.disks), body.joined = std::move(next.joined);
}

}  // namespace

double overlap(const std::vector<Body>& bodies) {
  const std::vector<Ball> balls = balls_of(bodies);
  double deepest = 0;
  if (!balls.empty())
    Grid(balls, 0).pairs(balls, [&](size_t i, size_t j) { deepest = std::max(deepest, depth(balls[i], balls[j])); });
  return deepest;
}

double overlap_with(const std::vector<Body>& others, const Body& body) {
  const std::vector<Ball> own = balls_of({body});
  double deepest = 0, size = 0;
  for (const Disk& d : body.disks)
    size = std::max(size, std::hypot(d.centre.x, d.centre.y) + d.radius);
  for (const Body& other : others) {
    double reach = 0;
    for (const Disk& d : other.disks)
      reach = std::max(reach, std::hypot(d.centre.x, d.centre.y) + d.radius);
    if (std::hypot(other.at.x - body.at.x, other.at.y - body.at.y) > size + reach) continue;
    for (const Ball& a : balls_of({other}))
      for (const Ball& b : own)
        deepest = std::max(deepest, depth(a, b));
  }
  return deepest;
}

void push_apart(std::vector<Body>& bodies, int passes, double tolerance) {
  if (bodies.empty()) return;
  for (int pass = 0; pass < passes; ++pass)
    if (sweep(bodies) <= tolerance) return;
}

void remove_overlapping(std::vector<Body>& bodies, double fraction) {
  if (bodies.empty()) return;
  const std::vector<Ball> balls = balls_of(bodies);
  std::vector<std::pair<int, int>> clashes;
  Grid(balls, 0).pairs(balls, [&](size_t i, size_t j) {
    if (depth(balls[i], balls[j]) > fraction * std::min(balls[i].radius, balls[j].radius))
      clashes.push_back({std::max(balls[i].body, balls[j].body), std::min(balls[i].body, balls[j].body)});
  });
  std::sort(clashes.begin(), clashes.end());
  std::vector<uint8_t> removed(bodies.size());
  for (const auto& [later, earlier] : clashes)
    if (!removed[size_t(earlier)]) removed[size_t(later)] = 1;
  size_t kept = 0;
  for (size_t k = 0; k < bodies.size(); ++k)
    if (!removed[k]) std::swap(bodies[kept++], bodies[k]);
  bodies.resize(kept);
}

std::vector<Body> grow(const ColonyOptions& options, std::vector<Body> fixed, Random& random) {
  const size_t first = fixed.size();
  const float kink = float(options.kink);
  std::vector<Body> bodies = std::move(fixed);
  std::vector<Cell> cells;
  auto add = [&](const Cell& cell, Point at, double angle) {
    Body body = rod(cell.shape);
    body.at = at, body.angle = angle;
    bodies.push_back(std::move(body));
    cells.push_back(cell);
  };
  for (int k = 0; k < options.colonies; ++k) {
    const double radius = options.radius * random.uniform(0.93f, 1.07f);
    const Cell cell = newborn(options, options.length * random.uniform(0.5f, 0.9f), radius, random);
    const Point at = options.founders.empty() ? Point{options.size * double(random.uniform(0.05f, 0.95f)),
                                                      options.size * double(random.uniform(0.05f, 0.95f))}
                                              : options.founders[size_t(k)];
    add(cell, at, random.uniform(0, 6.2831853f));
  }
  auto inside = [&] {
    return std::count_if(bodies.begin(), bodies.end(), [&](const Body& b) {
      return b.at.x >= 0 && b.at.y >= 0 && b.at.x < options.size && b.at.y < options.size;
    });
  };
  for (int step = 0; step < 160 && inside() < options.cells; ++step) {
    const size_t grown = cells.size();
    for (size_t k = 0; k < grown; ++k) {
      Cell& cell = cells[k];
      cell.shape.length *= 1 + cell.rate;
      if (cell.shape.length > cell.division) {
        const double angle = bodies[first + k].angle, half = cell.shape.length / 2;
        const Point at = bodies[first + k].at;
        const double dx = half / 2 * std::cos(angle), dy = half / 2 * std::sin(angle), radius = cell.shape.radius;
        const Cell a = newborn(options, half, radius * random.uniform(0.97f, 1.03f), random);
        const Cell b = newborn(options, half, radius * random.uniform(0.97f, 1.03f), random);
        cell = a;
        bodies[first + k].at = {at.x - dx, at.y - dy};
        bodies[first + k].angle = angle + random.uniform(-kink, kink);
        reshape(bodies[first + k], a);
        add(b, {at.x + dx, at.y + dy}, angle + random.uniform(-kink, kink));
      } else {
        const double near = cell.shape.length / cell.division;
        cell.shape.waist = near > 0.85 ? 0.3 * (near - 0.85) / 0.15 : 0;
        reshape(bodies[first + k], cell);
      }
    }
    push_apart(bodies, 4, 0.05);
  }
  push_apart(bodies, 80, options.slack);
  return bodies;
}

}  // namespace basin::synth

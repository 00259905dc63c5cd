#include "data/synth/synth_shapes.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace basin::synth {
namespace {

/// Disks along a curve: heading in radians at arc length s, radius at s.
struct Spine {
  double length = 0, spacing = 1;
  std::function<double(double)> heading, radius;
};

void add_chain(Body& body, const Spine& spine, Point start, int join) {
  const int n = std::max(2, int(std::ceil(spine.length / spine.spacing)) + 1);
  const double step = spine.length / (n - 1);
  Point at = start;
  for (int i = 0; i < n; ++i) {
    const int index = int(body.disks.size());
    body.joined.push_back(i == 0 ? std::max(0, join) : index - 1);
    body.disks.push_back({at, spine.radius(i * step)});
    const double heading = spine.heading((i + 0.5) * step);
    at.x += step * std::cos(heading), at.y += step * std::sin(heading);
  }
}

void centre(Body& body) {
  double x = 0, y = 0;
  for (const Disk& d : body.disks)
    x += d.centre.x, y += d.centre.y;
  for (Disk& d : body.disks)
    d.centre.x -= x / double(body.disks.size()), d.centre.y -= y / double(body.disks.size());
}

double septum(double waist, double from_middle, double radius) {
  const double t = from_middle / (0.7 * radius);
  return 1 - waist * std::exp(-t * t);
}

Body rod_chain(const RodShape& shape) {
  const double spine = std::max(shape.length - 2 * shape.radius, 0.1);
  Body body;
  add_chain(body,
            {spine, 0.5 * shape.radius, [=](double s) { return shape.curvature * (s - spine / 2); },
             [=](double s) { return shape.radius * septum(shape.waist, s - spine / 2, shape.radius); }},
            {}, -1);
  return body;
}

/// The depth of pixel p in the hull of two disks: distance from the nearest spine point over the radius there.
struct Depth {
  double relative, radius;
};
Depth depth_in(const Disk& a, const Disk& b, double x, double y) {
  const double ex = b.centre.x - a.centre.x, ey = b.centre.y - a.centre.y;
  const double length = std::sqrt(ex * ex + ey * ey);
  const double px = x - a.centre.x, py = y - a.centre.y;
  double s = 0, radius = a.radius;
  if (length > 0) {
    // |p - c(s)| - r(s) is convex along the spine: its free minimum, clamped, is the nearest point.
    const double slope = (b.radius - a.radius) / length;
    const double along = (px * ex + py * ey) / length, across = std::abs(px * ey - py * ex) / length;
    if (std::abs(slope) < 1)
      s = std::clamp(along + slope * across / std::sqrt(1 - slope * slope), 0.0, length);
    else
      s = slope > 0 ? length : 0;
    radius = a.radius + slope * s;
  }
  const double dx = px - (length > 0 ? s * ex / length : 0), dy = py - (length > 0 ? s * ey / length : 0);
  return {std::sqrt(dx * dx + dy * dy) / radius, radius};
}

/// The pixels of the 4-connected piece that contains `seed`; marks them in `seen`.
std::vector<size_t> take_piece(const std::vector<int32_t>& ids, std::vector<uint8_t>& seen, size_t seed, size_t width) {
  std::vector<size_t> piece{seed};
  seen[seed] = 1;
  for (size_t head = 0; head < piece.size(); ++head) {
    const size_t p = piece[head], x = p % width;
    auto visit = [&](size_t q) {
      if (!seen[q] && ids[q] == ids[p]) seen[q] = 1, piece.push_back(q);
    };
    if (x > 0) visit(p - 1);
    if (x + 1 < width) visit(p + 1);
    if (p >= width) visit(p - width);
    if (p + width < ids.size()) visit(p + width);
  }
  return piece;
}

void keep_largest_pieces(Scene& scene, size_t bodies, size_t min_area) {
  std::vector<std::vector<size_t>> largest(bodies + 1);
  std::vector<uint8_t> seen(scene.ids.size());
  for (size_t p = 0; p < scene.ids.size(); ++p) {
    if (scene.ids[p] == 0 || seen[p]) continue;
    std::vector<size_t> piece = take_piece(scene.ids, seen, p, size_t(scene.width));
    std::vector<size_t>& best = largest[size_t(scene.ids[p])];
    if (piece.size() > best.size()) best = std::move(piece);
  }
  std::erase_if(largest, [&](const std::vector<size_t>& piece) { return piece.size() < min_area; });
  std::sort(largest.begin(), largest.end(), [](const auto& a, const auto& b) { return a[0] < b[0]; });
  std::fill(scene.ids.begin(), scene.ids.end(), 0);
  for (size_t k = 0; k < largest.size(); ++k)
    for (size_t p : largest[k])
      scene.ids[p] = int32_t(k + 1);
  scene.count = int(largest.size());
  for (size_t p = 0; p < scene.ids.size(); ++p)
    if (scene.ids[p] == 0) scene.thickness[p] = scene.radius[p] = 0;
}

}  // namespace

std::vector<Disk> Body::placed() const {
  const double c = std::cos(angle), s = std::sin(angle);
  std::vector<Disk> out;
  out.reserve(disks.size());
  for (const Disk& d : disks)
    out.push_back({{at.x + c * d.centre.x - s * d.centre.y, at.y + s * d.centre.x + c * d.centre.y}, d.radius});
  return out;
}

Body rod(const RodShape& shape) {
  Body body = rod_chain(shape);
  centre(body);
  return body;
}

Body branched_rod(const RodShape& shape, const BranchShape& branch) {
  Body body = rod_chain(shape);
  const double spine = std::max(shape.length - 2 * shape.radius, 0.1);
  const int root =
      std::clamp(int(std::lround(branch.position * double(body.disks.size() - 1))), 0, int(body.disks.size()) - 1);
  const double heading = shape.curvature * (branch.position - 0.5) * spine + branch.angle;
  const Point start = body.disks[size_t(root)].centre;
  add_chain(body,
            {branch.length, 0.5 * shape.radius, [=](double) { return heading; },
             [=](double s) { return shape.radius * (1 - 0.12 * s / branch.length); }},
            start, root);
  centre(body);
  return body;
}

Body worm(const WormShape& shape) {
  const double spine = shape.length - shape.radius;
  Body body;
  add_chain(body,
            {spine, 0.5 * shape.radius,
             [=](double s) {
               return shape.amplitude * std::sin(6.283185307179586 * s / shape.wavelength + shape.phase) +
                      shape.curvature * s;
             },
             [=](double s) {
               if (!shape.tapered) return shape.radius;
               const double head = std::clamp(s / (0.18 * spine), 0.0, 1.0);
               const double tail = std::clamp((spine - s) / (0.35 * spine), 0.0, 1.0);
               return shape.radius * (0.6 + 0.4 * std::sqrt(head)) * (0.45 + 0.55 * std::sqrt(tail));
             }},
            {}, -1);
  centre(body);
  return body;
}

Body nucleus(const NucleusShape& shape) {
  const double focal = shape.a * shape.a - shape.b * shape.b, reach = focal / shape.a;
  Body body;
  add_chain(body,
            {2 * reach, std::max(0.5, reach / 6), [=](double s) { return shape.curvature * (s - reach); },
             [=](double s) {
               const double c = s - reach;
               return shape.b * std::sqrt(std::max(0.0, 1 - c * c / focal)) * (1 + shape.egg * c / shape.a) *
                      septum(shape.waist, c, shape.b);
             }},
            {}, -1);
  centre(body);
  return body;
}

Scene draw(const std::vector<Body>& bodies, int height, int width, int min_area) {
  const size_t pixels = size_t(height) * size_t(width);
  Scene scene{height, width, 0, std::vector<int32_t>(pixels), std::vector<float>(pixels), std::vector<float>(pixels)};
  std::vector<double> relative(pixels, 1.0);
  for (size_t k = 0; k < bodies.size(); ++k) {
    const std::vector<Disk> disks = bodies[k].placed();
    for (size_t i = 0; i < disks.size(); ++i) {
      const Disk &a = disks[size_t(bodies[k].joined[i])], &b = disks[i];
      const double x0 = std::min(a.centre.x - a.radius, b.centre.x - b.radius);
      const double x1 = std::max(a.centre.x + a.radius, b.centre.x + b.radius);
      const double y0 = std::min(a.centre.y - a.radius, b.centre.y - b.radius);
      const double y1 = std::max(a.centre.y + a.radius, b.centre.y + b.radius);
      for (int y = std::max(0, int(std::ceil(y0))); y <= std::min(height - 1, int(std::floor(y1))); ++y)
        for (int x = std::max(0, int(std::ceil(x0))); x <= std::min(width - 1, int(std::floor(x1))); ++x) {
          const Depth depth = depth_in(a, b, x, y);
          const size_t p = size_t(y) * size_t(width) + size_t(x);
          if (depth.relative >= relative[p]) continue;
          relative[p] = depth.relative;
          scene.ids[p] = int32_t(k + 1);
          scene.thickness[p] = float(2 * depth.radius * std::sqrt(1 - depth.relative * depth.relative));
          scene.radius[p] = float(depth.radius);
        }
    }
  }
  keep_largest_pieces(scene, bodies.size(), size_t(std::max(1, min_area)));
  return scene;
}

Scene crop(const Scene& scene, int margin, int size, int min_area) {
  const size_t pixels = size_t(size) * size_t(size);
  Scene out{size, size, 0, std::vector<int32_t>(pixels), std::vector<float>(pixels), std::vector<float>(pixels)};
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      const size_t to = size_t(y) * size_t(size) + size_t(x);
      const size_t from = size_t(y + margin) * size_t(scene.width) + size_t(x + margin);
      out.ids[to] = scene.ids[from];
      out.thickness[to] = scene.thickness[from], out.radius[to] = scene.radius[from];
    }
  keep_largest_pieces(out, size_t(scene.count), size_t(std::max(1, min_area)));
  return out;
}

}  // namespace basin::synth

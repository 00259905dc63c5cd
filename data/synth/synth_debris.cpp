#include "data/synth/synth_debris.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_microscope.h"
#include "data/synth/synth_random.h"
#include "data/synth/synth_shapes.h"

namespace basin::synth {
namespace {

/// Adds profile(distance from the centre in px) within `reach`.
template <class Profile>
void add_round(Plane& plane, Point centre, double reach, const Profile& profile) {
  const int y0 = std::max(0, int(std::ceil(centre.y - reach))), y1 = int(std::floor(centre.y + reach));
  const int x0 = std::max(0, int(std::ceil(centre.x - reach))), x1 = int(std::floor(centre.x + reach));
  for (int y = y0; y <= std::min(plane.height - 1, y1); ++y)
    for (int x = x0; x <= std::min(plane.width - 1, x1); ++x) {
      const double d = std::hypot(x - centre.x, y - centre.y);
      if (d < reach) plane.at[size_t(y) * size_t(plane.width) + size_t(x)] += float(profile(d));
    }
}

Point somewhere(const Plane& plane, Random& random) {
  const double x = plane.width * double(random.uniform());
  return {x, plane.height * double(random.uniform())};
}

double sign(const DebrisOptions& options, double negative, Random& random) {
  const bool below = random.uniform() < float(negative);
  return below && !options.positive ? -1 : 1;
}

void add_speck(Plane& plane, const DebrisOptions& options, Random& random) {
  const Point at = somewhere(plane, random);
  const double radius = std::max(0.8, options.radius * random.uniform(0.1f, 0.6f));
  const double way = sign(options, 0.4, random), depth = way * options.strength * random.uniform(0.3f, 1.5f);
  add_round(plane, at, radius, [=](double d) { return depth * std::sqrt(1 - d * d / (radius * radius)); });
}

void add_ring(Plane& plane, const DebrisOptions& options, Random& random) {
  const Point at = somewhere(plane, random);
  const double width = options.radius * random.uniform(0.8f, 4), period = width * random.uniform(0.4f, 1.5f);
  const double way = sign(options, 0.5, random), depth = way * options.strength * random.uniform(0.1f, 0.6f);
  const double floor = options.positive ? 0 : -1;
  add_round(plane, at, 3 * width, [=](double d) {
    const double fringes = std::max(floor, std::cos(two_pi * d / period));
    return depth * fringes * std::exp(-0.5 * d * d / (width * width));
  });
}

}  // namespace

Plane debris(int height, int width, const DebrisOptions& options, Random& random) {
  Plane out{height, width, std::vector<float>(size_t(height) * size_t(width))};
  std::vector<Body> ghosts, fibres;
  for (int k = 0; k < options.ghosts; ++k) {
    Body body = rod({options.radius * random.uniform(2.5f, 9), options.radius, 0, 0});
    body.at = somewhere(out, random);
    body.angle = turn(random);
    ghosts.push_back(std::move(body));
  }
  for (int k = 0; k < options.fibres; ++k) {
    WormShape shape;
    shape.length = random.uniform(30, 200), shape.radius = random.uniform(0.6f, 1.2f);
    shape.amplitude = random.uniform(0.1f, 1), shape.wavelength = random.uniform(40, 200);
    shape.phase = turn(random), shape.curvature = random.uniform(-0.02f, 0.02f);
    shape.tapered = false;
    Body body = worm(shape);
    body.at = somewhere(out, random);
    body.angle = turn(random);
    fibres.push_back(std::move(body));
  }
  if (!ghosts.empty()) {
    Plane body = cytosol(draw(ghosts, height, width, 1), options.radius, 0, 1);
    body = wide_blur(body, options.radius * random.uniform(0.8f, 2.5f));
    const float depth = float(options.strength * random.uniform(0.4f, 1.2f));
    for (size_t p = 0; p < out.at.size(); ++p)
      out.at[p] += depth * body.at[p];
  }
  if (!fibres.empty()) {
    const Scene scene = draw(fibres, height, width, 1);
    const float depth = float(options.strength * random.uniform(0.2f, 0.8f));
    for (size_t p = 0; p < out.at.size(); ++p)
      if (scene.ids[p] != 0) out.at[p] += depth * scene.thickness[p] / (2 * scene.radius[p]);
  }
  for (int k = 0; k < options.specks; ++k)
    add_speck(out, options, random);
  for (int k = 0; k < options.rings; ++k)
    add_ring(out, options, random);
  return out;
}

}  // namespace basin::synth

#include "data/synth/synth_scenes.h"

#include <algorithm>
#include <cmath>

#include "data/synth/synth_camera.h"
#include "data/synth/synth_debris.h"
#include "data/synth/synth_layout.h"
#include "data/synth/synth_microscope.h"
#include "data/synth/synth_random.h"

namespace basin::synth {
namespace {

constexpr int min_visible_area = 12;  // px

DebrisOptions dirt(const Culture& culture, int size, bool light, Random& random) {
  DebrisOptions options;
  options.radius = culture.radius;
  options.strength = random.uniform(0.15f, 0.9f);
  options.positive = light;
  if (chance(random, 0.35)) return options;  // a clean field
  const double fields = std::max(0.3, size / 256.0 * (size / 256.0));
  options.specks = int(fields * random.below(12));
  options.rings = chance(random, 0.5) ? 0 : int(fields * (1 + random.below(4)));
  options.ghosts = chance(random, 0.8) ? 0 : int(fields * (1 + random.below(6)));
  options.fibres = culture.thin_lines || chance(random, 0.9) ? 0 : 1 + random.below(3);
  return options;
}

/// Channels contain a different liquid than the plastic around them, and have bright or dark walls.
void add_walls(Plane& backdrop, const std::vector<Body>& walls, double radius, Random& random) {
  const Scene hollow = draw(walls, backdrop.height, backdrop.width, 1);
  Plane inside{backdrop.height, backdrop.width, std::vector<float>(backdrop.at.size())};
  for (size_t p = 0; p < inside.at.size(); ++p)
    inside.at[p] = hollow.ids[p] != 0;
  const float depth = random.uniform(-0.3f, 0.3f);
  inside = blur(inside, std::max(0.7, 0.25 * radius));
  for (size_t p = 0; p < inside.at.size(); ++p)
    backdrop.at[p] += depth * inside.at[p];
}

Specimen prepare(const Culture& culture, int size, int margin, bool light, Random& random) {
  const int side = size + 2 * margin;
  const double m = margin;
  std::vector<Body> cells = culture.cells;
  move(cells, {m, m}, 0);
  Specimen out;
  out.radius = culture.radius;
  out.scene = draw(cells, side, side, 1);
  const double thickness = random.uniform(0.45f, 0.8f), spacing = random.uniform(2.5f, 6);
  const Scene inner = draw(nucleoids(cells, thickness, spacing, random), side, side, 1);
  out.nucleoid = {side, side, inner.thickness};
  out.backdrop = debris(side, side, dirt(culture, size, light, random), random);
  if (!culture.walls.empty() && !light) {
    std::vector<Body> walls = culture.walls;
    move(walls, {m, m}, 0);
    add_walls(out.backdrop, walls, culture.radius, random);
  }
  return out;
}

RingOptics random_ring(double radius, Random& random) {
  RingOptics o;
  o.ring = random.uniform(0.25f, 0.7f);
  o.phase = o.ring * random.uniform(0.9f, 2.5f);
  o.spread = random.uniform(0.03f, 0.2f);
  o.shift = -0.25 * two_pi + random.uniform(-0.25f, 0.25f);
  o.passed = random.uniform(0.85f, 1);
  o.narrow = std::max(1.8, radius * random.uniform(0.6f, 1.8f));
  o.wide = o.narrow * random.uniform(2, 5);
  o.share = random.uniform(0, 0.5f);
  o.envelope = std::min(0.25 * radius, double(random.uniform(0.1f, 1.5f)));
  o.flatness = random.uniform(0.5f, 1.2f);
  o.nucleoid = chance(random, 0.4) ? 0 : random.uniform(-0.5f, 0.15f);
  o.texture = random.uniform(0.01f, 0.16f);
  o.agar = o.ring * log_uniform(random, 0.002, 0.04);
  o.psf = std::max(0.6, radius * random.uniform(0.1f, 0.32f));
  return o;
}

BrightFieldOptics random_bright_field(double radius, Random& random) {
  BrightFieldOptics o;
  const double strength = log_uniform(random, 0.4, 1.5);
  o.defocus = chance(random, 0.5) ? strength : -strength;
  o.scale = radius * random.uniform(0.3f, 0.9f);
  o.absorption = random.uniform(0, 0.25f);
  o.spread = random.uniform(0.03f, 0.2f);
  o.envelope = std::min(0.25 * radius, double(random.uniform(0, 1)));
  o.texture = random.uniform(0.01f, 0.15f);
  o.agar = log_uniform(random, 0.001, 0.02);
  o.psf = std::max(0.6, radius * random.uniform(0.1f, 0.35f));
  return o;
}

StainOptics random_stain(double radius, Random& random) {
  StainOptics o;
  const float dye = random.uniform();
  if (dye < 0.5f) {
    o.cytosol = 1, o.nucleoid = random.uniform(-0.4f, 0.3f);
  } else if (dye < 0.8f) {
    o.cytosol = random.uniform(0, 0.3f), o.membrane = 1;
  } else {
    o.cytosol = random.uniform(0.2f, 0.6f), o.nucleoid = random.uniform(0.6f, 1.5f);
  }
  o.spread = random.uniform(0.05f, 0.6f);
  o.envelope = std::min(0.2 * radius, double(random.uniform(0, 1)));
  o.flatness = random.uniform(0.4f, 1.2f);
  o.shell = std::max(0.7, radius * random.uniform(0.1f, 0.3f));
  o.texture = random.uniform(0.02f, 0.2f);
  o.psf = std::max(0.6, radius * random.uniform(0.12f, 0.4f));
  o.haze = random.uniform(0.02f, 0.45f);
  o.haze_sigma = radius * random.uniform(1.5f, 6);
  o.background = log_uniform(random, 0.01, 0.6);
  return o;
}

/// `typical`: light of the background if there is any, otherwise of the cells.
Sensor random_sensor(int bits, bool light, Random& random) {
  Sensor s;
  const int all_bits[] = {8, 12, 16};
  s.bits = bits != 0 ? bits : all_bits[random.below(3)];
  s.photons = log_uniform(random, light ? 30 : 500, light ? 5000 : 50000);
  s.read_noise = light ? random.uniform(1, 5) : random.uniform(1, 15);
  s.white = light ? random.uniform(1.2f, 4) : log_uniform(random, 2.5, 7);
  s.black = random.uniform(0, 0.15f);
  const bool dim = chance(random, 0.3);
  s.top = dim ? log_uniform(random, s.bits == 8 ? 0.12 : 0.02, 0.5) : random.uniform(0.5f, 1);
  if (chance(random, 0.25)) s.columns = random.uniform(0.002f, 0.02f), s.rows = random.uniform(0, 0.01f);
  if (chance(random, 0.2)) s.hot = log_uniform(random, 2e-5, 1e-3);
  if (chance(random, 0.3)) s.smoothing = random.uniform(0.4f, 1);
  if (chance(random, 0.25)) s.sharpening = random.uniform(0.2f, 1.2f);
  if (chance(random, 0.3)) s.gamma = random.uniform(0.6f, 1.4f);
  s.stretched = chance(random, 0.3);
  return s;
}

SynthModality any_modality(Random& random) {
  const float u = random.uniform();
  return u < 0.6f ? SynthModality::phase : u < 0.9f ? SynthModality::fluorescence : SynthModality::bright_field;
}

}  // namespace

Synthetic photograph(const SynthOptions& options, const Culture& culture, int index, Random& random) {
  const bool any = options.modality == SynthModality::any || options.modality == SynthModality::automatic;
  const SynthModality modality = any ? any_modality(random) : options.modality;
  const bool light = modality == SynthModality::fluorescence;
  const int margin = std::min(32, int(std::ceil(4 * culture.radius)));
  const Specimen specimen = prepare(culture, options.size, margin, light, random);
  Plane plane = light ? stained(specimen, random_stain(culture.radius, random), random)
                : modality == SynthModality::phase
                    ? ring_phase_contrast(specimen, random_ring(culture.radius, random), random)
                    : bright_field(specimen, random_bright_field(culture.radius, random), random);
  const double tilt = random.uniform(0, 0.35f), vignette = random.uniform(0, 0.5f);
  illuminate(plane, tilt, vignette, random);
  const int size = options.size;
  Plane seen{size, size, std::vector<float>(size_t(size) * size_t(size))};
  for (int y = 0; y < size; ++y)
    std::copy_n(&plane.at[size_t(y + margin) * size_t(plane.width) + size_t(margin)], size,
                &seen.at[size_t(y) * size_t(size)]);
  Scene scene = crop(specimen.scene, margin, size, min_visible_area);
  Synthetic out;
  out.image = record(seen, random_sensor(options.bits, light, random), options.seed, uint64_t(index));
  out.labels = {size, size, scene.count, std::move(scene.ids)};
  return out;
}

}  // namespace basin::synth

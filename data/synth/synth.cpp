#include "data/synth/synth.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/synth/synth_colony.h"
#include "data/synth/synth_cultures.h"
#include "data/synth/synth_layout.h"
#include "data/synth/synth_optics.h"
#include "data/synth/synth_random.h"
#include "data/synth/synth_scenes.h"
#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

namespace basin {
namespace {

using namespace synth;

constexpr int min_area = 30;  // px

double around(Random& random, double spread) { return 1 + spread * random.uniform(-1, 1); }

/// The number of objects for an image of this size, between `lo` and `hi` per 256 x 256 px.
int count_for(const SynthOptions& options, double lo, double hi, Random& random) {
  const double per_field = lo + (hi - lo) * random.uniform();
  const double fields = options.size / 256.0 * (options.size / 256.0);
  return std::max(1, int(std::lround(per_field * fields * options.density)));
}

std::vector<Body> bacteria(const SynthOptions& options, Random& random) {
  ColonyOptions colony;
  colony.size = options.size;
  colony.cells = count_for(options, 20, 80, random);
  colony.colonies = std::max(1, int(std::lround(colony.cells * random.uniform(0.03f, 0.25f))));
  colony.radius = random.uniform(3.2f, 4.6f);
  colony.length = colony.radius * random.uniform(7, 10);
  if (random.uniform() < 0.25f) colony.curvature = random.uniform(0.01f, 0.03f);

  std::vector<Body> fixed;
  auto put = [&](Body body) {
    body.at = anywhere(options.size, random);
    body.angle = turn(random);
    fixed.push_back(std::move(body));
  };
  const bool filaments = random.uniform() < 0.3f, branches = random.uniform() < 0.3f;
  for (int k = filaments ? count_for(options, 1, 3, random) : 0; k > 0; --k) {
    const double length = random.uniform(50, 100);
    put(worm({length, colony.radius * around(random, 0.05), 0.5, length * 1.3, turn(random), 0, false}));
  }
  for (int k = branches ? count_for(options, 1, 4, random) : 0; k > 0; --k) {
    RodShape stem{colony.radius * random.uniform(6, 9), colony.radius * 0.95, 0, 0};
    BranchShape branch;
    branch.position = random.uniform(0.35f, 0.65f);
    branch.angle = random.uniform(0.8f, 1.4f);
    branch.length = colony.radius * random.uniform(2.5f, 4.5f);
    put(branched_rod(stem, branch));
  }
  push_apart(fixed, 60, 0.1);
  return grow(colony, std::move(fixed), random);
}

std::vector<Body> worms(const SynthOptions& options, Random& random) {
  std::vector<Body> bodies;
  const double radius = random.uniform(4.5f, 6.5f), length = radius * random.uniform(14, 20);
  WormShape shape;
  for (int k = count_for(options, 5, 14, random); k > 0; --k) {
    // Some lie alongside the previous one, with the same curvature.
    const bool alongside = !bodies.empty() && random.uniform() < 0.3f;
    shape.length = length * around(random, 0.2);
    shape.radius = radius * around(random, 0.1);
    if (!alongside) {
      shape.amplitude = random.uniform(0.2f, 0.9f);
      shape.wavelength = shape.length * random.uniform(0.6f, 1.2f);
      shape.phase = turn(random);
      shape.curvature = random.uniform(-1, 1) / shape.length;
    }
    Body body = worm(shape);
    if (alongside) {
      const Body& other = bodies.back();
      const double across = other.angle + (random.uniform() < 0.5f ? 1.5708 : -1.5708), apart = 1.9 * radius;
      body.angle = other.angle;
      body.at = {other.at.x + apart * std::cos(across), other.at.y + apart * std::sin(across)};
      if (overlap_with(bodies, body) < 0.5 * radius) {
        bodies.push_back(std::move(body));
        continue;
      }
    }
    place(bodies, std::move(body), 0.6, options.size, random);
  }
  push_apart(bodies, 150, 0.1);
  return bodies;
}

std::vector<Body> nuclei(const SynthOptions& options, Random& random) {
  std::vector<Body> bodies;
  const double radius = random.uniform(7, 16), elongation = random.uniform(1.15f, 1.6f);
  const double cover = random.uniform(0.08f, 0.3f);  // covered fraction of the area
  const double expected = cover * 256 * 256 / (3.14159 * radius * radius);
  for (int k = count_for(options, 0.9 * expected, 1.1 * expected, random); k > 0; --k) {
    const double ratio = std::max(1.06, elongation * around(random, 0.15)), r = radius * around(random, 0.2);
    NucleusShape shape;
    shape.a = r * std::sqrt(ratio), shape.b = r / std::sqrt(ratio);
    shape.curvature = random.uniform(-0.5f, 0.5f) / shape.a;
    shape.egg = random.uniform(-0.25f, 0.25f);
    if (random.uniform() < 0.15f) shape.waist = random.uniform(0.05f, 0.18f);
    place(bodies, nucleus(shape), 0.6, options.size, random);
  }
  push_apart(bodies, 100, 0.1);
  return bodies;
}

Image picture(const SynthOptions& options, const Scene& scene, int index, Random& random) {
  const bool automatic = options.modality == SynthModality::automatic;
  const bool phase = automatic ? options.kind != SynthKind::nuclei : options.modality == SynthModality::phase;
  Camera camera;
  if (phase) {
    const double scale = options.kind == SynthKind::bacteria ? 1 : 1.6;
    PhaseOptics optics;
    optics.absorption = random.uniform(0.6f, 0.95f);
    optics.halo = optics.absorption * random.uniform(0.6f, 0.95f);
    optics.halo_sigma = scale * random.uniform(4, 6.5f);
    optics.psf_sigma = random.uniform(0.8f, 1.15f);
    optics.background = random.uniform(0.42f, 0.6f);
    optics.texture = options.kind == SynthKind::bacteria ? 0.05 : 0.2;
    optics.dirt = random.uniform(0.005f, 0.015f);
    camera.photons = random.uniform(900, 4000);
    camera.read_noise = random.uniform(4, 9);
    return expose(phase_contrast(scene, optics, random), camera, options.seed, uint64_t(index));
  }
  FluorescenceOptics optics;
  const bool nuclear = options.kind == SynthKind::nuclei;
  optics.flatness = nuclear ? random.uniform(0.35f, 0.7f) : random.uniform(0.8f, 1.1f);
  optics.psf_sigma = nuclear ? random.uniform(1, 1.5f) : random.uniform(0.9f, 1.3f);
  optics.haze = random.uniform(0.06f, 0.2f);
  optics.haze_sigma = random.uniform(8, 18);
  optics.background = random.uniform(0.02f, 0.08f);
  optics.brightness = random.uniform(0.45f, 0.85f);
  optics.spread = nuclear ? random.uniform(0.15f, 0.4f) : random.uniform(0.1f, 0.3f);
  optics.texture = nuclear ? random.uniform(0.08f, 0.22f) : random.uniform(0.03f, 0.1f);
  camera.photons = random.uniform(250, 1500);
  camera.read_noise = random.uniform(3, 8);
  return expose(fluorescence(scene, optics, random), camera, options.seed, uint64_t(index));
}

}  // namespace

Synthetic make_synthetic(const SynthOptions& options, int index) {
  if (options.size < 32 || options.size > 8192) refuse("synth: size ", options.size, " is not in 32 to 8192");
  if (!(options.density >= 0.05 && options.density <= 2))
    refuse("synth: density ", options.density, " is not in 0.05 to 2");
  if (options.bits != 0 && options.bits != 8 && options.bits != 12 && options.bits != 16)
    refuse("synth: bits ", options.bits, ": expected 8, 12 or 16");
  if (index < 0) refuse("synth: image index ", index, " is negative");
  Random random(options.seed, Purpose::synth, 0, uint64_t(index));
  if (options.kind == SynthKind::colony) {
    const synth::Culture grown = culture(options, random);
    return photograph(options, grown, index, random);
  }
  if (options.modality == SynthModality::bright_field || options.modality == SynthModality::any)
    refuse("synth: bright field and any need --kind colony");
  if (options.shape != SynthShape::any) refuse("synth: --shape needs --kind colony");
  if (options.bits != 0 && options.bits != 8) refuse("synth: ", options.bits, " bits need --kind colony");
  std::vector<Body> bodies = options.kind == SynthKind::bacteria ? bacteria(options, random)
                             : options.kind == SynthKind::worms  ? worms(options, random)
                                                                 : nuclei(options, random);
  remove_overlapping(bodies, 0.3);
  Scene scene = draw(bodies, options.size, options.size, min_area);
  Synthetic out;
  out.image = picture(options, scene, index, random);
  out.labels = {scene.height, scene.width, scene.count, std::move(scene.ids)};
  return out;
}

}  // namespace basin

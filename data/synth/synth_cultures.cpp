#include "data/synth/synth_cultures.h"

#include <algorithm>
#include <cmath>

#include "data/synth/synth_colony.h"
#include "data/synth/synth_layout.h"
#include "data/synth/synth_random.h"

namespace basin::synth {
namespace {

Point within(int size, double margin, Random& random) {
  const double x = size * (margin + (1 - 2 * margin) * double(random.uniform()));
  return {x, size * (margin + (1 - 2 * margin) * double(random.uniform()))};
}

/// The appearance of a strain, in px; shared by all cells of an image.
struct Strain {
  double radius = 4, length = 28;  // mean; length at division
  double curvature = 0;            // radians per px
};

/// The number of cells of the strain that cover this fraction of the image, at most 400 per 256 x 256 px.
int cells_that_cover(const SynthOptions& options, const Strain& strain, double share) {
  const double area = 0.72 * strain.length * 2 * strain.radius, fields = options.size / 256.0 * (options.size / 256.0);
  const double cells = share * options.density * double(options.size) * options.size / area;
  return std::max(1, int(std::lround(std::min(cells, 400 * fields))));
}

/// One to several colonies grown from single cells, up to a monolayer.
std::vector<Body> colonies(const SynthOptions& options, const Strain& strain, Random& random) {
  ColonyOptions colony;
  colony.size = options.size;
  colony.radius = strain.radius, colony.length = strain.length, colony.curvature = strain.curvature;
  colony.cells =
      cells_that_cover(options, strain, chance(random, 0.3) ? random.uniform(0.5f, 0.9f) : random.uniform(0.08f, 0.5f));
  colony.colonies = chance(random, 0.5) ? 1 : 1 + random.below(std::clamp(colony.cells / 6, 1, 8));
  for (int k = 0; k < colony.colonies; ++k)
    colony.founders.push_back(within(options.size, colony.colonies == 1 ? 0.25 : 0.03, random));
  colony.late = chance(random, 0.3) ? random.uniform(0.02f, 0.2f) : 0;
  // Round cells would lose their outline at the overlap that rods can have.
  colony.slack = strain.radius * random.uniform(0.02f, 1) * (strain.length < 4.5 * strain.radius ? 0.1 : 0.3);
  colony.kink = random.uniform(0.01f, 0.15f);
  return grow(colony, {}, random);
}

/// Curved bundles of parallel cells.
std::vector<Body> rafts(const SynthOptions& options, const Strain& strain, Random& random) {
  std::vector<Body> all;
  for (int k = 1 + random.below(3); k > 0; --k) {
    RaftOptions raft_options;
    raft_options.radius = strain.radius, raft_options.length = strain.length;
    raft_options.radius_spread = random.uniform(0.02f, 0.08f);
    raft_options.length_spread = random.uniform(0.1f, 0.6f);
    raft_options.gap = random.uniform(0, 0.6f);
    raft_options.missing = chance(random, 0.5) ? 0 : random.uniform(0, 0.15f);
    raft_options.taper = random.uniform(0, 0.9f);
    const double room = options.size * random.uniform(0.5f, 1.6f);
    raft_options.row_length = std::max(room, strain.length);
    const int most = std::max(2, int(0.8 * options.size / (2 * strain.radius)));
    raft_options.rows = std::max(1, int(std::lround(log_uniform(random, 1, std::min(most, 24)))));
    std::vector<Body> bundle = raft(raft_options, random);
    const double half = std::max(1.0, raft_options.rows * strain.radius);
    Bend curve;
    curve.wavelength = options.size * random.uniform(0.5f, 2);
    // The inner side of the bundle must not be squeezed.
    const double sharpest = 0.35 / half;
    curve.amplitude = std::min(1.2, sharpest * curve.wavelength / two_pi) * random.uniform(0, 1);
    curve.curvature = std::min(0.02, sharpest) * random.uniform(-0.6f, 0.6f);
    curve.phase = turn(random);
    bend(bundle, curve);
    const double angle = turn(random);
    move(bundle, within(options.size, 0.15, random), angle);
    all.insert(all.end(), bundle.begin(), bundle.end());
  }
  push_apart(all, 25, 0.1 * strain.radius);
  return all;
}

/// Single cells or small heaps.
std::vector<Body> scattered(const SynthOptions& options, const Strain& strain, bool stalks, Random& random) {
  std::vector<Body> bodies;
  const double cluster = random.uniform(0, 0.8f), branching = chance(random, 0.15) ? 0.3 : 0;
  StalkShape stalk;
  // As wide as a stalk looks, which is wider than it is: the microscope blurs it, and people draw what they see.
  stalk.radius = std::max(1.6, strain.radius * random.uniform(0.3f, 0.6f));
  stalk.winding = log_uniform(random, 0.02, 0.2);
  const double stalk_length = strain.length * random.uniform(0.5f, 5);
  const double share = stalks ? random.uniform(0.02f, 0.12f) : random.uniform(0.02f, 0.35f);
  for (int k = std::min(150, cells_that_cover(options, strain, share)); k > 0; --k) {
    RodShape shape;
    shape.radius = strain.radius * random.uniform(0.92f, 1.08f);
    shape.length = std::max(2.1 * shape.radius, strain.length * random.uniform(0.5f, 1.1f));
    shape.curvature = strain.curvature * random.uniform(0.3f, 1.6f);
    if (chance(random, 0.5)) shape.curvature = -shape.curvature;
    if (chance(random, 0.15)) shape.waist = random.uniform(0.1f, 0.4f);
    if (stalks && chance(random, 0.75)) {
      stalk.length = stalk_length * random.uniform(0.3f, 1.5f);
      place(bodies, stalked_rod(shape, stalk, random), 0.1, options.size, random);
    } else if (chance(random, branching)) {
      BranchShape branch;
      branch.position = random.uniform(0.3f, 0.7f), branch.angle = random.uniform(0.7f, 1.5f);
      branch.length = strain.radius * random.uniform(2, 6);
      place(bodies, branched_rod(shape, branch), cluster, options.size, random);
    } else {
      place(bodies, rod(shape), cluster, options.size, random);
    }
  }
  push_apart(bodies, 60, 0.05 * strain.radius);
  return bodies;
}

/// Long winding cells, some in bundles.
std::vector<Body> filaments(const SynthOptions& options, Strain strain, Random& random) {
  if (chance(random, 0.5)) {
    strain.length = strain.radius * random.uniform(16, 60);
    return rafts(options, strain, random);
  }
  std::vector<Body> bodies;
  for (int k = 2 + random.below(std::max(2, int(12 * options.density))); k > 0; --k) {
    WormShape shape;
    shape.tapered = false;
    shape.radius = strain.radius * random.uniform(0.9f, 1.1f);
    shape.length = strain.radius * random.uniform(8, 50);
    shape.amplitude = random.uniform(0.05f, 0.9f);
    shape.wavelength = std::max(12 * shape.radius, shape.length * random.uniform(0.5f, 1.5f));
    shape.phase = turn(random), shape.curvature = random.uniform(-1.5f, 1.5f) / shape.length;
    place(bodies, worm(shape), 0.5, options.size, random);
  }
  push_apart(bodies, 60, 0.05 * strain.radius);
  return bodies;
}

/// Cocci in chains, in pairs or in clusters.
std::vector<Body> cocci(const SynthOptions& options, Strain strain, Random& random) {
  strain.length = strain.radius * random.uniform(3, 4);
  if (chance(random, 0.4)) return colonies(options, strain, random);
  std::vector<Body> all;
  ChainOptions chain_options;
  chain_options.radius = strain.radius;
  chain_options.radius_spread = random.uniform(0.02f, 0.12f);
  chain_options.dividing = random.uniform(0, 0.7f);
  chain_options.winding = random.uniform(0.1f, 0.9f);
  const int longest = 2 + random.below(20), cells = cells_that_cover(options, strain, random.uniform(0.03f, 0.4f));
  for (int made = 0; made < cells; made += chain_options.cells) {
    chain_options.cells = 1 + random.below(longest);
    std::vector<Body> one = chain(chain_options, random);
    const double angle = turn(random);
    move(one, within(options.size, 0, random), angle);
    all.insert(all.end(), one.begin(), one.end());
  }
  push_apart(all, 60, 0.05 * strain.radius);
  return all;
}

void mother_machine(Culture& culture, const SynthOptions& options, const Strain& strain, Random& random) {
  ChannelOptions c;
  c.radius = strain.radius, c.cell_length = strain.length * 0.75;
  c.width = 2 * strain.radius * random.uniform(1.02f, 1.3f);
  c.spacing = c.width * random.uniform(1.4f, 4);
  c.length = options.size * random.uniform(0.4f, 1);
  c.channels = std::max(1, int(options.size * 1.2 / c.spacing));
  c.filling = random.uniform(0.5f, 1);
  Channels made = channels(c, random);
  const double quarter = 0.25 * two_pi * random.below(4), angle = quarter + random.uniform(-0.06f, 0.06f);
  const Point middle = within(options.size, 0.35, random);
  move(made.cells, middle, angle), move(made.walls, middle, angle);
  culture.cells = std::move(made.cells), culture.walls = std::move(made.walls);
}

SynthShape any_shape(Random& random) {
  const float u = random.uniform();
  return u < 0.45f   ? SynthShape::rods
         : u < 0.60f ? SynthShape::filaments
         : u < 0.73f ? SynthShape::curved
         : u < 0.83f ? SynthShape::stalked
         : u < 0.93f ? SynthShape::cocci
                     : SynthShape::channels;
}

}  // namespace

Culture culture(const SynthOptions& options, Random& random) {
  const SynthShape shape = options.shape == SynthShape::any ? any_shape(random) : options.shape;
  Strain strain;
  strain.radius = log_uniform(random, 2.2, 10);
  strain.length = strain.radius * random.uniform(5, 11);
  Culture out;
  out.radius = strain.radius;
  out.thin_lines = shape == SynthShape::stalked;
  switch (shape) {
    case SynthShape::filaments:
      out.cells = filaments(options, strain, random);
      break;
    case SynthShape::curved:
    case SynthShape::stalked:
      strain.curvature = random.uniform(0.3f, 1.6f) / strain.length;
      if (shape == SynthShape::stalked || chance(random, 0.5))
        out.cells = scattered(options, strain, shape == SynthShape::stalked, random);
      else
        out.cells = colonies(options, strain, random);
      break;
    case SynthShape::cocci:
      out.cells = cocci(options, strain, random);
      break;
    case SynthShape::channels:
      mother_machine(out, options, strain, random);
      break;
    default: {
      const float layout = random.uniform();
      out.cells = layout < 0.6f    ? colonies(options, strain, random)
                  : layout < 0.85f ? rafts(options, strain, random)
                                   : scattered(options, strain, false, random);
    }
  }
  remove_overlapping(out.cells, 0.36);
  // Cells are soft: when pressed together they touch along lines, not at points.
  const double softness = random.uniform(1, 1.2f);
  for (Body& body : out.cells)
    for (Disk& d : body.disks)
      d.radius *= softness;
  out.radius *= softness;
  return out;
}

}  // namespace basin::synth

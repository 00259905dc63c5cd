#pragma once
#include <cstdint>

#include "data/files/image.h"
#include "data/files/labels.h"

namespace basin {

enum class SynthKind { bacteria, worms, nuclei, colony };
/// automatic: phase contrast for bacteria and worms, fluorescence for nuclei, any for colonies.
enum class SynthModality { automatic, phase, fluorescence, bright_field, any };
/// The cells of SynthKind::colony. channels: rods in the channels of a mother machine.
enum class SynthShape { any, rods, filaments, curved, stalked, cocci, channels };

struct SynthOptions {
  SynthKind kind = SynthKind::bacteria;
  SynthModality modality = SynthModality::automatic;
  int size = 256;      // height and width in px, 32 to 8192; objects keep their size in px
  uint64_t seed = 0;   // random seed
  double density = 1;  // factor on the number of objects per area, 0.05 to 2
  int bits = 0;        // 8, or for colonies also 12 or 16; 0: 8, for colonies any of the three
  SynthShape shape = SynthShape::any;
};

struct Synthetic {
  Image image;    // [size][size][1], 8 or 16 bits
  Labels labels;  // numbered in raster order of their first pixel
};

/// Draws image `index` (>= 0) of the series defined by the options: a function of (options, index) alone, independent
/// of the number of threads and images.
///
/// Objects are unions of disks joined by their common tangents (rods, filaments, branching and dividing cells, worms,
/// nuclei), pushed apart as rigid bodies until they touch. A pixel belongs to an object if its centre lies inside the
/// shape; where two shapes still overlap by a fraction of a pixel, it goes to the one it lies deeper in. Every object
/// is one 4-connected piece of at least 30 px. Objects are cut by the image's border as in a real field of view.
///
/// Phase contrast is thickness minus its wide blur (Yin, Kanade, Chen, Medical Image Analysis 16, 2012: the ring
/// transmits part of the background light, which causes the halo and the shade-off); fluorescence is thickness seen
/// through a Gaussian PSF with out-of-focus haze. Both have uneven illumination, shot and read noise.
///
/// Throws if an option is out of range.
Synthetic make_synthetic(const SynthOptions&, int index);

}  // namespace basin

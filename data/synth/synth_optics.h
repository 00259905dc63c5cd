#pragma once
#include <cstdint>
#include <vector>

#include "data/files/image.h"
#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// Image formation from a scene. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// A plane of float samples, [height][width].
struct Plane {
  int height = 0, width = 0;
  std::vector<float> at;
};

/// Separable Gaussian blur, cut at 3 sigma; the border is replicated. sigma in px, > 0.
Plane blur(const Plane&, double sigma);

/// One factor per object, log-normal with median 1: [count + 1]. Element 0 is the background's, 1.
std::vector<float> factors(int count, double spread, Random&);

/// Multiplies by a tilted plane and by vignetting around a centre near the middle; the mean factor is 1.
void illuminate(Plane&, double tilt, double vignette, Random&);

/// White noise blurred by sigma, scaled to mean 0 and standard deviation 1. Row y is drawn from its own stream.
Plane smooth_noise(int height, int width, double sigma, Random&);

/// The camera. Photons at grey level 1 and read noise in photons determine the signal-to-noise ratio.
struct Camera {
  double photons = 1500, read_noise = 6;
  double gain = 255;  // grey value of level 1
};

struct PhaseOptics {
  double absorption = 0.45;  // darkness of an object of mean thickness relative to the background
  double halo = 0.3;         // brightness of its halo
  double halo_sigma = 6;     // px
  double psf_sigma = 1;      // px
  double background = 0.55;  // grey level, 0 to 1
  double texture = 0.06;     // inside the objects
  double dirt = 0.012;       // of the background
};

struct FluorescenceOptics {
  double flatness = 1;         // exponent on the thickness profile: 1 a solid body, towards 0 a flat disk
  double psf_sigma = 1.3;      // px
  double haze = 0.12;          // fraction of out-of-focus light
  double haze_sigma = 14;      // px
  double background = 0.05;    // grey level
  double brightness = 0.7;     // grey level of a typical object
  double spread = 0.3;         // of the brightness between objects, natural logarithm
  double texture = 0.12;       // inside the objects
  double texture_sigma = 1.6;  // px
};

/// Grey levels, 1 is the brightest the camera resolves; noise-free but with uneven illumination.
Plane phase_contrast(const Scene&, const PhaseOptics&, Random&);
Plane fluorescence(const Scene&, const FluorescenceOptics&, Random&);

/// Shot noise (Gaussian with the variance of the count) and read noise, rounded and clipped to 8 bits. Row y is drawn
/// from Random(seed, Purpose::noise, y, index).
Image expose(const Plane&, const Camera&, uint64_t seed, uint64_t index);

}  // namespace basin::synth

#pragma once
#include <cstdint>

#include "data/files/image.h"
#include "data/synth/synth_optics.h"

// The cameras that record colonies. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// A scientific camera and what is done to its image afterwards.
struct Sensor {
  int bits = 8;                  // 8: 8-bit pixels; 12 and 16: 16-bit pixels that use 12 or 16 bits
  double white = 4;              // the light that fills `top`
  double black = 0.05;           // grey value without light, as a share of `top`
  double top = 1;                // the highest grey value that light reaches, as a share of what the bits hold
  double photons = 1000;         // at light 1
  double read_noise = 4;         // photons
  double columns = 0, rows = 0;  // standard deviation of each column's and row's own gain (stripes)
  double hot = 0;                // share of the pixels that are hot (bright whatever the light)
  double smoothing = 0;          // Gaussian blur of the recorded image, px; 0: none
  double sharpening = 0;         // how much of (image - its blur) is added
  double gamma = 1;              // exponent on the image, after the noise
  bool stretched = false;        // afterwards stretched so that the darkest is 0 and the brightest `top`
};

/// Shot noise (Gaussian with the variance of the count), read noise, stripes and hot pixels, then the processing and
/// quantisation. Noise of row y comes from Random(seed, Purpose::noise, y, index).
Image record(const Plane& light, const Sensor&, uint64_t seed, uint64_t index);

}  // namespace basin::synth

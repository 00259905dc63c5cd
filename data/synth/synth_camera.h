#pragma once
#include <cstdint>

#include "data/files/image.h"
#include "data/synth/synth_optics.h"

// The cameras that record colonies. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// A scientific camera and the processing of its image.
struct Sensor {
  int bits = 8;                  // 8: 8-bit pixels; 12 and 16: 16-bit pixels that use 12 or 16 bits
  double white = 4;              // the light that is recorded as `top`
  double black = 0.05;           // grey value without light, as a fraction of `top`
  double top = 1;                // the grey value of `white`, as a fraction of the largest value of `bits`
  double photons = 1000;         // at light 1
  double read_noise = 4;         // photons
  double columns = 0, rows = 0;  // relative standard deviation of the gain of each column and row (stripes)
  double hot = 0;                // fraction of hot pixels (bright whatever the light)
  double smoothing = 0;          // Gaussian blur of the recorded image, px; 0: none
  double sharpening = 0;         // strength of unsharp masking
  double gamma = 1;              // exponent applied to the image after the noise
  bool stretched = false;        // finally stretched so that the darkest pixel is 0 and the brightest `top`
};

/// Shot noise (Gaussian with the variance of the count), read noise, stripes and hot pixels, then the processing and
/// quantisation. Noise of row y comes from Random(seed, Purpose::noise, y, index).
Image record(const Plane& light, const Sensor&, uint64_t seed, uint64_t index);

}  // namespace basin::synth

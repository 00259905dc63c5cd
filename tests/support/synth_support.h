#pragma once
// Bodies of simple shapes, for tests of synthetic images.
#include <algorithm>

#include "data/synth/synth_shapes.h"

namespace basin::test {

inline synth::Body ball(double x, double y, double radius) {
  synth::Body body;
  body.disks = {{{0, 0}, radius}};
  body.joined = {0};
  body.at = {x, y};
  return body;
}

/// A straight rod along x, of length 2 half + 2 radius.
inline synth::Body bar(double x, double y, double half, double radius) {
  synth::Body body;
  for (int k = 0; k <= 8; ++k) {
    body.disks.push_back({{half * (k - 4) / 4.0, 0}, radius});
    body.joined.push_back(std::max(0, k - 1));
  }
  body.at = {x, y};
  return body;
}

}  // namespace basin::test

#pragma once
#include "data/synth/synth.h"
#include "data/synth/synth_cultures.h"
#include "kernels/runtime/philox.h"

// The imaging of SynthKind::colony. Used by data/synth*.cpp.
namespace basin::synth {

/// Images the culture with a microscope and a camera whose parameters are drawn at random.
Synthetic photograph(const SynthOptions&, const Culture&, int index, Random&);

}  // namespace basin::synth

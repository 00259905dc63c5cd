#pragma once
#include "data/synth/synth.h"
#include "data/synth/synth_cultures.h"
#include "kernels/runtime/philox.h"

// How an image of SynthKind::colony is taken. Used by data/synth*.cpp.
namespace basin::synth {

/// The culture seen through a microscope and a camera whose parameters are drawn at random.
Synthetic photograph(const SynthOptions&, const Culture&, int index, Random&);

}  // namespace basin::synth

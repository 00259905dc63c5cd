#pragma once
#include <string>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The percentiles of the divergence that are mapped to 0 and to 1.
struct DivergenceRange {
  double low = 0.01, high = 99.99;
};

/// Prepares a predicted field [2, H, W] for integration as Omnipose does (Cutler et al. 2022): normalised to length 1
/// on the mask [H, W] (0 elsewhere, and where the field is 0 or not finite), times its divergence, which is mapped so
/// that the two percentiles over the whole image become 0 and 1, and clipped to that range. Points thus move slowly
/// where the vectors converge. Derivatives are central differences, one-sided on the border of the image; percentiles
/// are linear between order statistics. If both percentiles are equal, lengths stay 1. The same bits at any number of
/// threads.
void rescale_by_divergence(const Exec&, View<const float, 3> field, View<const uint8_t, 2> mask, const DivergenceRange&,
                           View<float, 3> rescaled);

/// Parses "LOW,HIGH" with 0 <= LOW < HIGH <= 100; throws one sentence for anything else.
DivergenceRange parse_divergence_range(const std::string&);

}  // namespace basin::kernels

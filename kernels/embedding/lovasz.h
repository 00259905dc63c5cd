#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/segments.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The weights of the Lovasz hinge (Berman, Triki, Blaschko, CVPR 2018) of each segment. With the elements of a segment
/// in order of decreasing error, J of the first m is 1 minus their Jaccard index, and the weight of the m-th is J(m) -
/// J(m - 1), so that the loss of a segment is the sum of max(error, 0) * weight, and `weight` is its gradient with
/// respect to the positive errors. Equal errors keep their order; elements with an error <= 0 come after all others in
/// their original order, and get the weights of these positions. Exact, by sorting: the same weights on every device.
/// error, positive (0 or 1), weight: [n], n < 2^31, at least offset[count * stride]; weights beyond that are 0. float32
/// and float64 on the CPU, only float32 on a GPU.
template <class T>
void lovasz_weights(const Exec&, const Segments&, View<const T, 1> error, View<const uint8_t, 1> positive,
                    View<T, 1> weight);

}  // namespace basin::kernels

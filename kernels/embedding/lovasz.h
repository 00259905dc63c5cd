#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Where each of `count` segments of a list begins: segment s is [offset[s * stride], offset[(s + 1) * stride]), and
/// the last one ends at offset[count * stride]. Device memory, known to the device alone.
struct Segments {
  const int32_t* offset = nullptr;
  int count = 0, stride = 1;

  BASIN_HD int32_t begin(int s) const { return offset[int64_t(s) * stride]; }
  BASIN_HD int32_t end(int s) const { return begin(s + 1); }
};

/// The weights of the Lovasz hinge (Berman, Triki, Blaschko, CVPR 2018) of each segment. With the elements of a segment
/// in the order of falling error, J of the first m is 1 minus their Jaccard index, and the weight of the m-th is
/// J(m) - J(m - 1), so that the loss of a segment is the sum of max(error, 0) * weight and `weight` its gradient by the
/// errors that are above 0. Equal errors keep their order; the weights of elements whose error is 0 or below are those
/// that they have behind all others in their order. Exact, by sorting: the same weights on every device.
/// error, positive (0 or 1), weight: [n], n < 2^31, at least offset[count * stride]; weights beyond that are 0. On the
/// CPU float32 and float64, on a GPU float32 alone.
template <class T>
void lovasz_weights(const Exec&, const Segments&, View<const T, 1> error, View<const uint8_t, 1> positive,
                    View<T, 1> weight);

}  // namespace basin::kernels

#pragma once
#include "kernels/embedding/objects.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Points per unit of the grid of coordinates: neighbouring pixels are 1 / (coordinate_grid - 1) apart.
constexpr int coordinate_grid = 1024;

struct InstanceLossOptions {
  double instance = 1, variance = 10, seed = 1;  // weights of the three terms
  double foreground = 10;                        // weight of an object's pixels in the seed term
  int slots_per_pixel = 32;  // on a GPU: capacity for pairs of an object and a pixel near it, per pixel of the crops;
                             // at most the capacity of the table, which is always enough
};

/// The loss of spatial embeddings (Neven et al., CVPR 2019; Lalit et al., EmbedSeg, Medical Image Analysis 81 (2022))
/// for maps raw [N, 5, H, W] = o_x, o_y, sigma_x, sigma_y, seed, against labels [N, L, H, W] with compact ids. Objects
/// that share pixels lie in different layers; the background is where no layer has an object.
///
/// A pixel (x, y) points to e = (x / (grid - 1) + tanh o_x, y / (grid - 1) + tanh o_y), where grid = coordinate_grid;
/// phi = sigmoid(seed). An object k with the pixels S and the centre C (centre [N, K, 2], px; here in grid units) has
/// sigma_k = mean of sigma over S, s = exp(10 sigma_k) for x and y, and at every pixel of its crop d = exp(-sum_c s_c
/// (e_c - C_c)^2).
///   instance = mean over the objects of the Lovasz hinge of 2 d - 1 against S, over all pixels of the crop
///   variance = mean over the objects of the mean over S and both channels of (sigma - sigma_k)^2
///   seed     = (sum over the background of phi^2 + foreground * sum over objects and S of (phi - d)^2) / (H W)
/// Each is the mean over the N crops; a crop without objects has only the seed term. No gradient flows through the
/// centres, the sigma_k of the variance term or the d of the seed term.
///
/// value [4]: the weighted sum, then the three terms. gradient [N, 5, H, W]: of value[0] with respect to raw; an empty
/// view if not needed. Pixels whose hinge rounds to 0, or that come after all pixels of the object, have no weight and
/// are not sorted. The CPU's result has the same bits at any number of threads; sums are in double. On a GPU without a
/// round trip to the host. value is NaN if an offset, a seed or the sigma of an object is NaN, if an object is missing
/// in the table, or if there are not enough slots.
template <class T>
void instance_loss(const Exec&, View<const T, 4> raw, View<const int32_t, 4> labels, const ObjectTable&,
                   View<const double, 3> centre, const InstanceLossOptions&, T* value, View<T, 4> gradient);

}  // namespace basin::kernels

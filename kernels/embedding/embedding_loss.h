#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// The losses of FCRNet and of W-Net: pixels of an object should agree with its centre, and the centres of neighbours
/// should be orthogonal. The background is an object like others (kernels/embedding/adjacency.h).
namespace basin::kernels {

struct EmbeddingLossOptions {
  /// Of an object, m being the mean of its pixels' embeddings e: the centre mu is m, or m / |m|, 0 where |m| < 1e-12.
  bool unit_centres = false;
  /// Whether each object counts the same in both terms, or each pixel in the one and each pair in the other.
  bool per_object = false;
  double inter_weight = 4;
};
/// FCRNet as its authors' code has it: of the powers' means, not normalised, by pixels and pairs.
constexpr EmbeddingLossOptions fcrnet_loss{};
/// FCRNet with the cosine similarity of its paper: of unit_vectors() of the powers.
constexpr EmbeddingLossOptions fcrnet_cosine_loss{true, false, 4};
/// W-Net as its paper has it, of unit vectors, with the absolute value that its code takes of the cosines.
constexpr EmbeddingLossOptions wnet_loss{true, true, 1};

/// With the mean over samples of each:
///   intra = sum over pixels i of w_i (1 - e_i mu_i), where w_i is 1 / pixels, or 1 / (objects * pixels of its object);
///   inter = sum over objects A and their neighbours B of w_A |mu_A mu_B|, where w_A is 1 / ordered pairs of
///   neighbours,
///           or 1 / (objects * neighbours of A);
/// values [3] = intra + inter_weight inter, intra, inter. Without neighbours inter is 0.
/// embedding [N, K, H, W], labels [N, H, W], neighbours [N, slots, words] from adjacency() of these labels.
/// gradient [N, K, slots] receives d(values[0]) / d(embedding) at each pixel of an object, through the centres too:
/// it is the same for all of them. Sums run in double; on the CPU, and on a GPU where exec.deterministic, in an order
/// that depends on the shapes alone. The host does not wait.
template <class T>
void embedding_loss(const Exec&, View<const T, 4> embedding, View<const int32_t, 3> labels,
                    View<const int32_t, 3> neighbours, EmbeddingLossOptions, View<double, 3> gradient, T* values);

/// d_embedding = d_total * gradient of the object that a pixel is of, or += where `accumulate`. d_total is one number
/// in device memory.
template <class T>
void embedding_loss_backward(const Exec&, View<const int32_t, 3> labels, View<const double, 3> gradient,
                             const T* d_total, View<T, 4> d_embedding, bool accumulate);

}  // namespace basin::kernels

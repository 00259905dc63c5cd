#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// The losses of FCRNet and W-Net: pixels of an object should agree with its centre, and the centres of neighbours
/// should be orthogonal. The background is an object like others (kernels/embedding/adjacency.h).
namespace basin::kernels {

struct EmbeddingLossOptions {
  /// With m the mean of the embeddings e of an object's pixels, its centre mu is m, or if set m / |m| (0 if |m| <
  /// 1e-12).
  bool unit_centres = false;
  /// Whether each object has the same weight in both terms, or each pixel in the one and each pair in the other.
  bool per_object = false;
  double inter_weight = 4;
};
/// FCRNet as in its authors' code: centres of the powers are not normalised, mean over pixels and pairs.
constexpr EmbeddingLossOptions fcrnet_loss{};
/// FCRNet with the cosine similarity of its paper: for unit_vectors() of the powers.
constexpr EmbeddingLossOptions fcrnet_cosine_loss{true, false, 4};
/// W-Net as in its paper, for unit vectors, with the absolute value of the cosines that its code takes.
constexpr EmbeddingLossOptions wnet_loss{true, true, 1};

/// Mean over samples of:
///   intra = sum over pixels i of w_i (1 - e_i mu_i), where w_i is 1 / pixels, or 1 / (objects * pixels of its object);
///   inter = sum over objects A and their neighbours B of w_A |mu_A mu_B|, where w_A is 1 / (ordered
///           pairs of neighbours), or 1 / (objects * neighbours of A).
/// values [3] = intra + inter_weight inter, intra, inter. Without neighbours inter is 0. embedding [N, K, H, W], labels
/// [N, H, W], neighbours [N, slots, words] from adjacency() of these labels. gradient [N, K, slots] receives
/// d(values[0]) / d(embedding), including that through the centres; it is the same for all pixels of an object. Sums
/// are in double; on the CPU, and on a GPU if exec.deterministic, their order depends only on the shapes. Without a
/// round trip to the host.
template <class T>
void embedding_loss(const Exec&, View<const T, 4> embedding, View<const int32_t, 3> labels,
                    View<const int32_t, 3> neighbours, EmbeddingLossOptions, View<double, 3> gradient, T* values);

/// d_embedding = d_total * gradient of the pixel's object, or += if `accumulate`. d_total is one number in device
/// memory.
template <class T>
void embedding_loss_backward(const Exec&, View<const int32_t, 3> labels, View<const double, 3> gradient,
                             const T* d_total, View<T, 4> d_embedding, bool accumulate);

}  // namespace basin::kernels

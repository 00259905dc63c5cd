#pragma once
#include "engine/tape.h"
#include "kernels/embedding/embedding_loss.h"

namespace basin {

// Embeddings and their losses, for row-major [N, C, H, W] tensors in float32 or float64. Without a round trip to the
// host, so that a step with them can be captured as a CUDA graph.

/// See kernels::power_activation. alpha: f32 [1] in device memory. Keeps the input, the output and alpha.
Var power_activation(Tape&, Var e, const Tensor& alpha, double floor = 1e-4);

/// See kernels::unit_vectors. Keeps the input.
Var unit_vectors(Tape&, Var v);

/// The objects of a batch, for losses: the given labels i32 [N, H, W] and neighbours i32 [N, slots, words].
struct ObjectTables {
  Tensor labels, neighbours;
};

/// See kernels::adjacency. `capacity`: the largest number of objects per sample.
ObjectTables object_tables(const Exec&, const Tensor& labels, int capacity, double radius = 10);

/// The loss to differentiate and its two parts for reporting, each of shape [1].
struct EmbeddingLoss {
  Var total;
  Tensor intra, inter;
};

/// See kernels::embedding_loss. Keeps the tables and the gradient of each object, but not the embedding.
EmbeddingLoss embedding_loss(Tape&, Var embedding, const ObjectTables&, const kernels::EmbeddingLossOptions&);

}  // namespace basin

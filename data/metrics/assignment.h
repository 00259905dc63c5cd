#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/metrics/overlap.h"

namespace basin {

/// An edge of a bipartite graph. Its weight is finite and not negative.
struct Edge {
  int32_t row, column;  // from 0
  double weight;
};

/// The matching of greatest total weight: each row and each column is used at most once. Returns the column of each
/// row, or -1. Equivalent to linear assignment on the dense matrix with weight 0 for absent edges, because any matching
/// can be completed there at no cost; but works within the connected components of the graph. Edges must be ordered by
/// row, without duplicates. Deterministic. Shortest augmenting paths: R. Jonker, A. Volgenant, Computing 38 (1987),
/// here with Dijkstra's algorithm on the edges.
std::vector<int32_t> assign(int rows, int columns, std::span<const Edge> edges);

/// True and predicted objects matched one to one.
struct Match {
  int32_t truth, prediction;  // ids, from 1
  double iou;
};

/// As many pairs with IoU >= threshold as possible, each object at most once; among such matchings the one of greatest
/// total IoU, counting pairs below the threshold too: linear assignment with the cost -[IoU >= threshold] - IoU / (2
/// min(M, P)), as in StarDist and Cellpose. Returns the pairs with IoU >= threshold, ordered by truth.
std::vector<Match> match(const Overlap&, double threshold);

/// The one-to-one matching of greatest total IoU, ordered by truth.
std::vector<Match> match_total_iou(const Overlap&);

}  // namespace basin

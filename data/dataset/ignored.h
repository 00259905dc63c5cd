#pragma once
#include "data/dataset/dataset.h"

namespace basin {

/// Labels of a data set that leaves some pixels unlabelled, and these pixels.
struct PartialLabels {
  Labels labels;   // 0 at pixels that are ignored
  Labels ignored;  // 1 there, otherwise 0
};

/// The labels of a pair, whose pixels of value `ignore` in the label image are neither object nor background. Throws
/// like read_pair_labels, and for masks of one object each, which have no values.
PartialLabels read_partial_labels(const Pair&, int height, int width, int64_t ignore);

/// What is known of an image, to score predictions by: its true objects, and the pixels about which nothing is known.
struct Truth {
  Objects objects;
  std::optional<StoredLabels> ignored = {};  // 1 at pixels that are neither object nor background; none if no pixel is
};

/// The truth of a pair. `ignore`: as for read_partial_labels; otherwise throws like read_pair_objects.
Truth read_truth(const Pair&, std::optional<int64_t> ignore);
/// The truth of an example, whose objects do not overlap (see true_labels).
Truth truth_of(const Example&);

}  // namespace basin

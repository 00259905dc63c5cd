#pragma once
#include "data/dataset/dataset.h"

namespace basin {

/// Labels of a data set that leaves some pixels unlabelled, and these pixels.
struct PartialLabels {
  Labels labels;   // 0 at pixels that are ignored
  Labels ignored;  // 1 there, otherwise 0
};

/// The labels of a pair, whose pixels of value `ignore` in the label image are neither object nor background. Throws
/// like read_pair_labels, and for binary masks, which have no values.
PartialLabels read_partial_labels(const Pair&, int height, int width, int64_t ignore);

/// Found objects as they are scored against partial labels: objects with more than half of their pixels in the ignored
/// part are removed, others lose their ignored pixels.
Labels without_ignored(const Labels& found, const StoredLabels& ignored);

}  // namespace basin

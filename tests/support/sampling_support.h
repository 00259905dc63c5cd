#pragma once
#include "data/dataset/sample.h"

namespace basin::test {

/// Targets for tests of sampling: the labels themselves, without their margin, as the map "ids" with
/// a channel for each layer.
inline void copy_ids(const Exec&, View<const int32_t, 3> labels, const SampleTargets& to) {
  const View<int32_t, 3> ids = to.map<int32_t>("ids");
  const int margin = (labels.dim[1] - ids.dim[1]) / 2;
  for (int layer = 0; layer < ids.dim[0]; ++layer)
    for (int y = 0; y < ids.dim[1]; ++y)
      for (int x = 0; x < ids.dim[2]; ++x)
        ids(layer, y, x) = labels(layer, y + margin, x + margin);
}

}  // namespace basin::test

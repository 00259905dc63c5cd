#pragma once
#include <vector>

#include "data/dataset/augment.h"
#include "data/dataset/placement.h"

namespace basin {

/// Identifies the random numbers of a sample.
struct SampleKey {
  uint64_t seed = 0;
  uint32_t epoch = 0;
  uint64_t position = 0;
};

/// Changes the values of the channels of one sample, one after the other: first `change`, then gain, offset and noise
/// of the transform. Pixels outside the image stay 0.
class ValueChanger {
 public:
  ValueChanger(const SampleKey&, const Transform&, const ValueChange&, const Inside&, int size);
  /// Changes the next channel, [size, size].
  void apply(float* values, CutMemory&);

 private:
  void change(float* values, CutMemory&);

  const Transform& transform_;
  const ValueChange& change_;
  const Inside& inside_;
  int size_;
  uint64_t seed_key_;
  Random noise_, shot_;
  struct Rectangle {
    int y_begin, y_end, x_begin, x_end;
  };
  std::vector<Rectangle> cutouts_;
};

}  // namespace basin

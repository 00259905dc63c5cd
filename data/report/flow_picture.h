#pragma once
#include <array>
#include <vector>

#include "data/dataset/order_statistics.h"
#include "data/files/image.h"

namespace basin {

/// The colour of a direction in an image, parts of red, green and blue from 0 to 1, as pure as can be: red to the
/// right, yellow-green down, cyan to the left, violet up. The length of (x, y) does not matter.
std::array<double, 3> colour_of_direction(double x, double y);

/// Finds the length of vectors that a picture shows at full brightness: the 99.8 percentile of the lengths, or 1 if
/// that is longer. Every vector is added in each of two passes.
class FlowBrightness {
 public:
  /// `vectors`: of all fields together.
  explicit FlowBrightness(int64_t vectors) : vectors_(vectors) {}
  /// field [2, height, width]: x, y; all of it or a part.
  void add(const std::vector<float>& field);
  /// Ends the first pass.
  void end_pass();
  /// After the second pass.
  double full_length() const;

 private:
  int64_t vectors_;
  bool is_second_ = false;
  RankFinder lengths_;
};

/// A vector field, or a part of one, as an RGB picture of 8 bits for viewing, in the colours of colour_of_direction().
/// The brightness is the length: black for 0, full for `full_length` and more. field [2, height, width]: x, y.
Image flow_picture(int height, int width, const std::vector<float>& field, double full_length);
/// The same with the length of FlowBrightness.
Image flow_picture(int height, int width, const std::vector<float>& field);

}  // namespace basin

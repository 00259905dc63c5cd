#include "kernels/image/gaussian.h"

#include "kernels/runtime/elementary.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

struct Weights {
  int radius;
  double weight[int(4 * max_sigma) + 1];  // by distance

  explicit Weights(double sigma) : radius(int(4 * sigma + .5)) {
    double sum = 0;
    for (int d = 0; d <= radius; ++d) {
      weight[d] = d == 0 ? 1 : reproducible_exp(-.5 * d * d / (sigma * sigma));
      sum += d == 0 ? 1 : 2 * weight[d];
    }
    for (int d = 0; d <= radius; ++d)
      weight[d] /= sum;
  }
};

struct Smooth {
  View<const float, 2> from;
  Weights weights;
  bool vertical;
  View<float, 2> to;

  BASIN_HD void operator()(int64_t row, int64_t column) const {
    const int y = int(row), x = int(column), last = (vertical ? from.dim[0] : from.dim[1]) - 1;
    double sum = weights.weight[0] * double(from(y, x));
    for (int d = 1; d <= weights.radius; ++d) {
      const int at = vertical ? y : x, before = at > d ? at - d : 0, after = at + d < last ? at + d : last;
      const double both = vertical ? double(from(before, x)) + double(from(after, x))
                                   : double(from(y, before)) + double(from(y, after));
      sum += weights.weight[d] * both;
    }
    to(y, x) = float(sum);
  }
};

}  // namespace

void gaussian(const Exec& exec, View<const float, 2> from, double sigma, View<float, 2> to) {
  BASIN_CHECK(from.dim[0] == to.dim[0] && from.dim[1] == to.dim[1], "from ", from, ", to ", to);
  if (!(sigma >= 0 && sigma <= max_sigma)) refuse("sigma = ", sigma, ": expected 0 to ", max_sigma, " pixels");
  Temp<float> memory(exec, from.size());
  const View<float, 2> between{memory.data(), {from.dim[0], from.dim[1]}};
  const Weights weights(sigma);
  for_each_row(exec, from.dim[0], from.dim[1], Smooth{from, weights, true, between});
  for_each_row(exec, from.dim[0], from.dim[1], Smooth{between, weights, false, to});
}

}  // namespace basin::kernels

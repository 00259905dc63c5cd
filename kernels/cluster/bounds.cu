#include "kernels/cluster/bounds.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// Lane l processes points l * chunk, l * chunk + step, ... The minima and maxima of `width` coordinates are kept
/// separately, so that the compiler vectorises the comparisons.
template <class T, int width>
struct FindBounds {
  View<const T, 2> points;
  int64_t chunk, step;
  View<double, 2> found;  // [lanes, 5]: x_min, x_max, y_min, y_max, NaN if a coordinate is not finite

  BASIN_HD void operator()(int64_t lane) const {
    const int64_t n = points.dim[0];
    int64_t i = lane * chunk;
    const int64_t end = step > 1 || i + chunk > n ? n : i + chunk;
    T low[width], high[width], zero[width];
    for (int k = 0; k < width; ++k)
      low[k] = T(HUGE_VAL), high[k] = -T(HUGE_VAL), zero[k] = 0;
    for (; i + width / 2 <= end; i += width / 2 * step) {
      const T* value = points.data + 2 * i;
      for (int k = 0; k < width; ++k) {
        low[k] = value[k] < low[k] ? value[k] : low[k];
        high[k] = value[k] > high[k] ? value[k] : high[k];
        zero[k] += 0 * value[k];
      }
    }
    for (; i < end; i += step)
      for (int k = 0; k < 2; ++k) {
        const T value = points.data[2 * i + k];
        low[k] = value < low[k] ? value : low[k];
        high[k] = value > high[k] ? value : high[k];
        zero[k] += 0 * value;
      }
    for (int k = 2; k < width; ++k) {
      low[k & 1] = low[k] < low[k & 1] ? low[k] : low[k & 1];
      high[k & 1] = high[k] > high[k & 1] ? high[k] : high[k & 1];
      zero[k & 1] += zero[k];
    }
    found(lane, 0) = low[0], found(lane, 1) = high[0], found(lane, 2) = low[1], found(lane, 3) = high[1];
    found(lane, 4) = zero[0] + zero[1];
  }
};

}  // namespace

template <class T>
Bounds bounds_of(const Exec& exec, View<const T, 2> points) {
  const int64_t n = points.dim[0];
  BASIN_CHECK(n > 0 && points.dim[1] == 2, "points ", points);
  constexpr int64_t chunk = 16384;
  const bool cpu = exec.device == Device::cpu;
  const int64_t lanes = cpu ? (n + chunk - 1) / chunk : std::min<int64_t>(n, 4096);
  Temp<double> found(exec, 5 * lanes);
  const View<double, 2> to{found.data(), {int(lanes), 5}};
  if (cpu)
    for_each_in_groups(exec, lanes, 1, FindBounds<T, 128 / sizeof(T)>{points, chunk, 1, to});
  else
    for_each(exec, lanes, FindBounds<T, 2>{points, 1, lanes, to});
  std::vector<double> lane(size_t(5 * lanes));
  read_back(exec, found.data(), 5 * lanes, lane.data());
  Bounds b{HUGE_VAL, -HUGE_VAL, HUGE_VAL, -HUGE_VAL};
  double zero = 0;
  for (size_t l = 0; l < lane.size(); l += 5) {
    b.x_min = std::min(b.x_min, lane[l]), b.x_max = std::max(b.x_max, lane[l + 1]);
    b.y_min = std::min(b.y_min, lane[l + 2]), b.y_max = std::max(b.y_max, lane[l + 3]);
    zero += lane[l + 4];
  }
  if (zero == 0) return b;
  std::vector<T> all(size_t(2 * n));
  read_back(exec, points.data, 2 * n, all.data());
  const auto bad = std::find_if(all.begin(), all.end(), [](T v) { return !(std::abs(v) < HUGE_VAL); });
  refuse("point ", (bad - all.begin()) / 2, " has a coordinate that is not finite");
}

template Bounds bounds_of<float>(const Exec&, View<const float, 2>);
template Bounds bounds_of<double>(const Exec&, View<const double, 2>);

}  // namespace basin::kernels

#include "kernels/image/peaks.h"

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The largest of 0 and the next `count` values.
struct LargestOf {
  const float* values;
  int64_t count;
  float* largest;

  BASIN_HD void operator()(int64_t i) const {
    float most = 0;
    for (int64_t k = i * count; k < (i + 1) * count; ++k)
      most = values[k] > most ? values[k] : most;
    largest[i] = most;
  }
};

struct WindowInRow {
  View<const float, 2> values;
  int radius;
  View<float, 2> largest;

  BASIN_HD void operator()(int64_t y, int64_t column) const {
    const int x = int(column), width = values.dim[1];
    float most = values(y, x);
    for (int u = x > radius ? x - radius : 0; u <= (x + radius < width ? x + radius : width - 1); ++u)
      most = values(y, u) > most ? values(y, u) : most;
    largest(y, x) = most;
  }
};

struct FindPeaks {
  View<const float, 2> values, in_row;
  const float* largest;
  PeakOptions o;
  View<uint8_t, 2> peaks;

  BASIN_HD void operator()(int64_t row, int64_t column) const {
    const int y = int(row), x = int(column), height = values.dim[0], width = values.dim[1];
    float most = in_row(y, x);
    for (int v = y > o.radius ? y - o.radius : 0; v <= (y + o.radius < height ? y + o.radius : height - 1); ++v)
      most = in_row(v, x) > most ? in_row(v, x) : most;
    const float value = values(y, x);
    const bool inside = y >= o.border && x >= o.border && y + o.border < height && x + o.border < width;
    peaks(y, x) = inside && value >= most && double(value) > o.threshold * double(*largest);
  }
};

}  // namespace

void largest_value(const Exec& exec, View<const float, 2> values, float* largest) {
  Temp<float> of_row(exec, values.dim[0]);
  for_each(exec, values.dim[0], LargestOf{values.data, values.dim[1], of_row.data()}, 16);
  for_each(exec, 1, LargestOf{of_row.data(), values.dim[0], largest});
}

void local_maxima(const Exec& exec, View<const float, 2> values, PeakOptions o, View<uint8_t, 2> peaks) {
  const int height = values.dim[0], width = values.dim[1];
  BASIN_CHECK(peaks.dim[0] == height && peaks.dim[1] == width, "values ", values, ", peaks ", peaks);
  BASIN_CHECK(o.radius >= 0 && o.border >= 0 && o.threshold >= 0, "radius ", o.radius, ", border ", o.border,
              ", threshold ", o.threshold);
  Temp<float> memory(exec, values.size()), largest(exec, 1);
  const View<float, 2> in_row{memory.data(), {height, width}};
  largest_value(exec, values, largest.data());
  for_each_row(exec, height, width, WindowInRow{values, o.radius, in_row});
  for_each_row(exec, height, width, FindPeaks{values, in_row, largest.data(), o, peaks});
}

}  // namespace basin::kernels

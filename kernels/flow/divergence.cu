#include "kernels/flow/divergence.h"

#include <cmath>
#include <cstdio>

#include "kernels/runtime/elementary.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

struct UnitOnMask {
  View<const float, 3> field;
  View<const uint8_t, 2> mask;
  View<float, 3> unit;

  BASIN_HD void operator()(int64_t, int64_t i) const {
    const float x = field.data[i], y = field.data[mask.size() + i], length = sqrtf(x * x + y * y);
    const bool keep = mask.data[i] != 0 && length > 0 && length < HUGE_VALF;
    unit.data[i] = keep ? x / length : 0.f;
    unit.data[mask.size() + i] = keep ? y / length : 0.f;
  }
};

struct Divergence {
  View<const float, 3> unit;
  float* divergence;
  uint32_t* key;
  int32_t* index;

  /// From the neighbours at -step and +step, if they exist.
  BASIN_HD static float slope(const float* at, bool first, bool last, int64_t step) {
    const float before = first ? at[0] : at[-step], after = last ? at[0] : at[step];
    return first || last ? after - before : (after - before) / 2;
  }
  BASIN_HD void operator()(int64_t y, int64_t x) const {
    const int64_t height = unit.dim[1], width = unit.dim[2], i = y * width + x;
    const float d = slope(unit.data + i, x == 0, x == width - 1, 1) +
                    slope(unit.data + height * width + i, y == 0, y == height - 1, width);
    divergence[i] = d;
    key[i] = order_key(d);
    index[i] = int32_t(i);
  }
};

/// The two percentiles of sorted divergences, interpolated between ranks.
struct Percentiles {
  const uint32_t* key;
  int n;
  DivergenceRange range;
  double* value;  // [2]

  BASIN_HD void operator()(int64_t i) const {
    const double rank = (i == 0 ? range.low : range.high) / 100 * (n - 1);
    const int below = int(rank), above = below + 1 < n ? below + 1 : n - 1;
    const double a = value_of_key(key[below]), b = value_of_key(key[above]);
    value[i] = a + (rank - double(below)) * (b - a);
  }
};

struct Scale {
  const float* divergence;
  const double* percentile;  // [2]
  View<float, 3> field;

  BASIN_HD void operator()(int64_t, int64_t i) const {
    const double low = percentile[0], high = percentile[1];
    const double share = (double(divergence[i]) - low) / (high - low);
    const float factor = high > low ? float(share < 0 ? 0 : share > 1 ? 1 : share) : 1.f;
    field.data[i] *= factor;
    field.data[field.size() / 2 + i] *= factor;
  }
};

}  // namespace

void rescale_by_divergence(const Exec& exec, View<const float, 3> field, View<const uint8_t, 2> mask,
                           const DivergenceRange& range, View<float, 3> rescaled) {
  const int height = mask.dim[0], width = mask.dim[1];
  for (const View<const float, 3>& f : {field, View<const float, 3>(rescaled)})
    BASIN_CHECK(f.dim[0] == 2 && f.dim[1] == height && f.dim[2] == width, "field ", f, ", mask ", mask);
  BASIN_CHECK(range.low >= 0 && range.low < range.high && range.high <= 100, range.low, " to ", range.high);
  BASIN_CHECK(mask.size() <= INT32_MAX, "mask ", mask);
  const int n = int(mask.size());
  if (n == 0) return;
  Temp<float> divergence(exec, n);
  Temp<uint32_t> key(exec, n);
  Temp<int32_t> index(exec, n);
  for_each_flat(exec, n, UnitOnMask{field, mask, rescaled});
  for_each_row(exec, height, width, Divergence{rescaled, divergence.data(), key.data(), index.data()});
  sort_by_key<uint32_t>(exec, {key.data(), {n}}, {index.data(), {n}}, 32);
  Temp<double> percentile(exec, 2);
  for_each(exec, 2, Percentiles{key.data(), n, range, percentile.data()});
  for_each_flat(exec, n, Scale{divergence.data(), percentile.data(), rescaled});
}

DivergenceRange parse_divergence_range(const std::string& text) {
  DivergenceRange range;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%lf,%lf%c", &range.low, &range.high, &rest) != 2 ||
      !(range.low >= 0 && range.low < range.high && range.high <= 100))
    refuse("percentiles ", text, ": expected LOW,HIGH with 0 <= LOW < HIGH <= 100");
  return range;
}

}  // namespace basin::kernels

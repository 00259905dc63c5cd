#include "kernels/field/distance_target.h"

#include <atomic>
#include <cmath>

#include "kernels/field/edt.h"
#include "kernels/runtime/elementary.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// 1 at pixels of objects that are not on a boundary, and at those outside the image, so that no distance ends there.
struct Interior {
  View<const int32_t, 2> labels;
  int slots;
  View<int32_t, 2> interior;

  BASIN_HD void operator()(int64_t row, int64_t column) const {
    const int height = labels.dim[0], width = labels.dim[1], y = int(row), x = int(column);
    const int own = slot_of(labels(y, x), slots);
    int32_t inside = own != 0;
    const auto differs = [&](int32_t label) { return label >= 0 && slot_of(label, slots) != own; };
    for (int v = y > 0 ? y - 1 : 0; v <= (y + 1 < height ? y + 1 : y); ++v)
      for (int u = x > 0 ? x - 1 : 0; u <= (x + 1 < width ? x + 1 : x); ++u)
        inside &= !differs(labels(v, u));
    interior(y, x) = own < 0 ? 1 : inside;
  }
};

/// Raises a number that other threads may raise at the same time.
BASIN_HD inline void raise_to(int32_t& to, int32_t value) {
#ifdef __CUDA_ARCH__
  atomicMax(&to, value);
#else
  const std::atomic_ref<int32_t> shared(to);
  int32_t was = shared.load(std::memory_order_relaxed);
  while (was < value && !shared.compare_exchange_weak(was, value, std::memory_order_relaxed)) {
  }
#endif
}

/// The largest squared distance of each object: processes a piece of a row at a time, and in it each run of one label.
struct LargestOfObject {
  static constexpr int piece = 64;
  View<const int32_t, 2> labels, squared;
  int pieces;                // pieces per row
  View<int32_t, 1> largest;  // [slots]

  BASIN_HD void operator()(int64_t i) const {
    const int y = int(quotient(i, pieces)), width = labels.dim[1], left = int(i - int64_t(y) * pieces) * piece;
    const int right = left + piece < width ? left + piece : width;
    const int32_t* label = &labels(y, 0);
    for (int begin = left, end; begin < right; begin = end) {
      int32_t most = 0;
      for (end = begin; end < right && label[end] == label[begin]; ++end)
        most = squared(y, end) > most ? squared(y, end) : most;
      if (most > 0 && label[begin] >= 0) raise_to(largest(slot_of(label[begin], largest.dim[0])), most);
    }
  }
};

struct Normalise {
  View<const int32_t, 2> labels, squared;
  View<const int32_t, 1> largest;
  double scale;
  float* distance;

  BASIN_HD void operator()(int64_t i) const {
    const int32_t label = labels.data[i], most = label < 0 ? 0 : largest(slot_of(label, largest.dim[0]));
    distance[i] = most > 0 ? float(scale * sqrt(double(squared.data[i]) / most)) : 0.f;
  }
};

}  // namespace

void distance_target(const Exec& exec, View<const int32_t, 2> labels, int slots, double scale,
                     View<float, 2> distance) {
  const int height = labels.dim[0], width = labels.dim[1];
  BASIN_CHECK(distance.dim[0] == height && distance.dim[1] == width && slots > 0, "labels ", labels, ", distance ",
              distance, ", ", slots, " slots");
  if (labels.size() == 0) return;
  Temp<int32_t> memory(exec, 2 * labels.size()), table(exec, slots);
  const View<int32_t, 2> interior{memory.data(), {height, width}};
  const View<int32_t, 2> squared{memory.data() + labels.size(), {height, width}};
  const View<int32_t, 1> largest{table.data(), {slots}};
  const int pieces = (width + LargestOfObject::piece - 1) / LargestOfObject::piece;
  for_each(exec, slots, Fill<int32_t>{table.data(), 0});
  for_each_row(exec, height, width, Interior{labels, slots, interior});
  edt_squared(exec, interior, squared);
  for_each(exec, int64_t(height) * pieces, LargestOfObject{labels, squared, pieces, largest}, 64);
  for_each(exec, labels.size(), Normalise{labels, squared, largest, scale, distance.data});
}

}  // namespace basin::kernels

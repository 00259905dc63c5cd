#include "kernels/embedding/region_growing.h"

#include <cmath>
#include <utility>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/relaxed_atomics.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

struct Direction {
  View<const float, 3> embedding;
  View<const int32_t, 1> pixels, first;
  View<float, 2> directions;

  BASIN_HD void operator()(int64_t seed) const {
    const int channels = directions.dim[1];
    const int begin = seed == 0 ? 0 : first(seed - 1), end = seed == 0 ? 0 : first(seed);
    double square = 0;
    for (int k = 0; k < channels; ++k) {
      double sum = 0;
      for (int i = begin; i < end; ++i)
        sum += double(embedding.data[int64_t(pixels(i)) * channels + k]);
      directions(seed, k) = float(sum);
      square += sum * sum;
    }
    const double inverse = square > 0 ? 1 / sqrt(square) : 0;
    for (int k = 0; k < channels; ++k)
      directions(seed, k) = float(double(directions(seed, k)) * inverse);
  }
};

/// The update of one pixel in one step.
struct Growth {
  View<const float, 3> embedding;
  View<const float, 2> directions;
  float min_cosine;

  BASIN_HD int32_t next(View<const int32_t, 2> labels, int y, int x) const {
    const int height = labels.dim[0], width = labels.dim[1], channels = directions.dim[1];
    const int32_t own = labels(y, x);
    int32_t largest = own;
    for (int v = y > 0 ? y - 1 : 0; v <= (y + 1 < height ? y + 1 : y); ++v)
      for (int u = x > 0 ? x - 1 : 0; u <= (x + 1 < width ? x + 1 : x); ++u)
        largest = labels(v, u) > largest ? labels(v, u) : largest;
    if (largest == own) return own;
    const float *e = &embedding(y, x, 0), *direction = &directions(largest, 0);
    float cosine = 0;
    for (int k = 0; k < channels; ++k)
      cosine += e[k] * direction[k];
    return cosine > min_cosine ? largest : own;
  }
};

struct GrowAll {
  Growth growth;
  View<const int32_t, 2> from;
  View<int32_t, 2> to;
  int32_t* changed;

  BASIN_HD void operator()(int64_t y, int64_t x) const {
    const int32_t next = growth.next(from, int(y), int(x));
    if (next != from(y, x)) relaxed_store(changed, int32_t(1));
    to(y, x) = next;
  }
};

/// Updates all pixels in each step.
void grow_by_sweeps(const Exec& exec, const Growth& growth, View<int32_t, 2> labels) {
  constexpr int steps = 8;  // between checks for changes; even, so that the result ends up in labels
  Temp<int32_t> memory(exec, labels.size()), changed(exec, 1);
  const View<int32_t, 2> other{memory.data(), {labels.dim[0], labels.dim[1]}};
  do {
    for (int step = 0; step < steps; ++step) {
      const auto [from, to] = step % 2 == 0 ? std::pair(labels, other) : std::pair(other, labels);
      for_each(exec, 1, Fill<int32_t>{changed.data(), 0});
      for_each_row(exec, labels.dim[0], labels.dim[1], GrowAll{growth, from, to, changed.data()});
    }
  } while (read_back(exec, changed.data()) != 0);
}

/// On the CPU: updates only pixels around which something changed in the previous step.
void grow_by_fronts(const Exec& exec, const Growth& growth, View<int32_t, 2> labels) {
  const int height = labels.dim[0], width = labels.dim[1], n = int(labels.size());
  Temp<int32_t> front(exec, n), changed(exec, n), next(exec, n), seen(exec, n);
  int fronts = 0, changes = 0;
  const auto add_around = [&](int32_t pixel, int32_t step) {
    const int y = pixel / width, x = pixel % width;
    for (int v = y > 0 ? y - 1 : 0; v <= (y + 1 < height ? y + 1 : y); ++v)
      for (int u = x > 0 ? x - 1 : 0; u <= (x + 1 < width ? x + 1 : x); ++u) {
        const int32_t i = v * width + u;
        if (seen[i] == step) continue;
        seen[i] = step;
        front[fronts++] = i;
      }
  };
  for (int32_t i = 0; i < n; ++i)
    seen[i] = 0;
  for (int32_t i = 0; i < n; ++i)
    if (labels.data[i] != 0) add_around(i, 1);
  for (int32_t step = 2; fronts > 0; ++step) {
    changes = 0;
    for (int k = 0; k < fronts; ++k) {
      const int32_t i = front[k], label = growth.next(labels, i / width, i % width);
      if (label == labels.data[i]) continue;
      changed[changes] = i;
      next[changes++] = label;
    }
    fronts = 0;
    for (int k = 0; k < changes; ++k)
      labels.data[changed[k]] = next[k];
    for (int k = 0; k < changes; ++k)
      add_around(changed[k], step);
  }
}

}  // namespace

void seed_directions(const Exec& exec, View<const float, 3> embedding, View<const int32_t, 1> pixels,
                     View<const int32_t, 1> first, View<float, 2> directions) {
  BASIN_CHECK(directions.dim[0] == first.dim[0] && directions.dim[1] == embedding.dim[2], "embedding ", embedding,
              ", first ", first, ", directions ", directions);
  for_each(exec, directions.dim[0], Direction{embedding, pixels, first, directions}, 16);
}

void grow_regions(const Exec& exec, View<const float, 3> embedding, View<const float, 2> directions, double min_cosine,
                  View<int32_t, 2> labels) {
  BASIN_CHECK(
      embedding.dim[0] == labels.dim[0] && embedding.dim[1] == labels.dim[1] && embedding.dim[2] == directions.dim[1],
      "embedding ", embedding, ", directions ", directions, ", labels ", labels);
  BASIN_CHECK(labels.size() <= INT32_MAX, "labels ", labels);
  const Growth growth{embedding, directions, float(min_cosine)};
  if (labels.size() == 0) return;
  if (exec.device == Device::cpu && exec.variant == Variant::automatic)
    grow_by_fronts(exec, growth, labels);
  else
    grow_by_sweeps(exec, growth, labels);
}

}  // namespace basin::kernels

// components_of_labels() on the CPU. Every pixel points to the first pixel of its run, a row of equal labels, and only
// these first pixels are united.
#include <algorithm>
#include <utility>

#include "kernels/image/components_runs.h"
#include "kernels/image/runs.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/union_find.h"

namespace basin::kernels {
namespace {

struct LabelRuns {
  View<const int32_t, 2> image;
  bool diagonals;
  UnionFind sets;  // of pixels; -1 on the background

  Strips strips() const { return {image.dim[0]}; }

  /// Calls f(y, x0, x1) for the runs of a row that are not background.
  template <class F>
  void for_each_run_of_row(int y, const F& f) const {
    for_each_run(&image(y, 0), size_t(image.dim[1]), [&](size_t x0, size_t x1, int32_t label) {
      if (label != 0) f(y, int(x0), int(x1));
    });
  }
  template <class F>
  void for_each_run_of_strip(int64_t s, const F& f) const {
    for (int y = strips().begin(s); y < strips().end(s); ++y)
      for_each_run_of_row(y, f);
  }
  int32_t index(int y, int x) const { return y * image.dim[1] + x; }

  /// Unites a run with those of the row above that it touches.
  void unite_with_row_above(int y, int x0, int x1) const {
    const int32_t label = image(y, x0);
    const int beside = diagonals ? 1 : 0;
    const int from = std::max(0, x0 - beside), to = std::min(image.dim[1], x1 + beside);
    int32_t last = -1;  // a row above is often one long run
    for (int x = from; x < to; ++x) {
      if (image(y - 1, x) != label) continue;
      const int32_t above = sets.parent[index(y - 1, x)];
      if (above != last) sets.unite(above, index(y, x0));
      last = above;
    }
  }
};

/// Sets up the runs of a strip, and unites those that touch in it.
struct LinkStrip {
  LabelRuns runs;

  void operator()(int64_t s) const {
    const int first = runs.strips().begin(s), end = runs.strips().end(s), width = runs.image.dim[1];
    std::fill(runs.sets.parent + runs.index(first, 0), runs.sets.parent + int64_t(end) * width, -1);
    runs.for_each_run_of_strip(s, [&](int y, int x0, int x1) {
      std::fill_n(runs.sets.parent + runs.index(y, x0), x1 - x0, runs.index(y, x0));
      if (y > first) runs.unite_with_row_above(y, x0, x1);
    });
  }
};

/// Lets the first pixels of runs point to their roots, and counts the roots of a strip.
struct FlattenStrip {
  LabelRuns runs;
  int32_t* roots;

  void operator()(int64_t s) const {
    int32_t n = 0;
    runs.for_each_run_of_strip(s, [&](int y, int x0, int) {
      const int32_t i = runs.index(y, x0), root = runs.sets.root(i);
      runs.sets.parent[i] = root;
      n += root == i;
    });
    roots[s] = n;
  }
};

/// Numbers the roots of a strip.
struct NumberStrip {
  LabelRuns runs;
  const int32_t* roots_before;
  int32_t* number;

  void operator()(int64_t s) const {
    int32_t next = roots_before[s];
    runs.for_each_run_of_strip(s, [&](int y, int x0, int) {
      const int32_t i = runs.index(y, x0);
      if (runs.sets.parent[i] == i) number[i] = ++next;
    });
  }
};

/// Writes the numbers of their roots to the pixels of a strip.
struct PaintStrip {
  LabelRuns runs;
  const int32_t* number;

  void operator()(int64_t s) const {
    int32_t* labels = runs.sets.parent;
    for (int y = runs.strips().begin(s); y < runs.strips().end(s); ++y)
      for_each_run(&runs.image(y, 0), size_t(runs.image.dim[1]), [&](size_t x0, size_t x1, int32_t label) {
        int32_t* run = labels + runs.index(y, int(x0));
        std::fill_n(run, x1 - x0, label == 0 ? 0 : number[*run]);
      });
  }
};

}  // namespace

int64_t components_of_labels_by_runs(const Exec& exec, View<const int32_t, 2> image, bool diagonals,
                                     View<int32_t, 2> labels) {
  const LabelRuns runs{image, diagonals, {labels.data}};
  const int strips = runs.strips().count();
  Temp<int32_t> number(exec, image.size()), roots(exec, strips);
  for_each_task(strips, LinkStrip{runs});
  for (int s = 1; s < strips; ++s)
    runs.for_each_run_of_row(runs.strips().begin(s),
                             [&](int y, int x0, int x1) { runs.unite_with_row_above(y, x0, x1); });
  for_each_task(strips, FlattenStrip{runs, roots.data()});
  int32_t components = 0;
  for (int s = 0; s < strips; ++s)
    components += std::exchange(roots.data()[s], components);
  for_each_task(strips, NumberStrip{runs, roots.data(), number.data()});
  for_each_task(strips, PaintStrip{runs, number.data()});
  return components;
}

}  // namespace basin::kernels

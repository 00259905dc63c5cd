#include "kernels/image/components_runs.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "kernels/image/components_fill.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/union_find.h"

// A row is stored as bits in words of 64 pixels. Runs of foreground are found, counted and compared with those of the
// row above by arithmetic on words; there is one branch per pair of touching runs, none per pixel or run.
namespace basin::kernels {
namespace {

static_assert(std::endian::native == std::endian::little);

/// Bit k is set if byte k is not 0.
uint64_t nonzero_bits(const uint8_t* bytes, int n) {
  constexpr uint64_t low7 = 0x7f7f7f7f7f7f7f7f, gather = 0x0102040810204080;
  uint64_t bits = 0;
  for (int k = 0; k < n; k += 8) {
    uint64_t eight = 0;
    std::memcpy(&eight, bytes + k, size_t(std::min(8, n - k)));
    const uint64_t set = ((((eight & low7) + low7) | eight) & ~low7) >> 7;  // 1 in each byte that is not 0
    bits |= (set * gather >> 56) << k;
  }
  return bits;
}

/// 64 pixels of a row.
struct Word {
  uint64_t set, after_set;  // foreground; left neighbour is foreground

  uint64_t starts() const { return set & ~after_set; }
};

struct Image {
  int height, width;
  const uint8_t* mask;
  uint64_t* bits;       // [height, words()]
  int32_t* run_labels;  // [height, run_stride()]: element k belongs to run k of a row, counted from 1
  UnionFind sets;       // of the provisional labels of runs; each strip has its own labels_of_strip() of them
  int32_t* number;      // [labels]: component numbers

  int words() const { return int((int64_t(width) + 63) / 64); }
  Strips strips() const { return {height}; }
  /// Neighbouring pixels never both start a label; one label is spare.
  int64_t labels_of_strip() const { return (int64_t(std::min(Strips::rows, height)) * width + 1) / 2 + 1; }
  int64_t run_stride() const { return (int64_t(width) + 1) / 2 + 8; }
  int32_t* labels_of_row(int64_t y) const { return run_labels + y * run_stride(); }

  /// Calls f(w, word) from left to right.
  template <class F>
  void for_each_word(int64_t y, const F& f) const {
    const uint64_t* row = bits + y * words();
    uint64_t before = 0;
    for (int w = 0; w < words(); ++w) {
      f(w, Word{row[w], row[w] << 1 | before});
      before = row[w] >> 63;
    }
  }

  int count_runs(int64_t y) const {
    int runs = 0;
    for_each_word(y, [&](int, Word word) { runs += std::popcount(word.starts()); });
    return runs;
  }

  /// Calls touch(run of row y - 1, run of row y) for all pairs that share a column, or touch at a corner if
  /// `diagonals`, in order of the run of row y. Each pair is reported at the first column where either run starts
  /// within one pixel of the other.
  template <class Touch>
  void for_each_contact(int y, bool diagonals, const Touch& touch) const {
    const uint64_t* row_above = bits + int64_t(y - 1) * words();
    uint64_t before = 0;
    int32_t a = 0, b = 0;
    for_each_word(y, [&](int w, Word here) {
      const Word above{row_above[w], row_above[w] << 1 | before};
      before = row_above[w] >> 63;
      const uint64_t above_starts = above.starts(), here_starts = here.starts();
      uint64_t contacts = diagonals ? (here_starts & (above.set | above.after_set)) | (above_starts & here.after_set)
                                    : (here_starts & above.set) | (above_starts & here.set);
      for (; contacts; contacts &= contacts - 1) {
        const uint64_t up_to = contacts ^ (contacts - 1);
        touch(a + std::popcount(above_starts & up_to), b + std::popcount(here_starts & up_to));
      }
      a += std::popcount(above_starts);
      b += std::popcount(here_starts);
    });
  }
};

/// Finds and labels the runs of a strip, and unites the labels of those that are connected inside it.
struct LabelStrip {
  Image image;
  bool diagonals;
  int32_t* labels_end;  // [strips]

  void operator()(int64_t s) const {
    int32_t next = int32_t(s * image.labels_of_strip());
    const int32_t first = next;
    int32_t* parent = image.sets.parent;
    for (int y = image.strips().begin(s); y < image.strips().end(s); ++y) {
      int32_t* labels = image.labels_of_row(y);
      find_bits(y);
      const int runs = image.count_runs(y);
      constexpr int32_t none = -1;
      std::fill(labels, labels + 1 + runs, none);
      if (y > image.strips().begin(s)) {
        const int32_t* labels_above = image.labels_of_row(y - 1);
        image.for_each_contact(y, diagonals, [&](int32_t above, int32_t here) {
          const int32_t theirs = labels_above[above], ours = labels[here] == none ? theirs : labels[here];
          labels[here] = ours;
          if (ours != theirs) labels[here] = unite(ours, theirs);
        });
      }
      for (int k = 1; k <= runs; ++k) {
        const bool is_new = labels[k] == none;
        parent[next] = next;
        labels[k] = is_new ? next : labels[k];
        next += is_new;
      }
    }
    for (int32_t i = first; i < next; ++i)
      parent[i] = parent[parent[i]];  // the parent is lower, and already points to its root
    labels_end[s] = next;
  }

 private:
  void find_bits(int y) const {
    const uint8_t* pixels = image.mask + int64_t(y) * image.width;
    uint64_t* row = image.bits + int64_t(y) * image.words();
    for (int w = 0; w < image.words(); ++w) {
      const int x = 64 * w;
      row[w] = image.width - x >= 64 ? nonzero_bits(pixels + x, 64) : nonzero_bits(pixels + x, image.width - x);
    }
  }

  /// UnionFind::unite() for labels that no other thread uses. Returns the root.
  int32_t unite(int32_t a, int32_t b) const {
    a = root_of(a), b = root_of(b);
    const int32_t low = std::min(a, b);
    image.sets.parent[std::max(a, b)] = low;
    return low;
  }
  int32_t root_of(int32_t i) const {
    int32_t* parent = image.sets.parent;
    while (parent[i] != i)
      i = parent[i] = parent[parent[i]];
    return i;
  }
};

/// Shortens the paths from the labels of a strip to their roots, and counts its roots.
struct CountRoots {
  Image image;
  const int32_t* labels_end;
  int32_t* roots;

  void operator()(int64_t s) const {
    int32_t n = 0;
    for (int32_t i = int32_t(s * image.labels_of_strip()); i < labels_end[s]; ++i)
      n += image.sets.find(i) == i;
    roots[s] = n;
  }
};

/// Numbers the components of the roots of a strip, starting from 1.
struct NumberRoots {
  Image image;
  const int32_t *labels_end, *roots_before;

  void operator()(int64_t s) const {
    int32_t next = roots_before[s];
    for (int32_t i = int32_t(s * image.labels_of_strip()); i < labels_end[s]; ++i) {
      const bool is_root = image.sets.parent[i] == i;
      next += is_root;
      image.number[i] = next;
    }
  }
};

/// Writes component numbers to all labels of a strip, then to its runs, then to its pixels.
template <class Pixels>
struct FillStrip {
  Image image;
  const int32_t* labels_end;
  int32_t* labels;  // [height, width]

  void operator()(int64_t s) const {
    const int32_t* parent = image.sets.parent;
    for (int32_t i = int32_t(s * image.labels_of_strip()); i < labels_end[s]; ++i) {
      int32_t root = parent[i];
      while (parent[root] != root)  // rare
        root = parent[root];
      if (root != i) image.number[i] = image.number[root];  // other threads may read that of a root
    }
    for (int y = image.strips().begin(s); y < image.strips().end(s); ++y) {
      int32_t *of_run = image.labels_of_row(y), *row = labels + int64_t(y) * image.width;
      const int runs = image.count_runs(y);
      of_run[0] = 0;
#pragma omp simd
      for (int k = 1; k <= runs; ++k)
        of_run[k] = image.number[of_run[k]];
      image.for_each_word(y, [&](int w, Word word) {
        const uint64_t starts = word.starts();
        fill_labels<Pixels>(row + w * 64, std::min(64, image.width - w * 64), word.set, starts, of_run);
        of_run += std::popcount(starts);
      });
    }
  }
};

}  // namespace

int64_t components_by_runs(const Exec& exec, View<const uint8_t, 2> mask, bool diagonals, View<int32_t, 2> labels) {
  Image image{mask.dim[0], mask.dim[1], mask.data, {}, {}, {}, {}};
  const int strips = image.strips().count();
  Temp<uint64_t> bits(exec, int64_t(image.height) * image.words());
  Temp<int32_t> run_labels(exec, image.height * image.run_stride());
  Temp<int32_t> parent(exec, strips * image.labels_of_strip()), number(exec, parent.size());
  Temp<int32_t> ends(exec, strips), roots(exec, strips);
  image.bits = bits.data();
  image.run_labels = run_labels.data();
  image.sets.parent = parent.data();
  image.number = number.data();

  for_each_task(strips, LabelStrip{image, diagonals, ends.data()});
  for (int s = 1; s < strips; ++s) {
    const int y = image.strips().begin(s);
    image.for_each_contact(y, diagonals, [&](int32_t above, int32_t here) {
      image.sets.unite(image.labels_of_row(y - 1)[above], image.labels_of_row(y)[here]);
    });
  }
  for_each_task(strips, CountRoots{image, ends.data(), roots.data()});
  int32_t components = 0;
  for (int s = 0; s < strips; ++s)
    components += std::exchange(roots[s], components);
  for_each_task(strips, NumberRoots{image, ends.data(), roots.data()});
#if BASIN_ISA_DISPATCH
  if (isa() != Isa::baseline) {
    for_each_task(strips, FillStrip<Avx2Pixels>{image, ends.data(), labels.data});
    return components;
  }
#endif
  for_each_task(strips, FillStrip<PlainPixels>{image, ends.data(), labels.data});
  return components;
}

}  // namespace basin::kernels

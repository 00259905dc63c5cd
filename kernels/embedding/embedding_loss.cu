#include "kernels/embedding/embedding_loss.h"

#include <cmath>

#include "kernels/embedding/adjacency.h"
#include "kernels/runtime/gradient_out.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

constexpr double min_length = 1e-12;

/// How the pixels of a sample are divided: into pieces of `rows` by `columns`, each with its own table of sums, or with
/// one common table that is added to atomically.
struct Pieces {
  int rows, columns, down, across;
  bool shared;

  Pieces(const Exec& exec, int height, int width)
      : rows(32), columns(width), shared(exec.device != Device::cpu && !exec.deterministic) {
    if (exec.device != Device::cpu) rows = shared ? 1 : 4;
    if (shared) columns = 32;
    down = (height + rows - 1) / rows;
    across = (width + columns - 1) / columns;
  }
  BASIN_HD int64_t count() const { return int64_t(down) * across; }
  BASIN_HD int64_t tables() const { return shared ? 1 : count(); }
};

/// Sums one channel of one piece by object: i = (sample * pieces + piece) * (channels + 1) + channel. The channel after
/// the last counts pixels.
template <class T>
struct SumPieces {
  View<const T, 4> embedding;
  View<const int32_t, 3> labels;
  int slots;
  Pieces pieces;
  double* tables;  // [N, tables, K + 1, slots]

  BASIN_HD void operator()(int64_t i) const {
    const int channels = embedding.dim[1], height = labels.dim[1], width = labels.dim[2];
    const int64_t rest = quotient(i, channels + 1), n = quotient(rest, pieces.count()),
                  piece = rest - n * pieces.count();
    const int channel = int(i - rest * (channels + 1)), band = int(quotient(piece, pieces.across));
    const int left = int(piece - int64_t(band) * pieces.across) * pieces.columns, top = band * pieces.rows;
    const int right = left + pieces.columns < width ? left + pieces.columns : width;
    const int bottom = top + pieces.rows < height ? top + pieces.rows : height;
    double* table = tables + ((pieces.shared ? n : rest) * (channels + 1) + channel) * slots;
    for (int y = top; y < bottom; ++y) {
      const int32_t* label = &labels(n, y, 0);
      const T* value = channel < channels ? &embedding(n, channel, y, 0) : nullptr;
      for (int begin = left, end; begin < right; begin = end) {
        double sum = 0;
        for (end = begin; end < right && label[end] == label[begin]; ++end)
          sum += value ? double(value[end]) : 1.0;
        add(table[slot_of(label[begin], slots)], sum);
      }
    }
  }
};

/// sums[n, channel, slot] over the tables of a sample, in order.
struct AddTables {
  const double* tables;
  int64_t count, size;  // tables of a sample; numbers in a table
  double* sums;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t n = quotient(i, size);
    const double* from = tables + n * count * size + (i - n * size);
    double sum = 0;
    for (int64_t t = 0; t < count; ++t)
      sum += from[t * size];
    sums[i] = sum;
  }
};

/// The objects of all samples.
struct Objects {
  View<double, 3> mean;     // [N, K + 1, slots]: the means m (0 without pixels), then the number of pixels
  View<double, 3> centre;   // [N, K, slots]
  View<double, 2> length;   // [N, slots]: |m|
  View<int32_t, 2> degree;  // [N, slots]: number of neighbours
  View<int32_t, 2> total;   // [N, 2]: objects with pixels; ordered pairs of neighbours

  BASIN_HD double pixels(int n, int slot) const { return mean(n, mean.dim[1] - 1, slot); }
};

/// Computes means and centres from sums of embeddings.
struct FindCentres {
  Objects objects;
  View<const int32_t, 3> neighbours;
  bool unit;

  BASIN_HD void operator()(int64_t i) const {
    const int channels = objects.centre.dim[1], slots = objects.centre.dim[2];
    const int n = int(quotient(i, slots)), slot = int(i - int64_t(n) * slots);
    const double pixels = objects.pixels(n, slot), share = pixels > 0 ? 1 / pixels : 0;
    double square = 0;
    for (int k = 0; k < channels; ++k) {
      double& m = objects.mean(n, k, slot);
      m *= share;
      square += m * m;
    }
    const double length = sqrt(square), scale = !unit ? 1 : length < min_length ? 0 : 1 / length;
    for (int k = 0; k < channels; ++k)
      objects.centre(n, k, slot) = objects.mean(n, k, slot) * scale;
    objects.length(n, slot) = length;
    int degree = 0;
    for (int b = 0; b < slots; ++b)
      degree += is_neighbour(&neighbours(n, slot, 0), b);
    objects.degree(n, slot) = degree;
  }
};

struct CountObjects {
  Objects objects;

  BASIN_HD void operator()(int64_t i) const {
    const int n = int(i);
    int32_t present = 0, pairs = 0;
    for (int slot = 0; slot < objects.centre.dim[2]; ++slot) {
      present += objects.pixels(n, slot) > 0;
      pairs += objects.degree(n, slot);
    }
    objects.total(n, 0) = present;
    objects.total(n, 1) = pairs;
  }
};

/// One object's contribution to both terms, and the gradient at its pixels.
struct FindTerms {
  Objects objects;
  View<const int32_t, 3> neighbours;
  EmbeddingLossOptions o;
  double sample_pixels;
  View<double, 3> gradient;
  View<double, 3> terms;  // [N, 2, slots]: intra, inter

  BASIN_HD void operator()(int64_t i) const {
    const int channels = objects.centre.dim[1], slots = objects.centre.dim[2];
    const int n = int(quotient(i, slots)), a = int(i - int64_t(n) * slots);
    const double pixels = objects.pixels(n, a);
    for (int k = 0; k < channels; ++k)
      gradient(n, k, a) = 0;
    terms(n, 0, a) = terms(n, 1, a) = 0;
    if (pixels == 0) return;

    double inter = 0;  // temporarily, gradient contains d(inter) / d(centre)
    const double own = pair_weight(n, a);
    for (int b = 0; b < slots; ++b) {
      if (!is_neighbour(&neighbours(n, a, 0), b)) continue;
      double product = 0;
      for (int k = 0; k < channels; ++k)
        product += objects.centre(n, k, a) * objects.centre(n, k, b);
      inter += own * fabs(product);
      const double slope = (own + pair_weight(n, b)) * (product > 0 ? 1 : product < 0 ? -1 : 0);
      for (int k = 0; k < channels; ++k)
        gradient(n, k, a) += slope * objects.centre(n, k, b);
    }

    const double weight = o.per_object ? 1.0 / objects.total(n, 0) : pixels / sample_pixels;
    double agreement = 0, along = 0;
    for (int k = 0; k < channels; ++k) {
      agreement += objects.mean(n, k, a) * objects.centre(n, k, a);
      along += objects.centre(n, k, a) * gradient(n, k, a);
    }
    terms(n, 0, a) = weight * (1 - agreement);
    terms(n, 1, a) = inter;

    const double length = objects.length(n, a), inverse = length < min_length ? 0 : 1 / length;
    const double share = 1 / (pixels * objects.centre.dim[0]);  // weight of a pixel and of its sample
    for (int k = 0; k < channels; ++k) {
      const double centre = objects.centre(n, k, a), d_centre = gradient(n, k, a);
      const double d_inter = o.unit_centres ? (d_centre - centre * along) * inverse : d_centre;
      const double d_intra = o.unit_centres ? -weight * centre : -2 * weight * centre;
      gradient(n, k, a) = share * (d_intra + o.inter_weight * d_inter);
    }
  }

 private:
  /// The weight of a pair whose first object this is.
  BASIN_HD double pair_weight(int n, int slot) const {
    return o.per_object ? 1.0 / (double(objects.total(n, 0)) * objects.degree(n, slot)) : 1.0 / objects.total(n, 1);
  }
};

/// Sums the terms of one sample, in order.
struct AddTerms {
  View<const double, 3> terms;
  double* of_sample;  // [N, 2]

  BASIN_HD void operator()(int64_t i) const {
    const int n = int(i / 2), term = int(i % 2);
    double sum = 0;
    for (int slot = 0; slot < terms.dim[2]; ++slot)
      sum += terms(n, term, slot);
    of_sample[i] = sum;
  }
};

template <class T>
struct BatchMean {
  const double* of_sample;
  int samples;
  double inter_weight;
  T* values;

  BASIN_HD void operator()(int64_t) const {
    double intra = 0, inter = 0;
    for (int n = 0; n < samples; ++n) {
      intra += of_sample[2 * n];
      inter += of_sample[2 * n + 1];
    }
    intra /= samples;
    inter /= samples;
    values[0] = T(intra + inter_weight * inter);
    values[1] = T(intra);
    values[2] = T(inter);
  }
};

template <class T>
struct Spread {
  View<const int32_t, 3> labels;
  View<const double, 3> gradient;
  const T* d_total;
  View<T, 4> to;
  bool accumulate;

  BASIN_HD void operator()(int64_t row, int64_t x) const {
    const int height = to.dim[2], channels = to.dim[1], slots = gradient.dim[2];
    const int64_t plane = quotient(row, height), n = quotient(plane, channels);
    const int y = int(row - plane * height), slot = slot_of(labels(n, y, x), slots);
    GradientOut<T>{to.data, accumulate}(row * to.dim[3] + x, T(double(*d_total) * gradient.data[plane * slots + slot]));
  }
};

}  // namespace

template <class T>
void embedding_loss(const Exec& exec, View<const T, 4> embedding, View<const int32_t, 3> labels,
                    View<const int32_t, 3> neighbours, EmbeddingLossOptions o, View<double, 3> gradient, T* values) {
  const int samples = embedding.dim[0], channels = embedding.dim[1], slots = neighbours.dim[1];
  BASIN_CHECK(embedding.size() > 0 && labels.dim[0] == samples && labels.dim[1] == embedding.dim[2] &&
                  labels.dim[2] == embedding.dim[3],
              "embedding ", embedding, ", labels ", labels);
  BASIN_CHECK(neighbours.dim[0] == samples && slots > 0 && neighbours.dim[2] == words_for(slots) &&
                  gradient.dim[0] == samples && gradient.dim[1] == channels && gradient.dim[2] == slots,
              "embedding ", embedding, ", neighbours ", neighbours, ", gradient ", gradient);
  const Pieces pieces(exec, labels.dim[1], labels.dim[2]);
  const int64_t table = int64_t(channels + 1) * slots, rows = int64_t(samples) * slots;
  Temp<double> tables(exec, samples * pieces.tables() * table), means(exec, samples * table);
  Temp<double> centres(exec, rows * channels), lengths(exec, rows), terms(exec, 2 * rows), of_sample(exec, 2 * samples);
  Temp<int32_t> degrees(exec, rows), totals(exec, 2 * samples);
  const Objects objects{{means.data(), {samples, channels + 1, slots}},
                        {centres.data(), {samples, channels, slots}},
                        {lengths.data(), {samples, slots}},
                        {degrees.data(), {samples, slots}},
                        {totals.data(), {samples, 2}}};
  const View<double, 3> term{terms.data(), {samples, 2, slots}};
  for_each(exec, tables.size(), Fill<double>{tables.data(), 0});
  for_each(exec, samples * pieces.count() * (channels + 1),
           SumPieces<T>{embedding, labels, slots, pieces, tables.data()}, 1);
  for_each(exec, means.size(), AddTables{tables.data(), pieces.tables(), table, means.data()});
  for_each(exec, rows, FindCentres{objects, neighbours, o.unit_centres}, 64);
  for_each(exec, samples, CountObjects{objects});
  const double sample_pixels = double(labels.dim[1]) * labels.dim[2];
  for_each(exec, rows, FindTerms{objects, neighbours, o, sample_pixels, gradient, term}, 16);
  for_each(exec, 2 * samples, AddTerms{term, of_sample.data()});
  for_each(exec, 1, BatchMean<T>{of_sample.data(), samples, o.inter_weight, values});
}

template <class T>
void embedding_loss_backward(const Exec& exec, View<const int32_t, 3> labels, View<const double, 3> gradient,
                             const T* d_total, View<T, 4> d_embedding, bool accumulate) {
  BASIN_CHECK(labels.dim[0] == d_embedding.dim[0] && labels.dim[1] == d_embedding.dim[2] &&
                  labels.dim[2] == d_embedding.dim[3] && gradient.dim[0] == d_embedding.dim[0] &&
                  gradient.dim[1] == d_embedding.dim[1] && gradient.dim[2] > 0,
              "labels ", labels, ", gradient ", gradient, ", d_embedding ", d_embedding);
  const int64_t rows = int64_t(d_embedding.dim[0]) * d_embedding.dim[1] * d_embedding.dim[2];
  for_each_row(exec, rows, d_embedding.dim[3], Spread<T>{labels, gradient, d_total, d_embedding, accumulate});
}

#define BASIN_INSTANTIATE(T)                                                                                     \
  template void embedding_loss<T>(const Exec&, View<const T, 4>, View<const int32_t, 3>, View<const int32_t, 3>, \
                                  EmbeddingLossOptions, View<double, 3>, T*);                                    \
  template void embedding_loss_backward<T>(const Exec&, View<const int32_t, 3>, View<const double, 3>, const T*, \
                                           View<T, 4>, bool);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

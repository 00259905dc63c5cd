#include "models/inference/tuning.h"

#include <algorithm>
#include <numeric>

#include "models/inference/segmenter.h"

namespace basin {
namespace {

bool same_flow(const VectorFieldDecoding& a, const VectorFieldDecoding& b) {
  return a.threshold == b.threshold && a.integrate.steps == b.integrate.steps;
}

bool same(const VectorFieldDecoding& a, const VectorFieldDecoding& b) {
  return same_flow(a, b) && a.dbscan.eps == b.dbscan.eps && a.dbscan.min_samples == b.dbscan.min_samples &&
         a.noise == b.noise;
}

/// Throws one sentence where a value of an option's list is outside [low, high].
template <class T>
void check_values(const char* option, const std::vector<T>& values, T low, T high) {
  if (values.empty()) refuse(option, ": expected at least one value");
  for (const T v : values)
    if (!(v >= low && v <= high)) refuse(option, ' ', v, ": out of range");
}

}  // namespace

std::vector<VectorFieldDecoding> decodings_to_try(const VectorFieldDecoding& present, const DecodingGrid& grid) {
  check_values("--thresholds", grid.threshold, 1e-6, 1 - 1e-6);
  check_values("--steps", grid.steps, 0, 1000000);
  check_values("--eps", grid.eps, 1e-6, 1e6);
  check_values("--min-samples", grid.min_samples, 1, 1000000);
  std::vector<VectorFieldDecoding> all{present};
  VectorFieldDecoding d = present;
  for (const double threshold : grid.threshold)
    for (const int steps : grid.steps)
      for (const double eps : grid.eps)
        for (const int min_samples : grid.min_samples)
          for (const kernels::NoiseRule noise : grid.noise) {
            d.threshold = threshold, d.integrate.steps = steps;
            d.dbscan.eps = eps, d.dbscan.min_samples = min_samples, d.noise = noise;
            if (!same(d, present)) all.push_back(d);
          }
  return all;
}

std::vector<ImageScore> score_decodings(const Exec& exec, const Maps& maps, const Labels& truth,
                                        const std::vector<VectorFieldDecoding>& decodings) {
  std::vector<ImageScore> scores;
  EndPoints ends;
  for (size_t k = 0; k < decodings.size(); ++k) {
    if (k == 0 || !same_flow(decodings[k], decodings[k - 1])) ends = follow(exec, maps, decodings[k]);
    scores.push_back(score(truth, cluster(exec, ends, decodings[k])));
  }
  return scores;
}

std::vector<ValidationScores> try_decodings(const Exec& exec, const VectorFields& method,
                                            const std::vector<Example>& examples,
                                            const std::vector<VectorFieldDecoding>& decodings, Dialect dialect,
                                            const std::function<void(const Example&)>& seen) {
  std::vector<std::vector<ImageScore>> scores(decodings.size());  // of each decoding, by image
  for (const Example& e : examples) {
    const std::vector<ImageScore> of_image = with_name(e.stem, [&] {
      const Maps maps = predict_source(exec, method, e.source, {});
      return score_decodings(exec, maps, true_labels(e), decodings);
    });
    for (size_t k = 0; k < decodings.size(); ++k)
      scores[k].push_back(of_image[k]);
    if (seen) seen(e);
  }
  std::vector<ValidationScores> all;
  for (const std::vector<ImageScore>& of_decoding : scores)
    all.push_back(validation_scores(of_decoding, dialect));
  return all;
}

double criterion(const ValidationScores& s, const std::string& by) {
  if (by == "AP50") return s.ap50;
  if (by == "AP75") return s.ap75;
  if (by == "AP90") return s.ap90;
  BASIN_CHECK(by == "AP50:95", "criterion ", by);
  return s.ap;
}

std::vector<size_t> ranking(const std::vector<ValidationScores>& scores, const std::string& by) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return criterion(scores[a], by) > criterion(scores[b], by); });
  return order;
}

}  // namespace basin

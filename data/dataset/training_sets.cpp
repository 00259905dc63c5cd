#include "data/dataset/training_sets.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <numeric>

#include "kernels/runtime/platform.h"

namespace basin {

TrainingSet parse_training_set(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || std::filesystem::exists(text)) return {text, {}};
  const char* const number = text.c_str() + colon + 1;
  char* end = nullptr;
  const double weight = std::strtod(number, &end);
  if (end == number || *end) return {text, {}};
  if (!(weight > 0 && weight < 1e9)) refuse("--data ", text, ": expected a weight above 0");
  return {text.substr(0, colon), weight};
}

MergedSets merge_sets(std::vector<std::vector<Example>> sets, const std::vector<TrainingSet>& weighted,
                      Sampling sampling) {
  BASIN_CHECK(sets.size() == weighted.size(), sets.size(), " sets, ", weighted.size(), " weights");
  std::vector<std::string> prints;
  for (const std::vector<Example>& set : sets)
    prints.push_back(fingerprint(set));
  std::vector<size_t> order(sets.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return prints[a] < prints[b]; });
  for (size_t k = 1; k < order.size(); ++k)
    if (prints[order[k]] == prints[order[k - 1]] && !sets[order[k]].empty())
      refuse("--data ", weighted[std::min(order[k], order[k - 1])].path.string(), " and ",
             weighted[std::max(order[k], order[k - 1])].path.string(),
             " contain the same images and labels: name one of them, with a larger weight if it is to count more");

  MergedSets merged;
  const bool any_weight = std::any_of(weighted.begin(), weighted.end(), [](const TrainingSet& s) { return s.weight; });
  double total_draws = 0, total_weight = 0;
  std::vector<double> draws;
  for (size_t k = 0; k < sets.size(); ++k) {
    draws.push_back(double(draws_per_epoch(sets[k], sampling)));
    const double weight = any_weight ? weighted[k].weight.value_or(1) : draws[k];
    merged.shares.push_back(draws[k] > 0 ? weight : 0);
    total_draws += draws[k], total_weight += merged.shares[k];
  }
  for (size_t k = 0; k < sets.size(); ++k) {
    if (merged.shares[k] > 0) merged.shares[k] /= total_weight;
    if (!any_weight || draws[k] == 0) continue;
    for (Example& e : sets[k])
      e.weight = merged.shares[k] * total_draws / draws[k];
  }
  for (const size_t k : order)
    std::move(sets[k].begin(), sets[k].end(), std::back_inserter(merged.examples));
  return merged;
}

}  // namespace basin

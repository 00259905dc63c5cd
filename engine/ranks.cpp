#include "engine/ranks.h"

#include <algorithm>
#include <vector>

namespace basin {
namespace {

Ranks* of_run = nullptr;

}  // namespace

Ranks* ranks_of_run() { return of_run; }
void set_ranks_of_run(Ranks* ranks) { of_run = ranks; }

void Ranks::add_in_order(const float* mine, float* to, int64_t n) {
  if (n == 0) return;
  // Each rank adds up one part of the values, so that it sends and receives about twice their size, however many ranks
  // there are.
  const int64_t part = (n + count() - 1) / count();
  std::vector<float> padded(size_t(part * count()));
  std::copy_n(mine, n, padded.begin());
  std::vector<float> parts(padded.size());
  exchange(padded.data(), size_t(part) * sizeof(float), parts.data());
  const int64_t first = std::min(n, part * rank()), size = std::min(n, first + part) - first;
  std::vector<float> sum(static_cast<size_t>(part));
  std::copy_n(to + first, size, sum.begin());
  for (int r = 0; r < count(); ++r)
    for (int64_t i = 0; i < size; ++i)
      sum[size_t(i)] += parts[size_t(r * part + i)];
  gather(sum.data(), size_t(part) * sizeof(float), padded.data());
  std::copy_n(padded.begin(), n, to);
}

std::vector<std::string> Ranks::gather_texts(const std::string& mine) {
  const size_t size = mine.size(), ranks = size_t(count());
  std::vector<size_t> sizes(ranks);
  gather(&size, sizeof size, sizes.data());
  const size_t longest = *std::max_element(sizes.begin(), sizes.end());
  std::string padded = mine, all(longest * ranks, '\0');
  padded.resize(longest);
  gather(padded.data(), longest, all.data());
  std::vector<std::string> texts;
  for (size_t r = 0; r < ranks; ++r)
    texts.push_back(all.substr(r * longest, sizes[r]));
  return texts;
}

}  // namespace basin

#include "engine/ranks/ordered_sum.h"

#include <algorithm>

namespace basin {

/// Each rank adds up one part of the values, so that it sends and receives about twice their size, however many ranks
/// there are.
struct OrderedSums::Sum {
  enum class Stage { exchanging, added, gathering };

  float* to;
  int64_t n, part;
  std::vector<float> padded, parts, sum;
  Stage stage = Stage::exchanging;
  Ranks::Request request = {};

  Sum(float* to_, int64_t n_, int ranks)
      : to(to_),
        n(n_),
        part((n_ + ranks - 1) / ranks),
        padded(size_t(part * ranks)),
        parts(size_t(part * ranks)),
        sum(static_cast<size_t>(part)) {}
  size_t bytes() const { return size_t(part) * sizeof(float); }
  void add(int rank, int ranks) {
    const int64_t first = std::min(n, part * rank), size = std::min(n, first + part) - first;
    std::copy_n(to + first, size, sum.begin());
    for (int r = 0; r < ranks; ++r)
      for (int64_t i = 0; i < size; ++i)
        sum[size_t(i)] += parts[size_t(r * part + i)];
  }
};

OrderedSums::OrderedSums(Ranks& ranks) : ranks_(ranks) {}

OrderedSums::~OrderedSums() {
  // After an error the exchanges of unfinished sums still use their memory, which is therefore never freed.
  for (std::unique_ptr<Sum>& s : sums_)
    (void)s.release();
}

void OrderedSums::start(const float* mine, float* to, int64_t n) {
  if (n == 0) return;
  sums_.push_back(std::make_unique<Sum>(to, n, ranks_.count()));
  Sum& s = *sums_.back();
  std::copy_n(mine, n, s.padded.begin());
  s.request = ranks_.start_exchange(s.padded.data(), s.bytes(), s.parts.data());
}

bool OrderedSums::step(Sum& s, bool wait) {
  if (s.stage == Sum::Stage::added) {
    // Ranks start to gather the sums in the same order, which is that of `sums_`.
    for (const std::unique_ptr<Sum>& earlier : sums_)
      if (earlier.get() == &s)
        break;
      else if (earlier->stage != Sum::Stage::gathering)
        return false;
    s.request = ranks_.start_gather(s.sum.data(), s.bytes(), s.padded.data());
    s.stage = Sum::Stage::gathering;
    return true;
  }
  if (!ranks_.is_done(s.request, wait)) return false;
  if (s.stage == Sum::Stage::exchanging) {
    s.add(ranks_.rank(), ranks_.count());
    s.stage = Sum::Stage::added;
  } else {
    std::copy_n(s.padded.begin(), s.n, s.to);
    s.n = 0;
  }
  return true;
}

void OrderedSums::advance() {
  for (const std::unique_ptr<Sum>& s : sums_)
    while (s->n > 0 && step(*s, false)) {
    }
  while (!sums_.empty() && sums_.front()->n == 0)
    sums_.pop_front();
}

void OrderedSums::finish() {
  for (advance(); !sums_.empty(); advance())
    step(*sums_.front(), true);
}

}  // namespace basin

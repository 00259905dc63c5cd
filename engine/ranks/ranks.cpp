#include "engine/ranks/ranks.h"

#include <algorithm>
#include <new>
#include <vector>

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

Ranks* of_run = nullptr;

/// Calls f and returns why it failed; nothing if it did not.
std::string failure_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::bad_alloc&) {
    return "not enough memory";
  } catch (const std::exception& e) {
    return *e.what() ? e.what() : "an error without a message";
  }
  return {};
}

/// Throws on every rank if one failed.
void throw_failures(Ranks& ranks, const std::string& mine) {
  const std::string named = mine.empty() || ranks.rank() == 0 ? mine : mine + " (" + ranks.name() + ")";
  for (const std::string& failure : ranks.gather_texts(named))
    if (!failure.empty()) throw JointError(failure);
}

}  // namespace

Ranks* ranks_of_run() { return of_run; }
void set_ranks_of_run(Ranks* ranks) { of_run = ranks; }

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

void Ranks::share(int64_t n, const std::function<void(int64_t)>& task) {
  for (const int64_t other : gather_elements(this, std::vector<int64_t>{n}))
    if (other != n) throw JointError("ranks have different lists of tasks; give all of them the same files");
  const auto take = [&] { return next() - shared_; };
  const std::string failure = failure_of([&] {
    for (int64_t k = take(); k < n; k = take())
      task(k);
  });
  if (!failure.empty())
    while (take() < n) {
    }
  shared_ += n + count();  // each rank has taken one number beyond the tasks
  throw_failures(*this, failure);
}

void do_on_all(Ranks* ranks, const std::function<void()>& f) {
  if (!ranks) return f();
  throw_failures(*ranks, failure_of(f));
}

void do_first_on_one(Ranks* ranks, const std::function<void()>& f) {
  if (!ranks) return f();
  do_on_all(ranks, [&] {
    if (is_first(ranks)) f();
  });
  do_on_all(ranks, [&] {
    if (!is_first(ranks)) f();
  });
}

void share_tasks(Ranks* ranks, int64_t n, const std::function<void(int64_t)>& task) {
  if (ranks) return ranks->share(n, task);
  for (int64_t k = 0; k < n; ++k)
    task(k);
}

}  // namespace basin

#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace basin {

/// Processes that work on one task together, numbered 0 to count() - 1. Unless said otherwise, all ranks call the
/// functions below in the same order. If a rank ends or fails, the others end too.
class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int rank() const = 0;
  virtual int count() const = 0;
  /// How many of them run on this machine.
  virtual int count_here() const = 0;

  /// The next number of 0, 1, 2, ...: no other rank gets the same. A rank calls it when it likes.
  virtual int64_t next() = 0;
  /// From now on this rank writes to stdout and stderr too, as at first only rank 0 does. A rank calls it when it
  /// likes.
  virtual void write_messages() = 0;

  /// Copies `bytes` bytes of each rank to `all` on every rank, those of rank 0 first.
  virtual void gather(const void* mine, size_t bytes, void* all) = 0;
  /// `mine` has `bytes` bytes for each rank. Copies what each rank has for this one to `parts`, that of rank 0 first.
  virtual void exchange(const void* mine, size_t bytes, void* parts) = 0;

  /// Adds mine[i] of rank 0 to to[i], then that of rank 1, and so on, rounding like a single process that adds them in
  /// this order. `to` has the same values on all ranks, before and after.
  void add_in_order(const float* mine, float* to, int64_t n);
  /// The text of each rank, on every rank.
  std::vector<std::string> gather_texts(const std::string& mine);
};

/// The value of rank 0, on every rank.
template <class T>
T value_of_first(Ranks& ranks, const T& mine) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<T> all(size_t(ranks.count()));
  ranks.gather(&mine, sizeof mine, all.data());
  return all[0];
}

/// The ranks of this run, if it was started as several processes; otherwise null. Also null once their common work is
/// done, so that an error of one no longer ends the others.
Ranks* ranks_of_run();
void set_ranks_of_run(Ranks*);

}  // namespace basin

#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
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
  /// Names this rank for a reader: "rank 2 on node7".
  virtual std::string name() const = 0;

  /// Shares tasks 0 to n - 1 among the ranks: calls task(k) with numbers that no other rank gets, in rising order, each
  /// when this rank is free. Returns when all are done. If a task throws, no rank begins another one, and all throw as
  /// in do_on_all(). Tasks must not use the ranks.
  void share(int64_t n, const std::function<void(int64_t)>& task);

  /// From now on this rank writes to stdout and stderr too, as at first only rank 0 does. A rank calls it when it
  /// likes.
  virtual void write_messages() = 0;

  /// Copies `bytes` bytes of each rank to `all` on every rank, those of rank 0 first.
  virtual void gather(const void* mine, size_t bytes, void* all) = 0;
  /// `mine` has `bytes` bytes for each rank. Copies what each rank has for this one to `parts`, that of rank 0 first.
  virtual void exchange(const void* mine, size_t bytes, void* parts) = 0;

  /// The same, but the rank goes on while the bytes are on their way, and must not use them until is_done(). All ranks
  /// start exchanges in the same order, and gathers in the same order.
  using Request = int64_t;
  virtual Request start_gather(const void* mine, size_t bytes, void* all) = 0;
  virtual Request start_exchange(const void* mine, size_t bytes, void* parts) = 0;
  /// Whether it is complete; with `wait`, returns when it is. Not to be called again after that.
  virtual bool is_done(Request, bool wait) = 0;

  /// The text of each rank, on every rank.
  std::vector<std::string> gather_texts(const std::string& mine);

 protected:
  /// The next number of 0, 1, 2, ...: no other rank gets the same. A rank calls it when it likes.
  virtual int64_t next() = 0;

 private:
  int64_t shared_ = 0;  // numbers that next() gave out for earlier tasks
};

/// Whether this process is rank 0, or there are no ranks.
inline bool is_first(const Ranks* ranks) { return !ranks || ranks->rank() == 0; }

/// Calls f on this rank, as on every rank. If it throws on one, all throw a JointError: the sentence of the lowest such
/// rank and, unless that is rank 0, its name. So no rank waits for one that failed. f must not use the ranks. Without
/// ranks, only calls f.
void do_on_all(Ranks* ranks, const std::function<void()>& f);
/// The same, but rank 0 calls f first, and the others when it is done.
void do_first_on_one(Ranks* ranks, const std::function<void()>& f);
/// Ranks::share(), or without ranks all tasks in order.
void share_tasks(Ranks* ranks, int64_t n, const std::function<void(int64_t)>& task);

/// The value of rank 0, on every rank.
template <class T>
T value_of_first(Ranks* ranks, const T& mine) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (!ranks) return mine;
  std::vector<std::byte> all(size_t(ranks->count()) * sizeof mine);
  ranks->gather(&mine, sizeof mine, all.data());
  T first = mine;
  std::memcpy(&first, all.data(), sizeof first);
  return first;
}

/// The elements of all ranks, those of rank 0 first, on every rank.
template <class T>
std::vector<T> gather_elements(Ranks* ranks, const std::vector<T>& mine) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (!ranks) return mine;
  std::vector<T> all;
  const char* bytes = reinterpret_cast<const char*>(mine.data());
  for (const std::string& part : ranks->gather_texts(std::string(bytes, bytes + mine.size() * sizeof(T)))) {
    const size_t before = all.size();
    all.resize(before + part.size() / sizeof(T));
    if (!part.empty()) std::memcpy(static_cast<void*>(all.data() + before), part.data(), part.size());
  }
  return all;
}

/// The ranks of this run, if it was started as several processes; otherwise null. Also null once their common work is
/// done, so that an error of one no longer ends the others.
Ranks* ranks_of_run();
void set_ranks_of_run(Ranks*);

}  // namespace basin

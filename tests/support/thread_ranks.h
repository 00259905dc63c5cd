#pragma once
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <thread>
#include <vector>

#include "engine/ranks/ranks.h"

namespace basin::test {

/// Ranks that are threads of this process.
class ThreadRanks {
 public:
  explicit ThreadRanks(int count) : here_(count), mine_(size_t(count)) {}

  /// Calls f(Ranks&) on each of the threads, and rethrows what the first of them threw.
  template <class F>
  void run(const F& f) {
    std::vector<std::exception_ptr> errors(mine_.size());
    std::vector<std::thread> threads;
    for (size_t r = 0; r < mine_.size(); ++r)
      threads.emplace_back([&, r] {
        Rank rank(*this, int(r));
        try {
          f(rank);
        } catch (...) {
          errors[r] = std::current_exception();
        }
      });
    for (std::thread& t : threads)
      t.join();
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
  }

 private:
  class Rank : public Ranks {
   public:
    Rank(ThreadRanks& all, int rank) : all_(all), rank_(rank) {}
    int rank() const override { return rank_; }
    int count() const override { return int(all_.mine_.size()); }
    int count_here() const override { return count(); }
    std::string name() const override { return "rank " + std::to_string(rank_); }
    void write_messages() override {}
    void gather(const void* mine, size_t bytes, void* to) override { copy(mine, bytes, 0, to); }
    void exchange(const void* mine, size_t bytes, void* to) override { copy(mine, bytes, size_t(rank_) * bytes, to); }

    Request start_gather(const void* mine, size_t bytes, void* to) override { return gather(mine, bytes, to), 0; }
    Request start_exchange(const void* mine, size_t bytes, void* to) override { return exchange(mine, bytes, to), 0; }
    bool is_done(Request, bool) override { return true; }

   protected:
    int64_t next() override { return all_.next_++; }

   private:
    void copy(const void* mine, size_t bytes, size_t from, void* to) {
      all_.mine_[size_t(rank_)] = static_cast<const std::byte*>(mine);
      all_.here_.arrive_and_wait();
      for (size_t r = 0; r < all_.mine_.size(); ++r)
        std::memcpy(static_cast<std::byte*>(to) + r * bytes, all_.mine_[r] + from, bytes);
      all_.here_.arrive_and_wait();
    }
    ThreadRanks& all_;
    int rank_;
  };
  std::barrier<> here_;
  std::vector<const std::byte*> mine_;
  std::atomic<int64_t> next_ = 0;
};

}  // namespace basin::test

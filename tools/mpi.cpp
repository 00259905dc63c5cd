#include "tools/mpi.h"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "engine/ranks/ranks.h"
#include "kernels/runtime/platform.h"

// All use of MPI. An error of MPI itself ends all ranks with its own message.

namespace basin::tools {
namespace {

/// The original stdout and stderr of a rank other than 0, for which /dev/null takes their place.
int stdout_of_rank = -1, stderr_of_rank = -1;

class MpiRanks : public Ranks {
 public:
  MpiRanks() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &count_);
    MPI_Comm_dup(MPI_COMM_WORLD, &gathers_);
    MPI_Comm_dup(MPI_COMM_WORLD, &exchanges_);
    MPI_Comm here;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
    MPI_Comm_size(here, &count_here_);
    MPI_Comm_free(&here);
    MPI_Comm_dup(MPI_COMM_WORLD, &numbers_);
  }
  int rank() const override { return rank_; }
  int count() const override { return count_; }
  int count_here() const override { return count_here_; }

  std::string name() const override {
    char host[MPI_MAX_PROCESSOR_NAME + 1] = "";
    int length = 0;
    MPI_Get_processor_name(host, &length);
    return fmt::format("rank {} on {}", rank_, host);
  }
  void write_messages() override {
    if (rank_ == 0) return;
    std::fflush(stdout);
    dup2(stdout_of_rank, STDOUT_FILENO);
    dup2(stderr_of_rank, STDERR_FILENO);
  }
  /// Waits for the other ranks and releases what they share.
  void leave() {
    MPI_Barrier(MPI_COMM_WORLD);
    is_leaving_ = true;
    if (server_.joinable()) server_.join();
    for (MPI_Comm* comm : {&gathers_, &exchanges_, &numbers_})
      MPI_Comm_free(comm);
  }

  void gather(const void* mine, size_t bytes, void* all) override {
    MPI_Allgather(mine, in_int(bytes), MPI_BYTE, all, in_int(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }
  void exchange(const void* mine, size_t bytes, void* parts) override {
    MPI_Alltoall(mine, in_int(bytes), MPI_BYTE, parts, in_int(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }
  Request start_gather(const void* mine, size_t bytes, void* all) override {
    return start([&](MPI_Request* request) {
      MPI_Iallgather(mine, in_int(bytes), MPI_BYTE, all, in_int(bytes), MPI_BYTE, gathers_, request);
    });
  }
  Request start_exchange(const void* mine, size_t bytes, void* parts) override {
    return start([&](MPI_Request* request) {
      MPI_Ialltoall(mine, in_int(bytes), MPI_BYTE, parts, in_int(bytes), MPI_BYTE, exchanges_, request);
    });
  }
  bool is_done(Request number, bool wait) override {
    MPI_Request& request = requests_.at(number);
    int done = 1;
    if (wait)
      MPI_Wait(&request, MPI_STATUS_IGNORE);
    else
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done) requests_.erase(number);
    return done != 0;
  }

 protected:
  int64_t next() override {
    if (rank_ == 0) {
      if (!server_.joinable()) server_ = std::thread([this] { serve(); });
      return next_++;
    }
    int64_t number = 0;
    MPI_Send(nullptr, 0, MPI_BYTE, 0, 0, numbers_);
    MPI_Recv(&number, 1, MPI_INT64_T, 0, 0, numbers_, MPI_STATUS_IGNORE);
    return number;
  }

 private:
  static int in_int(size_t bytes) {
    BASIN_CHECK(bytes <= INT_MAX, bytes, " bytes for each rank are more than MPI takes at once");
    return int(bytes);
  }
  template <class F>
  Request start(const F& f) {
    f(&requests_[++last_request_]);
    return last_request_;
  }

  /// Sends the other ranks the numbers that they ask for, while rank 0 computes. One-sided operations would need no
  /// thread, but over TCP they wait until rank 0 calls MPI, and with Open MPI 4.1 they fail there by default.
  void serve() {
    constexpr int patience = 100;  // failed attempts after which the thread rests
    for (int failed = 0; !is_leaving_; ++failed) {
      int asked = 0;
      MPI_Status status;
      MPI_Iprobe(MPI_ANY_SOURCE, 0, numbers_, &asked, &status);
      if (!asked) {
        if (failed > patience) std::this_thread::sleep_for(std::chrono::microseconds(500));
        continue;
      }
      failed = 0;
      MPI_Recv(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, 0, numbers_, MPI_STATUS_IGNORE);
      const int64_t number = next_++;
      MPI_Send(&number, 1, MPI_INT64_T, status.MPI_SOURCE, 0, numbers_);
    }
  }

  int rank_ = 0, count_ = 1, count_here_ = 1;
  MPI_Comm numbers_ = MPI_COMM_NULL;  // requests for the next number, and answers
  std::atomic<int64_t> next_ = 0;     // on rank 0
  std::thread server_;
  std::atomic<bool> is_leaving_ = false;
  MPI_Comm gathers_ = MPI_COMM_NULL, exchanges_ = MPI_COMM_NULL;  // in each, operations begin in the same order
  std::map<Request, MPI_Request> requests_;
  Request last_request_ = 0;
};

MpiRanks* all_ranks = nullptr;

/// Whether a launcher has started this process as one of several. MPI is not initialised otherwise: that takes time,
/// and fails on machines that are not set up for it.
bool is_launched() {
  constexpr const char* marks[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"};
  return std::any_of(std::begin(marks), std::end(marks), [](const char* name) { return std::getenv(name) != nullptr; });
}

}  // namespace

void join_by_mpi(int argc, char** argv) {
  if (!is_launched()) return;
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  static MpiRanks all;
  all_ranks = &all;
  if (all.count() == 1) return;
  if (level < MPI_THREAD_MULTIPLE) refuse("this MPI library does not let several threads use it (MPI_THREAD_MULTIPLE)");
  set_ranks_of_run(&all);
  if (all.rank() == 0) return;
  stdout_of_rank = dup(STDOUT_FILENO), stderr_of_rank = dup(STDERR_FILENO);
  for (std::FILE* stream : {stdout, stderr})
    if (!std::freopen("/dev/null", "w", stream)) refuse("/dev/null cannot be opened");
}

void end_all_ranks(const char* sentence) {
  if (!ranks_of_run()) return leave_mpi();
  if (ranks_of_run()->rank() > 0) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    dprintf(stderr_of_rank, "basin: %s: %s\n", ranks_of_run()->name().c_str(), sentence);
  }
  MPI_Abort(MPI_COMM_WORLD, 1);
}

void leave_mpi() {
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (!initialised) return;
  all_ranks->leave();
  MPI_Finalize();
}

}  // namespace basin::tools

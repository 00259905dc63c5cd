#include "tools/mpi.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "engine/ranks.h"
#include "kernels/runtime/platform.h"

// All use of MPI. An error of MPI itself ends all ranks with its own message.

namespace basin::tools {
namespace {

class MpiRanks : public Ranks {
 public:
  MpiRanks() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &count_);
  }
  int rank() const override { return rank_; }
  int count() const override { return count_; }

  void gather(const void* mine, size_t bytes, void* all) override {
    MPI_Allgather(mine, in_int(bytes), MPI_BYTE, all, in_int(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }
  void exchange(const void* mine, size_t bytes, void* parts) override {
    MPI_Alltoall(mine, in_int(bytes), MPI_BYTE, parts, in_int(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }

 private:
  static int in_int(size_t bytes) {
    BASIN_CHECK(bytes <= INT_MAX, bytes, " bytes for each rank are more than MPI takes at once");
    return int(bytes);
  }
  int rank_ = 0, count_ = 1;
};

/// Whether a launcher has started this process as one of several. MPI is not initialised otherwise: that takes time,
/// and fails on machines that are not set up for it.
bool is_launched() {
  constexpr const char* marks[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"};
  return std::any_of(std::begin(marks), std::end(marks), [](const char* name) { return std::getenv(name) != nullptr; });
}

int stderr_of_rank = -1;  // the original stderr of a rank other than 0, whose stderr is redirected to /dev/null

}  // namespace

void join_by_mpi(int argc, char** argv) {
  if (!is_launched()) return;
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
  static MpiRanks all;
  if (all.count() == 1) return;
  set_ranks_of_run(&all);
  if (all.rank() == 0) return;
  stderr_of_rank = dup(STDERR_FILENO);
  for (std::FILE* stream : {stdout, stderr})
    if (!std::freopen("/dev/null", "w", stream)) refuse("/dev/null cannot be opened");
}

void end_all_ranks(const char* sentence) {
  if (!ranks_of_run()) return;
  if (ranks_of_run()->rank() > 0) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    char host[MPI_MAX_PROCESSOR_NAME + 1] = "";
    int length = 0;
    MPI_Get_processor_name(host, &length);
    dprintf(stderr_of_rank, "basin: rank %d on %s: %s\n", ranks_of_run()->rank(), host, sentence);
  }
  MPI_Abort(MPI_COMM_WORLD, 1);
}

void leave_mpi() {
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (initialised) MPI_Finalize();
}

}  // namespace basin::tools

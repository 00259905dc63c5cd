#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "tools/cli/command.h"
#include "tools/cli/machine.h"
#if BASIN_MPI
#include "tools/mpi.h"
#endif

namespace {

int fail(const char* sentence) {
  std::fprintf(stderr, "basin: %s\n", sentence);
#if BASIN_MPI
  basin::tools::end_all_ranks(sentence);
#endif
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace basin::tools;
  wait_without_spinning(argv);
  std::signal(SIGXFSZ, SIG_IGN);  // exceeding the file size limit then fails the write instead of killing the process
  try {
#if BASIN_MPI
    join_by_mpi(argc, argv);
    const int code = run_program(argc, argv);
    leave_mpi();
    return code;
#else
    return run_program(argc, argv);
#endif
  } catch (const std::bad_alloc&) {
    return fail("out of memory");
  } catch (const std::exception& e) {
    return fail(e.what());
  }
}

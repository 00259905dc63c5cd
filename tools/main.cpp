#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "tools/cli/command.h"
#include "tools/cli/machine.h"

int main(int argc, char** argv) {
  using namespace basin::tools;
  wait_without_spinning(argv);
  std::signal(SIGXFSZ, SIG_IGN);  // exceeding the file size limit then fails the write instead of killing the process
  try {
    return run_program(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "basin: out of memory\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "basin: %s\n", e.what());
  }
  return 1;
}

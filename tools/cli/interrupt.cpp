#include "tools/cli/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <cstring>

namespace basin::tools {
namespace {

const char* given_advice = "";

void print(const char* text) { (void)!write(STDERR_FILENO, text, std::strlen(text)); }

extern "C" void print_advice(int signal) {
  print("\nbasin: interrupted; ");
  print(given_advice);
  print("\n");
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

void explain_interrupt(const char* advice) {
  given_advice = advice;
  if (std::signal(SIGINT, print_advice) == SIG_IGN) std::signal(SIGINT, SIG_IGN);
}

}  // namespace basin::tools

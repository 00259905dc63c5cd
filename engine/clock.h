#pragma once
#include <chrono>

namespace basin {

/// Seconds since a moment that stays the same while the program runs, of a clock that never goes back: for durations.
inline double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace basin

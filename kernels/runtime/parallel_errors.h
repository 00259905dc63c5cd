#pragma once
#include <cstddef>
#include <exception>
#include <vector>

namespace basin {

/// Calls f(i) once for each i < n on the CPU's threads, in any order; then throws what the lowest i threw, if any did.
template <class F>
void for_each_parallel(size_t n, F f) {
  std::vector<std::exception_ptr> errors(n);
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < n; ++i) {
    try {
      f(i);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  }
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
}

}  // namespace basin

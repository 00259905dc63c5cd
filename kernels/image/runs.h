#pragma once
#include <cstddef>

namespace basin {

/// Calls f(begin, end, id) for each run of equal numbers in n numbers, from left to right.
template <class T, class F>
void for_each_run(const T* ids, size_t n, const F& f) {
  for (size_t begin = 0, end = 0; begin < n; begin = end) {
    while (end < n && ids[end] == ids[begin])
      ++end;
    f(begin, end, ids[begin]);
  }
}

}  // namespace basin

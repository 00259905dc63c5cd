#include "kernels/runtime/isa.h"

#include <cstdlib>
#include <cstring>

namespace basin {
namespace {

Isa detect() {
  const char* wish = std::getenv("BASIN_ISA");
  if (wish && std::strcmp(wish, "baseline") && std::strcmp(wish, "avx2") && std::strcmp(wish, "avx512"))
    refuse("environment variable BASIN_ISA=", wish, ": expected baseline, avx2 or avx512");
#if BASIN_ISA_DISPATCH
  if (wish && !std::strcmp(wish, "baseline")) return Isa::baseline;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (!avx2) return Isa::baseline;
  if (wish && !std::strcmp(wish, "avx2")) return Isa::avx2;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd");
  return avx512 ? Isa::avx512 : Isa::avx2;
#else
  return Isa::baseline;
#endif
}

}  // namespace

Isa isa() {
  static const Isa best = detect();
  return best;
}

bool multiplies_bfloat16() {
#if BASIN_ISA_DISPATCH
  return isa() == Isa::avx512 && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

const char* name_of(Isa i) { return i == Isa::avx512 ? "AVX-512" : i == Isa::avx2 ? "AVX2" : "baseline"; }

}  // namespace basin

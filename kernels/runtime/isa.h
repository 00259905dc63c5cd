#pragma once
#include "kernels/runtime/platform.h"

// One binary for every processor: the loops of parallel.h are compiled once per instruction set, with the functor
// inlined into them, and the best set that the processor supports is chosen at run time. Contraction into fused
// multiply-adds is off (see CMakeLists.txt), so that all of them give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(BASIN_NO_ISA)
#define BASIN_ISA_DISPATCH 1
#define BASIN_AVX2 __attribute__((flatten, target("avx2,fma,bmi,bmi2,lzcnt,popcnt,f16c")))
#define BASIN_AVX512_FEATURES "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,bmi,bmi2,lzcnt,popcnt,f16c"
#if defined(__clang__)
#define BASIN_AVX512 __attribute__((flatten, target(BASIN_AVX512_FEATURES)))
#else
#define BASIN_AVX512 __attribute__((flatten, target(BASIN_AVX512_FEATURES ",prefer-vector-width=512")))
#endif
#else
#define BASIN_ISA_DISPATCH 0
#endif

namespace basin {

enum class Isa { baseline, avx2, avx512 };

/// The instruction set that the CPU kernels use: the best that the processor supports, or at most baseline or avx2 if
/// the environment variable BASIN_ISA says so. Throws if BASIN_ISA is anything but baseline, avx2 or avx512. The loops
/// of parallel.h give the same bits with any of them. A network does not: its layout, and with it the order of its
/// sums, depends on the instruction set.
Isa isa();
const char* name_of(Isa);
/// Whether isa() is AVX-512 and the processor has bfloat16 instructions (AVX512_BF16).
bool multiplies_bfloat16();

}  // namespace basin

#pragma once
#include "kernels/runtime/platform.h"

struct CUstream_st;  // what a cudaStream_t points to: names the type without any CUDA header

namespace basin {

enum class Device { cpu, cuda };
/// The number format of a network's maps and of the factors of its products. tf32: float32 maps, factors rounded to
/// TF32 on GPUs with tensor cores. bf16: maps and their gradients in bfloat16; on the CPU for inference only. Sums and
/// parameters are float32 in every case.
enum class Precision { fp32, tf32, bf16 };
enum class Variant { automatic, plain };  // plain: never take a tuned path (the oracle in tests)

/// Lends temporary memory on one device. Blocks are aligned to 64 bytes on the CPU, 256 on the GPU.
class Scratch {
 public:
  virtual ~Scratch() = default;
  virtual void* take(size_t bytes) = 0;
  virtual void give(void* block, size_t bytes) noexcept = 0;
};

/// Where and in what order work happens. Every kernel launcher takes one first.
struct Exec {
  Device device = Device::cpu;
  Variant variant = Variant::automatic;
  Precision precision = Precision::fp32;
  bool deterministic = false;     // on the GPU: the same bytes from run to run. The CPU always gives them.
  CUstream_st* stream = nullptr;  // on the GPU: all work is ordered on it
  Scratch* scratch = nullptr;     // null: straight from the system (kernels/runtime/scratch.h)
};

inline const char* name_of(Precision p) {
  return p == Precision::bf16 ? "bf16" : p == Precision::tf32 ? "tf32" : "fp32";
}

}  // namespace basin

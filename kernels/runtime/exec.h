#pragma once
#include "kernels/runtime/platform.h"

struct CUstream_st;  // cudaStream_t is a pointer to this; declared here so that no CUDA header is needed

namespace basin {

enum class Device { cpu, cuda };
/// The number format of a network's feature maps and of the operands of its matrix products. tf32: float32 maps,
/// operands rounded to TF32 on GPUs with tensor cores. bf16: maps and their gradients in bfloat16; on the CPU for
/// inference only. Sums and parameters are always float32.
enum class Precision { fp32, tf32, bf16 };
enum class Variant { automatic, plain };  // plain: never use a tuned implementation (the reference in tests)

/// Lends temporary memory on one device. Blocks are aligned to 64 bytes on the CPU and to 256 on the GPU.
class Scratch {
 public:
  virtual ~Scratch() = default;
  virtual void* take(size_t bytes) = 0;
  virtual void give(void* block, size_t bytes) noexcept = 0;
};

class PreparedWeights;
namespace kernels {
class JoinedBatches;
}

/// Where work runs, and in which order. Every kernel launcher takes one as its first argument.
struct Exec {
  Device device = Device::cpu;
  Variant variant = Variant::automatic;
  Precision precision = Precision::fp32;
  bool deterministic = false;           // on the GPU: the same bits from run to run. The CPU always guarantees them.
  CUstream_st* stream = nullptr;        // on the GPU: all work is queued on this stream
  Scratch* scratch = nullptr;           // null: allocate from the system (kernels/runtime/scratch.h)
  PreparedWeights* prepared = nullptr;  // for inference on the CPU (kernels/runtime/prepared_weights.h)
  kernels::JoinedBatches* batches = nullptr;  // for training on the CPU (kernels/nn/batch_norm.h)
};

inline const char* name_of(Precision p) {
  return p == Precision::bf16 ? "bf16" : p == Precision::tf32 ? "tf32" : "fp32";
}

}  // namespace basin

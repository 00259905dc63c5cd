#pragma once
#include "kernels/nn/conv_algorithms.h"
#include "kernels/runtime/exec.h"

namespace basin::kernels {

/// As cuDNN numbers them, 91002 being 9.10.2: the library found now, and the headers that this was compiled with; and
/// the CUDA runtime inside the library, 12040 being 12.4. All 0 where the build has no CUDA.
struct CudnnVersions {
  int found = 0, built_with = 0, cuda = 0;
};
CudnnVersions cudnn_versions();

/// forward: out = beta out + the convolution of x. backward_data: the same for x, from out. backward_weight: for the
/// weight, from x and out. Sums are float32, rounded once where they are stored. By the algorithm in
/// conv_algorithm_cache(); one that was handed in is taken where cuDNN offers it on this GPU within the workspace that
/// came with it.
void run_cudnn(const Exec&, const ConvProblem&, void* x, void* weight, void* out, float beta);

}  // namespace basin::kernels

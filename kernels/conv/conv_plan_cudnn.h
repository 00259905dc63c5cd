#pragma once
#include "kernels/conv/conv_algorithms.h"
#include "kernels/runtime/exec.h"

namespace basin::kernels {

/// Versions as cuDNN numbers them (91002 is 9.10.2): of the library found at run time, of the headers that this was
/// compiled with, and of the CUDA runtime inside the library (12040 is 12.4). All 0 where the build has no CUDA.
struct CudnnVersions {
  int found = 0, built_with = 0, cuda = 0;
};
CudnnVersions cudnn_versions();

/// Runs one pass. forward: out = beta out + the convolution of x. backward_data: the same for x, from out.
/// backward_weight: for the weight, from x and out. Sums are float32 and rounded once, where they are stored. The
/// algorithm is the one in conv_algorithm_cache(); one that was handed in there is used where cuDNN offers it on this
/// GPU within the workspace that came with it. Throws where the padding of the problem is not symmetric.
void run_cudnn(const Exec&, const ConvProblem&, void* x, void* weight, void* out, float beta);

}  // namespace basin::kernels

#pragma once
#include "kernels/conv/conv_algorithms.h"
#include "kernels/runtime/exec.h"

namespace basin::kernels {

/// Versions as cuDNN numbers them (91002 is 9.10.2): of the library found at run time, of the headers at compile time,
/// and of the CUDA runtime inside the library (12040 is 12.4). All 0 in a build without CUDA.
struct CudnnVersions {
  int found = 0, built_with = 0, cuda = 0;
};
CudnnVersions cudnn_versions();

/// Runs one pass. forward: out = beta out + the convolution of x. backward_data: the same for x, from out.
/// backward_weight: for the weight, from x and out. Sums are float32 and rounded once, when they are stored. The
/// algorithm is the one in conv_algorithm_cache(); a restored one is used if cuDNN offers it on this GPU with at most
/// the recorded workspace size. Throws if the padding of the problem is not symmetric.
void run_cudnn(const Exec&, const ConvProblem&, void* x, void* weight, void* out, float beta);

}  // namespace basin::kernels

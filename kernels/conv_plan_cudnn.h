#pragma once
#include <compare>

#include "kernels/exec.h"

namespace basin::kernels {

/// As cuDNN numbers them, 91002 being 9.10.2: the library found now, and the headers that this was compiled with; and
/// the CUDA runtime inside the library, 12040 being 12.4. All 0 where the build has no CUDA.
struct CudnnVersions {
  int found = 0, built_with = 0, cuda = 0;
};
CudnnVersions cudnn_versions();

enum class ConvPass { forward, backward_data, backward_weight };

/// One pass of one convolution as cuDNN sees it: x [n, in, h, w], out [n, out, h, w], weight [out, in, kernel, kernel],
/// each dense and in one layout, nchw or nhwc: a weight in nhwc is [out, kernel, kernel, in].
struct ConvProblem {
  ConvPass pass;
  int n, in, out, h, w, kernel;
  bool nhwc;
  bool bf16;  // the elements of all three: bfloat16, else float

  auto operator<=>(const ConvProblem&) const = default;
};

/// forward: out = beta out + the convolution of x. backward_data: the same for x, from out. backward_weight: for the
/// weight, from x and out. Sums are float32, rounded once where they are stored.
void run_cudnn(const Exec&, const ConvProblem&, void* x, void* weight, void* out, float beta);

}  // namespace basin::kernels

#include "kernels/conv_plan_cudnn.h"

#if BASIN_CUDA
#include <cudnn.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "kernels/recent.h"
#include "kernels/scratch.h"

#define BASIN_CUDNN_CHECK(call)                                                                             \
  do {                                                                                                      \
    const cudnnStatus_t s_ = (call);                                                                        \
    if (s_ != CUDNN_STATUS_SUCCESS) ::basin::fail(__FILE__, __LINE__, #call ": ", cudnnGetErrorString(s_)); \
  } while (0)

namespace basin::kernels {
namespace {

constexpr size_t most_plans = 4096;
constexpr size_t most_workspace = size_t(256) << 20;

/// The library's handle for a GPU.
cudnnHandle_t handle_of(int gpu) {
  static std::map<int, cudnnHandle_t> handles;
  cudnnHandle_t& handle = handles[gpu];
  if (!handle) BASIN_CUDNN_CHECK(cudnnCreate(&handle));
  return handle;
}

template <class D, cudnnStatus_t (*create)(D*), cudnnStatus_t (*destroy)(D)>
class Descriptor {
 public:
  Descriptor() { BASIN_CUDNN_CHECK(create(&d_)); }
  ~Descriptor() { destroy(d_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator D() const { return d_; }

 private:
  D d_;
};
using Maps = Descriptor<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using Filter = Descriptor<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using Operation =
    Descriptor<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;

/// What an algorithm is chosen for.
struct Key {
  ConvProblem problem;
  int gpu;
  bool tf32, deterministic;

  auto operator<=>(const Key&) const = default;
};

cudnnTensorFormat_t format_of(const ConvProblem& p) { return p.nhwc ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW; }
cudnnDataType_t type_of(const ConvProblem& p) { return p.bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

/// Of what was measured, the fastest that fits; with `deterministic` the first by number of those that give the same
/// bits from run to run. cuDNN measures ways of multiplying that were not asked for, too.
template <class Measured>
Measured chosen(std::vector<Measured> all, int count, const Key& key) {
  const bool exact = !key.tf32 && !key.problem.bf16;
  all.resize(size_t(count));
  std::erase_if(all, [&](const Measured& m) {
    return m.status != CUDNN_STATUS_SUCCESS || m.memory > most_workspace || (exact && m.mathType != CUDNN_FMA_MATH) ||
           (key.deterministic && m.determinism != CUDNN_DETERMINISTIC);
  });
  BASIN_CHECK(!all.empty(), "cuDNN has no algorithm for a convolution");
  if (!key.deterministic) return all.front();  // they come sorted by time
  return *std::min_element(all.begin(), all.end(), [](const Measured& a, const Measured& b) {
    return std::pair(int(a.algo), int(a.mathType)) < std::pair(int(b.algo), int(b.mathType));
  });
}

/// A problem with the algorithm for it.
class Plan {
 public:
  Plan(const Exec& exec, const Key& key) : key_(key), p_(key.problem) {
    BASIN_CUDNN_CHECK(cudnnSetTensor4dDescriptor(x_, format_of(p_), type_of(p_), p_.n, p_.in, p_.h, p_.w));
    BASIN_CUDNN_CHECK(cudnnSetTensor4dDescriptor(out_, format_of(p_), type_of(p_), p_.n, p_.out, p_.h, p_.w));
    BASIN_CUDNN_CHECK(
        cudnnSetFilter4dDescriptor(weight_, type_of(p_), format_of(p_), p_.out, p_.in, p_.kernel, p_.kernel));
    const int padding = p_.kernel / 2;
    BASIN_CUDNN_CHECK(cudnnSetConvolution2dDescriptor(operation_, padding, padding, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION,
                                                      CUDNN_DATA_FLOAT));
    set_math(p_.bf16 ? CUDNN_TENSOR_OP_MATH : key.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH);
    measure(exec);
  }

  /// As run_cudnn().
  void run(const Exec& exec, void* x, void* weight, void* out, float beta) const {
    const cudnnHandle_t handle = handle_on(exec);
    const Temp<std::byte> work(exec, int64_t(workspace_));
    const float one = 1;
    switch (p_.pass) {
      case ConvPass::forward:
        BASIN_CUDNN_CHECK(cudnnConvolutionForward(handle, &one, x_, x, weight_, weight, operation_,
                                                  cudnnConvolutionFwdAlgo_t(algorithm_), work.data(), workspace_, &beta,
                                                  out_, out));
        break;
      case ConvPass::backward_data:
        BASIN_CUDNN_CHECK(cudnnConvolutionBackwardData(handle, &one, weight_, weight, out_, out, operation_,
                                                       cudnnConvolutionBwdDataAlgo_t(algorithm_), work.data(),
                                                       workspace_, &beta, x_, x));
        break;
      case ConvPass::backward_weight:
        BASIN_CUDNN_CHECK(cudnnConvolutionBackwardFilter(handle, &one, x_, x, out_, out, operation_,
                                                         cudnnConvolutionBwdFilterAlgo_t(algorithm_), work.data(),
                                                         workspace_, &beta, weight_, weight));
        break;
    }
  }

 private:
  cudnnHandle_t handle_on(const Exec& exec) const {
    const cudnnHandle_t handle = handle_of(key_.gpu);
    BASIN_CUDNN_CHECK(cudnnSetStream(handle, exec.stream));
    return handle;
  }
  void set_math(cudnnMathType_t math) { BASIN_CUDNN_CHECK(cudnnSetConvolutionMathType(operation_, math)); }

  template <class Measured>
  void take(const std::vector<Measured>& all, int count) {
    const Measured m = chosen(all, count, key_);
    algorithm_ = int(m.algo), workspace_ = m.memory;
    set_math(m.mathType);
  }

  /// On memory of its own, as measuring writes over what the pass writes; and not of exec.scratch, because a step's
  /// memory would stay that large.
  void measure(Exec exec) {
    exec.scratch = nullptr;
    const cudnnHandle_t handle = handle_on(exec);
    const int64_t element = p_.bf16 ? 2 : 4, pixels = int64_t(p_.n) * p_.h * p_.w;
    const Temp<std::byte> x(exec, pixels * p_.in * element), out(exec, pixels * p_.out * element);
    const Temp<std::byte> weight(exec, int64_t(p_.out) * p_.in * p_.kernel * p_.kernel * element);
    const Temp<std::byte> work(exec, int64_t(most_workspace));
    for (const Temp<std::byte>* zero : {&x, &out, &weight})
      BASIN_CUDA_CHECK(cudaMemsetAsync(zero->data(), 0, size_t(zero->size()), exec.stream));
    int most = 0, count = 0;
    switch (p_.pass) {
      case ConvPass::forward: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionForwardAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionFwdAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionForwardAlgorithmEx(handle, x_, x.data(), weight_, weight.data(),
                                                                 operation_, out_, out.data(), most, &count, all.data(),
                                                                 work.data(), most_workspace));
        return take(all, count);
      }
      case ConvPass::backward_data: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionBackwardDataAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionBwdDataAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionBackwardDataAlgorithmEx(handle, weight_, weight.data(), out_, out.data(),
                                                                      operation_, x_, x.data(), most, &count,
                                                                      all.data(), work.data(), most_workspace));
        return take(all, count);
      }
      case ConvPass::backward_weight: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionBwdFilterAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionBackwardFilterAlgorithmEx(
            handle, x_, x.data(), out_, out.data(), operation_, weight_, weight.data(), most, &count, all.data(),
            work.data(), most_workspace));
        return take(all, count);
      }
    }
  }

  Key key_;
  ConvProblem p_;
  Maps x_, out_;
  Filter weight_;
  Operation operation_;
  int algorithm_ = 0;
  size_t workspace_ = 0;
};

}  // namespace

CudnnVersions cudnn_versions() { return {int(cudnnGetVersion()), CUDNN_VERSION, int(cudnnGetCudartVersion())}; }

void run_cudnn(const Exec& exec, const ConvProblem& problem, void* x, void* weight, void* out, float beta) {
  Key key{problem, 0, exec.precision == Precision::tf32, exec.deterministic};
  BASIN_CUDA_CHECK(cudaGetDevice(&key.gpu));
  static auto* plans = new Recent<Key, std::unique_ptr<Plan>>(most_plans);
  (*plans->get(key, [&] { return std::make_unique<Plan>(exec, key); })).run(exec, x, weight, out, beta);
}

}  // namespace basin::kernels
#else
namespace basin::kernels {

CudnnVersions cudnn_versions() { return {}; }

void run_cudnn(const Exec&, const ConvProblem&, void*, void*, void*, float) {
  BASIN_CHECK(false, "this build has no CUDA");
}

}  // namespace basin::kernels
#endif

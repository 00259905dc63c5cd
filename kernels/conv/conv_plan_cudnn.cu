#include "kernels/conv/conv_plan_cudnn.h"

#if BASIN_CUDA
#include <cudnn.h>

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/runtime/lru_cache.h"
#include "kernels/runtime/scratch.h"

#define BASIN_CUDNN_CHECK(call)                                                                             \
  do {                                                                                                      \
    const cudnnStatus_t s_ = (call);                                                                        \
    if (s_ != CUDNN_STATUS_SUCCESS) ::basin::fail(__FILE__, __LINE__, #call ": ", cudnnGetErrorString(s_)); \
  } while (0)

namespace basin::kernels {
namespace {

constexpr size_t max_plans = 4096;
constexpr size_t max_workspace = size_t(256) << 20;

/// The cuDNN handle for a GPU.
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

cudnnTensorFormat_t format_of(const ConvProblem& p) { return p.nhwc ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW; }
cudnnDataType_t type_of(const ConvProblem& p) { return p.bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

/// The number of algorithms; cuDNN numbers them from 0.
int algorithms_of(ConvPass pass) {
  constexpr int counts[] = {CUDNN_CONVOLUTION_FWD_ALGO_COUNT, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT,
                            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT};
  return counts[int(pass)];
}

/// Whether products are rounded no more than allowed.
bool is_allowed(int math, const ConvKey& key) {
  if (math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION) return false;  // to half
  return key.tf32 || key.problem.bf16 || math == CUDNN_FMA_MATH;
}

/// cuDNN documents which of its algorithms do not fix the order of their sums.
bool is_deterministic(ConvPass pass, int algorithm) {
  if (pass == ConvPass::backward_data) return algorithm != CUDNN_CONVOLUTION_BWD_DATA_ALGO_0;
  if (pass == ConvPass::backward_weight)
    return algorithm != CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 && algorithm != CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3;
  return true;
}

/// The fastest measured algorithm whose workspace fits; with `deterministic` the lowest-numbered one that gives the
/// same bits from run to run. cuDNN also measures math types that were not asked for.
template <class Measured>
ConvAlgorithm chosen(std::vector<Measured> all, int count, const ConvKey& key) {
  all.resize(size_t(count));
  std::erase_if(all, [&](const Measured& m) {
    return m.status != CUDNN_STATUS_SUCCESS || m.memory > max_workspace || !is_allowed(m.mathType, key) ||
           (key.deterministic && m.determinism != CUDNN_DETERMINISTIC);
  });
  BASIN_CHECK(!all.empty(), "cuDNN has no algorithm for a convolution");
  const auto by_number = [](const Measured& a, const Measured& b) {
    return std::pair(int(a.algo), int(a.mathType)) < std::pair(int(b.algo), int(b.mathType));
  };
  // They are sorted by time.
  const Measured& m = key.deterministic ? *std::min_element(all.begin(), all.end(), by_number) : all.front();
  return {int(m.algo), int(m.mathType), int64_t(m.memory), int(cudnnGetVersion())};
}

/// A problem in cuDNN's descriptors.
class Plan {
 public:
  Plan(int gpu, const ConvKey& key) : gpu_(gpu), key_(key), p_(key.problem) {
    BASIN_CUDNN_CHECK(cudnnSetTensor4dDescriptor(x_, format_of(p_), type_of(p_), p_.n, p_.in, p_.h, p_.w));
    BASIN_CUDNN_CHECK(
        cudnnSetTensor4dDescriptor(out_, format_of(p_), type_of(p_), p_.n, p_.out, p_.out_h(), p_.out_w()));
    const ConvGeometry& g = p_.geometry;
    BASIN_CUDNN_CHECK(
        cudnnSetFilter4dDescriptor(weight_, type_of(p_), format_of(p_), p_.out, p_.in, g.kernel_h, g.kernel_w));
    BASIN_CHECK(g.is_symmetric(), g);
    // Some of cuDNN's algorithms reject a dilation even along an axis where it has no effect.
    const int dilation_h = g.kernel_h > 1 ? g.dilation : 1, dilation_w = g.kernel_w > 1 ? g.dilation : 1;
    BASIN_CUDNN_CHECK(cudnnSetConvolution2dDescriptor(operation_, g.top, g.left, g.stride, g.stride, dilation_h,
                                                      dilation_w, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    set_math(p_.bf16 ? CUDNN_TENSOR_OP_MATH : key.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH);
  }
  /// A plan that runs this algorithm.
  Plan(int gpu, const ConvKey& key, const ConvAlgorithm& choice) : Plan(gpu, key) {
    algorithm_ = choice.algorithm, workspace_ = size_t(choice.workspace);
    set_math(cudnnMathType_t(choice.math));
  }

  /// See run_cudnn().
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

  /// Whether cuDNN offers this algorithm, which may have been chosen on another GPU, on this one.
  bool offers(const ConvAlgorithm& c) {
    size_t needed = 0;
    return c.algorithm < algorithms_of(p_.pass) && c.math <= CUDNN_FMA_MATH && is_allowed(c.math, key_) &&
           (!key_.deterministic || is_deterministic(p_.pass, c.algorithm)) &&
           cudnnSetConvolutionMathType(operation_, cudnnMathType_t(c.math)) == CUDNN_STATUS_SUCCESS &&
           workspace_of(c.algorithm, needed) == CUDNN_STATUS_SUCCESS && needed <= size_t(c.workspace) &&
           size_t(c.workspace) <= max_workspace;
  }

  /// Measures in separate memory, because measuring overwrites the result of the pass; allocates it from the system,
  /// because exec.scratch would keep it for every later step.
  ConvAlgorithm measure(Exec exec) {
    exec.scratch = nullptr;
    const cudnnHandle_t handle = handle_on(exec);
    const int64_t element = p_.bf16 ? 2 : 4;
    const Temp<std::byte> x(exec, int64_t(p_.n) * p_.h * p_.w * p_.in * element);
    const Temp<std::byte> out(exec, int64_t(p_.n) * p_.out_h() * p_.out_w() * p_.out * element);
    const Temp<std::byte> weight(exec, p_.weight_size() * element);
    const Temp<std::byte> work(exec, int64_t(max_workspace));
    for (const Temp<std::byte>* zero : {&x, &out, &weight})
      BASIN_CUDA_CHECK(cudaMemsetAsync(zero->data(), 0, size_t(zero->size()), exec.stream));
    int most = 0, count = 0;
    switch (p_.pass) {
      case ConvPass::forward: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionForwardAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionFwdAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionForwardAlgorithmEx(handle, x_, x.data(), weight_, weight.data(),
                                                                 operation_, out_, out.data(), most, &count, all.data(),
                                                                 work.data(), max_workspace));
        return chosen(all, count, key_);
      }
      case ConvPass::backward_data: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionBackwardDataAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionBwdDataAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionBackwardDataAlgorithmEx(handle, weight_, weight.data(), out_, out.data(),
                                                                      operation_, x_, x.data(), most, &count,
                                                                      all.data(), work.data(), max_workspace));
        return chosen(all, count, key_);
      }
      case ConvPass::backward_weight: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionBwdFilterAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionBackwardFilterAlgorithmEx(
            handle, x_, x.data(), out_, out.data(), operation_, weight_, weight.data(), most, &count, all.data(),
            work.data(), max_workspace));
        return chosen(all, count, key_);
      }
    }
    fail(__FILE__, __LINE__, "a convolution has three passes");
  }

 private:
  cudnnHandle_t handle_on(const Exec& exec) const {
    const cudnnHandle_t handle = handle_of(gpu_);
    BASIN_CUDNN_CHECK(cudnnSetStream(handle, exec.stream));
    return handle;
  }
  void set_math(cudnnMathType_t math) { BASIN_CUDNN_CHECK(cudnnSetConvolutionMathType(operation_, math)); }

  cudnnStatus_t workspace_of(int algorithm, size_t& bytes) const {
    const cudnnHandle_t handle = handle_of(gpu_);
    switch (p_.pass) {
      case ConvPass::forward:
        return cudnnGetConvolutionForwardWorkspaceSize(handle, x_, weight_, operation_, out_,
                                                       cudnnConvolutionFwdAlgo_t(algorithm), &bytes);
      case ConvPass::backward_data:
        return cudnnGetConvolutionBackwardDataWorkspaceSize(handle, weight_, out_, operation_, x_,
                                                            cudnnConvolutionBwdDataAlgo_t(algorithm), &bytes);
      case ConvPass::backward_weight:
        return cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, x_, out_, operation_, weight_,
                                                              cudnnConvolutionBwdFilterAlgo_t(algorithm), &bytes);
    }
    return CUDNN_STATUS_BAD_PARAM;
  }

  int gpu_;
  ConvKey key_;
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
  using Key = std::tuple<int, ConvKey, ConvAlgorithm>;
  static auto* plans = new LruCache<Key, std::unique_ptr<Plan>>(max_plans);
  int gpu = 0;
  BASIN_CUDA_CHECK(cudaGetDevice(&gpu));
  const ConvKey key{problem, exec.precision == Precision::tf32, exec.deterministic};
  const ConvAlgorithm choice = conv_algorithm_cache().get(
      key, [&](const ConvAlgorithm& c) { return Plan(gpu, key).offers(c); },
      [&] { return Plan(gpu, key).measure(exec); });
  plans->get({gpu, key, choice}, [&] { return std::make_unique<Plan>(gpu, key, choice); })
      ->run(exec, x, weight, out, beta);
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

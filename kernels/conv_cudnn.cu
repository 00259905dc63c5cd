#include "kernels/conv_cudnn.h"

#if BASIN_CUDA
#include <cudnn.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/features.h"
#include "kernels/recent.h"
#include "kernels/scratch.h"

#define BASIN_CUDNN_CHECK(call)                                                                             \
  do {                                                                                                      \
    const cudnnStatus_t s_ = (call);                                                                        \
    if (s_ != CUDNN_STATUS_SUCCESS) ::basin::fail(__FILE__, __LINE__, #call ": ", cudnnGetErrorString(s_)); \
  } while (0)

namespace basin::kernels {
namespace {

constexpr size_t most_plans = 512;
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

enum class Pass { forward, backward_data, backward_weight };

/// What an algorithm is chosen for.
struct Key {
  Pass pass;
  int gpu, n, in, out, h, w, kernel;
  bool in_nhwc, out_nhwc, tf32, deterministic;

  auto operator<=>(const Key&) const = default;
};

void set(const Maps& d, int n, int c, int h, int w, bool nhwc) {
  BASIN_CUDNN_CHECK(
      cudnnSetTensor4dDescriptor(d, nhwc ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, n, c, h, w));
}

/// Of what was measured, the fastest that fits; with `deterministic` the first by number of those that give the same
/// bits from run to run.
template <class Measured>
Measured chosen(std::vector<Measured> all, int count, bool deterministic) {
  all.resize(size_t(count));
  std::erase_if(all, [&](const Measured& m) {
    return m.status != CUDNN_STATUS_SUCCESS || m.memory > most_workspace ||
           (deterministic && m.determinism != CUDNN_DETERMINISTIC);
  });
  BASIN_CHECK(!all.empty(), "cuDNN has no algorithm for a convolution");
  if (!deterministic) return all.front();  // they come sorted by time
  return *std::min_element(all.begin(), all.end(),
                           [](const Measured& a, const Measured& b) { return int(a.algo) < int(b.algo); });
}

/// One pass of one convolution, between maps and a dense weight [out, in, k, k].
class Plan {
 public:
  Plan(const Exec& exec, const Key& key) : key_(key) {
    set(x_, key.n, key.in, key.h, key.w, key.in_nhwc);
    set(out_, key.n, key.out, key.h, key.w, key.out_nhwc);
    BASIN_CUDNN_CHECK(cudnnSetFilter4dDescriptor(weight_, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, key.out, key.in,
                                                 key.kernel, key.kernel));
    const int padding = key.kernel / 2;
    BASIN_CUDNN_CHECK(cudnnSetConvolution2dDescriptor(operation_, padding, padding, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION,
                                                      CUDNN_DATA_FLOAT));
    set_math(key.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH);
    measure(exec);
  }

  /// out = beta out + the convolution of x; or the same for d_x, or for d_weight.
  void run(const Exec& exec, float* x, float* weight, float* out, float beta) const {
    const cudnnHandle_t handle = handle_on(exec);
    const Temp<std::byte> work(exec, int64_t(workspace_));
    const float one = 1;
    switch (key_.pass) {
      case Pass::forward:
        BASIN_CUDNN_CHECK(cudnnConvolutionForward(handle, &one, x_, x, weight_, weight, operation_,
                                                  cudnnConvolutionFwdAlgo_t(algorithm_), work.data(), workspace_, &beta,
                                                  out_, out));
        break;
      case Pass::backward_data:
        BASIN_CUDNN_CHECK(cudnnConvolutionBackwardData(handle, &one, weight_, weight, out_, out, operation_,
                                                       cudnnConvolutionBwdDataAlgo_t(algorithm_), work.data(),
                                                       workspace_, &beta, x_, x));
        break;
      case Pass::backward_weight:
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
    const Measured m = chosen(all, count, key_.deterministic);
    algorithm_ = int(m.algo), workspace_ = m.memory;
    set_math(m.mathType);
  }

  /// On memory of its own: measuring writes over what the pass writes.
  void measure(const Exec& exec) {
    const cudnnHandle_t handle = handle_on(exec);
    const int64_t pixels = int64_t(key_.n) * key_.h * key_.w;
    const Temp<float> x(exec, pixels * key_.in), out(exec, pixels * key_.out);
    const Temp<float> weight(exec, int64_t(key_.out) * key_.in * key_.kernel * key_.kernel);
    const Temp<std::byte> work(exec, int64_t(most_workspace));
    for (const auto& [data, size] :
         {std::pair(x.data(), x.size()), {out.data(), out.size()}, {weight.data(), weight.size()}})
      BASIN_CUDA_CHECK(cudaMemsetAsync(data, 0, size_t(size) * sizeof(float), exec.stream));
    int most = 0, count = 0;
    switch (key_.pass) {
      case Pass::forward: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionForwardAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionFwdAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionForwardAlgorithmEx(handle, x_, x.data(), weight_, weight.data(),
                                                                 operation_, out_, out.data(), most, &count, all.data(),
                                                                 work.data(), most_workspace));
        return take(all, count);
      }
      case Pass::backward_data: {
        BASIN_CUDNN_CHECK(cudnnGetConvolutionBackwardDataAlgorithmMaxCount(handle, &most));
        std::vector<cudnnConvolutionBwdDataAlgoPerf_t> all(static_cast<size_t>(most));
        BASIN_CUDNN_CHECK(cudnnFindConvolutionBackwardDataAlgorithmEx(handle, weight_, weight.data(), out_, out.data(),
                                                                      operation_, x_, x.data(), most, &count,
                                                                      all.data(), work.data(), most_workspace));
        return take(all, count);
      }
      case Pass::backward_weight: {
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
  Maps x_, out_;
  Filter weight_;
  Operation operation_;
  int algorithm_ = 0;
  size_t workspace_ = 0;
};

template <class W>
const Plan& plan_for(const Exec& exec, Pass pass, FeatureView<const float> x, const ConvWeight<W>& weight,
                     FeatureView<const float> out) {
  check_convolution(x, weight, out);
  const auto is_nhwc = [](const FeatureView<const float>& v) {
    BASIN_CHECK(v.block == 1 || v.block == v.c, "maps ", v, " are neither nchw nor nhwc");
    return v.block != 1;
  };
  Key key{};
  BASIN_CUDA_CHECK(cudaGetDevice(&key.gpu));
  key.pass = pass, key.n = x.n, key.in = x.c, key.out = out.c, key.h = x.h, key.w = x.w;
  key.kernel = weight.whole.dim[2];
  key.in_nhwc = is_nhwc(x), key.out_nhwc = is_nhwc(out);
  key.tf32 = exec.precision == Precision::tf32, key.deterministic = exec.deterministic;
  static auto* plans = new Recent<Key, std::unique_ptr<Plan>>(most_plans);
  return *plans->get(key, [&] { return std::make_unique<Plan>(exec, key); });
}

/// The weight's input channels that meet maps of `in` channels, dense; or that part of the weight += the dense one.
template <class W>
struct WeightPart {
  View<W, 4> whole;
  int first, in;
  std::conditional_t<std::is_const_v<W>, float*, const float*> dense;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t area = int64_t(whole.dim[2]) * whole.dim[3], out = i / (in * area);
    W& w = whole.data[(out * whole.dim[1] + first) * area + i % (in * area)];
    if constexpr (std::is_const_v<W>)
      dense[i] = w;
    else
      w += dense[i];
  }
};
template <class W>
bool is_whole(const ConvWeight<W>& weight, int in) {
  return weight.first == 0 && weight.whole.dim[1] == in;
}
template <class W>
int64_t size_of_part(const ConvWeight<W>& weight, int in) {
  return is_whole(weight, in) ? 0 : weight.whole.size() / weight.whole.dim[1] * in;
}
/// The weight as one dense array: itself, or copied into `memory`. cuDNN reads it only.
float* dense(const Exec& exec, const ConvWeight<const float>& weight, int in, const Temp<float>& memory) {
  if (memory.size() == 0) return const_cast<float*>(weight.whole.data);
  for_each(exec, memory.size(), WeightPart<const float>{weight.whole, weight.first, in, memory.data()});
  return memory.data();
}

struct BiasAndRelu {
  const float* bias;
  bool relu;
  float* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const float v = bias ? out[at.offset] + bias[at.channel] : out[at.offset];
    out[at.offset] = relu && v < 0 ? 0 : v;
  }
};

}  // namespace

CudnnVersions cudnn_versions() { return {int(cudnnGetVersion()), CUDNN_VERSION, int(cudnnGetCudartVersion())}; }

void conv_cudnn(const Exec& exec, FeatureView<const float> x, ConvWeight<const float> weight, View<const float, 1> bias,
                const ConvEpilogue& epilogue, FeatureView<float> out) {
  BASIN_CHECK(!bias.data || bias.dim[0] == out.c, "bias ", bias, ", out ", out);
  const Plan& plan = plan_for(exec, Pass::forward, x, weight, out);
  const Temp<float> memory(exec, size_of_part(weight, x.c));
  plan.run(exec, const_cast<float*>(x.data), dense(exec, weight, x.c, memory), out.data, epilogue.add ? 1 : 0);
  if (bias.data || epilogue.relu)
    for_each_feature(exec, FeatureShape(out), BiasAndRelu{bias.data, epilogue.relu, out.data});
}

void conv_cudnn_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const float> d_out,
                              FeatureView<float> d_x) {
  const Plan& plan = plan_for(exec, Pass::backward_data, d_x, weight, d_out);
  const Temp<float> memory(exec, size_of_part(weight, d_x.c));
  plan.run(exec, d_x.data, dense(exec, weight, d_x.c, memory), const_cast<float*>(d_out.data), 0);
}

void conv_cudnn_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                                ConvWeight<float> d_weight) {
  const Plan& plan = plan_for(exec, Pass::backward_weight, x, d_weight, d_out);
  const Temp<float> memory(exec, size_of_part(d_weight, x.c));
  const bool whole = memory.size() == 0;
  plan.run(exec, const_cast<float*>(x.data), whole ? d_weight.whole.data : memory.data(),
           const_cast<float*>(d_out.data), whole ? 1 : 0);
  if (!whole) for_each(exec, memory.size(), WeightPart<float>{d_weight.whole, d_weight.first, x.c, memory.data()});
}

}  // namespace basin::kernels
#else
namespace basin::kernels {

CudnnVersions cudnn_versions() { return {}; }

void conv_cudnn(const Exec&, FeatureView<const float>, ConvWeight<const float>, View<const float, 1>,
                const ConvEpilogue&, FeatureView<float>) {
  BASIN_CHECK(false, "this build has no CUDA");
}
void conv_cudnn_backward_data(const Exec&, ConvWeight<const float>, FeatureView<const float>, FeatureView<float>) {
  BASIN_CHECK(false, "this build has no CUDA");
}
void conv_cudnn_backward_weight(const Exec&, FeatureView<const float>, FeatureView<const float>, ConvWeight<float>) {
  BASIN_CHECK(false, "this build has no CUDA");
}

}  // namespace basin::kernels
#endif

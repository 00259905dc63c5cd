#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/conv/conv_cpu.h"
#include "kernels/conv/conv_onednn.h"
#include "kernels/conv/conv_plan_cudnn.h"
#include "kernels/nn/resample.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort_cub.h"

// The functions of cuDNN and CUB that Basin uses, for the emulated device.

namespace basin::kernels {

CudnnVersions cudnn_versions() { return {90000, 90000, CUDART_VERSION}; }

namespace {

constexpr int algorithms = 2;  // their number; measuring always chooses 0

/// A sum as rounded by an algorithm: different algorithms give different bits.
float rounded(float sum, int algorithm) { return sum * (1 + float(algorithm) * 0x1p-22f); }

/// Device arrays, converted to float.
template <class X>
std::vector<float> floats(const X* from, int64_t n) {
  return {from, from + n};
}
template <class X>
void store(const std::vector<float>& from, int algorithm, float beta, X* to) {
  for (size_t i = 0; i < from.size(); ++i) {
    const float sum = rounded(from[i], algorithm);
    to[i] = beta == 0 ? sum : beta * to[i] + sum;  // 0 times the old value could be NaN
  }
}

/// Maps in the device's layout, and in the layout that is fast on the CPU.
class Maps {
 public:
  template <class X>
  Maps(const ConvProblem& p, int channels, int h, int w, const X* values)
      : values_(floats(values, int64_t(p.n) * channels * h * w)),
        given_{values_.data(), p.n, channels, h, w, p.nhwc ? channels : 1},
        blocked_{nullptr, p.n, channels, h, w, onednn_block()},
        memory_(size_t(blocked_.size()), 0.f) {
    blocked_.data = memory_.data();
    change_layout<float, float>(Exec(), given_, blocked_);
  }
  Maps(const Maps&) = delete;
  FeatureView<float> given() const { return given_; }
  FeatureView<float> blocked() const { return blocked_; }
  /// given() with the contents of blocked().
  const std::vector<float>& taken_back() const {
    change_layout<float, float>(Exec(), blocked_, given_);
    return values_;
  }
  const std::vector<float>& values() const { return values_; }

 private:
  std::vector<float> values_;
  FeatureView<float> given_, blocked_;
  std::vector<float> memory_;
};

/// Calls f(index in [out, in, kernel_h, kernel_w], index in [out, kernel_h, kernel_w, in]) for each element.
template <class F>
void for_each_weight(const ConvProblem& p, const F& f) {
  const size_t taps = size_t(p.geometry.kernel_h) * size_t(p.geometry.kernel_w), in = size_t(p.in);
  for (size_t o = 0; o < size_t(p.out); ++o)
    for (size_t i = 0; i < in; ++i)
      for (size_t tap = 0; tap < taps; ++tap)
        f((o * in + i) * taps + tap, p.nhwc ? (o * taps + tap) * in + i : (o * in + i) * taps + tap);
}

template <class X>
void run_on_floats(const ConvProblem& p, int algorithm, X* x, X* weight, X* out, float beta) {
  BASIN_CHECK(p.geometry.is_symmetric(), p.geometry);
  const Maps in(p, p.in, p.h, p.w, x), result(p, p.out, p.out_h(), p.out_w(), out);
  const std::vector<float> given = floats(weight, p.weight_size());
  std::vector<float> plain(given.size(), 0.f);
  const View<float, 4> w{plain.data(), {p.out, p.in, p.geometry.kernel_h, p.geometry.kernel_w}};
  if (p.pass != ConvPass::backward_weight) for_each_weight(p, [&](size_t to, size_t from) { plain[to] = given[from]; });
  // Used where the plain kernels would be slow.
  const bool large = double(p.in) * p.out * p.h * p.w > 2e5;
  const ConvWeight<const float> weights(w, 0, p.geometry);
  switch (p.pass) {
    case ConvPass::forward:
      if (large)
        conv_cpu<float>(Exec(), in.blocked(), weights, {}, {}, result.blocked());
      else
        conv_plain<float>(Exec(), in.given(), weights, {}, {}, result.given());
      return store(large ? result.taken_back() : result.values(), algorithm, beta, out);
    case ConvPass::backward_data:
      if (large)
        conv_cpu_backward_data(Exec(), weights, result.blocked(), in.blocked());
      else
        conv_plain_backward_data<float>(Exec(), weights, result.given(), in.given());
      return store(large ? in.taken_back() : in.values(), algorithm, beta, x);
    case ConvPass::backward_weight: {
      if (large)
        conv_cpu_backward_weight(Exec(), in.blocked(), result.blocked(), ConvWeight<float>(w, 0, p.geometry));
      else
        conv_plain_backward_weight<float>(Exec(), in.given(), result.given(), ConvWeight<float>(w, 0, p.geometry));
      std::vector<float> back(plain.size());
      for_each_weight(p, [&](size_t from, size_t to) { back[to] = plain[from]; });
      return store(back, algorithm, beta, weight);
    }
  }
}

}  // namespace

void run_cudnn(const Exec& exec, const ConvProblem& p, void* x, void* weight, void* out, float beta) {
  const ConvAlgorithm choice = conv_algorithm_cache().get(
      {p, exec.precision == Precision::tf32, exec.deterministic},
      [](const ConvAlgorithm& c) { return c.algorithm < algorithms; },
      [] {
        return ConvAlgorithm{0, 0, 0, cudnn_versions().found};
      });
  BASIN_CUDA_CHECK(emulate::library_call(exec.stream, [=, algorithm = choice.algorithm] {
    const auto run = [&]<class X>(X*) {
      run_on_floats(p, algorithm, static_cast<X*>(x), static_cast<X*>(weight), static_cast<X*>(out), beta);
    };
    p.bf16 ? run(static_cast<bfloat16*>(x)) : run(static_cast<float*>(x));
  }));
}

namespace cub_backend {

template <class Key>
void sort_by_key(const Exec& exec, View<Key, 1> keys, View<int32_t, 1> values, int bits) {
  BASIN_CUDA_CHECK(emulate::library_call(exec.stream, [=] {
    const Key mask = bits == 8 * int(sizeof(Key)) ? ~Key(0) : (Key(1) << bits) - 1;
    const std::vector<Key> key(keys.data, keys.data + keys.dim[0]);
    const std::vector<int32_t> value(values.data, values.data + keys.dim[0]);
    std::vector<int32_t> order(key.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return (key[size_t(a)] & mask) < (key[size_t(b)] & mask); });
    for (size_t i = 0; i < order.size(); ++i)
      keys.data[i] = key[size_t(order[i])], values.data[i] = value[size_t(order[i])];
  }));
}
template void sort_by_key<uint32_t>(const Exec&, View<uint32_t, 1>, View<int32_t, 1>, int);
template void sort_by_key<uint64_t>(const Exec&, View<uint64_t, 1>, View<int32_t, 1>, int);

int64_t exclusive_sum(const Exec& exec, View<int32_t, 1> values) {
  int64_t total = 0;
  BASIN_CUDA_CHECK(emulate::library_call(exec.stream, [values, &total] {
    for (int i = 0; i < values.dim[0]; ++i)
      total += values.data[i];
    BASIN_CHECK(total <= INT32_MAX, "the sum is ", total);
  }));
  exclusive_scan(exec, values);
  BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
  return total;
}

void exclusive_scan(const Exec& exec, View<int32_t, 1> values) {
  BASIN_CUDA_CHECK(emulate::library_call(exec.stream, [values] {
    int32_t sum = 0;
    for (int i = 0; i < values.dim[0]; ++i)
      sum += std::exchange(values.data[i], sum);
  }));
}

}  // namespace cub_backend
}  // namespace basin::kernels

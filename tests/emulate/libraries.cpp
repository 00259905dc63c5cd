#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/conv_cudnn.h"
#include "kernels/conv_onednn.h"
#include "kernels/resample.h"
#include "kernels/scratch.h"
#include "kernels/sort_cub.h"

// What cuDNN and CUB do for Basin, on the emulated device.

namespace basin::kernels {

CudnnVersions cudnn_versions() { return {90000, 90000, CUDART_VERSION}; }

namespace {

/// Maps of the device in the layout that oneDNN is fast in.
class Blocked {
 public:
  explicit Blocked(FeatureView<const float> from)
      : view_{nullptr, from.n, from.c, from.h, from.w, onednn_block()}, memory_(size_t(view_.size()), 0.f) {
    view_.data = memory_.data();
    change_layout<float, float>(Exec(), from, view_);
  }
  FeatureView<float> view() const { return view_; }
  void copy_to(FeatureView<float> to) const { change_layout<float, float>(Exec(), view_, to); }

 private:
  FeatureView<float> view_;
  std::vector<float> memory_;
};

/// Where the plain kernels are slow.
bool is_large(const FeatureView<const float>& x, int out_channels) {
  return double(x.c) * out_channels * double(x.pixels()) > 2e5;
}

}  // namespace

void conv_cudnn(const Exec& exec, FeatureView<const float> x, ConvWeight<const float> weight, View<const float, 1> bias,
                const ConvEpilogue& epilogue, FeatureView<float> out) {
  BASIN_CUDA_CHECK(emulate::library_call(exec.stream, [=] {
    if (!is_large(x, out.c)) return conv_plain<float>(Exec(), x, weight, bias, epilogue, out);
    const Blocked from(x), to(out);
    conv_onednn<float>(Exec(), from.view(), weight, bias, epilogue, to.view());
    to.copy_to(out);
  }));
}
void conv_cudnn_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const float> d_out,
                              FeatureView<float> d_x) {
  BASIN_CUDA_CHECK(emulate::library_call(exec.stream, [=] {
    if (!is_large(d_x, d_out.c)) return conv_plain_backward_data<float>(Exec(), weight, d_out, d_x);
    const Blocked from(d_out), to(d_x);
    conv_onednn_backward_data(Exec(), weight, from.view(), to.view());
    to.copy_to(d_x);
  }));
}
void conv_cudnn_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                                ConvWeight<float> d_weight) {
  BASIN_CUDA_CHECK(emulate::library_call(exec.stream, [=] {
    if (!is_large(x, d_out.c)) return conv_plain_backward_weight<float>(Exec(), x, d_out, d_weight);
    const Blocked from(x), d(d_out);
    conv_onednn_backward_weight(Exec(), from.view(), d.view(), d_weight);
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
    int32_t sum = 0;
    for (int i = 0; i < values.dim[0]; ++i) {
      const int32_t v = values.data[i];
      values.data[i] = sum;
      sum += v;
    }
  }));
  BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
  return total;
}

}  // namespace cub_backend
}  // namespace basin::kernels

#include "kernels/conv/conv_onednn.h"

#include <omp.h>

#include "kernels/conv/conv_plan_onednn.h"
#include "kernels/runtime/isa.h"
#include "kernels/runtime/lru_cache.h"
#include "kernels/runtime/prepared_weights.h"

namespace basin::kernels {
namespace {

constexpr size_t max_plans = 512;  // a network needs about 25 per input size, and three times that for training

/// Executes the plan for `key`. Every thread has its own stream and plans, so that several may convolve at once; the
/// code that oneDNN generates for a primitive is shared by all threads in its own cache.
void execute(const Exec& exec, OneDnnProblem key, const void* x, const void* weight, const void* bias,
             const void* out) {
  thread_local dnnl::stream stream(onednn_engine());
  thread_local LruCache<OneDnnProblem, OneDnnPlan> plans(max_plans);
  key.threads = omp_get_max_threads();
  plans.get(key, [&] { return OneDnnPlan(key); }).execute(exec, stream, x, weight, bias, out);
}

template <class T, class W>
OneDnnProblem key_of(ConvPass pass, FeatureView<const T> x, const ConvWeight<W>& weight, FeatureView<const T> out,
                     int slices) {
  BASIN_CHECK(slices > 0 && x.h % slices == 0 && out.h % slices == 0, slices, " slices of ", x);
  x.h /= slices, out.h /= slices;
  check_convolution(x, weight, out);
  OneDnnProblem key{};
  key.pass = pass, key.n = x.n, key.in = x.c, key.out = out.c, key.slices = slices, key.h = x.h, key.w = x.w;
  key.geometry = weight.geometry;
  key.in_block = x.block, key.out_block = out.block, key.weight_in = weight.whole.dim[1];
  key.bf16 = std::is_same_v<T, bfloat16>;
  return key;
}

template <class T>
T* part(const ConvWeight<T>& weight) {
  return &weight.whole(0, weight.first, 0, 0);
}

/// Runs `work` and converts oneDNN's exceptions to Error.
template <class F>
void guarded(const F& work) {
  try {
    work();
  } catch (const dnnl::error& e) {
    refuse("oneDNN: ", e.what(), " (status ", int(e.status), ")");
  }
}

}  // namespace

int onednn_block() { return isa() == Isa::avx512 ? 16 : 8; }

std::string onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  return "oneDNN " + std::to_string(v->major) + '.' + std::to_string(v->minor) + '.' + std::to_string(v->patch);
}

template <class T>
void conv_onednn(const Exec& exec, FeatureView<const T> x, ConvWeight<const float> weight, View<const float, 1> bias,
                 const ConvEpilogue& epilogue, FeatureView<T> out, int slices) {
  OneDnnProblem key = key_of<T>(ConvPass::forward, x, weight, out, slices);
  key.bias = bias.data != nullptr, key.add = epilogue.add, key.relu = epilogue.relu;
  key.prepared = exec.prepared && exec.prepared->contain(part(weight));
  BASIN_CHECK(!bias.data || bias.dim[0] == out.c, "bias ", bias, ", out ", out);
  guarded([&] { execute(exec, key, x.data, part(weight), bias.data, out.data); });
}

template void conv_onednn<float>(const Exec&, FeatureView<const float>, ConvWeight<const float>, View<const float, 1>,
                                 const ConvEpilogue&, FeatureView<float>, int);
template void conv_onednn<bfloat16>(const Exec&, FeatureView<const bfloat16>, ConvWeight<const float>,
                                    View<const float, 1>, const ConvEpilogue&, FeatureView<bfloat16>, int);

void conv_onednn_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const float> d_out,
                               FeatureView<float> d_x, int slices) {
  const OneDnnProblem key = key_of<float>(ConvPass::backward_data, d_x, weight, d_out, slices);
  guarded([&] { execute(exec, key, d_x.data, part(weight), nullptr, d_out.data); });
}

void conv_onednn_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                                 ConvWeight<float> d_weight, int slices) {
  const OneDnnProblem key = key_of<float>(ConvPass::backward_weight, x, d_weight, d_out, slices);
  guarded([&] { execute(exec, key, x.data, part(d_weight), nullptr, d_out.data); });
}

}  // namespace basin::kernels

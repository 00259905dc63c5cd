#include "kernels/conv/conv_first_layer.h"

#include <algorithm>
#include <cstring>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The sums of one band of rows over one group of output channels: a task writes its own partial[task][i][v][u][lane].
template <int K, int Block>
struct Band {
  static constexpr int rows = 16, taps = K * K;
  using Lanes [[gnu::vector_size(Block * sizeof(float))]] = float;

  FeatureView<const float> x, d_out;
  double* partial;

  static int64_t bands(const FeatureView<const float>& v) { return (int64_t(v.n) * v.h + rows - 1) / rows; }
  static int64_t partial_size(int channels) { return int64_t(channels) * taps * Block; }

  void operator()(int64_t task) const {
    const int group = int(task % d_out.groups());
    const int64_t begin = task / d_out.groups() * rows, end = std::min(begin + rows, int64_t(x.n) * x.h);
    double* sums = partial + task * partial_size(x.c);
    std::fill_n(sums, partial_size(x.c), 0.0);
    for (int64_t row = begin; row < end; ++row)
      for (int i = 0; i < x.c; ++i)
        add_row(int(row / x.h), i, group, int(row % x.h), sums + i * taps * Block);
  }

  void add_row(int n, int i, int group, int y, double* sums) const {
    constexpr int reach = K / 2;
    const float* source[K];  // the row of x that each row of taps meets, none outside the image
    for (int v = 0; v < K; ++v) {
      const int yy = y + v - reach;
      source[v] = yy >= 0 && yy < x.h ? &x(n, i, yy, 0) : nullptr;
    }
    const float* gradient = d_out.row((int64_t(n) * d_out.groups() + group) * d_out.h + y);
    Lanes sum[taps] = {};
    const auto add_pixel = [&](int at, const auto& value) {
      Lanes d;
      std::memcpy(&d, gradient + int64_t(at) * Block, sizeof d);
      for (int v = 0; v < K; ++v)
        for (int u = 0; u < K; ++u)
          sum[v * K + u] += value(v, at + u - reach) * d;
    };
    const auto checked = [&](int v, int at) { return source[v] && at >= 0 && at < x.w ? source[v][at] : 0.f; };
    const bool inside = source[0] && source[K - 1];
    const int first = inside ? std::min(reach, x.w) : x.w, last = std::max(first, x.w - reach);
    for (int at = 0; at < first; ++at)
      add_pixel(at, checked);
    for (int at = first; at < last; ++at)
      add_pixel(at, [&](int v, int xx) { return source[v][xx]; });
    for (int at = last; at < x.w; ++at)
      add_pixel(at, checked);
    for (int t = 0; t < taps; ++t)
      for (int lane = 0; lane < Block; ++lane)
        sums[t * Block + lane] += double(sum[t][lane]);
  }
};

template <int K, int Block>
void run(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out, ConvWeight<float> d_weight) {
  using Work = Band<K, Block>;
  const int groups = d_out.groups();
  const int64_t tasks = Work::bands(x) * groups, size = Work::partial_size(x.c);
  const Temp<double> partial(exec, tasks * size);
  for_each_task(tasks, Work{x, d_out, partial.data()});
  for (int o = 0; o < d_out.c; ++o)
    for (int i = 0; i < x.c; ++i)
      for (int t = 0; t < K * K; ++t) {
        double sum = 0;
        for (int64_t task = o / Block; task < tasks; task += groups)
          sum += partial[task * size + (i * K * K + t) * Block + o % Block];
        d_weight.whole(o, d_weight.first + i, t / K, t % K) += float(sum);
      }
}

}  // namespace

bool conv_few_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                              ConvWeight<float> d_weight) {
  const int kernel = d_weight.whole.dim[2];
  if (exec.device != Device::cpu || exec.variant == Variant::plain || x.block != 1 || x.c > 3) return false;
  if (d_weight.geometry != ConvGeometry::same(kernel, kernel)) return false;
  check_convolution(x, d_weight, d_out);
  if (kernel == 1 && d_out.block == 8) return run<1, 8>(exec, x, d_out, d_weight), true;
  if (kernel == 3 && d_out.block == 8) return run<3, 8>(exec, x, d_out, d_weight), true;
  if (kernel == 1 && d_out.block == 16) return run<1, 16>(exec, x, d_out, d_weight), true;
  if (kernel == 3 && d_out.block == 16) return run<3, 16>(exec, x, d_out, d_weight), true;
  return false;
}

}  // namespace basin::kernels

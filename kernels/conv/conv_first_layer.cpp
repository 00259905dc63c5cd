#include "kernels/conv/conv_first_layer.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The sums of one band of rows of d_out over one group of output channels: each task writes its own
/// partial[task][i][v][u][lane].
template <int K, int Block>
struct Band {
  static constexpr int rows = 16, taps = K * K;
  static constexpr int rows_at_once = K > 3 ? 1 : K;  // rows of taps whose sums are kept in registers together
  using Lanes [[gnu::vector_size(Block * sizeof(float))]] = float;

  FeatureView<const float> x, d_out;
  int stride, padding;
  double* partial;

  static int64_t bands(const FeatureView<const float>& v) { return (int64_t(v.n) * v.h + rows - 1) / rows; }
  static int64_t partial_size(int channels) { return int64_t(channels) * taps * Block; }

  void operator()(int64_t task) const {
    const int group = int(task % d_out.groups());
    const int64_t begin = task / d_out.groups() * rows, end = std::min(begin + rows, int64_t(d_out.n) * d_out.h);
    double* sums = partial + task * partial_size(x.c);
    std::fill_n(sums, partial_size(x.c), 0.0);
    for (int64_t row = begin; row < end; ++row)
      for (int i = 0; i < x.c; ++i)
        for (int v = 0; v < K; v += rows_at_once)
          add_row(int(row / d_out.h), i, group, int(row % d_out.h), v, sums + (i * taps + v * K) * Block);
  }

  /// Adds the contribution of one row of d_out to the rows of taps from `first_tap` on.
  void add_row(int n, int i, int group, int y, int first_tap, double* sums) const {
    const float* source[rows_at_once];  // the row of x for each row of taps; null outside the image
    bool inside = true;
    for (int v = 0; v < rows_at_once; ++v) {
      const int yy = y * stride + first_tap + v - padding;
      source[v] = yy >= 0 && yy < x.h ? &x(n, i, yy, 0) : nullptr;
      inside = inside && source[v];
    }
    const float* gradient = d_out.row((int64_t(n) * d_out.groups() + group) * d_out.h + y);
    Lanes sum[rows_at_once * K] = {};
    const auto add_pixel = [&](int at, const auto& value) {
      Lanes d;
      std::memcpy(&d, gradient + int64_t(at) * Block, sizeof d);
      for (int v = 0; v < rows_at_once; ++v)
        for (int u = 0; u < K; ++u)
          sum[v * K + u] += value(v, at * stride + u - padding) * d;
    };
    const auto checked = [&](int v, int at) { return source[v] && at >= 0 && at < x.w ? source[v][at] : 0.f; };
    // For pixels [first, last) all taps lie within the row.
    const int room = x.w - K + padding, width = d_out.w;
    const int first = inside ? std::min((padding + stride - 1) / stride, width) : width;
    const int last = std::clamp(room < 0 ? 0 : room / stride + 1, first, width);
    for (int at = 0; at < first; ++at)
      add_pixel(at, checked);
    for (int at = first; at < last; ++at)
      add_pixel(at, [&](int v, int xx) { return source[v][xx]; });
    for (int at = last; at < width; ++at)
      add_pixel(at, checked);
    for (int t = 0; t < rows_at_once * K; ++t)
      for (int lane = 0; lane < Block; ++lane)
        sums[t * Block + lane] += double(sum[t][lane]);
  }
};

template <int K, int Block>
void run(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out, ConvWeight<float> d_weight) {
  using Work = Band<K, Block>;
  const int groups = d_out.groups();
  const int64_t tasks = Work::bands(d_out) * groups, size = Work::partial_size(x.c);
  const Temp<double> partial(exec, tasks * size);
  for_each_task(tasks, Work{x, d_out, d_weight.geometry.stride, d_weight.geometry.top, partial.data()});
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

bool conv_first_layer_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                                      ConvWeight<float> d_weight) {
  const ConvGeometry& g = d_weight.geometry;
  if (exec.device != Device::cpu || exec.variant == Variant::plain || x.block != 1 || x.c > 3) return false;
  if (g != ConvGeometry::square(g.kernel_h, g.stride, g.top)) return false;
  check_convolution(x, d_weight, d_out);
  const auto blocks = [&]<int K>(std::integral_constant<int, K>) {
    if (d_out.block == 8) return run<K, 8>(exec, x, d_out, d_weight), true;
    if (d_out.block == 16) return run<K, 16>(exec, x, d_out, d_weight), true;
    return false;
  };
  if (g.kernel_h == 1) return blocks(std::integral_constant<int, 1>());
  if (g.kernel_h == 3) return blocks(std::integral_constant<int, 3>());
  if (g.kernel_h == 7) return blocks(std::integral_constant<int, 7>());
  return false;
}

}  // namespace basin::kernels

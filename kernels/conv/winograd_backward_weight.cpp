#include <omp.h>

#include "kernels/conv/winograd.h"
#include "kernels/conv/winograd_tiles.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The gradient of the weight from a part of the tiles, in the domain of the products: partial[part][f][output][input].
/// A task is a part, for a slab of the groups of output channels.
template <int Block, int Rows>
struct BackwardWeight {
  FeatureView<const float> x, d_out;
  Tiles tiles;
  int at_once, parts, slabs;
  float *memory, *partial;

  int in_lanes() const { return x.groups() * Block; }
  int out_lanes() const { return d_out.groups() * Block; }
  int64_t input_stride() const { return padded(int64_t(at_once) * in_lanes()); }
  int64_t gradient_stride() const { return padded(int64_t(at_once) * out_lanes()); }
  int64_t memory_size() const { return frequencies * (input_stride() + gradient_stride()); }
  int64_t part_size() const { return int64_t(frequencies) * in_lanes() * out_lanes(); }

  void operator()(int64_t task) const {
    const int64_t part = task / slabs, slab = task % slabs;
    float* const inputs = memory + omp_get_thread_num() * memory_size();
    float* const gradients = inputs + frequencies * input_stride();
    float* const sums = partial + part * part_size();
    const int64_t first = tiles.count() * part / parts, last = tiles.count() * (part + 1) / parts;
    const int from = int(d_out.groups() * slab / slabs) * Block, to = int(d_out.groups() * (slab + 1) / slabs) * Block;
    for (int64_t begin = first; begin < last; begin += at_once) {
      const int64_t end = std::min(begin + at_once, last);
      transform_tiles<Block>(transform_input<Lanes<Block>>, x, 1, tiles, begin, end, at_once, inputs);
      transform_tiles<Block>(transform_output_gradient<Lanes<Block>>, d_out, 0, tiles, begin, end, at_once, gradients);
      for (int f = 0; f < frequencies; ++f)
        for (int i = 0; i < in_lanes(); i += 2 * Block)
          for (int o = from; o < to; o += Rows) {
            const float* const a = gradients + f * gradient_stride() + o;
            const float* const b = inputs + f * input_stride() + i;
            float* const c = sums + (int64_t(f) * out_lanes() + o) * in_lanes() + i;
            const int depth = int(end - begin);
            if (i + Block < in_lanes())
              multiply<Block, Rows, 2>(a, 1, out_lanes(), b, in_lanes(), Block, depth, begin > first, c, in_lanes(),
                                       Block);
            else
              multiply<Block, Rows, 1>(a, 1, out_lanes(), b, in_lanes(), Block, depth, begin > first, c, in_lanes(),
                                       Block);
          }
    }
  }
};

/// Adds the gradient of the taps of one output channel, the parts in order.
struct FinishWeight {
  ConvWeight<float> d_weight;
  int inputs, in_lanes, out_lanes, parts;
  const float* partial;

  void operator()(int64_t o) const {
    for (int i = 0; i < inputs; ++i) {
      float sums[frequencies] = {};
      for (int part = 0; part < parts; ++part)
        for (int f = 0; f < frequencies; ++f)
          sums[f] += partial[((int64_t(part) * frequencies + f) * out_lanes + o) * in_lanes + i];
      transform_square<float>(
          transform_filter_gradient<float>,
          [&](int v, float(&row)[reach]) { std::copy_n(sums + v * reach, reach, row); },
          [&](int u, const float(&column)[3]) {
            for (int v = 0; v < 3; ++v)
              d_weight.whole(int(o), d_weight.first + i, v, u) += column[v];
          });
    }
  }
};

template <int Block>
void run_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                         ConvWeight<float> d_weight) {
  constexpr int rows = Block == 8 ? 4 : 8;
  const int in_lanes = x.groups() * Block, out_lanes = d_out.groups() * Block;
  const Tiles tiles{d_out};
  // The order of the sums depends on the parts, so they are a function of the problem alone.
  const int parts = int(std::clamp<int64_t>(tiles.count() / 128, 1, 16));
  const int at_once = int(std::min<int64_t>((tiles.count() + parts - 1) / parts,
                                            std::max(128, tiles_that_fit(in_lanes + out_lanes, 400 << 10))));
  const int slabs = std::clamp(2 * omp_get_max_threads() / parts, 1, d_out.groups());
  BackwardWeight<Block, rows> work{x, d_out, tiles, at_once, parts, slabs, nullptr, nullptr};
  const Temp<float> memory(exec, work.memory_size() * omp_get_max_threads());
  const Temp<float> partial(exec, parts * work.part_size());
  work.memory = memory.data(), work.partial = partial.data();
  for_each_task(int64_t(parts) * slabs, work);
  for_each_task(d_out.c, FinishWeight{d_weight, x.c, in_lanes, out_lanes, parts, partial.data()});
}

}  // namespace

void conv_winograd_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                                   ConvWeight<float> d_weight) {
  check_convolution(x, d_weight, d_out);
  if (x.block == 8) return run_backward_weight<8>(exec, x, d_out, d_weight);
  run_backward_weight<16>(exec, x, d_out, d_weight);
}

}  // namespace basin::kernels

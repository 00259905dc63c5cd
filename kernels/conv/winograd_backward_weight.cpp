#include <omp.h>

#include "kernels/conv/winograd.h"
#include "kernels/conv/winograd_shapes.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The gradient of the taps of one part of the kernel in the domain of the products, summed over one share of the
/// tiles: partial[share][f][output][input]. A task is one share and one slab of the groups of output channels.
template <class Tiles, int Block, int Rows>
struct BackwardWeight {
  static constexpr int frequencies = Tiles::frequencies;
  FeatureView<const float> x, d_out;
  Tiles tiles;
  int at_once, shares, slabs;
  float *memory, *partial;
  int part = 0;

  int in_lanes() const { return x.groups() * Block; }
  int out_lanes() const { return d_out.groups() * Block; }
  int64_t input_stride() const { return padded(int64_t(at_once) * in_lanes()); }
  int64_t gradient_stride() const { return padded(int64_t(at_once) * out_lanes()); }
  int64_t memory_size() const { return frequencies * (input_stride() + gradient_stride()); }
  int64_t sum_stride() const { return padded(int64_t(in_lanes()) * out_lanes()); }
  int64_t share_size() const { return frequencies * sum_stride(); }

  void operator()(int64_t task) const {
    const int64_t share = task / slabs, slab = task % slabs;
    float* const inputs = memory + omp_get_thread_num() * memory_size();
    float* const gradients = inputs + frequencies * input_stride();
    float* const sums = partial + share * share_size();
    const int64_t first = tiles.count() * share / shares, last = tiles.count() * (share + 1) / shares;
    const int from = int(d_out.groups() * slab / slabs) * Block, to = int(d_out.groups() * (slab + 1) / slabs) * Block;
    const auto transform_x = [&](const typename Tiles::Place& place, int group, float* at, int64_t stride) {
      tiles.template transform_inputs<Block>(x, part, place, group, at, stride);
    };
    const auto transform_d_out = [&](const typename Tiles::Place& place, int group, float* at, int64_t stride) {
      tiles.template transform_gradients<Block>(d_out, place, group, at, stride);
    };
    for (int64_t begin = first; begin < last; begin += at_once) {
      const int64_t end = std::min(begin + at_once, last);
      transform_tiles<Block>(tiles, transform_x, x.groups(), begin, end, input_stride(), inputs);
      transform_tiles<Block>(tiles, transform_d_out, d_out.groups(), begin, end, gradient_stride(), gradients);
      for (int f = 0; f < frequencies; ++f)
        for (int i = 0; i < in_lanes(); i += 2 * Block)
          for (int o = from; o < to; o += Rows) {
            const float* const a = gradients + f * gradient_stride() + o;
            const float* const b = inputs + f * input_stride() + i;
            float* const c = sums + f * sum_stride() + int64_t(o) * in_lanes() + i;
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

/// Adds the gradient of the taps of one output channel, the shares in order.
template <class Tiles, int Block>
struct FinishWeight {
  static constexpr int frequencies = Tiles::frequencies;
  ConvWeight<float> d_weight;
  Tiles tiles;
  int inputs, in_lanes, shares;
  int64_t stride;  // of the frequencies in `partial`
  const float* partial;
  int part = 0;

  void operator()(int64_t o) const {
    for (int i = 0; i < inputs; i += Block) {
      Lanes<Block> sums[frequencies] = {};
      for (int share = 0; share < shares; ++share)
        for (int f = 0; f < frequencies; ++f)
          sums[f] += load_lanes<Block>(partial + (int64_t(share) * frequencies + f) * stride + o * in_lanes + i);
      tiles.template kernel_gradient<Block>(part, sums, [&](int v, int u, const Lanes<Block>& gradient) {
        for (int lane = 0; lane < std::min(Block, inputs - i); ++lane)
          d_weight.whole(int(o), d_weight.first + i + lane, v, u) += gradient[lane];
      });
    }
  }
};

template <class Tiles, int Block>
void run_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                         ConvWeight<float> d_weight) {
  constexpr int rows = Block == 8 ? 4 : 8;
  const int in_lanes = x.groups() * Block, out_lanes = d_out.groups() * Block;
  const Tiles tiles(d_out, d_weight.geometry);
  // The order of the sums depends on the shares, so these must not depend on the number of threads.
  const int shares = int(std::clamp<int64_t>(tiles.count() / 128, 1, 16));
  const int at_once = int(std::min<int64_t>((tiles.count() + shares - 1) / shares,
                                            std::max(128, tiles_that_fit(Tiles::frequencies, in_lanes + out_lanes))));
  const int slabs = std::clamp(2 * omp_get_max_threads() / shares, 1, d_out.groups());
  BackwardWeight<Tiles, Block, rows> work{x, d_out, tiles, at_once, shares, slabs, nullptr, nullptr};
  const Temp<float> memory(exec, work.memory_size() * omp_get_max_threads());
  const Temp<float> partial(exec, shares * work.share_size());
  work.memory = memory.data(), work.partial = partial.data();
  FinishWeight<Tiles, Block> finish{d_weight, tiles, x.c, in_lanes, shares, work.sum_stride(), partial.data()};
  for (int part = 0; part < tiles.parts(); ++part) {
    work.part = finish.part = part;
    for_each_task(int64_t(shares) * slabs, work);
    for_each_task(d_out.c, finish);
  }
}

}  // namespace

void conv_winograd_backward_weight(const Exec& exec, FeatureView<const float> x, FeatureView<const float> d_out,
                                   ConvWeight<float> d_weight) {
  check_convolution(x, d_weight, d_out);
  with_winograd_tiles(d_weight.geometry, [&]<class Tiles>() {
    if (x.block == 8) return run_backward_weight<Tiles, 8>(exec, x, d_out, d_weight);
    run_backward_weight<Tiles, 16>(exec, x, d_out, d_weight);
  });
}

}  // namespace basin::kernels

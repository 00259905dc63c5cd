#include "kernels/conv/winograd.h"

#include <omp.h>

#include <cstdlib>
#include <cstring>

#include "kernels/conv/winograd_shapes.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/prepared_weights.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The weight in the domain of the products: [part][f][group of outputs][input][lane of the group], 0 in padding lanes.
/// `flipped`: for the gradient of the input, whose inputs are the outputs of the weight and whose taps are mirrored. A
/// task is a group of one part.
template <class Tiles, int Block>
struct TransformWeight {
  ConvWeight<const float> w;
  Tiles tiles;
  bool flipped;
  int inputs, outputs;  // lanes
  int channels_in, channels_out;
  float* to;

  int64_t stride() const { return padded(int64_t(inputs) * outputs); }  // between two frequencies

  void operator()(int64_t task) const {
    const int groups = outputs / Block, part = int(task / groups), group = int(task % groups);
    for (int i = 0; i < inputs; ++i)
      tiles.template transform_kernel<Block>(
          part, [&](int v, int u) { return tap(group, i, v, u); },
          to + part * Tiles::frequencies * stride() + (int64_t(group) * inputs + i) * Block, stride());
  }

  Lanes<Block> tap(int group, int i, int v, int u) const {
    Lanes<Block> values{};
    if (i >= channels_in) return values;
    const int first = group * Block, v_end = w.geometry.kernel_h - 1, u_end = w.geometry.kernel_w - 1;
    for (int lane = 0; lane < std::min(Block, channels_out - first); ++lane)
      values[lane] =
          flipped ? w.whole(i, w.first + first + lane, v_end - v, u_end - u) : w.whole(first + lane, w.first + i, v, u);
    return values;
  }
};

constexpr int64_t winograd_form = 1;  // for PreparedWeights; no other file uses this number

int rounded_up(int64_t n, int to) { return int((n + to - 1) / to) * to; }

/// How a convolution is divided into tasks: `blocks` of `at_once` tiles, times `slabs` of the groups of output
/// channels. The results do not depend on it.
struct Division {
  int at_once, blocks, slabs;

  template <class Tiles>
  Division(const Tiles& tiles, int in_lanes, int out_lanes, int groups, int rows) {
    const int threads = omp_get_max_threads();
    // Each block of tiles reads all transformed weights, so that with more weights it should have more tiles.
    const int least = tiles.parts() == 1 ? 48 : 96;
    const int fit = std::clamp(tiles_that_fit(Tiles::frequencies, in_lanes + out_lanes), least, 2 * least);
    blocks = int((tiles.count() + fit - 1) / fit);
    if (blocks > threads) blocks = rounded_up(blocks, threads);
    at_once = rounded_up((tiles.count() + blocks - 1) / blocks, rows);
    blocks = int((tiles.count() + at_once - 1) / at_once);
    slabs = std::clamp(2 * threads / blocks, 1, (groups + 1) / 2);
  }
};

/// What a convolution reads: maps, which may be preceded by the channels of maps of half the size with each pixel
/// repeated 2x2.
struct Inputs {
  FeatureView<const float> maps;
  FeatureView<const float> low = {};  // without data if there are none

  int channels() const { return low.c + maps.c; }
  int low_groups() const { return low.data ? low.groups() : 0; }
  int groups() const { return low_groups() + maps.groups(); }
};

/// Computes the output of one block of tiles for one slab of the groups of output channels.
template <class Tiles, int Block, int Rows>
struct Forward {
  static constexpr int frequencies = Tiles::frequencies;
  static constexpr bool has_low = std::is_same_v<Tiles, SquareTiles>;
  Inputs x;
  FeatureView<float> out;
  Tiles tiles;
  Division division;
  const float* weight;
  View<const float, 1> bias;
  ConvEpilogue epilogue;
  float* memory;  // for each thread

  int in_lanes() const { return x.groups() * Block; }
  int64_t input_stride() const { return padded(int64_t(division.at_once) * in_lanes()); }
  int64_t product_stride() const { return padded(int64_t(division.at_once) * out.groups() * Block); }
  int64_t memory_size() const { return frequencies * (input_stride() + product_stride()); }

  void operator()(int64_t task) const {
    float* const inputs = memory + omp_get_thread_num() * memory_size();
    float* const products = inputs + frequencies * input_stride();
    const int at_once = division.at_once, groups = out.groups(), slab = int(task % division.slabs);
    const int64_t begin = task / division.slabs * at_once, end = std::min(begin + at_once, tiles.count());
    const int first = groups * slab / division.slabs, last = groups * (slab + 1) / division.slabs;
    for (int part = 0; part < tiles.parts(); ++part) {
      const auto transform = [&](const typename Tiles::Place& place, int group, float* to, int64_t stride) {
        if constexpr (has_low)
          if (group < x.low_groups())
            return tiles.template transform_repeated_inputs<Block>(x.low, place, group, to, stride);
        tiles.template transform_inputs<Block>(x.maps, part, place, group - x.low_groups(), to, stride);
      };
      transform_tiles<Block>(tiles, transform, x.groups(), begin, end, input_stride(), inputs);
      for (int f = 0; f < frequencies; ++f)
        multiply_groups(part, f, int(end - begin), first, last, inputs, products);
    }
    for (int64_t t = begin; t < end; ++t) {
      const typename Tiles::Place place = tiles.place(t);
      for (int g = first; g < last; ++g)
        write_tile(place, g, products + (int64_t(g) * at_once + (t - begin)) * Block);
    }
  }

  /// The products of one frequency for groups [first, last) of the outputs, added to those of earlier parts.
  void multiply_groups(int part, int f, int count, int first, int last, float* inputs, float* products) const {
    const int rows = rounded_up(count, Rows);
    // The transforms of repeated pixels need not be multiplied where they vanish.
    int skipped = 0;
    if constexpr (has_low)
      if (Tiles::vanishes_if_repeated(f)) skipped = x.low_groups() * Block;
    const int depth = in_lanes() - skipped;
    const int64_t weight_stride = padded(int64_t(in_lanes()) * out.groups() * Block);
    const int64_t b_column = int64_t(in_lanes()) * Block, c_column = int64_t(division.at_once) * Block;
    float* const a = inputs + f * input_stride();
    std::fill(a + int64_t(count) * in_lanes(), a + int64_t(rows) * in_lanes(), 0.f);  // rows without a tile
    for (int g = first; g < last; g += 2) {
      const float* const b = weight + (part * frequencies + f) * weight_stride + g * b_column + skipped * Block;
      float* const c = products + f * product_stride() + g * c_column;
      for (int r = 0; r < rows; r += Rows)
        if (g + 1 < last)
          multiply<Block, Rows, 2>(a + r * in_lanes() + skipped, in_lanes(), 1, b, Block, b_column, depth, part > 0,
                                   c + r * Block, Block, c_column);
        else
          multiply<Block, Rows, 1>(a + r * in_lanes() + skipped, in_lanes(), 1, b, Block, b_column, depth, part > 0,
                                   c + r * Block, Block, c_column);
    }
  }

  void write_tile(const typename Tiles::Place& place, int group, const float* products) const {
    Lanes<Block> offset{};
    if (bias.data)
      for (int lane = 0; lane < Block && group * Block + lane < out.c; ++lane)
        offset[lane] = bias(group * Block + lane);
    tiles.template outputs<Block>(products, product_stride(), out, place, group, [&](float* to, Lanes<Block> v) {
      v += offset;
      if (epilogue.add) v += load_lanes<Block>(to);
      if (epilogue.relu) v = v < 0 ? Lanes<Block>{} : v;
      store_lanes<Block>(to, v);
    });
  }
};

template <class Tiles, int Block>
void run_forward(const Exec& exec, const Inputs& x, ConvWeight<const float> weight, bool flipped,
                 View<const float, 1> bias, const ConvEpilogue& epilogue, FeatureView<float> out) {
  constexpr int rows = Block == 8 ? 6 : 12;  // with two columns, as many sums as registers can hold
  const int in_lanes = x.groups() * Block, out_lanes = out.groups() * Block;
  const Tiles tiles(out, weight.geometry);
  TransformWeight<Tiles, Block> transform{weight, tiles, flipped, in_lanes, out_lanes, x.channels(), out.c, nullptr};
  const int64_t size = tiles.parts() * Tiles::frequencies * transform.stride();
  const float* const first = &weight.whole(0, weight.first, 0, 0);
  const bool keep = !flipped && exec.prepared && exec.prepared->contain(first);
  const Temp<float> temporary(exec, keep ? 0 : size);
  const auto transform_to = [&](void* to) {
    transform.to = static_cast<float*>(to);
    for_each_task(int64_t(tiles.parts()) * out.groups(), transform);
  };
  if (keep) {
    const ConvGeometry& g = weight.geometry;
    const std::vector<int64_t> form{winograd_form, Block, g.kernel_h, g.kernel_w, x.channels(), out.c};
    transform.to =
        reinterpret_cast<float*>(exec.prepared->get(first, form, size_t(size) * sizeof(float), transform_to));
  } else {
    transform_to(temporary.data());
  }
  const Division division(tiles, in_lanes, out_lanes, out.groups(), rows);
  Forward<Tiles, Block, rows> work{x, out, tiles, division, transform.to, bias, epilogue, nullptr};
  const Temp<float> memory(exec, work.memory_size() * omp_get_max_threads());
  work.memory = memory.data();
  for_each_task(int64_t(division.blocks) * division.slabs, work);
}

/// The forward pass, or with `flipped` that of the gradient of the input.
void run(const Exec& exec, const Inputs& x, ConvWeight<const float> weight, bool flipped, View<const float, 1> bias,
         const ConvEpilogue& epilogue, FeatureView<float> out) {
  with_winograd_tiles(weight.geometry, [&]<class Tiles>() {
    if (out.block == 8) return run_forward<Tiles, 8>(exec, x, weight, flipped, bias, epilogue, out);
    run_forward<Tiles, 16>(exec, x, weight, flipped, bias, epilogue, out);
  });
}

bool is_on() {
  static const bool on = [] {
    const char* text = std::getenv("BASIN_WINOGRAD");
    return !text || std::strcmp(text, "0") != 0;
  }();
  return on;
}

}  // namespace

bool winograd_applies(const ConvGeometry& geometry, int in_block, int out_block, int in_channels, int out_channels) {
  return has_winograd_tiles(geometry) && in_block == out_block && (in_block == 8 || in_block == 16) &&
         in_channels >= 16 && (out_channels >= 16 || geometry.kernel_h > 3) && isa() != Isa::baseline && is_on();
}

void conv_winograd(const Exec& exec, FeatureView<const float> x, ConvWeight<const float> weight,
                   View<const float, 1> bias, const ConvEpilogue& epilogue, FeatureView<float> out) {
  check_convolution(x, weight, out);
  run(exec, {x}, weight, false, bias, epilogue, out);
}

void conv_winograd_upsampled(const Exec& exec, FeatureView<const float> low, FeatureView<const float> x,
                             ConvWeight<const float> weight, View<const float, 1> bias, const ConvEpilogue& epilogue,
                             FeatureView<float> out) {
  BASIN_CHECK(low.n == x.n && 2 * low.h == x.h && 2 * low.w == x.w && low.block == x.block && low.c % low.block == 0 &&
                  weight.geometry == ConvGeometry::same(taps, taps),
              "low ", low, ", x ", x, ", ", weight.geometry);
  ConvWeight<const float> of_x = weight;
  of_x.first += low.c;
  check_convolution(x, of_x, out);
  run(exec, {x, low}, weight, false, bias, epilogue, out);
}

void conv_winograd_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const float> d_out,
                                 FeatureView<float> d_x) {
  check_convolution(d_x, weight, d_out);
  run(exec, {d_out}, weight, true, {}, {}, d_x);
}

}  // namespace basin::kernels

#include "kernels/conv/winograd.h"

#include <omp.h>

#include <cstdlib>
#include <cstring>

#include "kernels/conv/winograd_tiles.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// The weight in the domain of the products: [part][f][group of outputs][input][lane of the group], 0 in padding lanes.
/// `flipped`: for the gradient of the input, whose inputs are the outputs of the weight and whose taps are mirrored. A
/// task is a group of one part.
template <int Block>
struct TransformWeight {
  ConvWeight<const float> w;
  KernelParts parts;
  bool flipped;
  int inputs, outputs;  // lanes
  int channels_in, channels_out;
  float* to;

  int64_t stride() const { return padded(int64_t(inputs) * outputs); }  // between two frequencies

  void operator()(int64_t task) const {
    const int groups = outputs / Block;
    for (int i = 0; i < inputs; ++i)
      transform(int(task / groups), int(task % groups), i);
  }

  float tap(int o, int i, int v, int u) const {
    if (v >= parts.size || u >= parts.size) return 0;
    return flipped ? w.whole(i, w.first + o, parts.size - 1 - v, parts.size - 1 - u) : w.whole(o, w.first + i, v, u);
  }

  void transform(int part, int group, int i) const {
    Lanes<Block> kernel[taps][taps] = {};
    for (int lane = 0; lane < Block && group * Block + lane < channels_out && i < channels_in; ++lane)
      for (int v = 0; v < taps; ++v)
        for (int u = 0; u < taps; ++u)
          kernel[v][u][lane] = tap(group * Block + lane, i, parts.tap_y(part) + v, parts.tap_x(part) + u);
    float* const at = to + part * frequencies * stride() + (int64_t(group) * inputs + i) * Block;
    transform_square<Lanes<Block>>(
        transform_filter<Lanes<Block>>, [&](int v, Lanes<Block>(&row)[taps]) { std::copy_n(kernel[v], taps, row); },
        [&](int j, const Lanes<Block>(&column)[reach]) {
          for (int k = 0; k < reach; ++k)
            lanes_at<Block>(at + (k * reach + j) * stride()) = column[k];
        });
  }
};

int rounded_up(int64_t n, int to) { return int((n + to - 1) / to) * to; }

/// How a convolution is divided into tasks: `blocks` of `at_once` tiles, times `slabs` of the groups of output
/// channels. The results do not depend on it.
struct Division {
  int at_once, blocks, slabs;

  Division(const Tiles& tiles, const KernelParts& parts, int in_lanes, int out_lanes, int groups, int rows) {
    const int threads = omp_get_max_threads();
    // The more parts a kernel has, the more weights are read for each block.
    const int min_tiles = parts.count() == 1 ? 24 : 96;
    const int fit = std::clamp(tiles_that_fit(in_lanes + out_lanes, 400 << 10), min_tiles, 2 * min_tiles);
    blocks = int((tiles.count() + fit - 1) / fit);
    if (blocks > threads) blocks = rounded_up(blocks, threads);
    at_once = rounded_up((tiles.count() + blocks - 1) / blocks, rows);
    blocks = int((tiles.count() + at_once - 1) / at_once);
    slabs = std::clamp(2 * threads / blocks, 1, (groups + 1) / 2);
  }
};

/// Some tiles of the convolution.
template <int Block, int Rows>
struct Forward {
  FeatureView<const float> x;
  FeatureView<float> out;
  KernelParts parts;
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
    for (int part = 0; part < parts.count(); ++part) {
      transform_tiles<Block>(transform_input<Lanes<Block>>, x, parts.above(part), parts.before(part), tiles, begin, end,
                             at_once, inputs);
      for (int f = 0; f < frequencies; ++f)
        multiply_groups(part, f, int(end - begin), first, last, inputs, products);
    }
    for (int64_t t = begin; t < end; ++t)
      for (int g = first; g < last; ++g)
        write_tile(t, g, products + (int64_t(g) * at_once + (t - begin)) * Block);
  }

  /// The products of one frequency for groups [first, last) of the outputs, added to those of the parts before.
  void multiply_groups(int part, int f, int count, int first, int last, float* inputs, float* products) const {
    const int rows = rounded_up(count, Rows);
    const int64_t weight_size = int64_t(in_lanes()) * out.groups() * Block;
    const int64_t b_column = int64_t(in_lanes()) * Block, c_column = int64_t(division.at_once) * Block;
    float* const a = inputs + f * input_stride();
    std::fill(a + int64_t(count) * in_lanes(), a + int64_t(rows) * in_lanes(), 0.f);  // rows without a tile
    for (int g = first; g < last; g += 2) {
      const float* const b = weight + (part * frequencies + f) * padded(weight_size) + g * b_column;
      float* const c = products + f * product_stride() + g * c_column;
      for (int r = 0; r < rows; r += Rows)
        if (g + 1 < last)
          multiply<Block, Rows, 2>(a + r * in_lanes(), in_lanes(), 1, b, Block, b_column, in_lanes(), part > 0,
                                   c + r * Block, Block, c_column);
        else
          multiply<Block, Rows, 1>(a + r * in_lanes(), in_lanes(), 1, b, Block, b_column, in_lanes(), part > 0,
                                   c + r * Block, Block, c_column);
    }
  }

  void write_tile(int64_t t, int group, const float* products) const {
    const int64_t stride = product_stride(), row_size = int64_t(out.w) * Block;
    const int y = tiles.y(t), x = tiles.x(t);
    float* const at = pixel(out, tiles.image(t), group, y, x);
    Lanes<Block> offset{};
    if (bias.data)
      for (int lane = 0; lane < Block && group * Block + lane < out.c; ++lane)
        offset[lane] = bias(group * Block + lane);
    const int height = std::min(side, out.h - y), width = std::min(side, out.w - x);
    transform_square<Lanes<Block>>(
        transform_output<Lanes<Block>>,
        [&](int i, Lanes<Block>(&row)[reach]) {
#pragma GCC unroll 6
          for (int j = 0; j < reach; ++j)
            row[j] = lanes_at<Block>(products + (i * reach + j) * stride);
        },
        [&](int j, const Lanes<Block>(&column)[side]) {
          if (j >= width) return;
#pragma GCC unroll 4
          for (int i = 0; i < side; ++i) {
            if (i >= height) return;
            float* const to = at + i * row_size + j * Block;
            Lanes<Block> v = column[i] + offset;
            if (epilogue.add) v += lanes_at<Block>(to);
            if (epilogue.relu) v = v < 0 ? Lanes<Block>{} : v;
            lanes_at<Block>(to) = v;
          }
        });
  }
};

template <int Block>
void run_forward(const Exec& exec, FeatureView<const float> x, ConvWeight<const float> weight, bool flipped,
                 View<const float, 1> bias, const ConvEpilogue& epilogue, FeatureView<float> out) {
  constexpr int rows = Block == 8 ? 6 : 12;  // with two columns, as many sums as registers can hold
  const int in_lanes = x.groups() * Block, out_lanes = out.groups() * Block;
  const KernelParts parts{weight.geometry.kernel_h};
  TransformWeight<Block> transform{weight, parts, flipped, in_lanes, out_lanes, x.c, out.c, nullptr};
  const Temp<float> transformed(exec, parts.count() * frequencies * transform.stride());
  transform.to = transformed.data();
  for_each_task(int64_t(parts.count()) * out.groups(), transform);
  const Tiles tiles{out};
  const Division division(tiles, parts, in_lanes, out_lanes, out.groups(), rows);
  Forward<Block, rows> work{x, out, parts, tiles, division, transformed.data(), bias, epilogue, nullptr};
  const Temp<float> memory(exec, work.memory_size() * omp_get_max_threads());
  work.memory = memory.data();
  for_each_task(int64_t(division.blocks) * division.slabs, work);
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
  const int size = geometry.kernel_h;
  return geometry == ConvGeometry::same(size, size) && size % 2 == 1 && size >= taps && in_block == out_block &&
         (in_block == 8 || in_block == 16) && in_channels >= 16 && out_channels >= 16 && isa() != Isa::baseline &&
         is_on();
}

void conv_winograd(const Exec& exec, FeatureView<const float> x, ConvWeight<const float> weight,
                   View<const float, 1> bias, const ConvEpilogue& epilogue, FeatureView<float> out) {
  check_convolution(x, weight, out);
  if (x.block == 8) return run_forward<8>(exec, x, weight, false, bias, epilogue, out);
  run_forward<16>(exec, x, weight, false, bias, epilogue, out);
}

void conv_winograd_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const float> d_out,
                                 FeatureView<float> d_x) {
  check_convolution(d_x, weight, d_out);
  if (d_x.block == 8) return run_forward<8>(exec, d_out, weight, true, {}, {}, d_x);
  run_forward<16>(exec, d_out, weight, true, {}, {}, d_x);
}

}  // namespace basin::kernels

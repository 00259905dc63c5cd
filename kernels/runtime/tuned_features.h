#pragma once
#include <algorithm>

#include "kernels/runtime/feature_shape.h"
#include "kernels/runtime/launch.h"

// Loops over feature maps on a GPU. The block index gives the sample and the group of channels, the thread index gives
// the pixels or lanes, so that no thread divides per element. Each thread reads the numbers of a channel once.

#ifdef __CUDACC__
namespace basin::tuned {

constexpr int feature_threads = 256;

/// The smallest power of two >= n, but at most `most`.
inline int power_of_two(int64_t n, int most) {
  int p = 1;
  while (p < n && p < most)
    p *= 2;
  return p;
}
inline unsigned grid_size(int64_t n) { return unsigned(std::clamp<int64_t>(n, 1, 65535)); }
/// How many elements or packs each thread processes in turn: more than one only if enough threads remain.
inline int turns_for(int64_t n) { return int(std::clamp<int64_t>(n >> 17, 1, 8)); }

/// nchw, one element at a time: neighbouring threads take neighbouring pixels of a row and then the next rows. Each
/// sample and channel has its own blocks. feature_rows_kernel does the same, but its loops over samples, channels and
/// lanes take longer than the work on the few elements of a thread.
template <class Numbers, class F>
__global__ void feature_plane_rows_kernel(FeatureShape shape, Numbers numbers, F f) {
  const int n = int(blockIdx.z), channel = int(blockIdx.y), step = int(gridDim.x * blockDim.y);
  const int64_t first_row = (int64_t(n) * shape.c + channel) * shape.h;
  const detail::LocalNumbers<1, Numbers> number(numbers, channel);
  for (int y = int(blockIdx.x * blockDim.y + threadIdx.y); y < shape.h; y += step)
    for (int x = int(threadIdx.x); x < shape.w; x += int(blockDim.x))
      [&]<int... k>(std::integer_sequence<int, k...>) {
        const int64_t row = first_row + y;
        f(FeatureAt{{row * shape.w + x, n, y * shape.w + x, 0, channel}, row, x}, number.value[k][0]...);
      }
  (detail::EachOf<Numbers>());
}

/// Any layout, one element at a time. In nchw neighbouring threads take neighbouring pixels of a row and then the next
/// rows; in other layouts neighbouring lanes and then the next pixels, one row per block.
template <class Numbers, class F>
__global__ void feature_rows_kernel(FeatureShape shape, Numbers numbers, F f) {
  const bool planes = shape.block == 1;
  const int first_lane = planes ? 0 : int(threadIdx.x), lane_step = planes ? 1 : int(blockDim.x);
  const int first_x = int(planes ? threadIdx.x : threadIdx.y), x_step = int(planes ? blockDim.x : blockDim.y);
  const int first_y = planes ? int(blockIdx.x * blockDim.y + threadIdx.y) : int(blockIdx.x);
  const int y_step = planes ? int(gridDim.x * blockDim.y) : int(gridDim.x), groups = shape.groups();
  for (int n = int(blockIdx.z); n < shape.n; n += int(gridDim.z))
    for (int group = int(blockIdx.y); group < groups; group += int(gridDim.y))
      for (int lane = first_lane; lane < shape.block; lane += lane_step) {
        const int channel = group * shape.block + lane;
        const detail::LocalNumbers<1, Numbers> number(numbers, channel);
        for (int y = first_y; y < shape.h; y += y_step) {
          const int64_t row = (int64_t(n) * groups + group) * shape.h + y;
          for (int x = first_x; x < shape.w; x += x_step) {
            const int64_t offset = (row * shape.w + x) * shape.block + lane;
            [&]<int... k>(std::integer_sequence<int, k...>) {
              f(FeatureAt{{offset, n, y * shape.w + x, lane, channel}, row, x}, number.value[k][0]...);
            }
            (detail::EachOf<Numbers>());
          }
        }
      }
}

/// nchw whose planes are whole packs: one pack of neighbouring pixels at a time.
template <class Numbers, class F>
__global__ void feature_planes_kernel(FeatureShape shape, Numbers numbers, F f) {
  const int pixels = int(shape.pixels()), step = int(gridDim.x * blockDim.x) * pack_size;
  const int first = int(blockIdx.x * blockDim.x + threadIdx.x) * pack_size;
  for (int n = int(blockIdx.z); n < shape.n; n += int(gridDim.z))
    for (int c = int(blockIdx.y); c < shape.c; c += int(gridDim.y)) {
      const detail::LocalNumbers<1, Numbers> number(numbers, c);
      const int64_t plane = (int64_t(n) * shape.c + c) * pixels;
      for (int pixel = first; pixel < pixels; pixel += step)
        f.vectors(PixelAt{plane + pixel, n, pixel, 0, c}, number);
    }
}

/// Other layouts whose blocks are whole packs: one pack of a pixel's lanes at a time.
template <class Numbers, class F>
__global__ void feature_lanes_kernel(FeatureShape shape, Numbers numbers, F f) {
  const int pixels = int(shape.pixels()), step = int(gridDim.x * blockDim.y), groups = shape.groups();
  for (int n = int(blockIdx.z); n < shape.n; n += int(gridDim.z))
    for (int group = int(blockIdx.y); group < groups; group += int(gridDim.y))
      for (int lane = int(threadIdx.x) * pack_size; lane < shape.block; lane += int(blockDim.x) * pack_size) {
        const int channel = group * shape.block + lane;
        const detail::LocalNumbers<pack_size, Numbers> number(numbers, channel);
        const int64_t first = (int64_t(n) * groups + group) * pixels;
        for (int pixel = int(blockIdx.x * blockDim.y + threadIdx.y); pixel < pixels; pixel += step)
          f.vectors(PixelAt{(first + pixel) * shape.block + lane, n, pixel, lane, channel}, number);
      }
}

/// Plain arrays in packs, and the remaining elements one by one.
template <class F>
__global__ void flat_packs_kernel(int64_t n, F f) {
  const int64_t packs = n / pack_size, step = int64_t(gridDim.x) * blockDim.x;
  const int64_t first = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const detail::LocalNumbers<1, ChannelTable<float, 0>> none({}, 0);
  for (int64_t i = first; i < packs; i += step)
    f.vectors(PixelAt{i * pack_size, 0, 0, 0, 0}, none);
  const int64_t rest = packs * pack_size + first;
  if (rest < n) f(PixelAt{rest, 0, 0, 0, 0});
}

/// Calls f(FeatureAt, the numbers of its channel...) once for each element, or f.vectors() once for each pack if f has
/// it and the maps are aligned for it.
template <class Numbers, class F>
void for_each_feature(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const F& f) {
  const int64_t pixels = shape.pixels(), all = shape.rows() * shape.row_size();
  if (all == 0) return;
  BASIN_CHECK(pixels <= 1 << 30, "maps of ", shape.h, 'x', shape.w, " pixels");
  const unsigned groups = grid_size(shape.groups()), samples = grid_size(shape.n);
  const bool planes = shape.block == 1;
  if constexpr (has_vectors<F>) {
    const int turns = turns_for(all / pack_size);
    if (planes && pixels % pack_size == 0 && f.is_aligned()) {
      const int64_t packs = pixels / pack_size;
      const int threads = std::max(32, power_of_two(packs, feature_threads));
      const dim3 grid(grid_size((packs + int64_t(threads) * turns - 1) / (int64_t(threads) * turns)), groups, samples);
      return launch(exec, grid, unsigned(threads), feature_planes_kernel<Numbers, F>, shape, numbers, f);
    }
    if (!planes && shape.block % pack_size == 0 && f.is_aligned()) {
      const int across = power_of_two(shape.block / pack_size, 64), down = feature_threads / across;
      const dim3 grid(grid_size((pixels + int64_t(down) * turns - 1) / (int64_t(down) * turns)), groups, samples);
      return launch(exec, grid, dim3(unsigned(across), unsigned(down)), feature_lanes_kernel<Numbers, F>, shape,
                    numbers, f);
    }
  }
  const int across = power_of_two(planes ? shape.w : shape.block, feature_threads), down = feature_threads / across;
  const int rows = planes ? down * turns_for(all) : 1;  // rows per block
  const dim3 grid(grid_size((shape.h + rows - 1) / rows), groups, samples);
  const dim3 block{unsigned(across), unsigned(down)};
  if (planes && grid.y == unsigned(shape.c) && grid.z == unsigned(shape.n))
    return launch(exec, grid, block, feature_plane_rows_kernel<Numbers, F>, shape, numbers, f);
  launch(exec, grid, block, feature_rows_kernel<Numbers, F>, shape, numbers, f);
}

/// Calls f(PixelAt) for the elements 0 to n - 1 in packs; only the offset of each is meaningful. f.is_aligned() must
/// hold.
template <class F>
void for_each_pack(const Exec& exec, int64_t n, const F& f) {
  if (n == 0) return;
  const int64_t packs = (n + pack_size - 1) / pack_size, turns = turns_for(packs);
  launch(exec, grid_size((packs + feature_threads * turns - 1) / (feature_threads * turns)), feature_threads,
         flat_packs_kernel<F>, n, f);
}

}  // namespace basin::tuned
#endif

#pragma once
#include <cmath>

#include "kernels/field/distance_field_cpu.h"
#include "kernels/runtime/launch.h"

// The GPU implementation of distance_field.cu: a block of threads per tile, and within a tile object by object. The
// pixels of the object are bits of one word per row, in which the nearest set bit is found without a search.

#ifdef __CUDACC__
namespace basin::tuned {

constexpr int sdf_threads = 256, sdf_warps = sdf_threads / 32;
constexpr int sdf_tile = 32, sdf_halo = 16, sdf_side = sdf_tile + 2 * sdf_halo;  // a row fits into 64 bits
// The largest radius whose distances stay within the halo, and its window around a tile.
constexpr int sdf_max_radius = 7, sdf_max_window = sdf_tile + 2 * sdf_max_radius;

/// Columns from c to the nearest set bit of a row; 32 if none is within 31.
__device__ inline int columns_to_set(uint64_t row, int c) {
  const uint32_t right = uint32_t(row >> c), left = uint32_t(row << (63 - c) >> 32);
  return __clz(int(__brev(right) | left));
}

/// Squared distance from row v, column c, which belongs to the object if `on`, to the nearest pixel of the other kind;
/// `limit` if none is nearer. of_object: one word per row.
template <class Rows>
__device__ int sdf_squared(Rows& of_object, int v, int c, bool on, int limit) {
  const uint64_t flip = on ? ~uint64_t(0) : 0;
  const int beside = columns_to_set(of_object[v] ^ flip, c);
  int best = beside * beside < limit ? beside * beside : limit;
  int above = v - 1, below = v + 1;
  for (int dy = 1, along = 1; along < best; along += 2 * dy + 1, ++dy, --above, ++below) {
    const int dx = columns_to_set((of_object[above] ^ flip) | (of_object[below] ^ flip), c);
    const int squared = dx * dx + along;
    best = squared < best ? squared : best;
  }
  return best;
}

/// The field of one tile. known_radius: radius of the Gaussian at compile time; 0: any.
template <int known_radius>
__global__ void __launch_bounds__(sdf_threads)
    sdf_field_kernel(View<const int32_t, 2> labels, kernels::HalfGaussian gaussian, int truncate, int tiles_across,
                     View<float, 3> field) {
  BASIN_SHARED(int32_t, label, sdf_side * sdf_side);
  BASIN_SHARED(uint64_t, of_object, sdf_side);
  BASIN_SHARED(float, distance, sdf_max_window* sdf_max_window);
  BASIN_SHARED(float, smooth, sdf_tile* sdf_max_window);
  BASIN_SHARED(float, difference, sdf_tile* sdf_max_window);
  // i / n is i * inverse[n] >> 20 for i below n * sdf_max_window.
  BASIN_SHARED(uint32_t, inverse, sdf_max_window + 1);
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int tile_y = int(blockIdx.x) / tiles_across, tile_x = int(blockIdx.x) - tile_y * tiles_across;
  const int y0 = tile_y * sdf_tile, x0 = tile_x * sdf_tile;
  const int radius = known_radius > 0 ? known_radius : gaussian.radius;

  const auto set_row = [&](int row, bool left_half, bool right_half) {
    const uint32_t left = __ballot_sync(~0u, left_half), right = __ballot_sync(~0u, right_half);
    if (lane == 0) of_object[row] = uint64_t(right) << 32 | left;
  };
  if (thread > 0 && thread <= sdf_max_window) inverse[thread] = (1u << 20) / unsigned(thread) + 1;
  // First the bits of all objects together.
  for (int k = 0; k < sdf_side / sdf_warps; ++k) {
    const int row = warp + k * sdf_warps;
    int32_t id[2];
    for (int half = 0; half < 2; ++half) {
      const int column = lane + 32 * half;
      const unsigned y = unsigned(y0) + unsigned(row - sdf_halo), x = unsigned(x0) + unsigned(column - sdf_halo);
      id[half] = y < unsigned(labels.dim[0]) && x < unsigned(labels.dim[1]) ? labels(y, x) : 0;
      label[row * sdf_side + column] = id[half];
    }
    set_row(row, id[0] != 0, id[1] != 0);
  }
  __syncthreads();
  uint32_t rest = uint32_t(of_object[sdf_halo + lane] >> sdf_halo);  // of row `lane`: pixels still without a field
  for (int k = 0; k < sdf_tile / sdf_warps; ++k) {
    const int row = warp + k * sdf_warps, y = y0 + row, x = x0 + lane;
    if (y < labels.dim[0] && x < labels.dim[1] && label[(sdf_halo + row) * sdf_side + sdf_halo + lane] == 0)
      field(0, y, x) = field(1, y, x) = 0;
  }
  __syncthreads();

  // Every warp finds the same next object.
  while (const uint32_t rows_left = __ballot_sync(~0u, rest != 0)) {
    const int top = __ffs(int(rows_left)) - 1;
    const int32_t id = label[(sdf_halo + top) * sdf_side + sdf_halo + __ffs(int(__shfl_sync(~0u, rest, top))) - 1];
    for (int k = 0; k < sdf_side / sdf_warps; ++k) {
      const int row = warp + k * sdf_warps;
      set_row(row, label[row * sdf_side + lane] == id, label[row * sdf_side + lane + 32] == id);
    }
    __syncthreads();

    const uint32_t own = uint32_t(of_object[sdf_halo + lane] >> sdf_halo);
    rest &= ~own;
    uint32_t columns = own;
    for (int with = 16; with > 0; with /= 2)
      columns |= __shfl_xor_sync(~0u, columns, with);
    const int height = 32 - __clz(int(__ballot_sync(~0u, own != 0))) - top;
    const int left = __ffs(int(columns)) - 1, width = 32 - __clz(int(columns)) - left;

    const int window = width + 2 * radius, window_rows = height + 2 * radius;
    const uint32_t by_window = inverse[window], by_width = inverse[width];
    for (int i = thread; i < window * window_rows; i += sdf_threads) {
      const int y = int(i * by_window >> 20), x = i - y * window;
      const int v = sdf_halo - radius + top + y, c = sdf_halo - radius + left + x;
      const bool on = of_object[v] >> c & 1;
      const float d =
          sqrtf(float(sdf_squared(of_object, v, c, on, on ? truncate * truncate : 2 * radius * radius + 1)));
      distance[i] = on ? d : -d;
    }
    __syncthreads();

    for (int i = thread; i < width * window_rows; i += sdf_threads) {
      const int at = i + int(i * by_width >> 20) * (2 * radius) + radius;
      float s = gaussian.weight[0] * distance[at], d = 0;
      for (int j = 1; j <= radius; ++j) {
        const float before = distance[at - j], after = distance[at + j];
        s += gaussian.weight[j] * (after + before);
        d += gaussian.weight[j] * (after - before);
      }
      smooth[i] = s;
      difference[i] = d;
    }
    __syncthreads();

    for (int i = thread; i < width * height; i += sdf_threads) {
      const int row = int(i * by_width >> 20), y = top + row, x = left + i - row * width;
      if (label[(sdf_halo + y) * sdf_side + sdf_halo + x] != id) continue;
      const int at = i + radius * width;
      float f_x = gaussian.weight[0] * difference[at], f_y = 0;
      for (int j = 1; j <= radius; ++j) {
        const int above = at - j * width, below = at + j * width;
        f_x += gaussian.weight[j] * (difference[below] + difference[above]);
        f_y += gaussian.weight[j] * (smooth[below] - smooth[above]);
      }
      field(0, y0 + y, x0 + x) = f_x;
      field(1, y0 + y, x0 + x) = f_y;
    }
  }
}

/// sdf_field with the same bits as the plain kernel. Returns false and does nothing if window and distances reach
/// beyond the halo.
inline bool sdf_field(const Exec& exec, View<const int32_t, 2> labels, const kernels::SdfFieldOptions& options,
                      const kernels::HalfGaussian& gaussian, View<float, 3> field) {
  const int radius = gaussian.radius, outside = int(std::sqrt(2.0 * radius * radius));
  if (radius + outside > sdf_halo || radius + options.truncate - 1 > sdf_halo) return false;
  const int64_t across = (int64_t(labels.dim[1]) + sdf_tile - 1) / sdf_tile,
                down = (int64_t(labels.dim[0]) + sdf_tile - 1) / sdf_tile;
  if (across * down > INT32_MAX) return false;
  const auto run = [&](auto kernel) {
    launch(exec, unsigned(across * down), sdf_threads, kernel, labels, gaussian, options.truncate, int(across), field);
  };
  if (radius == 5)
    run(sdf_field_kernel<5>);
  else
    run(sdf_field_kernel<0>);
  return true;
}

}  // namespace basin::tuned
#endif

#pragma once
#include <cmath>

#include "kernels/field/distance_field.h"
#include "kernels/field/object_tiles.h"

// The CPU implementation of distance_field.cu: tile by tile, and within a tile object by object.
namespace basin::kernels {

/// w_0..w_radius of a symmetric Gaussian that sums to 1; sigma is half the radius.
struct HalfGaussian {
  static constexpr int max_radius = 31;
  int radius;
  float weight[max_radius + 1] = {};

  explicit HalfGaussian(int r) : radius(r) {
    const auto g = [r](int j) { return std::exp(-2.0 * j * j / (double(r) * r)); };
    double sum = 1;
    for (int j = 1; j <= r; ++j)
      sum += 2 * g(j);
    for (int j = 0; j <= r; ++j)
      weight[j] = float(g(j) / sum);
  }
};

/// Writes the field of one tile. An object's rectangle is extended by `radius` on each side for the window, and by
/// `reach` more for the distances in it.
class SdfTile {
  static constexpr int max_radius = 15, max_truncate = 64;
  static constexpr int around = max_radius + max_truncate;
  static constexpr int rows = tile_size + 2 * max_radius;
  static constexpr int max_reach = max_truncate - 1, longest = 2 * max_reach + 1 + rows;  // of a run down a column
  static_assert(longest * longest + max_reach * max_reach < 1 << 16, "squares fit");
  static constexpr int room = (rows + 1) * whole(tile_size + 2 * around);

 public:
  struct alignas(64) Workspace {
    TileSpace<around> tile;
    int16_t apart[room];
    uint16_t inside[room], outside[room];
    float distance[(rows + 1) * whole(rows)];
    float smooth[rows * tile_size], difference[rows * tile_size];
  };

  static bool applies(const SdfFieldOptions& options) {
    return options.kernel / 2 <= max_radius && options.truncate <= max_truncate;
  }

  SdfTile(View<const int32_t, 2> labels, const SdfFieldOptions& options, const HalfGaussian& gaussian,
          View<float, 3> field, Workspace* workspaces)
      : labels_(labels),
        field_(field),
        workspaces_(workspaces),
        gaussian_(gaussian),
        radius_(gaussian.radius),
        truncate_(options.truncate),
        out_reach_(int(std::sqrt(2.0 * gaussian.radius * gaussian.radius))),
        reach_(options.truncate - 1 > out_reach_ ? options.truncate - 1 : out_reach_) {}

  void operator()(int64_t i) const {
    Workspace& work = workspaces_[omp_get_thread_num()];
    work.tile.fill(labels_, Tile::at(labels_, i), radius_ + reach_, field_,
                   [&](const TileLabels& labels, const TileObject& object) { write_object(work, labels, object); });
  }

 private:
  void write_object(Workspace& work, const TileLabels& labels, const TileObject& object) const {
    const int width = object.right - object.left + 1, height = object.bottom - object.top + 1;
    columns(work, labels, object, width + 2 * (radius_ + reach_), height + 2 * radius_);
    distances(work, width + 2 * radius_, height + 2 * radius_);
    along_rows(work, width, height + 2 * radius_);
    along_columns(work, object, width, height);
  }

  /// Squared distance along the column from pixels of the object to the nearest other pixel (`inside`), and from other
  /// pixels to the nearest pixel of the object (`outside`); 0 for the other pixels of each. Distances beyond the reach
  /// do not matter.
  void columns(Workspace& work, const TileLabels& labels, const TileObject& object, int width, int height) const {
    const int16_t far = int16_t(reach_ + 1);
    const int32_t id = object.id;
    const int span = whole(width), left = object.left - radius_ - reach_, top = object.top - radius_;
    for (int begin = 0; begin < width; begin += lanes) {
      int16_t run[lanes];  // positive on the object, negative off it
      const auto start = [&](const int32_t* label) {
#pragma omp simd
        for (int l = 0; l < lanes; ++l)
          run[l] = label[l] == id ? far : int16_t(-far);
      };
      const auto advance = [&](const int32_t* label) {
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          const int16_t more = int16_t((run[l] > 0 ? run[l] : 0) + 1), less = int16_t((run[l] < 0 ? run[l] : 0) - 1);
          run[l] = label[l] == id ? more : less;
        }
      };
      start(labels.at(top - reach_, left + begin));
      for (int y = 1 - reach_; y < height; ++y) {
        advance(labels.at(top + y, left + begin));
        if (y < 0) continue;
        int16_t* apart = work.apart + y * span + begin;
#pragma omp simd
        for (int l = 0; l < lanes; ++l)
          apart[l] = run[l];
      }
      start(labels.at(top + height + reach_ - 1, left + begin));
      for (int y = height + reach_ - 2; y >= 0; --y) {
        advance(labels.at(top + y, left + begin));
        if (y >= height) continue;
        const int16_t* apart = work.apart + y * span + begin;
        uint16_t *inside = work.inside + y * span + begin, *outside = work.outside + y * span + begin;
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          const bool on = run[l] > 0;
          const int16_t least = run[l] < apart[l] ? run[l] : apart[l], most = run[l] < apart[l] ? apart[l] : run[l];
          const int16_t nearer = on ? least : most;
          const uint16_t squared = uint16_t(nearer * nearer);
          inside[l] = on ? squared : uint16_t(0);
          outside[l] = on ? uint16_t(0) : squared;
        }
      }
    }
  }

  /// Exact signed distances: the minimum of squares over the window along the row.
  void distances(Workspace& work, int width, int height) const {
    const uint16_t limit = uint16_t(truncate_ * truncate_);
    const int span = whole(width + 2 * reach_), window_span = whole(width);
    for (int y = 0; y < height; ++y)
      for (int begin = 0; begin < width; begin += lanes) {
        const uint16_t *inside = work.inside + y * span + reach_ + begin,
                       *outside = work.outside + y * span + reach_ + begin;
        uint16_t any_inside = 0, any_outside = 0;
#pragma omp simd reduction(| : any_inside, any_outside)
        for (int l = 0; l < lanes; ++l) {
          any_inside |= inside[l];
          any_outside |= outside[l];
        }
        uint16_t other[lanes] = {}, own[lanes] = {}, squared[lanes];
        if (any_inside) nearest(inside, truncate_ - 1, other);
        if (any_outside) nearest(outside, out_reach_, own);
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          const uint16_t cut = other[l] < limit ? other[l] : limit;
          squared[l] = inside[l] > 0 ? cut : own[l];
        }
        float* distance = work.distance + y * window_span + begin;
#pragma omp simd
        for (int l = 0; l < lanes; ++l)
          distance[l] = sqrtf(float(squared[l]));
#pragma omp simd
        for (int l = 0; l < lanes; ++l)
          distance[l] = inside[l] > 0 ? distance[l] : -distance[l];
      }
  }

  static void nearest(const uint16_t* squared, int reach, uint16_t* result) {
    uint16_t best[lanes];
#pragma omp simd
    for (int l = 0; l < lanes; ++l)
      best[l] = squared[l];
    for (int d = 1; d <= reach; ++d) {
      const uint16_t dd = uint16_t(d * d);
#pragma omp simd
      for (int l = 0; l < lanes; ++l) {
        const uint16_t before = squared[l - d], after = squared[l + d];
        const uint16_t side = uint16_t((before < after ? before : after) + dd);
        best[l] = side < best[l] ? side : best[l];
      }
    }
#pragma omp simd
    for (int l = 0; l < lanes; ++l)
      result[l] = best[l];
  }

  void along_rows(Workspace& work, int width, int height) const {
    const int window_span = whole(width + 2 * radius_);
    for (int y = 0; y < height; ++y)
      for (int begin = 0; begin < width; begin += lanes) {
        const float* d = work.distance + y * window_span + radius_ + begin;
        float smooth[lanes], difference[lanes];
        const float w_0 = gaussian_.weight[0];
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          smooth[l] = w_0 * d[l];
          difference[l] = 0;
        }
        for (int j = 1; j <= radius_; ++j) {
          const float w = gaussian_.weight[j];
#pragma omp simd
          for (int l = 0; l < lanes; ++l) {
            const float before = d[l - j], after = d[l + j];
            smooth[l] += w * (after + before);
            difference[l] += w * (after - before);
          }
        }
        float *to_smooth = work.smooth + y * tile_size + begin,
              *to_difference = work.difference + y * tile_size + begin;
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          to_smooth[l] = smooth[l];
          to_difference[l] = difference[l];
        }
      }
  }

  void along_columns(Workspace& work, const TileObject& object, int width, int height) const {
    const int span = whole(width + 2 * (radius_ + reach_));
    for (int y = 0; y < height; ++y)
      for (int begin = 0; begin < width; begin += lanes) {
        const float* smooth = work.smooth + (y + radius_) * tile_size + begin;
        const float* difference = work.difference + (y + radius_) * tile_size + begin;
        float f_x[lanes], f_y[lanes];
        const float w_0 = gaussian_.weight[0];
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          f_x[l] = w_0 * difference[l];
          f_y[l] = 0;
        }
        for (int i = 1; i <= radius_; ++i) {
          const float w = gaussian_.weight[i];
          const int step = i * tile_size;
#pragma omp simd
          for (int l = 0; l < lanes; ++l) {
            f_x[l] += w * (difference[l + step] + difference[l - step]);
            f_y[l] += w * (smooth[l + step] - smooth[l - step]);
          }
        }
        const uint16_t* inside = work.inside + (y + radius_) * span + radius_ + reach_ + begin;
        const int at = (object.top + y) * field_span + object.left + begin;
        float *to_x = work.tile.field[0] + at, *to_y = work.tile.field[1] + at;
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          const bool on = inside[l] > 0 && begin + l < width;
          to_x[l] = on ? f_x[l] : to_x[l];
          to_y[l] = on ? f_y[l] : to_y[l];
        }
      }
  }

  View<const int32_t, 2> labels_;
  View<float, 3> field_;
  Workspace* workspaces_;
  HalfGaussian gaussian_;
  int radius_, truncate_, out_reach_, reach_;
};

}  // namespace basin::kernels

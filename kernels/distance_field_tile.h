#pragma once
#include <omp.h>

#include <cmath>
#include <cstring>

#include "kernels/distance_field.h"

// The CPU's way through distance_field.cu: tile by tile, and in a tile object by object.
namespace basin::kernels {

/// w_0..w_radius of a symmetric gaussian that sums to 1; sigma is half the radius.
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

/// Writes the field of one tile of the image. What one object needs in a tile is a rectangle: that of its pixels there,
/// r more on each side for the window and `reach` more for the distances. Every rectangle holds a pixel and is of
/// bounded size, so the cost stays proportional to the number of pixels; for blobs it is that of a few passes over
/// their boxes. Loops run in whole vectors: what they compute beyond a rectangle is never used.
class SdfTile {
 public:
  static constexpr int size = 32;

 private:
  static constexpr int lanes = 32, most_radius = 15, most_truncate = 64;
  static constexpr int span = (size + 2 * (most_radius + most_truncate) + lanes - 1) / lanes * lanes;
  static constexpr int slots = 2 * size * size;

  struct Object {
    int32_t id;
    int left, top, right, bottom;  // in the tile, inclusive
  };

 public:
  struct alignas(64) Workspace {
    int32_t labels[span * span];
    int16_t apart[span * (span + lanes)];
    uint16_t inside[span + lanes], outside[span + lanes], nearest_other[span + lanes], nearest_own[span + lanes];
    float distance[span + lanes];
    float smooth[(size + 2 * most_radius) * size], difference[(size + 2 * most_radius) * size];
    Object objects[size * size];
    uint16_t slot[slots];
  };

  static bool applies(const SdfFieldOptions& options) {
    return options.kernel / 2 <= most_radius && options.truncate <= most_truncate;
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

  void operator()(int64_t tile) const {
    Workspace& work = workspaces_[omp_get_thread_num()];
    const int tiles_x = (labels_.dim[1] + size - 1) / size;
    const int x0 = int(tile % tiles_x) * size, y0 = int(tile / tiles_x) * size;
    const int width = labels_.dim[1] - x0 < size ? labels_.dim[1] - x0 : size;
    const int height = labels_.dim[0] - y0 < size ? labels_.dim[0] - y0 : size;
    for (int channel = 0; channel < 2; ++channel)
      for (int y = 0; y < height; ++y)
        std::memset(&field_(channel, y0 + y, x0), 0, sizeof(float) * size_t(width));
    const int objects = find_objects(work, x0, y0, width, height);
    if (objects == 0) return;
    gather(work, x0, y0, width, height);
    for (int i = 0; i < objects; ++i)
      write_object(work, work.objects[i], x0, y0);
  }

 private:
  /// The objects of the tile in order of their first pixel, with their boxes.
  int find_objects(Workspace& work, int x0, int y0, int width, int height) const {
    int count = 0;
    std::memset(work.slot, 0, sizeof work.slot);
    for (int y = 0; y < height; ++y) {
      const int32_t* row = &labels_(y0 + y, x0);
      for (int x = 0; x < width;) {
        const int32_t id = row[x];
        const int begin = x;
        while (x < width && row[x] == id)
          ++x;
        if (id == 0) continue;
        uint32_t at = uint32_t(id) * 2654435769u % slots;
        while (work.slot[at] && work.objects[work.slot[at] - 1].id != id)
          at = (at + 1) % slots;
        if (!work.slot[at]) {
          work.objects[count] = {id, begin, y, x - 1, y};
          work.slot[at] = uint16_t(++count);
        }
        Object& object = work.objects[work.slot[at] - 1];
        object.left = begin < object.left ? begin : object.left;
        object.right = x - 1 > object.right ? x - 1 : object.right;
        object.bottom = y;
      }
    }
    return count;
  }

  /// Copies the labels of the tile and its margin; beyond the image they are 0.
  void gather(Workspace& work, int x0, int y0, int width, int height) const {
    const int margin = radius_ + reach_, left = x0 - margin, right = x0 + width + margin;
    const int begin = left > 0 ? left : 0, end = right < labels_.dim[1] ? right : labels_.dim[1];
    for (int y = 0; y < height + 2 * margin; ++y) {
      int32_t* to = work.labels + y * span;
      const int from = y0 - margin + y;
      std::memset(to, 0, sizeof(int32_t) * span);
      if (from >= 0 && from < labels_.dim[0])
        std::memcpy(to + (begin - left), &labels_(from, begin), sizeof(int32_t) * size_t(end - begin));
    }
  }

  template <class F>
  static void in_lanes(int n, const F& f) {
    for (int begin = 0; begin < n; begin += lanes) {
#pragma omp simd
      for (int i = 0; i < lanes; ++i)
        f(begin + i);
    }
  }

  /// Per pixel of the rectangle the distance along its column to the nearest pixel of the other kind, positive on the
  /// object, negative off it. What lies above and below the rectangle is too far away to matter.
  void columns(Workspace& work, const Object& object, int width, int height) const {
    const int16_t far = int16_t(reach_ + 1);
    const int32_t id = object.id;
    for (int y = 0; y < height; ++y) {
      const int32_t* label = work.labels + (object.top + y) * span + object.left;
      int16_t* apart = work.apart + y * span;
      const int16_t* above = apart - span;
      if (y == 0)
        in_lanes(width, [=](int x) { apart[x] = label[x] == id ? far : int16_t(-far); });
      else
        in_lanes(width, [=](int x) {
          const int16_t a = above[x], more = int16_t((a > 0 ? a : 0) + 1), less = int16_t((a < 0 ? a : 0) - 1);
          apart[x] = label[x] == id ? more : less;
        });
    }
    int16_t* below = work.apart + height * span;
    in_lanes(width, [=](int x) { below[x] = below[x - span] > 0 ? far : int16_t(-far); });
    for (int y = height - 1; y >= reach_; --y) {
      int16_t* apart = work.apart + y * span;
      int16_t* up = below;
      in_lanes(width, [=](int x) {
        const int16_t a = apart[x], b = up[x];
        const int16_t more = int16_t((b > 0 ? b : 0) + 1), less = int16_t((b < 0 ? b : 0) - 1);
        const int16_t from_below = a > 0 ? more : less;
        up[x] = from_below;
        apart[x] = a > 0 ? (a < more ? a : more) : (a > less ? a : less);
      });
    }
  }

  /// Exact signed distances of one row from the columns' ones: squares along the row, minimum over the window.
  void distances(Workspace& work, const int16_t* apart, int width) const {
    const int all = width + 2 * reach_, reach = reach_, limit = truncate_ * truncate_, far = reach_ + 1;
    uint16_t *inside = work.inside, *outside = work.outside;
    uint16_t *nearest_other = work.nearest_other, *nearest_own = work.nearest_own;
    float* distance = work.distance;
    in_lanes(all, [=](int x) {
      const int16_t a = apart[x], magnitude = int16_t(a > 0 ? a : -a);
      const int16_t g = magnitude < far ? magnitude : int16_t(far);
      const uint16_t squared = uint16_t(g * g);
      inside[x] = a > 0 ? squared : uint16_t(0);
      outside[x] = a > 0 ? uint16_t(0) : squared;
    });
    window(inside + reach, nearest_other, width, truncate_ - 1);
    window(outside + reach, nearest_own, width, out_reach_);
    in_lanes(width, [=](int x) {
      const int other = nearest_other[x], own = nearest_own[x];
      const bool on = apart[x + reach] > 0;
      const float root = sqrtf(float(on ? (other < limit ? other : limit) : own));
      distance[x] = on ? root : -root;
    });
  }

  static void window(const uint16_t* squared, uint16_t* nearest, int width, int reach) {
    in_lanes(width, [=](int x) { nearest[x] = squared[x]; });
    for (int d = 1; d <= reach; ++d) {
      const uint16_t dd = uint16_t(d * d);
      in_lanes(width, [=](int x) {
        const uint16_t before = squared[x - d], after = squared[x + d];
        const uint16_t side = uint16_t((before < after ? before : after) + dd);
        nearest[x] = side < nearest[x] ? side : nearest[x];
      });
    }
  }

  void write_object(Workspace& work, const Object& object, int x0, int y0) const {
    const int width = object.right - object.left + 1, height = object.bottom - object.top + 1;
    const int radius = radius_, margin = radius_ + reach_;
    columns(work, object, width + 2 * margin, height + 2 * margin);
    for (int y = 0; y < height + 2 * radius; ++y) {
      distances(work, work.apart + (y + reach_) * span, width + 2 * radius);
      const float* d = work.distance + radius;
      float *smooth = work.smooth + y * size, *difference = work.difference + y * size;
      const float w_0 = gaussian_.weight[0];
      in_lanes(width, [=](int x) {
        smooth[x] = w_0 * d[x];
        difference[x] = 0;
      });
      for (int j = 1; j <= radius; ++j) {
        const float w = gaussian_.weight[j];
        in_lanes(width, [=](int x) {
          const float before = d[x - j], after = d[x + j];
          smooth[x] += w * (after + before);
          difference[x] += w * (after - before);
        });
      }
    }
    for (int y = 0; y < height; ++y) {
      const float *smooth = work.smooth + (y + radius) * size, *difference = work.difference + (y + radius) * size;
      float f_x[size], f_y[size];
      for (int x = 0; x < size; ++x) {
        f_x[x] = gaussian_.weight[0] * difference[x];
        f_y[x] = 0;
      }
      for (int i = 1; i <= radius; ++i) {
        const float w = gaussian_.weight[i];
        const int step = i * size;
        for (int x = 0; x < size; ++x) {
          f_x[x] += w * (difference[x + step] + difference[x - step]);
          f_y[x] += w * (smooth[x + step] - smooth[x - step]);
        }
      }
      const int16_t* apart = work.apart + (y + margin) * span + margin;
      float *to_x = &field_(0, y0 + object.top + y, x0 + object.left),
            *to_y = &field_(1, y0 + object.top + y, x0 + object.left);
      for (int x = 0; x < width; ++x)
        if (apart[x] > 0) {
          to_x[x] = f_x[x];
          to_y[x] = f_y[x];
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

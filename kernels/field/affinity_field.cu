#include "kernels/field/affinity_field.h"

#include <omp.h>

#include "kernels/field/object_tiles.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

constexpr int max_radius = 31;

BASIN_HD float mean_of(int sum, int kernel) { return float(sum) / float(2 * kernel); }

struct AffinityField {
  View<const int32_t, 2> labels;
  int kernel;
  View<float, 3> field;

  BASIN_HD void operator()(int64_t row, int64_t column) const {
    const int y = int(row), x = int(column), radius = kernel / 2;
    const int32_t id = labels(y, x);
    const int top = y > radius ? y - radius : 0, bottom = y + radius < labels.dim[0] ? y + radius : labels.dim[0] - 1;
    const int left = x > radius ? x - radius : 0, right = x + radius < labels.dim[1] ? x + radius : labels.dim[1] - 1;
    int f_x = 0, f_y = 0;
    for (int v = top; v <= bottom && id != 0; ++v)
      for (int u = left; u <= right; ++u)
        if (labels(v, u) == id) {
          f_x += (u > x) - (u < x);
          f_y += (v > y) - (v < y);
        }
    field(0, y, x) = mean_of(f_x, kernel);
    field(1, y, x) = mean_of(f_y, kernel);
  }
};

/// The CPU implementation: for each object in a tile, sums of its mask over the window, first down the columns, then
/// along the rows.
class AffinityTile {
  static constexpr int rows = tile_size, columns = whole(tile_size + 2 * max_radius) + lanes;

 public:
  struct alignas(64) Workspace {
    TileSpace<max_radius> tile;
    int16_t sum[rows * columns], difference[rows * columns];  // over the window's height; parts below minus above
  };

  AffinityTile(View<const int32_t, 2> labels, int kernel, View<float, 3> field, Workspace* workspaces)
      : labels_(labels), field_(field), workspaces_(workspaces), kernel_(kernel), radius_(kernel / 2) {}

  void operator()(int64_t i) const {
    Workspace& work = workspaces_[omp_get_thread_num()];
    work.tile.fill(labels_, Tile::at(labels_, i), radius_, field_,
                   [&](const TileLabels& labels, const TileObject& object) {
                     down_columns(work, labels, object);
                     along_rows(work, labels, object);
                   });
  }

 private:
  void down_columns(Workspace& work, const TileLabels& labels, const TileObject& object) const {
    const int left = object.left - radius_, width = object.right - object.left + 1 + 2 * radius_;
    const int32_t id = object.id;
    for (int begin = 0; begin < width; begin += lanes) {
      int16_t above[lanes] = {}, here[lanes] = {}, below[lanes] = {};
      const auto add = [id](int16_t* to, const int32_t* label, int16_t sign) {
#pragma omp simd
        for (int l = 0; l < lanes; ++l)
          to[l] = int16_t(to[l] + (label[l] == id ? sign : int16_t(0)));
      };
      for (int i = 1; i <= radius_; ++i) {
        add(above, labels.at(object.top - i, left + begin), 1);
        add(below, labels.at(object.top + i, left + begin), 1);
      }
      add(here, labels.at(object.top, left + begin), 1);
      for (int y = object.top;; ++y) {
        int16_t* sum = work.sum + (y - object.top) * columns + begin;
        int16_t* difference = work.difference + (y - object.top) * columns + begin;
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          sum[l] = int16_t(above[l] + here[l] + below[l]);
          difference[l] = int16_t(below[l] - above[l]);
        }
        if (y == object.bottom) break;
        add(above, labels.at(y - radius_, left + begin), -1);
        add(below, labels.at(y + 1 + radius_, left + begin), 1);
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          above[l] = int16_t(above[l] + here[l]);
          here[l] = 0;
        }
        add(here, labels.at(y + 1, left + begin), 1);
#pragma omp simd
        for (int l = 0; l < lanes; ++l)
          below[l] = int16_t(below[l] - here[l]);
      }
    }
  }

  void along_rows(Workspace& work, const TileLabels& labels, const TileObject& object) const {
    const int width = object.right - object.left + 1;
    for (int y = object.top; y <= object.bottom; ++y)
      for (int begin = 0; begin < width; begin += lanes) {
        const int16_t* sum = work.sum + (y - object.top) * columns + radius_ + begin;
        const int16_t* difference = work.difference + (y - object.top) * columns + radius_ + begin;
        int16_t f_x[lanes], f_y[lanes];
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          f_x[l] = 0;
          f_y[l] = difference[l];
        }
        for (int j = 1; j <= radius_; ++j) {
#pragma omp simd
          for (int l = 0; l < lanes; ++l) {
            f_x[l] = int16_t(f_x[l] + sum[l + j] - sum[l - j]);
            f_y[l] = int16_t(f_y[l] + difference[l + j] + difference[l - j]);
          }
        }
        const int32_t* label = labels.at(y, object.left + begin);
        const int at = y * field_span + object.left + begin;
        float *to_x = work.tile.field[0] + at, *to_y = work.tile.field[1] + at;
#pragma omp simd
        for (int l = 0; l < lanes; ++l) {
          const bool on = label[l] == object.id;
          to_x[l] = on ? mean_of(f_x[l], kernel_) : to_x[l];
          to_y[l] = on ? mean_of(f_y[l], kernel_) : to_y[l];
        }
      }
  }

  View<const int32_t, 2> labels_;
  View<float, 3> field_;
  Workspace* workspaces_;
  int kernel_, radius_;
};

}  // namespace

void affinity_field(const Exec& exec, View<const int32_t, 2> labels, int kernel, View<float, 3> field) {
  const int height = labels.dim[0], width = labels.dim[1];
  BASIN_CHECK(kernel >= 3 && kernel % 2 == 1 && kernel / 2 <= max_radius, "kernel = ", kernel);
  BASIN_CHECK(field.dim[0] == 2 && field.dim[1] == height && field.dim[2] == width, "labels ", labels, ", field ",
              field);
  if (exec.device == Device::cpu && exec.variant != Variant::plain)
    for_each_tile<AffinityTile>(exec, labels, kernel, field);
  else
    for_each_row(exec, height, width, AffinityField{labels, kernel, field});
}

}  // namespace basin::kernels

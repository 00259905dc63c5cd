#include "kernels/embedding/objects.h"

#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

/// Lowers or raises a number that other indices of the same group may lower or raise too.
BASIN_HD inline void lower(int32_t& to, int32_t value) {
#ifdef __CUDA_ARCH__
  atomicMin(&to, value);
#else
  if (value < to) to = value;
#endif
}
BASIN_HD inline void raise(int32_t& to, int32_t value) {
#ifdef __CUDA_ARCH__
  atomicMax(&to, value);
#else
  if (value > to) to = value;
#endif
}

struct Clear {
  ObjectTable table;
  int height, width;
  BASIN_HD void operator()(int64_t i) const {
    table.area.data[i] = table.layer.data[i] = 0;
    int32_t* box = table.box.data + 4 * i;
    box[0] = width, box[1] = height, box[2] = box[3] = -1;
    if (i % table.capacity() == 0) table.count.data[i / table.capacity()] = 0;
  }
};

struct Enter {
  View<const int32_t, 4> labels;
  ObjectTable table;
  BASIN_HD void operator()(int64_t i) const {
    const int32_t label = labels.data[i];
    if (label <= 0) return;
    const int64_t row = quotient(i, labels.dim[3]), plane = quotient(row, labels.dim[2]);
    const int x = int(i - row * labels.dim[3]), y = int(row - plane * labels.dim[2]);
    const int n = int(quotient(plane, labels.dim[1])), layer = int(plane - int64_t(n) * labels.dim[1]);
    raise(table.count(n), label);
    if (label > table.capacity()) return;
    if (layer > 0) raise(table.layer(n, label - 1), layer);
    add(table.area(n, label - 1), 1);
    int32_t* box = &table.box(n, label - 1, 0);
    lower(box[0], x);
    lower(box[1], y);
    raise(box[2], x);
    raise(box[3], y);
  }
};

struct RefuseMore {
  ObjectTable table;
  BASIN_HD void operator()(int64_t n) const {
    if (table.count(n) > table.capacity()) table.count(n) = -1;
  }
};

}  // namespace

void object_table(const Exec& exec, View<const int32_t, 4> labels, const ObjectTable& table) {
  const int crops = labels.dim[0];
  BASIN_CHECK(table.area.dim[0] == crops && table.box.dim[0] == crops && table.count.dim[0] == crops &&
                  table.area.dim[1] == table.box.dim[1] && table.area.dim[1] > 0 && table.box.dim[2] == 4 &&
                  table.layer.dim[0] == crops && table.layer.dim[1] == table.area.dim[1],
              "labels ", labels, ", areas ", table.area, ", boxes ", table.box, ", layers ", table.layer, ", counts ",
              table.count);
  for_each(exec, table.area.size(), Clear{table, labels.dim[2], labels.dim[3]});
  for_each_in_groups(exec, crops, int64_t(labels.dim[1]) * labels.dim[2] * labels.dim[3], Enter{labels, table});
  for_each(exec, crops, RefuseMore{table});
}

}  // namespace basin::kernels

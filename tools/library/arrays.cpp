#include "tools/library/arrays.h"

#include <algorithm>
#include <climits>
#include <cstring>

#include "tools/cli/arrays.h"
#include "tools/library/calls.h"

namespace basin::library {
namespace {

static_assert(int(ElementType::boolean) == BASIN_BOOL && int(ElementType::u32) == BASIN_UINT32 &&
              int(ElementType::f64) == BASIN_FLOAT64);

/// An axis to walk along: its length and the bytes from one element to the next.
struct Axis {
  int64_t size = 1, stride = 0;
};

/// Copies the elements of an array of three axes, the last one fastest.
template <class T>
void gather(const std::byte* from, const Axis (&axes)[3], std::byte* to) {
  const auto [outer, middle, inner] = axes;
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t i = 0; i < outer.size; ++i)
    for (int64_t j = 0; j < middle.size; ++j) {
      const std::byte* row = from + i * outer.stride + j * middle.stride;
      std::byte* out = to + (i * middle.size + j) * inner.size * int64_t(sizeof(T));
      if (inner.stride == int64_t(sizeof(T)))
        std::memcpy(out, row, size_t(inner.size) * sizeof(T));
      else
        for (int64_t k = 0; k < inner.size; ++k)
          std::memcpy(out + k * int64_t(sizeof(T)), row + k * inner.stride, sizeof(T));
    }
}

[[noreturn]] void refuse_array(const std::string& name, const std::string& what) {
  throw CallError(BASIN_ERROR_ARGUMENT, name + ": " + what);
}

std::string shape_text(const basin_array& a) {
  std::string text;
  for (int k = 0; k < a.rank; ++k)
    text += (k ? ", " : "") + std::to_string(a.shape[k]);
  return "[" + text + "]";
}

/// Throws unless the description is valid; returns the number of elements.
int64_t check(const basin_array* a, const std::string& name, std::initializer_list<int> ranks, bool may_be_empty) {
  need(a, name.c_str());
  if (a->type < BASIN_BOOL || a->type > BASIN_FLOAT64)
    refuse_array(name, "its element type " + std::to_string(a->type) + " is not a basin_type");
  if (std::find(ranks.begin(), ranks.end(), a->rank) == ranks.end())
    refuse_array(name, "has " + std::to_string(a->rank) + " axes; expected " + std::to_string(*ranks.begin()) +
                           (ranks.size() > 1 ? " or " + std::to_string(*(ranks.begin() + 1)) : ""));
  int64_t size = 1;
  for (int k = 0; k < a->rank; ++k) {
    if (a->shape[k] < (may_be_empty ? 0 : 1))
      refuse_array(name, "its shape " + shape_text(*a) + " leaves it without elements");
    if (a->shape[k] > INT_MAX || (a->shape[k] > 0 && size > (int64_t(1) << 48) / a->shape[k]))
      refuse_array(name, "its shape " + shape_text(*a) + " is too large");
    size *= a->shape[k];
  }
  if (size > 0) need(a->data, (name + ": its data").c_str());
  return size;
}

/// The elements in the given order of the axes, the last one fastest; axes beyond the rank have one element.
Array permuted(const basin_array& a, int64_t size, const int (&order)[3]) {
  Array array{ElementType(a.type), {}, {}};
  const int64_t element = int64_t(size_of(array.type));
  Axis axes[3];
  int64_t dense = element;
  const bool is_dense = std::all_of(a.strides, a.strides + a.rank, [](int64_t s) { return s == 0; });
  for (int k = a.rank - 1; k >= 0; --k) {
    axes[k] = {a.shape[k], is_dense ? dense : a.strides[k]};
    dense *= a.shape[k];
  }
  array.bytes.resize(size_t(size * element));
  const auto* from = static_cast<const std::byte*>(a.data);
  with_element(array.type, [&](auto zero) {
    gather<decltype(zero)>(from, {axes[order[0]], axes[order[1]], axes[order[2]]}, array.bytes.data());
  });
  if (array.type == ElementType::boolean)  // a C++ bool is 0 or 1
    for (std::byte& b : array.bytes)
      b = std::byte(b != std::byte(0));
  for (const int k : order)
    array.shape.push_back(axes[k].size);
  return array;
}

}  // namespace

Array array_of(const basin_array* a, const std::string& name, std::initializer_list<int> ranks, bool may_be_empty) {
  const int64_t size = check(a, name, ranks, may_be_empty);
  Array array = permuted(*a, size, {0, 1, 2});
  array.shape.resize(size_t(a->rank));
  return array;
}

Image image_of(const basin_array* a, const std::string& name) {
  const int64_t size = check(a, name, {2, 3}, false);
  if (a->shape[a->rank - 2] * a->shape[a->rank - 1] > INT32_MAX)
    refuse_array(name, "has 2^31 pixels or more, which is too large");
  Array pixels = a->rank == 2 ? permuted(*a, size, {0, 1, 2}) : permuted(*a, size, {1, 2, 0});
  return during(BASIN_ERROR_ARGUMENT, [&] { return basin::image_of(name, std::move(pixels)); });
}

Labels labels_of(const basin_array* a, const std::string& name) {
  const Array array = array_of(a, name, {2});
  if (array.is_real()) refuse_array(name, std::string("labels must be integers, not ") + name_of(array.type));
  if (array.size() > INT32_MAX || array.shape[0] > INT32_MAX / 2 || array.shape[1] > INT32_MAX / 2)
    refuse_array(name, "has 2^31 pixels or more, or a side of 2^30, which is too large");
  return during(BASIN_ERROR_ARGUMENT, [&] { return labels_from(array, name); });
}

}  // namespace basin::library

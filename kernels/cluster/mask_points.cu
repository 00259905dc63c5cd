#include "kernels/cluster/mask_points.h"

#include <cmath>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

struct Threshold {
  View<const float, 2> logit;
  double bound;
  View<uint8_t, 2> mask;

  BASIN_HD void operator()(int64_t row, int64_t x) const {
    mask(row, x) = double(logit(row, x)) > bound ? uint8_t(1) : uint8_t(0);
  }
};

struct RowCount {
  View<const uint8_t, 2> mask;
  int64_t* count;

  BASIN_HD void operator()(int64_t row) const {
    int64_t n = 0;
    for (int x = 0; x < mask.dim[1]; ++x)
      n += mask(row, x) != 0;
    count[row] = n;
  }
};

/// Replaces counts by their exclusive sums, and appends the total. Sequential, because there are few rows.
struct Scan {
  int64_t* count;
  int64_t rows;

  BASIN_HD void operator()(int64_t) const {
    int64_t sum = 0;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t n = count[row];
      count[row] = sum;
      sum += n;
    }
    count[rows] = sum;
  }
};

template <class T>
struct WritePoints {
  View<const uint8_t, 2> mask;
  const int64_t* first;
  View<T, 2> points;

  BASIN_HD void operator()(int64_t row) const {
    int64_t i = first[row];
    for (int x = 0; x < mask.dim[1]; ++x)
      if (mask(row, x)) {
        points.data[2 * i] = T(x);
        points.data[2 * i + 1] = T(row);
        ++i;
      }
  }
};

struct WriteLabels {
  View<const uint8_t, 2> mask;
  const int64_t* first;
  const int32_t* labels;
  View<int32_t, 2> image;

  BASIN_HD void operator()(int64_t row) const {
    int64_t i = first[row];
    for (int x = 0; x < mask.dim[1]; ++x)
      image(row, x) = mask(row, x) ? labels[i++] + 1 : 0;
  }
};

template <class T>
struct PixelPoint {
  int width;
  View<T, 2> points;

  BASIN_HD void operator()(int64_t y, int64_t x) const {
    const int64_t i = y * width + x;
    points.data[2 * i] = T(x);
    points.data[2 * i + 1] = T(y);
  }
};

struct OneMore {
  int32_t* labels;

  BASIN_HD void operator()(int64_t i) const { ++labels[i]; }
};

/// Writes the index of the first point of each row, and after them the number of points, which is also returned.
int64_t scan_rows(const Exec& exec, View<const uint8_t, 2> mask, int64_t* first) {
  for_each(exec, mask.dim[0], RowCount{mask, first}, 16);
  for_each(exec, 1, Scan{first, mask.dim[0]});
  return read_back(exec, first + mask.dim[0]);
}

}  // namespace

void threshold_logit(const Exec& exec, View<const float, 2> logit, double threshold, View<uint8_t, 2> mask) {
  BASIN_CHECK(logit.dim[0] == mask.dim[0] && logit.dim[1] == mask.dim[1], "logit ", logit, ", mask ", mask);
  BASIN_CHECK(threshold > 0 && threshold < 1, "threshold ", threshold);
  for_each_row(exec, logit.dim[0], logit.dim[1], Threshold{logit, std::log(threshold / (1 - threshold)), mask});
}

int64_t count_points(const Exec& exec, View<const uint8_t, 2> mask) {
  const Temp<int64_t> first(exec, int64_t(mask.dim[0]) + 1);
  return scan_rows(exec, mask, first.data());
}

template <class T>
void mask_points(const Exec& exec, View<const uint8_t, 2> mask, View<T, 2> points) {
  const Temp<int64_t> first(exec, int64_t(mask.dim[0]) + 1);
  const int64_t count = scan_rows(exec, mask, first.data());
  BASIN_CHECK(points.dim[1] == 2 && points.dim[0] == count, "points ", points, ", ", count, " pixels");
  for_each(exec, mask.dim[0], WritePoints<T>{mask, first.data(), points}, 16);
}

template <class T>
void pixel_points(const Exec& exec, int height, int width, View<T, 2> points) {
  BASIN_CHECK(points.dim[1] == 2 && points.dim[0] == int64_t(height) * width, "points ", points);
  for_each_row(exec, height, width, PixelPoint<T>{width, points});
}

void label_pixels(const Exec& exec, View<int32_t, 1> labels) { for_each(exec, labels.size(), OneMore{labels.data}); }

void label_points(const Exec& exec, View<const uint8_t, 2> mask, View<const int32_t, 1> labels,
                  View<int32_t, 2> image) {
  BASIN_CHECK(image.dim[0] == mask.dim[0] && image.dim[1] == mask.dim[1], "mask ", mask, ", image ", image);
  const Temp<int64_t> first(exec, int64_t(mask.dim[0]) + 1);
  const int64_t count = scan_rows(exec, mask, first.data());
  BASIN_CHECK(labels.dim[0] == count, "labels ", labels, ", ", count, " pixels");
  for_each(exec, mask.dim[0], WriteLabels{mask, first.data(), labels.data, image}, 16);
}

template void mask_points<float>(const Exec&, View<const uint8_t, 2>, View<float, 2>);
template void mask_points<double>(const Exec&, View<const uint8_t, 2>, View<double, 2>);
template void pixel_points<float>(const Exec&, int, int, View<float, 2>);
template void pixel_points<double>(const Exec&, int, int, View<double, 2>);

}  // namespace basin::kernels

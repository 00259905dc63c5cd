#include "kernels/embedding/smooth_embedding.h"

#include <cmath>

#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

struct Disc {
  int radius;
  int half_width[max_disc_radius + 1];  // by |dy|

  explicit Disc(int r) : radius(r) {
    for (int dy = 0; dy <= r; ++dy)
      half_width[dy] = int(std::sqrt(double(r * r - dy * dy)));
  }
};

/// Up to `most` neighbouring pixels of a row: i = y * spans + span.
template <int most>
struct SmoothSpan {
  View<const float, 3> embedding;
  Disc disc;
  int spans;  // of a row
  View<float, 3> unit;

  BASIN_HD void operator()(int64_t i) const {
    const int channels = embedding.dim[0], height = embedding.dim[1], width = embedding.dim[2];
    const int y = int(quotient(i, spans)), left = int(i - int64_t(y) * spans) * most;
    const int count = width - left < most ? width - left : most;
    float square[most] = {};
    for (int k = 0; k < channels; ++k) {
      float sum[most] = {};
      for (int dy = -disc.radius; dy <= disc.radius; ++dy) {
        const float* row = &embedding(k, mirrored(y + dy, height), 0);
        const int reach = disc.half_width[dy < 0 ? -dy : dy];
        for (int dx = -reach; dx <= reach; ++dx) {
          if (left + dx >= 0 && left + dx + count <= width) {
            const float* from = row + left + dx;
#pragma omp simd
            for (int x = 0; x < count; ++x)
              sum[x] += from[x];
          } else {
            for (int x = 0; x < count; ++x)
              sum[x] += row[mirrored(left + dx + x, width)];
          }
        }
      }
      for (int x = 0; x < count; ++x) {
        unit(y, left + x, k) = sum[x];
        square[x] += sum[x] * sum[x];
      }
    }
    for (int x = 0; x < count; ++x) {
      const float inverse = square[x] == 0 ? 0.f : 1 / sqrtf(square[x]);
      for (int k = 0; k < channels; ++k)
        unit(y, left + x, k) *= inverse;
    }
  }
};

template <int most>
void smooth_spans(const Exec& exec, View<const float, 3> embedding, int radius, View<float, 3> unit) {
  const int spans = (embedding.dim[2] + most - 1) / most;
  for_each(exec, int64_t(embedding.dim[1]) * spans, SmoothSpan<most>{embedding, Disc(radius), spans, unit}, 4);
}

}  // namespace

void smooth_embedding(const Exec& exec, View<const float, 3> embedding, int radius, View<float, 3> unit) {
  BASIN_CHECK(unit.dim[0] == embedding.dim[1] && unit.dim[1] == embedding.dim[2] && unit.dim[2] == embedding.dim[0],
              "embedding ", embedding, ", unit ", unit);
  if (radius < 0 || radius > max_disc_radius)
    refuse("radius = ", radius, ": expected 0 to ", max_disc_radius, " pixels");
  if (exec.device == Device::cpu)
    smooth_spans<64>(exec, embedding, radius, unit);
  else
    smooth_spans<1>(exec, embedding, radius, unit);
}

}  // namespace basin::kernels

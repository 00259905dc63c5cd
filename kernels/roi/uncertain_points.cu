#include <cmath>
#include <cstring>

#include "kernels/roi/rois.h"
#include "kernels/runtime/elementary.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/philox.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/segments.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

BASIN_HD inline int last_at_most(View<const int32_t, 1> before, int32_t i) {
  return Segments{before.data, before.dim[0] - 1}.of(i);
}

/// The position of draw i of a region, in columns and rows of its grid.
struct Draw {
  Rois rois;
  View<const int32_t, 1> drawn_before;
  uint64_t seed;
  uint32_t batch;

  BASIN_HD int operator()(int32_t i, double& x, double& y) const {
    const int roi = last_at_most(drawn_before, i);
    const uint64_t sample = uint64_t(roi) << 32 | uint64_t(i - drawn_before(roi));
    Random random(seed, Purpose::noise, batch, sample);
    x = double(random.uniform());
    y = double(random.uniform());
    return roi;
  }
};

template <class T>
struct RateDraw {
  Draw draw;
  const T* logit;
  uint64_t* keys;
  int32_t* order;

  BASIN_HD void operator()(int64_t i) const {
    double x, y;
    const int roi = draw(int32_t(i), x, y);
    const int32_t* place = &draw.rois.place(roi, 0);
    float doubt = 0;  // |2 p - 1|: the smallest is the most uncertain
    Corners<float>(x * (place[2] - 1), y * (place[1] - 1)).each(place[1], place[2], [&](int v, int u, float weight) {
      const T p = Sigmoid<T>(logit[place[3] + v * place[2] + u]).p;
      doubt += weight * float(p > T(.5) ? 2 * p - 1 : 1 - 2 * p);
    });
    uint32_t bits = 0;
    if (doubt > 0) memcpy(&bits, &doubt, sizeof bits);
    keys[i] = uint64_t(roi) << 32 | bits;
    order[i] = int32_t(i);
  }
};

struct KeepDraw {
  Draw draw;
  View<const int32_t, 1> chosen_before;
  const int32_t* order;
  View<double, 2> at;
  View<int32_t, 1> roi;

  BASIN_HD void operator()(int64_t i) const {
    const int of = last_at_most(chosen_before, int32_t(i));
    roi(i) = of;
    draw(order[draw.drawn_before(of) + int32_t(i) - chosen_before(of)], at(i, 0), at(i, 1));
  }
};

}  // namespace

template <class T>
void uncertain_points(const Exec& exec, View<const T, 1> logit, const Rois& rois, View<const int32_t, 1> chosen_before,
                      View<const int32_t, 1> drawn_before, int32_t drawn, uint64_t seed, uint32_t batch,
                      View<double, 2> at, View<int32_t, 1> roi) {
  BASIN_CHECK(logit.dim[0] == rois.points() && chosen_before.dim[0] == rois.count() + 1 &&
                  drawn_before.dim[0] == rois.count() + 1 && at.dim[0] == roi.dim[0] && at.dim[1] == 2,
              rois.count(), " regions of ", rois.points(), " points, logits ", logit, ", places ", at);
  if (roi.dim[0] == 0) return;
  const Temp<uint64_t> keys(exec, drawn);
  const Temp<int32_t> order(exec, drawn);
  const Draw draw{rois, drawn_before, seed, batch};
  for_each(exec, drawn, RateDraw<T>{draw, logit.data, keys.data(), order.data()});
  int bits = 32;
  while (rois.count() >> (bits - 32) > 0)
    ++bits;
  sort_by_key<uint64_t>(exec, {keys.data(), {drawn}}, {order.data(), {drawn}}, bits);
  for_each(exec, roi.dim[0], KeepDraw{draw, chosen_before, order.data(), at, roi});
}
template void uncertain_points<float>(const Exec&, View<const float, 1>, const Rois&, View<const int32_t, 1>,
                                      View<const int32_t, 1>, int32_t, uint64_t, uint32_t, View<double, 2>,
                                      View<int32_t, 1>);
template void uncertain_points<double>(const Exec&, View<const double, 1>, const Rois&, View<const int32_t, 1>,
                                       View<const int32_t, 1>, int32_t, uint64_t, uint32_t, View<double, 2>,
                                       View<int32_t, 1>);

}  // namespace basin::kernels

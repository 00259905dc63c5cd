#include "engine/ops/roi.h"

#include <cmath>

namespace basin {
namespace {

Tensor one_number(Tape& tape, DType dtype) { return Tensor::empty(tape.exec(), {1}, dtype); }

/// All elements of a row-major tensor as one row.
template <class T>
View<T, 1> flat(const Tensor& t) {
  BASIN_CHECK(t.layout() == Layout::nchw, "tensor ", t.shape(), ", not row-major");
  return {t.data<T>(), {int(t.shape().size())}};
}

}  // namespace

int roi_levels(const RoiBox& box, int levels) {
  double width = box.width * roi_enlargement, height = box.height * roi_enlargement;
  int held = 0;
  for (; held < levels && width >= 2 && height >= 2; ++held)
    width /= 2, height /= 2;
  return held;
}

kernels::Rois RoiList::view() const { return {place.view<int32_t, 2>(), grid.view<double, 2>(), points}; }

RoiList roi_list(const Exec& exec, const std::vector<RoiBox>& boxes, int level) {
  RoiList list;
  std::vector<int32_t> place, before{0};
  std::vector<double> grid;
  int64_t points = 0;
  for (const RoiBox& box : boxes) {
    BASIN_CHECK(roi_levels(box, level + 1) == level + 1, "a box of ", box.width, "x", box.height, " at level ", level);
    const double scale = std::ldexp(1.0, -level);
    const double width = box.width * roi_enlargement * scale, height = box.height * roi_enlargement * scale;
    BASIN_CHECK(width < 1e6 && height < 1e6, "a box of ", box.width, "x", box.height);
    RoiList::Region r{box.sample, int(height), int(width), int(points), 0, 0, 0, 0};
    r.x0 = box.x * scale - width / 2, r.y0 = box.y * scale - height / 2;
    r.step_x = width / (r.width - 1), r.step_y = height / (r.height - 1);
    list.regions.push_back(r);
    place.insert(place.end(), {r.sample, r.height, r.width, r.offset});
    grid.insert(grid.end(), {r.x0, r.y0, r.step_x, r.step_y});
    points += int64_t(r.width) * r.height;
    BASIN_CHECK(points < INT32_MAX, "regions of ", points, " points");
    before.push_back(int32_t(points));
  }
  list.points = int(points);
  list.place = Tensor::from(exec, {list.count(), 4}, place);
  list.grid = Tensor::from(exec, {list.count(), 4}, grid);
  list.before = Tensor::from(exec, {list.count() + 1}, before);
  return list;
}

Var roi_sample(Tape& tape, const Var& maps, const RoiList& rois) {
  const Tensor values = Tensor::empty(tape.exec(), {int64_t(maps.value.dim(1)) * rois.points}, maps.value.dtype());
  for (const RoiList::Region& r : rois.regions)
    BASIN_CHECK(r.sample >= 0 && r.sample < maps.value.dim(0), "a region in sample ", r.sample, " of maps ",
                maps.value.shape());
  with_real(values.dtype(), [&]<class T>(T) {
    kernels::roi_sample<T>(tape.exec(), maps.value.features<const T>(), rois.view(), values.view<T, 1>());
  });
  return tape.record(values, {maps}, [&tape, maps = Var{maps.value.without_data(), maps.node}, rois](const Tensor& d) {
    with_real(d.dtype(), [&]<class T>(T) {
      kernels::roi_sample_backward<T>(tape.exec(), rois.view(), d.view<const T, 1>(),
                                      tape.gradient_sum(maps).template features<T>());
    });
  });
}

kernels::RoiPoints RoiPlaces::view() const { return {at.view<double, 2>(), roi.view<int32_t, 1>()}; }

RoiPlaces uncertain_points(const Exec& exec, const Tensor& logit, const RoiList& rois, uint64_t seed, uint32_t step) {
  std::vector<int32_t> chosen{0}, drawn{0};
  RoiPlaces places;
  for (const RoiList::Region& r : rois.regions) {
    const int n = r.height * r.width / 8, keep = 3 * n / 4;
    chosen.push_back(chosen.back() + keep);
    drawn.push_back(drawn.back() + 3 * n);
    places.regions += keep > 0;
  }
  places.count = chosen.back();
  places.before = Tensor::from(exec, {rois.count() + 1}, chosen);
  places.at = Tensor::empty(exec, {places.count, 2}, DType::f64);
  places.roi = Tensor::empty(exec, {places.count}, DType::i32);
  const Tensor drawn_before = Tensor::from(exec, {rois.count() + 1}, drawn);
  with_real(logit.dtype(), [&]<class T>(T) {
    kernels::uncertain_points<T>(exec, flat<const T>(logit), rois.view(), places.before.view<const int32_t, 1>(),
                                 drawn_before.view<const int32_t, 1>(), drawn.back(), seed, step,
                                 places.at.view<double, 2>(), places.roi.view<int32_t, 1>());
  });
  return places;
}

Var point_sample(Tape& tape, const Var& ragged, int channels, const RoiList& rois, const RoiPlaces& places) {
  const Tensor values = Tensor::empty(tape.exec(), {1, channels, 1, places.count}, ragged.value.dtype());
  const auto rows = [channels, n = places.count]<class T>(const Tensor& t, T) {
    return View<T, 2>{t.data<T>(), {channels, n}};
  };
  with_real(values.dtype(), [&]<class T>(T zero) {
    kernels::point_sample<T>(tape.exec(), flat<const T>(ragged.value), rois.view(), places.view(), rows(values, zero));
  });
  return tape.record(
      values, {ragged},
      [&tape, ragged = Var{ragged.value.without_data(), ragged.node}, rois, places, rows](const Tensor& d) {
        with_real(d.dtype(), [&]<class T>(T zero) {
          kernels::point_sample_backward<T>(tape.exec(), rois.view(), places.view(), rows(d, zero),
                                            flat<T>(tape.gradient_sum(ragged)));
        });
      });
}

Var centre_focal_loss(Tape& tape, const Var& logit, const Tensor& heat) {
  BASIN_CHECK(logit.value.dtype() == heat.dtype(), "logits and heat have different element types");
  const Tensor value = one_number(tape, heat.dtype()), sums = Tensor::empty(tape.exec(), {2}, DType::f64);
  with_real(heat.dtype(), [&]<class T>(T) {
    kernels::centre_focal_loss<T>(tape.exec(), logit.value.view<const T, 4>(), heat.view<const T, 4>(),
                                  sums.data<double>(), value.data<T>());
  });
  return tape.record(value, {logit}, [&tape, logit, heat, sums](const Tensor& d_value) {
    const bool accumulate = tape.wants_sum(logit);
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::centre_focal_loss_backward<T>(tape.exec(), logit.value.view<const T, 4>(), heat.view<const T, 4>(),
                                             sums.data<const double>(), d_value.data<const T>(),
                                             tape.gradient(logit).template view<T, 4>(), accumulate);
    });
  });
}

Var cell_l1_loss(Tape& tape, const Var& map, const Tensor& cell, const Tensor& target) {
  BASIN_CHECK(map.value.dtype() == target.dtype(), "maps and targets have different element types");
  const Tensor value = one_number(tape, target.dtype()), sums = Tensor::empty(tape.exec(), {2}, DType::f64);
  with_real(target.dtype(), [&]<class T>(T) {
    kernels::cell_l1_loss<T>(tape.exec(), map.value.view<const T, 4>(), cell.view<const int32_t, 2>(),
                             target.view<const T, 3>(), sums.data<double>(), value.data<T>());
  });
  return tape.record(value, {map}, [&tape, map, cell, target, sums](const Tensor& d_value) {
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::cell_l1_loss_backward<T>(tape.exec(), map.value.view<const T, 4>(), cell.view<const int32_t, 2>(),
                                        target.view<const T, 3>(), sums.data<const double>(), d_value.data<const T>(),
                                        tape.gradient_sum(map).template view<T, 4>());
    });
  });
}

Var segment_bce_loss(Tape& tape, const Var& logit, const Tensor& truth, const Tensor& before, double terms) {
  BASIN_CHECK(logit.value.dtype() == truth.dtype(), "logits and truth have different element types");
  const Tensor value = one_number(tape, truth.dtype());
  with_real(truth.dtype(), [&]<class T>(T) {
    kernels::segment_bce_loss<T>(tape.exec(), flat<const T>(logit.value), flat<const T>(truth),
                                 before.view<const int32_t, 1>(), terms, value.data<T>());
  });
  return tape.record(value, {logit}, [&tape, logit, truth, before, terms](const Tensor& d_value) {
    const bool accumulate = tape.wants_sum(logit);
    with_real(d_value.dtype(), [&]<class T>(T) {
      kernels::segment_bce_loss_backward<T>(tape.exec(), flat<const T>(logit.value), flat<const T>(truth),
                                            before.view<const int32_t, 1>(), terms, d_value.data<const T>(),
                                            flat<T>(tape.gradient(logit)), accumulate);
    });
  });
}

}  // namespace basin

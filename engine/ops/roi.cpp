#include "engine/ops/roi.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/ops/gradient_sink.h"

namespace basin {
namespace {

/// All elements of a row-major tensor as one row.
template <class T>
View<T, 1> flat(const Tensor& t) {
  BASIN_CHECK(t.layout() == Layout::nchw, "tensor ", t.shape(), ", not row-major");
  return {t.data<T>(), {int(t.shape().size())}};
}

/// The smallest of 4, 5, 6 and 7 times a power of two that is at least n.
int sheet_side(int n) {
  for (int unit = 1;; unit *= 2)
    for (int k = 4; k < 8; ++k)
      if (k * unit >= n) return k * unit;
}

/// Arranges the regions in rows, highest regions first, and sets the size of the sheet.
void lay_out(RoiList& list) {
  std::vector<int> order(list.regions.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return list.regions[size_t(a)].height > list.regions[size_t(b)].height; });
  double area = 0;
  int widest = 1;
  for (const RoiList::Region& r : list.regions) {
    area += (r.width + 1.0) * (r.height + 1.0);
    widest = std::max(widest, r.width);
  }
  list.sheet_w = sheet_side(std::max(widest, int(std::sqrt(area)) + 1));
  int top = 0, left = 0, row_height = 0;
  for (const int k : order) {
    RoiList::Region& r = list.regions[size_t(k)];
    if (left + r.width > list.sheet_w) top += row_height + 1, left = 0, row_height = 0;
    r.top = top, r.left = left;
    left += r.width + 1;
    row_height = std::max(row_height, r.height);
  }
  list.sheet_h = sheet_side(top + row_height);
  BASIN_CHECK(int64_t(list.sheet_h) * list.sheet_w < INT32_MAX, "a sheet of ", list.sheet_h, "x", list.sheet_w);
}

Tensor sheet_like(Tape& tape, const Tensor& maps, const RoiList& rois) {
  return Tensor::empty(tape.exec(), {1, maps.dim(1), rois.sheet_h, rois.sheet_w}, maps.dtype(), maps.layout());
}

template <class T>
View<T, 2> rows_of(const Tensor& values) {
  return {values.data<T>(), {values.dim(1), values.dim(3)}};
}

}  // namespace

int roi_levels(const RoiBox& box, int levels) {
  double width = box.width * roi_enlargement, height = box.height * roi_enlargement;
  int held = 0;
  for (; held < levels && width >= 2 && height >= 2; ++held)
    width /= 2, height /= 2;
  return held;
}

RoiList RoiList::first(int n) const {
  BASIN_CHECK(n >= 0 && n <= count(), n, " of ", count(), " regions");
  RoiList list = *this;
  if (n < count()) list.points = regions[size_t(n)].offset;
  list.regions.resize(size_t(n));
  return list;
}

kernels::Rois RoiList::view() const {
  return {{place.data<const int32_t>(), {count(), 6}},
          {grid.data<const double>(), {count(), 4}},
          {point.data<const int32_t>(), {points, 2}},
          sheet_h,
          sheet_w};
}

RoiList roi_list(const Exec& exec, const std::vector<RoiBox>& boxes, int level) {
  RoiList list;
  int64_t points = 0;
  for (const RoiBox& box : boxes) {
    BASIN_CHECK(roi_levels(box, level + 1) == level + 1, "a box of ", box.width, "x", box.height, " at level ", level);
    const double scale = std::ldexp(1.0, -level);
    const double width = box.width * roi_enlargement * scale, height = box.height * roi_enlargement * scale;
    BASIN_CHECK(width < 1e6 && height < 1e6, "a box of ", box.width, "x", box.height);
    RoiList::Region r{box.sample, int(height), int(width), int(points), 0, 0, 0, 0, 0, 0};
    r.x0 = box.x * scale - width / 2, r.y0 = box.y * scale - height / 2;
    r.step_x = width / (r.width - 1), r.step_y = height / (r.height - 1);
    list.regions.push_back(r);
    points += int64_t(r.width) * r.height;
    BASIN_CHECK(points < INT32_MAX, "regions of ", points, " points");
  }
  list.points = int(points);
  lay_out(list);
  std::vector<int32_t> place, point, before;
  std::vector<double> grid;
  for (int k = 0; k < list.count(); ++k) {
    const RoiList::Region& r = list.regions[size_t(k)];
    place.insert(place.end(), {r.sample, r.height, r.width, r.offset, r.top, r.left});
    grid.insert(grid.end(), {r.x0, r.y0, r.step_x, r.step_y});
    before.push_back(r.offset);
    for (int y = 0; y < r.height; ++y)
      for (int x = 0; x < r.width; ++x)
        point.insert(point.end(), {k, (r.top + y) * list.sheet_w + r.left + x});
  }
  before.push_back(list.points);
  list.place = Tensor::from(exec, {list.count(), 6}, place);
  list.grid = Tensor::from(exec, {list.count(), 4}, grid);
  list.point = Tensor::from(exec, {list.points, 2}, point);
  list.before = Tensor::from(exec, {list.count() + 1}, before);
  return list;
}

Var roi_sample(Tape& tape, const Var& maps, const RoiList& rois) {
  for (const RoiList::Region& r : rois.regions)
    BASIN_CHECK(r.sample >= 0 && r.sample < maps.value.dim(0), "a region in sample ", r.sample, " of maps ",
                maps.value.shape());
  const Tensor sheet = sheet_like(tape, maps.value, rois);
  with_real(sheet.dtype(), [&]<class T>(T) {
    kernels::roi_sample<T>(tape.exec(), maps.value.features<const T>(), rois.view(), sheet.features<T>());
  });
  return tape.record(sheet, {maps}, [&tape, maps = shape_of(maps), rois](const Tensor& d_sheet) {
    with_real(d_sheet.dtype(), [&]<class T>(T) {
      kernels::roi_sample_backward<T>(tape.exec(), rois.view(), d_sheet.features<const T>(),
                                      tape.gradient_sum(maps).template features<T>());
    });
  });
}

Tensor roi_mask_sample(const Exec& exec, const Tensor& labels, const std::vector<int32_t>& label, const RoiList& rois,
                       DType dtype) {
  const Tensor sheet = Tensor::empty(exec, {1, 1, rois.sheet_h, rois.sheet_w}, dtype);
  const Tensor there = Tensor::from(exec, {int64_t(label.size())}, label);
  with_real(dtype, [&]<class T>(T) {
    kernels::roi_mask_sample<T>(exec, labels.view<const int32_t, 4>(), there.view<const int32_t, 1>(), rois.view(),
                                sheet.features<T>());
  });
  return sheet;
}

Var roi_resize(Tape& tape, const Var& in, const RoiList& low, const RoiList& rois) {
  const Tensor out = sheet_like(tape, in.value, rois);
  out.zero(tape.exec());
  with_real(out.dtype(), [&]<class T>(T) {
    kernels::roi_resize<T>(tape.exec(), in.value.features<const T>(), low.view(), rois.view(), out.features<T>());
  });
  return tape.record(out, {in}, [&tape, in = shape_of(in), low, rois](const Tensor& d_out) {
    GradientSink d_in(tape, in);
    d_in.tensor().zero(tape.exec());
    with_real(d_out.dtype(), [&]<class T>(T) {
      kernels::roi_resize_backward<T>(tape.exec(), d_out.features<const T>(), low.view(), rois.view(),
                                      d_in.tensor().features<T>());
    });
    d_in.finish();
  });
}

Var roi_norm_relu(Tape& tape, const Var& x, const RoiList& rois, int count, const Var& others, double epsilon) {
  const RoiList normed = rois.first(count);
  const Tensor out = tape.empty_like(x.value);
  out.zero(tape.exec());
  const int64_t lanes = (x.value.dim(1) + x.value.block() - 1) / x.value.block() * x.value.block();
  const Tensor stats = Tensor::empty(tape.exec(), {2, count * lanes}, x.value.dtype());
  const auto stats_of = [stats]<class T>(T) {
    return kernels::RoiStatistics<T>{stats.data<T>(), stats.data<T>() + stats.dim(1)};
  };
  const bool has_others = others.value.shape().rank() > 0;
  with_real(out.dtype(), [&]<class T>(T zero) {
    kernels::roi_norm_relu<T>(tape.exec(), x.value.features<const T>(), normed.view(), epsilon, stats_of(zero),
                              out.features<T>());
    if (has_others)
      kernels::roi_copy<T>(tape.exec(), others.value.features<const T>(), rois.view(), normed.points,
                           out.features<T>());
  });
  return tape.record(
      out, {x, others},
      [&tape, x, rois, normed, stats, stats_of, has_others, others = shape_of(others)](const Tensor& d_out) {
        with_real(d_out.dtype(), [&]<class T>(T zero) {
          GradientSink d_x(tape, x);
          d_x.tensor().zero(tape.exec());
          kernels::roi_norm_relu_backward<T>(tape.exec(), x.value.features<const T>(), normed.view(), stats_of(zero),
                                             d_out.features<const T>(), d_x.tensor().template features<T>());
          d_x.finish();
          if (!has_others) return;
          GradientSink d_others(tape, others);
          d_others.tensor().zero(tape.exec());
          kernels::roi_copy<T>(tape.exec(), d_out.features<const T>(), rois.view(), normed.points,
                               d_others.tensor().template features<T>());
          d_others.finish();
        });
      });
}

Var roi_inside(Tape& tape, const Var& x, const RoiList& rois) {
  const auto inside = [&tape, rois](const Tensor& from, const Tensor& to) {
    to.zero(tape.exec());
    with_real(to.dtype(), [&]<class T>(T) {
      kernels::roi_copy<T>(tape.exec(), from.features<const T>(), rois.view(), 0, to.features<T>());
    });
  };
  const Tensor out = tape.empty_like(x.value);
  inside(x.value, out);
  return tape.record(out, {x}, [&tape, x = shape_of(x), inside](const Tensor& d_out) {
    GradientSink d_x(tape, x);
    inside(d_out, d_x.tensor());
    d_x.finish();
  });
}

Var roi_values(Tape& tape, const Var& sheet, const RoiList& rois) {
  const Tensor values = Tensor::empty(tape.exec(), {rois.points}, sheet.value.dtype());
  with_real(values.dtype(), [&]<class T>(T) {
    kernels::roi_values<T>(tape.exec(), sheet.value.features<const T>(), rois.view(), values.view<T, 1>());
  });
  return tape.record(values, {sheet}, [&tape, sheet = shape_of(sheet), rois](const Tensor& d) {
    GradientSink d_sheet(tape, sheet);
    d_sheet.tensor().zero(tape.exec());
    with_real(d.dtype(), [&]<class T>(T) {
      kernels::roi_set_values<T>(tape.exec(), d.view<const T, 1>(), rois.view(), d_sheet.tensor().features<T>());
    });
    d_sheet.finish();
  });
}

RoiPlaces RoiPlaces::first(int n) const {
  BASIN_CHECK(n >= 0 && n < int(before_on_host.size()), n, " of ", before_on_host.size() - 1, " regions");
  RoiPlaces places = *this;
  places.before_on_host.resize(size_t(n) + 1);
  places.count = places.before_on_host.back();
  places.regions = 0;
  for (int r = 0; r < n; ++r)
    places.regions += before_on_host[size_t(r) + 1] > before_on_host[size_t(r)];
  const auto cut = [](const Tensor& t, Shape shape) {
    return Tensor::borrow(t.owner(), t.raw(), t.device(), shape, t.dtype());
  };
  places.at = cut(at, {places.count, 2});
  places.roi = cut(roi, {places.count});
  places.before = cut(before, {n + 1});
  return places;
}

kernels::RoiPoints RoiPlaces::view() const { return {at.view<double, 2>(), roi.view<int32_t, 1>()}; }

RoiPlaces uncertain_points(const Exec& exec, const Tensor& logit, const RoiList& rois, uint64_t seed, uint32_t batch) {
  std::vector<int32_t> drawn{0};
  RoiPlaces places;
  places.before_on_host.push_back(0);
  for (const RoiList::Region& r : rois.regions) {
    const int n = r.height * r.width / 8, keep = 3 * n / 4;
    places.before_on_host.push_back(places.before_on_host.back() + keep);
    drawn.push_back(drawn.back() + 3 * n);
    places.regions += keep > 0;
  }
  places.count = places.before_on_host.back();
  places.before = Tensor::from(exec, {rois.count() + 1}, places.before_on_host);
  places.at = Tensor::empty(exec, {places.count, 2}, DType::f64);
  places.roi = Tensor::empty(exec, {places.count}, DType::i32);
  const Tensor drawn_before = Tensor::from(exec, {rois.count() + 1}, drawn);
  with_real(logit.dtype(), [&]<class T>(T) {
    kernels::uncertain_points<T>(exec, flat<const T>(logit), rois.view(), places.before.view<const int32_t, 1>(),
                                 drawn_before.view<const int32_t, 1>(), drawn.back(), seed, batch,
                                 places.at.view<double, 2>(), places.roi.view<int32_t, 1>());
  });
  return places;
}

Var point_sample(Tape& tape, const Var& sheet, const RoiList& rois, const RoiPlaces& places) {
  const Tensor values = Tensor::empty(tape.exec(), {1, sheet.value.dim(1), 1, places.count}, sheet.value.dtype());
  with_real(values.dtype(), [&]<class T>(T) {
    kernels::point_sample<T>(tape.exec(), sheet.value.features<const T>(), rois.view(), places.view(),
                             rows_of<T>(values));
  });
  return tape.record(values, {sheet}, [&tape, sheet = shape_of(sheet), rois, places](const Tensor& d) {
    with_real(d.dtype(), [&]<class T>(T) {
      kernels::point_sample_backward<T>(tape.exec(), rois.view(), places.view(), rows_of<const T>(d),
                                        tape.gradient_sum(sheet).template features<T>());
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

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/ops/loss.h"
#include "engine/ops/nn.h"
#include "engine/ops/roi.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

double logit(double p) { return std::log(p / (1 - p)); }

/// Three regions in two samples: one inside the maps, one across the border, one outside.
const std::vector<RoiBox> boxes{{0, 4.3, 3.6, 4, 5}, {1, .5, 7.9, 7, 3}, {1, 40, 2, 3, 3}};

std::vector<double> bilinear_by_hand(const std::vector<double>& map, int height, int width, double x, double y) {
  double sum = 0;
  for (int v = 0; v < height; ++v)
    for (int u = 0; u < width; ++u)
      sum += std::max(0.0, 1 - std::abs(u - x)) * std::max(0.0, 1 - std::abs(v - y)) * map[size_t(v * width + u)];
  return {sum};
}

}  // namespace

TEST_CASE("regions: sizes, sampling grids and pyramid levels by hand") {
  const Exec cpu;
  CHECK(roi_levels({0, 0, 0, 10, 20}, 5) == 3);  // 11, 5.5, 2.75, 1.375
  CHECK(roi_levels({0, 0, 0, 1.8, 20}, 5) == 0);
  CHECK(roi_levels({0, 0, 0, 100, 100}, 5) == 5);
  CHECK(roi_levels({0, 0, 0, NAN, 20}, 5) == 0);
  const RoiList list = roi_list(cpu, {{0, 30, 10, 20, 10}, {1, 5, 6, 4, 8}}, 1);
  CHECK(list.count() == 2);
  CHECK(list.regions[0].width == 11);
  CHECK(list.regions[0].height == 5);
  CHECK(list.regions[0].x0 == doctest::Approx(15 - 5.5));
  CHECK(list.regions[0].x0 + 10 * list.regions[0].step_x == doctest::Approx(15 + 5.5));
  CHECK(list.regions[0].y0 == doctest::Approx(5 - 2.75));
  CHECK(list.regions[1].offset == 55);
  CHECK(list.points == 55 + 2 * 4);
  CHECK(list.first(1).points == 55);
  CHECK(list.first(1).sheet_w == list.sheet_w);
  CHECK_THROWS_AS(roi_list(cpu, {{0, 0, 0, 3, 9}}, 1), Error);
  CHECK(roi_list(cpu, {}, 0).points == 0);
}

TEST_CASE("regions: regions are packed on a sheet with gaps between them, and the sheet has few possible sizes") {
  const Exec cpu;
  std::vector<RoiBox> many;
  const std::vector<double> sides = uniform<double>(120, 2, 40, 5);
  for (size_t k = 0; k < 120; k += 2)
    many.push_back({0, 0, 0, sides[k], sides[k + 1]});
  const RoiList list = roi_list(cpu, many, 0);
  std::vector<int> owner(size_t(list.sheet_h * list.sheet_w), 0);
  for (int k = 0; k < list.count(); ++k) {
    const RoiList::Region& r = list.regions[size_t(k)];
    REQUIRE(r.left + r.width <= list.sheet_w);
    REQUIRE(r.top + r.height <= list.sheet_h);
    for (int y = std::max(r.top - 1, 0); y <= std::min(r.top + r.height, list.sheet_h - 1); ++y)
      for (int x = std::max(r.left - 1, 0); x <= std::min(r.left + r.width, list.sheet_w - 1); ++x) {
        const bool inside = y >= r.top && y < r.top + r.height && x >= r.left && x < r.left + r.width;
        int& o = owner[size_t(y * list.sheet_w + x)];
        CHECK_FALSE((inside && o != 0));
        CHECK_FALSE((!inside && o > 0));
        o = inside ? k + 1 : -1;
      }
  }
  CHECK(double(list.points) / (list.sheet_h * list.sheet_w) > .6);
  for (int side : {list.sheet_h, list.sheet_w}) {
    while (side % 2 == 0 && side > 7)
      side /= 2;
    CHECK(side <= 7);
  }
}

TEST_CASE("regions: sampling is bilinear, and 0 outside the maps, in any layout") {
  const int height = 9, width = 8, channels = 3;
  const std::vector<double> map = uniform<double>(size_t(2 * channels * height * width), -1, 1, 1);
  for (const Exec& exec : execs()) {
    const RoiList rois = roi_list(exec, boxes, 0);
    Tape tape(exec);
    const std::vector<float> narrow(map.begin(), map.end());
    const std::vector<float> got =
        roi_sample(tape, {Tensor::from(exec, {2, channels, height, width}, narrow)}, rois).value.to_host<float>(exec);
    std::vector<double> want(got.size(), 0);
    for (const RoiList::Region& r : rois.regions)
      for (int c = 0; c < channels; ++c) {
        const auto begin = map.begin() + (r.sample * channels + c) * height * width;
        for (int y = 0; y < r.height; ++y)
          for (int x = 0; x < r.width; ++x)
            want[size_t((c * rois.sheet_h + r.top + y) * rois.sheet_w + r.left + x)] = bilinear_by_hand(
                {begin, begin + height * width}, height, width, r.x0 + x * r.step_x, r.y0 + y * r.step_y)[0];
      }
    check_close<double>({got.begin(), got.end()}, want, 1e-6, 1e-6);
    const Tensor nhwc = Tensor::empty(exec, {2, channels, height, width}, DType::f32, Layout::nhwc);
    std::vector<float> turned;
    for (int n = 0; n < 2; ++n)
      for (int at = 0; at < height * width; ++at)
        for (int c = 0; c < channels; ++c)
          turned.push_back(narrow[size_t((n * channels + c) * height * width + at)]);
    nhwc.copy_from_host(exec, turned.data());
    CHECK(to_layout(tape, roi_sample(tape, {nhwc}, rois), Layout::nchw).value.to_host<float>(exec) == got);
    CHECK_THROWS_AS(roi_sample(tape, {Tensor::zeros(exec, {1, 3, 9, 8})}, rois), Error);
  }
}

TEST_CASE("regions: a region's mask samples its own label only") {
  for (const Exec& exec : execs()) {
    const RoiList rois = roi_list(exec, {{0, 1.5, 1, 2, 2}, {0, 1.5, 1, 2, 2}}, 0);  // 2 x 2 points: .4, 2.6; -.1, 2.1
    const Tensor labels = Tensor::from<int32_t>(exec, {1, 1, 3, 4}, {7, 7, 9, 9, 7, 7, 9, 9, 7, 7, 9, 9});
    Tape tape(exec);
    const auto values = [&](const Tensor& of, const std::vector<int32_t>& label) {
      const Var sheet{roi_mask_sample(exec, of, label, rois, DType::f32)};
      return roi_values(tape, sheet, rois).value.to_host<float>(exec);
    };
    check_close<float>(values(labels, {7, 9}), {.9f, 0, .9f, 0, 0, .9f, 0, .9f}, 1e-6, 0);
    // Labels in layers: 8 lies on all of 7 and 9.
    const Tensor layers = Tensor::from<int32_t>(
        exec, {1, 2, 3, 4}, {7, 7, 9, 9, 7, 7, 9, 9, 7, 7, 9, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8});
    check_close<float>(values(layers, {7, 8}), {.9f, 0, .9f, 0, .9f, .9f, .9f, .9f}, 1e-6, 0);
    check_close<float>(values(layers, {8, 9}), {.9f, .9f, .9f, .9f, 0, .9f, 0, .9f}, 1e-6, 0);
  }
}

TEST_CASE("regions: gradients match finite differences in double") {
  const Exec cpu;
  const RoiList rois = roi_list(cpu, boxes, 0);
  const Shape maps{2, 2, 6, 5};
  check_gradient([&](Tape& t, std::vector<Var>& in) { return roi_sample(t, in[0], rois); }, {maps},
                 {uniform<double>(120, -1, 1, 2)});
  const RoiList large = roi_list(cpu, {{0, 5, 5, 8, 6}, {0, 2, 2, 5, 5}}, 0), low = roi_list(cpu, {{0, 5, 5, 8, 6}}, 1);
  const Shape sheet{1, 2, large.sheet_h, large.sheet_w}, low_sheet{1, 2, low.sheet_h, low.sheet_w};
  const std::vector<double> values = uniform<double>(size_t(sheet.size()), -1, 1, 3);
  const std::vector<double> low_values = uniform<double>(size_t(low_sheet.size()), -1, 1, 8);
  const RoiPlaces places = uncertain_points(
      cpu, Tensor::from(cpu, {large.points}, uniform<double>(size_t(large.points), -3, 3, 4)), large, 5, 6);
  CHECK(places.count == 3 * (8 * 6 / 8) / 4 + 3 * (25 / 8) / 4);
  CHECK(places.first(1).count == 3 * (8 * 6 / 8) / 4);
  check_gradient([&](Tape& t, std::vector<Var>& in) { return point_sample(t, in[0], large, places); }, {sheet},
                 {values});
  check_gradient([&](Tape& t, std::vector<Var>& in) { return roi_values(t, in[0], large); }, {sheet}, {values});
  check_gradient([&](Tape& t, std::vector<Var>& in) { return roi_inside(t, in[0], large); }, {sheet}, {values});
  check_gradient([&](Tape& t, std::vector<Var>& in) { return roi_resize(t, in[0], low, large.first(1)); }, {low_sheet},
                 {low_values});
  check_gradient([&](Tape& t, std::vector<Var>& in) { return roi_norm_relu(t, in[0], large, 1, in[1]); },
                 {sheet, sheet}, {values, uniform<double>(size_t(sheet.size()), -1, 1, 9)}, 1e-5, 1e-8);
  // One input that is sampled twice, as the maps of two pyramid levels are.
  check_gradient(
      [&](Tape& t, std::vector<Var>& in) {
        const Var once = roi_sample(t, in[0], rois), again = roi_sample(t, in[0], rois);
        const Tensor zero = Tensor::zeros(cpu, once.value.shape(), DType::f64);
        const Tensor all = Tensor::from<int32_t>(cpu, {2}, {0, int32_t(once.value.shape().size())});
        return weighted_sum(
            t, {{segment_bce_loss(t, once, zero, all, 1), 1}, {segment_bce_loss(t, again, zero, all, 2), 3}});
      },
      {maps}, {uniform<double>(120, -1, 1, 7)});
}

TEST_CASE("regions: combining two levels on sheets equals combining them for each region alone") {
  // 11 x 22, 8 x 6 and 3 x 3 points; on the next level 5 x 11 and 4 x 3, where the third has no region.
  const std::vector<RoiBox> three{{0, 11, 15, 20, 10.5}, {1, 9, 8, 5.5, 8}, {0, 20, 4, 3.3, 3}};
  const std::vector<RoiBox> two(three.begin(), three.begin() + 2);
  constexpr int channels = 8;
  /// The values of a region on a sheet, [1, C, height, width].
  const auto cut = [](const Exec& exec, const Tensor& sheet, const RoiList::Region& r) {
    const std::vector<float> all = to_layout(exec, sheet, Layout::nchw).to_host<float>(exec);
    std::vector<float> part;
    for (int c = 0; c < channels; ++c)
      for (int y = 0; y < r.height; ++y)
        for (int x = 0; x < r.width; ++x)
          part.push_back(all[size_t((c * sheet.dim(2) + r.top + y) * sheet.dim(3) + r.left + x)]);
    return Tensor::from(exec, {1, channels, r.height, r.width}, part);
  };
  for (const Exec& exec : execs())
    for (const Layout layout : {Layout::nchw, exec.device == Device::cpu ? Layout::blocked8 : Layout::nhwc}) {
      const RoiList low = roi_list(exec, two, 1), fine = roi_list(exec, three, 0);
      const auto random = [&](Shape shape, unsigned seed) {
        return Tensor::from(exec, shape, uniform<float>(size_t(shape.size()), -1, 1, seed));
      };
      const Parameter weight{random({channels, channels, 3, 3}, 3), Tensor::zeros(exec, {channels, channels, 3, 3})};
      const Parameter bias{random({channels}, 4), Tensor::zeros(exec, {channels})};
      const auto convolved = [&](Tape& tape, const Var& x) {
        return conv(tape, x, weight, bias, {kernels::ConvGeometry::same(3, 3), x.value.layout()});
      };
      Tape tape(exec);
      const Var raw = roi_sample(tape, {to_layout(exec, random({2, channels, 24, 32}, 1), layout)}, fine);
      const Var coarse = roi_sample(tape, {to_layout(exec, random({2, channels, 12, 16}, 2), layout)}, low);
      const Var y = convolved(tape, roi_resize(tape, coarse, low, fine.first(2)));
      const Var all = roi_norm_relu(tape, y, fine, 2, raw);
      double rest = 0;
      for (const float v : to_layout(exec, all.value, Layout::nchw).to_host<float>(exec))
        rest += std::abs(double(v));
      for (size_t k = 0; k < 3; ++k) {
        CAPTURE(k);
        const RoiList::Region& r = fine.regions[k];
        Tensor want = cut(exec, raw.value, r);
        if (k < 2) {
          const Var alone = resize_bilinear(tape, {cut(exec, coarse.value, low.regions[k])}, r.height, r.width);
          want = instance_norm_relu(tape, convolved(tape, alone)).value;
        }
        const std::vector<float> got = cut(exec, all.value, r).to_host<float>(exec);
        check_close(got, want.to_host<float>(exec), 1e-4, 1e-4);
        for (const float v : got)
          rest -= std::abs(double(v));
      }
      CHECK(rest == doctest::Approx(0).scale(1));  // the gaps between regions are 0
    }
}

TEST_CASE("uncertain points: the most uncertain of the random candidates, determined by seed, batch and region") {
  for (const Exec& exec : execs()) {
    // The probability rises from left to right and is .5 in the middle column.
    const RoiList rois = roi_list(exec, {{0, 50, 50, 3.7, 1.9}, {0, 50, 50, 41 / 1.1, 30}, {0, 9, 9, 20, 19}}, 0);
    std::vector<float> z;
    for (const RoiList::Region& r : rois.regions)
      for (int y = 0; y < r.height; ++y)
        for (int x = 0; x < r.width; ++x)
          z.push_back(float(logit(.5 + .49 * (2.0 * x / (r.width - 1) - 1))));
    const Tensor logits = Tensor::from(exec, {rois.points}, z);
    const RoiPlaces places = uncertain_points(exec, logits, rois, 1, 2);
    const std::vector<int32_t> of = places.roi.to_host<int32_t>(exec), before = places.before.to_host<int32_t>(exec);
    const int n = rois.regions[1].height * rois.regions[1].width / 8;
    CHECK(before[1] == (rois.regions[0].height * rois.regions[0].width / 8) * 3 / 4);
    CHECK(before[2] - before[1] == 3 * n / 4);
    CHECK(places.count == before[3]);
    CHECK(int(std::count(of.begin(), of.end(), 1)) == 3 * n / 4);
    const std::vector<double> at = places.at.to_host<double>(exec);
    double furthest = 0, mean_y = 0;
    for (int p = before[1]; p < before[2]; ++p) {
      furthest = std::max(furthest, std::abs(at[size_t(2 * p)] - .5));
      CHECK(at[size_t(2 * p + 1)] >= 0);
      CHECK(at[size_t(2 * p + 1)] <= 1);
      mean_y += at[size_t(2 * p + 1)] / (before[2] - before[1]);
    }
    CHECK(furthest == doctest::Approx(.125).epsilon(.25));  // the range of a quarter of the candidates
    CHECK(mean_y == doctest::Approx(.5).epsilon(.2));
    CHECK(uncertain_points(exec, logits, rois, 1, 2).at.to_host<double>(exec) == at);
    CHECK(uncertain_points(exec, logits, rois, 1, 3).at.to_host<double>(exec) != at);
    CHECK(uncertain_points(exec, logits, rois, 2, 2).at.to_host<double>(exec) != at);
    CHECK(uncertain_points(exec, Tensor::zeros(exec, {0}), roi_list(exec, {}, 0), 1, 2).count == 0);
  }
}

TEST_CASE("detection targets: radii, heat maps, cells and tables by hand") {
  CHECK(kernels::centre_radius(10, 20) == 3);
  CHECK(kernels::centre_radius(16, 16) == 4);
  CHECK(kernels::centre_radius(4, 5) == 1);
  CHECK(kernels::centre_radius(40, 30) == 9);
  CHECK(kernels::centre_radius(1, 1) == 0);
  for (const Exec& exec : execs()) {
    // 5 x 4 cells; 18.5 x 15.5 px make radius 1. The second object is a single cell; the third lies past the count.
    const Tensor box = Tensor::from<float>(exec, {1, 3, 4}, {9.5f, 6, 18.5f, 15.5f, 17, 13, 4, 4, 1, 1, 9, 9});
    const Tensor count = Tensor::from<int32_t>(exec, {1}, {2});
    const Tensor heat = Tensor::empty(exec, {1, 1, 4, 5}), cell = Tensor::empty(exec, {1, 3}, DType::i32);
    const Tensor size = Tensor::empty(exec, {1, 3, 2}), offset = Tensor::empty(exec, {1, 3, 2});
    kernels::detection_targets<float>(exec, box.view<const float, 3>(), count.view<const int32_t, 1>(),
                                      heat.view<float, 4>(), cell.view<int32_t, 2>(), size.view<float, 3>(),
                                      offset.view<float, 3>());
    CHECK(cell.to_host<int32_t>(exec) == std::vector<int32_t>{5 + 2, 15 + 4, -1});
    CHECK(size.to_host<float>(exec) == std::vector<float>{4.625f, 3.875f, 1, 1, 0, 0});
    CHECK(offset.to_host<float>(exec) == std::vector<float>{.375f, .5f, .25f, .25f, 0, 0});
    const float a = std::exp(-2.f), b = std::exp(-4.f);  // sigma = 1/2
    check_close<float>(heat.to_host<float>(exec), {0, b, a, b, 0, 0, a, 1, a, 0, 0, b, a, b, 0, 0, 0, 0, 0, 1}, 1e-6,
                       0);
  }
}

TEST_CASE("detection losses: values by hand") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const auto number = [&](const Var& v) { return v.value.to_host<double>(exec)[0]; };
    const Tensor heat = Tensor::from<double>(exec, {1, 1, 1, 3}, {1, .5, 0});
    const Var z{Tensor::from<double>(exec, {1, 1, 1, 3}, {logit(.6), logit(.3), -50})};
    const double negative = -(.0625 * .09 * std::log(.7) + 1e-8 * std::log(1 - 1e-4));
    CHECK(number(centre_focal_loss(tape, z, heat)) == doctest::Approx(-.16 * std::log(.6) + negative));
    const Tensor two = Tensor::from<double>(exec, {1, 1, 1, 3}, {1, .5, 1});
    CHECK(number(centre_focal_loss(tape, z, two)) ==
          doctest::Approx((-.16 * std::log(.6) - std::pow(1 - 1e-4, 2) * std::log(1e-4) - .0625 * .09 * std::log(.7)) /
                          2));
    const Tensor none = Tensor::from<double>(exec, {1, 1, 1, 3}, {.9, .5, 0});
    CHECK(number(centre_focal_loss(tape, z, none)) == doctest::Approx(negative - 1e-4 * .36 * std::log(.4)));

    const Var map{Tensor::from<double>(exec, {1, 2, 1, 3}, {1, 2, 3, 4, 5, 6})};
    const Tensor cell = Tensor::from<int32_t>(exec, {1, 3}, {2, 2, -1});
    const Tensor target = Tensor::from<double>(exec, {1, 3, 2}, {3.5, 6, 1, 5, 99, 99});
    CHECK(number(cell_l1_loss(tape, map, cell, target)) == doctest::Approx((.5 + 0 + 2 + 1) / 4.0001));
    const Tensor no_cell = Tensor::from<int32_t>(exec, {1, 3}, {-1, -1, -1});
    CHECK(number(cell_l1_loss(tape, map, no_cell, target)) == 0);

    const Var logits{Tensor::from<double>(exec, {3}, {logit(.9), logit(.2), 0})};
    const Tensor truth = Tensor::from<double>(exec, {3}, {1, .5, 0});
    const Tensor before = Tensor::from<int32_t>(exec, {4}, {0, 2, 2, 3});
    const double first = (-std::log(.9) - .5 * std::log(.2) - .5 * std::log(.8)) / 2;
    CHECK(number(segment_bce_loss(tape, logits, truth, before, 2)) == doctest::Approx((first + std::log(2)) / 2));
    const Var nothing{Tensor::from<double>(exec, {0}, {})};
    CHECK(number(segment_bce_loss(tape, nothing, nothing.value, Tensor::from<int32_t>(exec, {1}, {0}), 1)) == 0);
  }
}

TEST_CASE("detection losses: gradients match finite differences in double") {
  const Exec cpu;
  std::vector<double> heats = uniform<double>(24, 0, .95, 1);
  heats[3] = heats[20] = 1;
  const Shape shape{2, 1, 3, 4}, maps{2, 2, 3, 4};
  const Tensor heat = Tensor::from(cpu, shape, heats);
  check_gradient([&](Tape& t, std::vector<Var>& in) { return centre_focal_loss(t, in[0], heat); }, {shape},
                 {uniform<double>(24, -4, 4, 2)}, 1e-5, 1e-8);
  const Tensor cell = Tensor::from<int32_t>(cpu, {2, 3}, {1, 1, -1, 11, 0, 5});
  const Tensor target = Tensor::from(cpu, {2, 3, 2}, uniform<double>(12, 2, 3, 3));
  check_gradient([&](Tape& t, std::vector<Var>& in) { return cell_l1_loss(t, in[0], cell, target); }, {maps},
                 {uniform<double>(48, 0, 2, 4)}, 1e-5, 1e-8);
  const Tensor truth = Tensor::from(cpu, {24}, uniform<double>(24, 0, 1, 5));
  const Tensor before = Tensor::from<int32_t>(cpu, {4}, {0, 5, 6, 24});
  check_gradient([&](Tape& t, std::vector<Var>& in) { return segment_bce_loss(t, in[0], truth, before, 4); }, {shape},
                 {uniform<double>(24, -4, 4, 6)}, 1e-5, 1e-8);
  // Where p is clamped there is no gradient.
  Tape tape(cpu);
  const Var far = tape.leaf(Tensor::from<double>(cpu, {1, 1, 1, 2}, {-30, 30}));
  tape.backward(centre_focal_loss(tape, far, Tensor::from<double>(cpu, {1, 1, 1, 2}, {1, 0})),
                Tensor::from<double>(cpu, {1}, {1}));
  CHECK(tape.grad(far).to_host<double>(cpu) == std::vector<double>{0, 0});
}

TEST_CASE("regions: gradients have the same bits with any number of threads") {
  const Exec cpu;
  const int most = omp_get_max_threads();
  std::vector<float> want;
  for (int threads : {1, 2, 7}) {
    omp_set_num_threads(threads);
    Tape tape(cpu);
    const Var maps = tape.leaf(Tensor::from(cpu, {1, 5, 20, 20}, uniform<float>(2000, -1, 1, 1)));
    const RoiList rois = roi_list(cpu, {{0, 9, 9, 15, 12}, {0, 10, 8, 14, 14}, {0, 8, 11, 9, 9}}, 0);
    const Var values = roi_sample(tape, maps, rois);
    tape.backward(
        values, Tensor::from(cpu, values.value.shape(), uniform<float>(size_t(values.value.shape().size()), -1, 1, 2)));
    const std::vector<float> got = tape.grad(maps).to_host<float>(cpu);
    if (want.empty()) want = got;
    CHECK(got == want);
  }
  omp_set_num_threads(most);
}

#include <cmath>
#include <set>

#include "data/dataset/loader.h"
#include "data/dataset/smooth_noise.h"
#include "kernels/image/symmetry.h"
#include "tests/support/file_support.h"
#include "tests/support/sampling_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// An image with the same values f(y, x) as its labels, whose ids have no gaps.
template <class F>
Example equal_example(int height, int width, F f) {
  Image image{height, width, 1, PixelType::u16, std::vector<std::byte>(size_t(height * width) * 2)};
  Labels labels{height, width, 0, std::vector<int32_t>(size_t(height * width))};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const int id = f(y, x);
      image.as<uint16_t>()[y * width + x] = uint16_t(id);
      labels.ids[size_t(y * width + x)] = id;
      labels.count = std::max(labels.count, id);
    }
  return {"same", Source(std::move(image), 1, {Normalisation::Kind::none}, "same"), StoredLabels(labels)};
}

int numbered(int y, int x) { return 1 + 50 * y + x; }

Placement window(int size, int y0, int x0) {
  Placement p;
  p.size = size, p.y0 = y0, p.x0 = x0;
  return p;
}

std::vector<int32_t> labels_at(const Example& e, const Placement& p, int margin = 0) {
  CutMemory memory;
  std::vector<int32_t> ids(size_t(p.size + 2 * margin) * size_t(p.size + 2 * margin));
  cut_labels(e, p, margin, memory, ids.data());
  return ids;
}

std::vector<float> values_of(const Example& e, const Placement& p) {
  CutMemory memory;
  std::vector<float> values(size_t(p.size) * size_t(p.size));
  cut_channel(e.source, 0, p, memory, values.data());
  return values;
}

LoaderOptions options_of(int crop, const std::string& augment) {
  LoaderOptions o;
  o.batch = 1, o.crop = crop, o.seed = 3;
  o.augment = parse_augmentation(augment);
  o.targets.maps = {{"ids", 1, DType::i32}};
  return o;
}

}  // namespace

TEST_CASE("warp: the identity warp gives the window, also beyond the image") {
  const Example e = equal_example(50, 50, numbered);
  for (const Placement& p : {window(12, 7, 9), window(12, -5, 44), window(13, 60, 3), window(60, -5, -4)}) {
    const Placement w = warped(p, {});
    CHECK(labels_at(e, w, 3) == labels_at(e, p, 3));
    CutMemory memory;
    const Inside in = inside(w, 50, 50, memory), rectangle = inside(p, 50, 50, memory);
    const std::vector<float> got = values_of(e, w), want = values_of(e, p);
    int wrong = 0;
    for (int y = 0; y < p.size; ++y)
      for (int x = 0; x < p.size; ++x) {
        const size_t i = size_t(y * p.size + x);
        const bool there =
            y >= rectangle.y_begin && y < rectangle.y_end && x >= rectangle.x_begin && x < rectangle.x_end;
        wrong += (in.within.empty() || in.within[i]) != there;
        wrong += there && got[i] != want[i];
      }
    CHECK(wrong == 0);
  }
}

TEST_CASE("warp: a quarter rotation, a scale of two and a shear by hand") {
  const Example e = equal_example(50, 50, numbered);
  const Placement p = window(8, 20, 10);
  const std::vector<int32_t> ids = labels_at(e, p);
  std::vector<int32_t> turned(64);
  // The angle rotates the positions that are read from x to y, so the image rotates counter-clockwise as displayed.
  kernels::move_pixels<int32_t>({}, square_map({.rotation = 1}, 8), {ids.data(), {1, 8, 8}},
                                {turned.data(), {1, 8, 8}});
  CHECK(labels_at(e, warped(p, {.angle = 1.57079633f})) == turned);

  // A pixel of the sample is half a pixel of the image; the centre, at 3.5, is fixed.
  const Placement twice = warped(p, {.scale = 2});
  CHECK(values_of(e, twice)[0] == doctest::Approx(numbered(21, 11) + 50 * 0.75 + 0.75));
  CHECK(labels_at(e, twice)[0] == numbered(22, 12));

  // Each row is shifted by a quarter of a pixel relative to the row above.
  const Placement sheared = warped(p, {.shear = 0.25f});
  CHECK(values_of(e, sheared)[0] == doctest::Approx(numbered(20, 10) - 0.875));
  CHECK(values_of(e, sheared)[63] == doctest::Approx(numbered(27, 17) + 0.875));
}

TEST_CASE("warp: image and labels are warped alike, and no pixel of a crop lies outside the image") {
  // Discs of value 1, wide enough for most samples to lie between four equal pixels.
  std::vector<Example> examples;
  examples.push_back(equal_example(120, 150, [](int y, int x) {
    return (y % 30 - 15) * (y % 30 - 15) + (x % 30 - 15) * (x % 30 - 15) < 120 ? 1 : 0;
  }));
  for (const char* augment : {"scale", "angle", "shear:2", "elastic", "flip,rotate,scale,angle,shear,elastic"}) {
    Loader loader(examples, options_of(40, augment), copy_ids);
    int64_t clear = 0, wrong = 0, objects = 0;
    for (int step = 0; step < 100; ++step) {
      const LoadedBatch& b = loader.next();
      const float* value = b.image.data<float>();
      const int32_t* id = b.targets.at("ids").data<int32_t>();
      for (int i = 0; i < 1600; ++i) {
        const bool is_clear = value[i] < 1e-3f || value[i] > 1 - 1e-3f;
        clear += is_clear, objects += id[i];
        wrong += is_clear && std::lround(value[i]) != id[i];
      }
    }
    CHECK(wrong == 0);
    CHECK(clear > 120000);
    CHECK(objects > 35000);
  }

  examples.clear();
  examples.push_back(equal_example(64, 70, [](int, int) { return 1; }));
  Loader loader(examples, options_of(32, "scale"), copy_ids);
  std::set<float> values;
  std::set<int> ids;
  for (int step = 0; step < 200; ++step) {
    const LoadedBatch& b = loader.next();
    for (int i = 0; i < 1024; ++i)
      values.insert(b.image.data<float>()[i]), ids.insert(b.targets.at("ids").data<int32_t>()[i]);
  }
  CHECK(values == std::set<float>{1});
  CHECK(ids == std::set<int>{1});
}

TEST_CASE("warp: labels in the margin of a crop are warped too") {
  const Example e = equal_example(50, 50, numbered);
  Warp warp{.scale = 0.8f, .angle = 0.7f, .shear = 0.1f};
  for (const float most : {0.f, 4.f}) {
    warp.displacement = {most, 30, 77};
    const Placement p = warped(window(10, 20, 22), warp);
    const int margin = 6, wide = 22;
    const std::vector<int32_t> middle = labels_at(e, p), all = labels_at(e, p, margin);
    SmoothNoise right(77, 30, -margin, wide), down(~uint64_t(77), 30, -margin, wide);
    int wrong = 0, near = 0;
    for (int v = 0; v < wide; ++v) {
      const float *by_x = right.row(v - margin), *by_y = down.row(v - margin);
      for (int u = 0; u < wide; ++u) {
        const double px = u - margin + double(most * by_x[u]), py = v - margin + double(most * by_y[u]);
        const double x = p.map.x(px, py), y = p.map.y(px, py);
        const auto tie = [](double at) { return std::abs(at - std::floor(at) - 0.5) < 1e-4; };
        if (tie(x) || tie(y)) {
          ++near;
          continue;
        }
        wrong += all[size_t(v * wide + u)] != numbered(int(std::lround(y)), int(std::lround(x)));
      }
    }
    CHECK(wrong == 0);
    CHECK(near < 10);
    for (int y = 0; y < 10; ++y)
      for (int x = 0; x < 10; ++x)
        CHECK(all[size_t((y + margin) * wide + x + margin)] == middle[size_t(10 * y + x)]);
  }
}

TEST_CASE("warp: padding is zero in image and labels under every change of values") {
  std::vector<Example> examples;
  examples.push_back(equal_example(30, 30, [](int y, int x) { return y < 15 ? 1 + x % 2 : 3; }));
  Loader loader(examples,
                options_of(48,
                           "scale,angle,elastic,brightness,noise,invert,gamma,illumination,blur,sharpen,poisson,"
                           "correlated,cutout"),
                copy_ids);
  int64_t zeros = 0, wrong = 0;
  for (int step = 0; step < 100; ++step) {
    const LoadedBatch& b = loader.next();
    for (int i = 0; i < 48 * 48; ++i) {
      const bool outside = b.targets.at("ids").data<int32_t>()[i] == 0;
      zeros += outside;
      wrong += outside && b.image.data<float>()[i] != 0;
      wrong += !outside && b.image.data<float>()[i] == 0;
    }
  }
  CHECK(zeros > 20000);
  CHECK(wrong < 20);  // a value inside the image may become 0
}

TEST_CASE("warp: targets that need whole objects get the warped labels of the whole image") {
  const int height = 60, width = 90;
  std::vector<Example> examples;
  examples.push_back(equal_example(height, width, [](int y, int x) {
    const bool top = y < 8, bottom = y >= height - 8, left = x < 8, right = x >= width - 8;
    return top && left ? 1 : top && right ? 2 : bottom && left ? 3 : bottom && right ? 4 : 0;
  }));
  LoaderOptions o = options_of(24, "flip,scale,angle,shear,elastic");
  o.margin = 1, o.whole_image = true;
  Loader loader(examples, o, [&](const Exec&, View<const int32_t, 3> layers, const SampleTargets&) {
    const View<const int32_t, 2> labels = first_layer(layers);
    int64_t area[5] = {};
    for (int64_t i = 0; i < labels.size(); ++i)
      ++area[labels.data[i]];
    const auto [least, most] = std::minmax({area[1], area[2], area[3], area[4]});
    if (double(least) < 0.6 * double(most) || least < 10) refuse("objects of ", least, " to ", most, " pixels");
    for (int i = 0; i < labels.dim[0]; ++i)  // no object is at the window's border
      if (labels(i, 0) + labels(0, i) + labels(i, labels.dim[1] - 1) + labels(labels.dim[0] - 1, i) != 0)
        refuse("an object is at the border");
  });
  for (int step = 0; step < 60; ++step)
    CHECK_NOTHROW(loader.next());
}

TEST_CASE("warp: smooth noise does not depend on the evaluated part and stays below one") {
  SmoothNoise wide(9, 7.5f, -20, 100), part(9, 7.5f, 3, 10);
  double squares = 0, steps = 0;
  float most = 0;
  std::vector<float> above;
  for (int y = -5; y < 95; ++y) {
    const float* row = wide.row(y);
    const std::vector<float> all(row, row + 100);
    row = part.row(y);
    for (int i = 0; i < 10; ++i)
      REQUIRE(row[i] == doctest::Approx(all[size_t(23 + i)]).epsilon(1e-4));
    for (int x = 0; x < 100; ++x) {
      squares += double(all[size_t(x)]) * double(all[size_t(x)]) / 1e4;
      most = std::max(most, std::abs(all[size_t(x)]));
      if (!above.empty()) steps = std::max(steps, double(std::abs(all[size_t(x)] - above[size_t(x)])));
    }
    above = all;
  }
  CHECK(std::sqrt(squares) == doctest::Approx(0.28).epsilon(0.15));
  CHECK(most < 1);
  CHECK(steps < 1.5 / 7.5);
  const std::vector<float> last(above.begin(), above.begin() + 100);
  wide.row(3);  // rows may be evaluated in any order
  const float* again = wide.row(94);
  CHECK(std::equal(last.begin(), last.end(), again));
  SmoothNoise other(10, 7.5f, -20, 100);
  CHECK(other.row(94)[0] != last[0]);
}

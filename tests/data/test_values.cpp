#include <cmath>
#include <numeric>

#include "data/dataset/values.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

constexpr int size = 32;

/// A square image after a change of its values.
std::vector<float> changed(std::vector<float> values, const ValueChange& change,
                           const Inside& in = {0, size, 0, size, {}}, uint64_t position = 0) {
  CutMemory memory;
  ValueChanger({1, 0, position}, {}, change, in, size).apply(values.data(), memory);
  return values;
}

/// A ramp from 1 to 3 along x.
std::vector<float> float_ramp() {
  std::vector<float> v(size * size);
  for (int i = 0; i < size * size; ++i)
    v[size_t(i)] = 1 + 2 * float(i % size) / (size - 1);
  return v;
}

std::vector<float> impulse() {
  std::vector<float> v(size * size, 1);
  v[16 * size + 16] = 2;
  return v;
}

double sum(const std::vector<float>& v) { return std::accumulate(v.begin(), v.end(), 0.); }

}  // namespace

TEST_CASE("values: inversion and gamma map the range of values onto itself") {
  const std::vector<float> v = float_ramp(), inverted = changed(v, {.invert = true});
  for (size_t i = 0; i < v.size(); ++i)
    REQUIRE(inverted[i] == doctest::Approx(4 - v[i]));
  for (const float gamma : {0.5f, 0.8f, 2.f, 4.f}) {
    const std::vector<float> bent = changed(v, {.gamma = gamma});
    for (size_t i = 0; i < v.size(); ++i)
      REQUIRE(bent[i] == doctest::Approx(1 + 2 * std::pow((v[i] - 1) / 2, gamma)).epsilon(1e-4));
  }
}

TEST_CASE("values: blur preserves the mean and has the given standard deviation; sharpening reverses it") {
  for (const float deviation : {0.4f, 1.f, 1.5f}) {
    const std::vector<float> v = changed(impulse(), {.blur = deviation});
    CHECK(sum(v) == doctest::Approx(size * size + 1).epsilon(1e-6));
    double variance = 0;
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x)
        variance += (double(v[size_t(y * size + x)]) - 1) * (x - 16) * (x - 16);
    if (deviation >= 1) CHECK(std::sqrt(variance) == doctest::Approx(deviation).epsilon(0.03));
    CHECK(v[15 * size + 16] == doctest::Approx(v[16 * size + 17]));
    CHECK(v[15 * size + 16] > 1);
  }
  const std::vector<float> flat = changed(float_ramp(), {.blur = 1});
  CHECK(flat[16 * size + 16] == doctest::Approx(float_ramp()[16 * size + 16]));
  const std::vector<float> soft = changed(impulse(), {.blur = 1}), sharp = changed(impulse(), {.sharpen = 0.5f});
  for (size_t i = 0; i < soft.size(); ++i)
    REQUIRE(sharp[i] == doctest::Approx(impulse()[i] + 0.5f * (impulse()[i] - soft[i])));
}

TEST_CASE("values: shot noise grows as the square root of the value and differs between samples") {
  double squares[2] = {};
  for (uint64_t k = 0; k < 20; ++k) {
    std::vector<float> v(size * size, 1);  // the range of values is 1 to 3
    for (int i = 0; i < size * size / 2; ++i)
      v[size_t(i)] = i % 2 ? 1.5f : 3;
    const std::vector<float> noisy = changed(v, {.photons = 100}, {0, size, 0, size, {}}, k);
    for (int i = 0; i < size * size / 2; ++i)
      squares[i % 2] += std::pow(double(noisy[size_t(i)] - v[size_t(i)]), 2) / (20. * size * size / 4);
    for (int i = size * size / 2; i < size * size; ++i)
      REQUIRE(noisy[size_t(i)] == 1);
  }
  CHECK(std::sqrt(squares[0]) == doctest::Approx(2 / 10.).epsilon(0.05));
  CHECK(std::sqrt(squares[1]) == doctest::Approx(2 / 10. * std::sqrt(0.25)).epsilon(0.05));
}

TEST_CASE("values: shot noise does not change the random numbers of other noise") {
  const auto with = [](float noise, float photons) {
    std::vector<float> v = float_ramp();
    CutMemory memory;
    const Transform transform{.noise = noise};
    const ValueChange change{.photons = photons};
    const Inside in{0, size, 0, size, {}};
    ValueChanger({1, 0, 0}, transform, change, in, size).apply(v.data(), memory);
    return v;
  };
  const std::vector<float> both = with(0.05f, 100), shot = with(0, 100), noise = with(0.05f, 0), none = with(0, 0);
  for (size_t i = 0; i < both.size(); ++i)
    REQUIRE(both[i] - shot[i] == doctest::Approx(noise[i] - none[i]).epsilon(1e-3));
  CHECK(std::abs(shot[size / 2] - none[size / 2] - 2 * (noise[size / 2] - none[size / 2])) > 1e-4f);
}

TEST_CASE("values: correlated noise and uneven illumination are smooth") {
  const ValueChange grainy{.correlated = 0.05f, .grain = 4, .key = 5};
  const std::vector<float> v = float_ramp(), noisy = changed(v, grainy);
  double squares = 0, neighbours = 0;
  for (int i = 0; i + 1 < size * size; ++i) {
    const double a = double(noisy[size_t(i)] - v[size_t(i)]), b = double(noisy[size_t(i + 1)] - v[size_t(i + 1)]);
    squares += a * a, neighbours += i % size < size - 1 ? a * b : 0;
  }
  CHECK(std::sqrt(squares / (size * size)) == doctest::Approx(0.1).epsilon(0.3));
  CHECK(neighbours > 0.8 * squares * (size - 1) / size);

  const std::vector<float> lit = changed(v, {.illumination = 0.5f, .illumination_spacing = 20, .key = 6});
  float least = 9, most = 0;
  for (int y = 1; y < size; ++y)
    for (int x = 4; x < size; ++x) {
      const auto factor = [&](int i) { return (lit[size_t(i)] - 1) / (v[size_t(i)] - 1); };
      const float here = factor(y * size + x);
      least = std::min(least, here), most = std::max(most, here);
      CHECK(std::abs(here - factor(y * size - size + x)) < 0.06f);
    }
  CHECK(least >= 0.5f);
  CHECK(most <= 1.5f);
  CHECK(most - least > 0.05f);
}

TEST_CASE("values: a cutout is a rectangle filled with the mean value") {
  int several = 0;
  for (uint64_t k = 0; k < 20; ++k) {
    const std::vector<float> v = float_ramp(),
                             cut = changed(v, {.cutouts = 1, .cutout_side = 0.5f}, {0, size, 0, size, {}}, k);
    int y0 = size, y1 = -1, x0 = size, x1 = -1, count = 0;
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x)
        if (cut[size_t(y * size + x)] != v[size_t(y * size + x)]) {
          CHECK(cut[size_t(y * size + x)] == doctest::Approx(2));
          y0 = std::min(y0, y), y1 = std::max(y1, y), x0 = std::min(x0, x), x1 = std::max(x1, x), ++count;
        }
    REQUIRE(count > 0);
    CHECK(count == (y1 - y0 + 1) * (x1 - x0 + 1));
    CHECK(y1 - y0 < size / 2);
    several += count > 1;
  }
  CHECK(several > 15);
}

TEST_CASE("values: padding is not changed, and a constant image stays constant") {
  const Inside part{4, 20, 6, 32, {}};
  const ValueChange all{.invert = true,
                        .gamma = 2,
                        .illumination = 0.5f,
                        .illumination_spacing = 20,
                        .blur = 1,
                        .sharpen = 1,
                        .photons = 50,
                        .correlated = 0.1f,
                        .grain = 3,
                        .cutouts = 3,
                        .cutout_side = 0.25f};
  std::vector<float> v(size * size, 0);
  for (int y = 4; y < 20; ++y)
    for (int x = 6; x < 32; ++x)
      v[size_t(y * size + x)] = 10 + float(x * y % 7);
  const std::vector<float> got = changed(v, all, part);
  int same = 0;
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      const size_t i = size_t(y * size + x);
      if (y >= 4 && y < 20 && x >= 6)
        same += got[i] == v[i];
      else
        REQUIRE(got[i] == 0);
      REQUIRE(std::isfinite(got[i]));
    }
  CHECK(same < 40);
  CHECK(changed(std::vector<float>(size * size, 3), all) == std::vector<float>(size * size, 3));
}

#include <omp.h>

#include "kernels/cluster/mask_points.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
using namespace basin::kernels;

namespace {

/// From a mask to points, and from given clusters of these points to a label image.
struct RoundTrip {
  std::vector<float> points;
  std::vector<int32_t> image;

  RoundTrip(const Exec& exec, int h, int w, const std::vector<uint8_t>& pixels, const std::vector<int32_t>& clusters) {
    const Tensor mask = Tensor::from(exec, {h, w}, pixels);
    const int64_t n = count_points(exec, mask.view<const uint8_t, 2>());
    const Tensor p = Tensor::empty(exec, {n, 2});
    mask_points<float>(exec, mask.view<const uint8_t, 2>(), p.view<float, 2>());
    points = p.to_host<float>(exec);
    REQUIRE(int64_t(clusters.size()) >= n);
    const Tensor c = Tensor::from(exec, {n}, std::vector<int32_t>(clusters.begin(), clusters.begin() + n));
    const Tensor labels = Tensor::empty(exec, {h, w}, DType::i32);
    label_points(exec, mask.view<const uint8_t, 2>(), c.view<const int32_t, 1>(), labels.view<int32_t, 2>());
    image = labels.to_host<int32_t>(exec);
  }
};

}  // namespace

TEST_CASE("points: foreground pixels are listed in raster order, and their labels are written back in place") {
  for (const Exec& exec : execs()) {
    const RoundTrip r(exec, 3, 4, {0, 1, 0, 255, 0, 0, 0, 0, 7, 0, 0, 1}, {4, -1, 0, 4});
    CHECK(r.points == std::vector<float>{1, 0, 3, 0, 0, 2, 3, 2});
    CHECK(r.image == std::vector<int32_t>{0, 5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 5});
    const RoundTrip none(exec, 2, 2, {0, 0, 0, 0}, {9});
    CHECK(none.points.empty());
    CHECK(none.image == std::vector<int32_t>(4, 0));
  }
}

TEST_CASE("points: the same results with any number of threads") {
  const int before = omp_get_max_threads();
  const int h = 301, w = 77;
  std::vector<uint8_t> mask;
  for (float v : uniform<float>(size_t(h * w), 0, 1, 1))
    mask.push_back(v < .4f);
  std::vector<int32_t> clusters(mask.size());
  for (size_t i = 0; i < clusters.size(); ++i)
    clusters[i] = int32_t(i) - 1;
  std::vector<float> points;
  for (int threads : {1, 2, 7}) {
    omp_set_num_threads(threads);
    const RoundTrip r(Exec{}, h, w, mask, clusters);
    if (points.empty()) points = r.points;
    CHECK(r.points == points);
    int32_t next = 0;  // point i has cluster i - 1, which is label i
    bool in_order = true;
    for (size_t p = 0; p < mask.size(); ++p)
      in_order &= r.image[p] == (mask[p] ? next++ : 0);
    CHECK(in_order);
    CHECK(size_t(2 * next) == points.size());
  }
  omp_set_num_threads(before);
}

TEST_CASE("points: a number of points other than the mask's is refused") {
  const Exec cpu;
  const Tensor mask = Tensor::from<uint8_t>(cpu, {1, 3}, {1, 0, 1}), three = Tensor::zeros(cpu, {3, 2});
  CHECK_THROWS_AS(mask_points<float>(cpu, mask.view<const uint8_t, 2>(), three.view<float, 2>()), Error);
  const Tensor clusters = Tensor::zeros(cpu, {3}, DType::i32), image = Tensor::empty(cpu, {1, 3}, DType::i32);
  CHECK_THROWS_AS(
      label_points(cpu, mask.view<const uint8_t, 2>(), clusters.view<const int32_t, 1>(), image.view<int32_t, 2>()),
      Error);
}

TEST_CASE("points: thresholding logits equals thresholding their probabilities") {
  for (const Exec& exec : execs()) {
    auto mask_of = [&](double probability) {
      const Tensor logit =
          Tensor::from<float>(exec, {2, 4}, {0, 1e-30f, -1e-30f, 1.0986123f, 1.0986122f, NAN, INFINITY, -INFINITY});
      const Tensor mask = Tensor::empty(exec, {2, 4}, DType::u8);
      threshold_logit(exec, logit.view<const float, 2>(), probability, mask.view<uint8_t, 2>());
      return mask.to_host<uint8_t>(exec);
    };
    CHECK(mask_of(.5) == std::vector<uint8_t>{0, 1, 0, 1, 1, 0, 1, 0});
    CHECK(mask_of(.75) == std::vector<uint8_t>{0, 0, 0, 1, 0, 0, 1, 0});  // log 3 = 1.09861228...
    CHECK_THROWS_AS(mask_of(1.5), Error);
    CHECK_THROWS_AS(mask_of(NAN), Error);
  }
}

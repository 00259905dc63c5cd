#include "kernels/dropout.h"

#include "engine/ops_nn.h"
#include "tests/support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<float> drop(const Exec& exec, const std::vector<float>& x, const Shape& shape, Layout layout, double p,
                        int64_t step, uint32_t layer = 0, uint64_t seed = 1) {
  const Tensor in = to_layout(exec, Tensor::from(exec, shape, x), layout);
  const Tensor out = Tensor::empty(exec, shape, DType::f32, layout);
  StepState now;
  now.step = step;
  const Tensor state = Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8);
  state.copy_from_host(exec, &now);
  kernels::dropout<float>(exec, in.features<const float>(), p, seed, layer, static_cast<StepState*>(state.raw()),
                          out.features<float>());
  return to_layout(exec, out, Layout::nchw).to_host<float>(exec);
}

}  // namespace

TEST_CASE("dropout: keeps a share of 1 - p, scaled so that the mean stays") {
  const Shape shape{2, 24, 32, 40};
  const std::vector<float> ones(size_t(shape.size()), 1.f);
  for (const Exec& exec : execs())
    for (const double p : {0., 0.2, 0.75}) {
      int64_t kept = 0;
      for (const float v : drop(exec, ones, shape, Layout::nchw, p, 3)) {
        CHECK_MESSAGE((v == 0 || v == float(1 / (1 - p))), v);
        kept += v != 0;
      }
      // Six standard deviations of a binomial count.
      const double n = double(shape.size());
      CHECK(std::abs(double(kept) - n * (1 - p)) <= 6 * std::sqrt(n * p * (1 - p)));
    }
}

TEST_CASE("dropout: the mask is the same in every layout, and another for another step, layer or seed") {
  const Shape shape{2, 24, 6, 10};
  const std::vector<float> x = uniform<float>(size_t(shape.size()), 1, 2, 1);
  for (const Exec& exec : execs()) {
    const std::vector<float> want = drop(exec, x, shape, Layout::nchw, 0.5, 3);
    for (const Layout layout : {Layout::nhwc, Layout::blocked8, Layout::blocked16})
      CHECK(drop(exec, x, shape, layout, 0.5, 3) == want);
    CHECK(drop(exec, x, shape, Layout::nchw, 0.5, 3) == want);
    CHECK(drop(exec, x, shape, Layout::nchw, 0.5, 4) != want);
    CHECK(drop(exec, x, shape, Layout::nchw, 0.5, 3, 1) != want);
    CHECK(drop(exec, x, shape, Layout::nchw, 0.5, 3, 0, 2) != want);
  }
}

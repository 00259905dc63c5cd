#include "engine/ops/nn.h"
#include "kernels/nn/dropout.h"
#include "kernels/runtime/philox.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<float> drop(const Exec& exec, const std::vector<float>& x, const Shape& shape, Layout layout, double p,
                        int64_t batch, uint32_t layer = 0, uint64_t seed = 1) {
  const Tensor in = to_layout(exec, Tensor::from(exec, shape, x), layout);
  const Tensor out = Tensor::empty(exec, shape, DType::f32, layout);
  StepState now;
  now.batch = batch;
  const Tensor state = Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8);
  state.copy_from_host(exec, &now);
  kernels::dropout<float>(exec, in.features<const float>(), p, seed, layer, static_cast<StepState*>(state.raw()),
                          out.features<float>());
  return to_layout(exec, out, Layout::nchw).to_host<float>(exec);
}

}  // namespace

TEST_CASE("dropout: Philox4x32-10 gives the published random words") {
  // Random123 1.14.0, tests/kat_vectors.
  const auto words = [](uint64_t key, uint64_t low, uint64_t high) {
    const Philox p(key, low, high);
    return std::vector<uint32_t>(p.word, p.word + 4);
  };
  using V = std::vector<uint32_t>;
  CHECK(words(0, 0, 0) == V{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(words(~uint64_t(0), ~uint64_t(0), ~uint64_t(0)) == V{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(words(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e) ==
        V{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("dropout: keeps a fraction 1 - p of the values, scaled to preserve the mean") {
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

TEST_CASE("dropout: the mask is the same in every layout, and changes with the batch, layer and seed") {
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

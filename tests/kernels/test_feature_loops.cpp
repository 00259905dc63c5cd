#include "kernels/nn/batch_norm.h"
#include "kernels/nn/dropout.h"
#include "kernels/nn/pointwise.h"
#include "kernels/nn/resample.h"
#include "kernels/nn/training_step.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

// All kernels that use the loops over feature maps, in every layout, element type and alignment: the results must not
// depend on how a launch is divided into blocks, rows and packs.

namespace {

using Numbers = std::vector<double>;

/// Feature maps on exec's device, in memory that begins `skipped` elements after an aligned address.
template <class X>
class Maps {
 public:
  Maps(const Exec& exec, const Shape& shape, Layout layout, int skipped)
      : exec_(exec), here_(Tensor::zeros(Exec{}, shape, dtype_of<X>, layout)) {
    there_ = Tensor::zeros(exec, {int64_t(here_.bytes() / sizeof(X)) + skipped}, dtype_of<X>);
    view_ = here_.features<X>();
    view_.data = there_.data<X>() + skipped;
  }
  Maps(const Exec& exec, const Shape& shape, Layout layout, int skipped, const Numbers& values)
      : Maps(exec, shape, layout, skipped) {
    for_each([&](X& to, size_t i) { to = X(float(values[i])); });
    std::vector<X> all(size_t(there_.shape().size()));
    std::copy_n(here_.data<X>(), here_.bytes() / sizeof(X), all.begin() + skipped);
    there_.copy_from_host(exec, all.data());
  }
  FeatureView<X> view() const { return view_; }
  /// The values in nchw order.
  Numbers values() const {
    std::vector<X> all(size_t(there_.shape().size()));
    there_.copy_to_host(exec_, all.data());
    std::copy(all.end() - long(here_.bytes() / sizeof(X)), all.end(), here_.data<X>());
    Numbers found(size_t(here_.shape().size()));
    for_each([&](X& from, size_t i) { found[i] = double(float(from)); });
    return found;
  }

 private:
  template <class F>
  void for_each(const F& f) const {
    const FeatureView<X> v = here_.features<X>();
    size_t i = 0;
    for (int n = 0; n < v.n; ++n)
      for (int c = 0; c < v.c; ++c)
        for (int y = 0; y < v.h; ++y)
          for (int x = 0; x < v.w; ++x)
            f(v(n, c, y, x), i++);
  }

  Exec exec_;
  Tensor here_, there_;
  FeatureView<X> view_;
};

/// The results of the kernels for one layout, element type and alignment.
struct Found {
  Numbers mean, inverse_std, normalised, added, d_x, d_gamma, d_beta, d_a, d_b, pooled, chosen, unpooled, upsampled,
      downsampled, sum, dropped, heads, d_heads, d_weight, d_bias;
};

template <class X>
Found run(const Exec& exec, const Shape& shape, Layout layout, int skipped, const Numbers& x_values) {
  using T = Arithmetic<X>;
  const int n = shape[0], c = shape[1], h = shape[2], w = shape[3];
  const Shape doubled{n, c, 2 * h, 2 * w};
  const auto random = [](int64_t count, unsigned seed) { return uniform<double>(size_t(count), -1, 1, seed); };
  const auto to_device = [&](const Numbers& v) {
    return Tensor::from(exec, {int64_t(v.size())}, std::vector<T>(v.begin(), v.end()));
  };
  const auto read = [&](const Tensor& t) {
    const std::vector<T> v = t.to_host<T>(exec);
    return Numbers(v.begin(), v.end());
  };
  const auto maps = [&](const Shape& s) { return Maps<X>(exec, s, layout, skipped); };
  const auto filled = [&](const Shape& s, unsigned seed) {
    return Maps<X>(exec, s, layout, skipped, random(s.size(), seed));
  };
  const Maps<X> x(exec, shape, layout, skipped, x_values), other = filled(shape, 2), d_out = filled(shape, 3);
  Found found;

  const Tensor mean = Tensor::zeros(exec, {c}, dtype_of<T>), inverse_std = mean.clone(exec);
  const Tensor running_mean = mean.clone(exec), running_var = mean.clone(exec);
  kernels::norm_statistics<X>(exec, x.view(), T(1e-5), T(.1), {mean.data<T>(), inverse_std.data<T>()},
                              running_mean.data<T>(), running_var.data<T>());
  found.mean = read(mean), found.inverse_std = read(inverse_std);

  // Normalised with given statistics, so that the maps can be compared bit by bit.
  const Tensor m = to_device(random(c, 4)), s = to_device(uniform<double>(size_t(c), .5, 2, 5));
  const Tensor gamma = to_device(random(c, 6)), beta = to_device(random(c, 7));
  const kernels::NormInput<X> in{x.view(), {m.data<T>(), s.data<T>()}, gamma.data<T>(), beta.data<T>()};
  const kernels::NormInput<X> in_2{other.view(), {m.data<T>(), s.data<T>()}, beta.data<T>(), gamma.data<T>()};
  const Maps<X> out = maps(shape), both = maps(shape), d_x = maps(shape), d_a = maps(shape), d_b = maps(shape);
  kernels::norm_relu<X>(exec, in, out.view());
  kernels::norm_add_relu<X>(exec, in, in_2, both.view());
  const Tensor zero = Tensor::zeros(exec, {c}, dtype_of<T>);
  const Tensor d_gamma = zero.clone(exec), d_beta = zero.clone(exec), unused = zero.clone(exec);
  kernels::norm_relu_backward<X>(exec, in, d_out.view(), {d_x.view(), d_gamma.data<T>(), d_beta.data<T>()});
  kernels::norm_add_relu_backward<X>(exec, in, in_2, d_out.view(), {d_a.view(), unused.data<T>(), unused.data<T>()},
                                     {d_b.view(), unused.data<T>(), unused.data<T>()});
  found.normalised = out.values(), found.added = both.values(), found.d_x = d_x.values();
  found.d_a = d_a.values(), found.d_b = d_b.values(), found.d_gamma = read(d_gamma), found.d_beta = read(d_beta);

  const Maps<X> whole = filled(doubled, 8), half = maps(shape), back = filled(doubled, 9), up = maps(doubled),
                down = maps(shape);
  const Maps<uint8_t> chosen(exec, shape, layout, skipped);
  kernels::max_pool<X>(exec, whole.view(), half.view(), chosen.view());
  kernels::max_pool_backward<X>(exec, d_out.view(), chosen.view(), back.view(), true);
  kernels::upsample<X>(exec, x.view(), 0, up.view());
  kernels::upsample_backward<X>(exec, whole.view(), 0, down.view());
  found.pooled = half.values(), found.chosen = chosen.values(), found.unpooled = back.values();
  found.upsampled = up.values(), found.downsampled = down.values();

  const Maps<X> sum = filled(shape, 10), dropped = maps(shape);
  kernels::add_to<X>(exec, x.view(), sum.view());
  StepState now;
  now.batch = 3;
  const Tensor state = Tensor::empty(exec, {int64_t(sizeof now)}, DType::u8);
  state.copy_from_host(exec, &now);
  kernels::dropout<X>(exec, x.view(), .5, 1, 2, static_cast<StepState*>(state.raw()), dropped.view());
  found.sum = sum.values(), found.dropped = dropped.values();

  constexpr int outputs = 3;
  const auto matrix = [&](unsigned seed) {
    const Numbers v = random(outputs * c, seed);
    return Tensor::from(exec, {outputs, c}, std::vector<T>(v.begin(), v.end()));
  };
  const Tensor weight = matrix(11), d_weight = Tensor::zeros(exec, {outputs, c}, dtype_of<T>);
  const Tensor bias = to_device(random(outputs, 12)), d_bias = Tensor::zeros(exec, {outputs}, dtype_of<T>);
  const Numbers d_values = random(int64_t(n) * outputs * h * w, 13);
  const Shape heads_shape{n, outputs, h, w};
  const Tensor heads = Tensor::zeros(exec, heads_shape, dtype_of<T>);
  const Tensor d_heads = Tensor::from(exec, heads_shape, std::vector<T>(d_values.begin(), d_values.end()));
  const Maps<X> d_in = maps(shape);
  kernels::pointwise<X, T>(exec, x.view(), weight.view<const T, 2>(), bias.view<const T, 1>(), heads.view<T, 4>());
  kernels::pointwise_backward<X, T>(exec, x.view(), weight.view<const T, 2>(), d_heads.view<const T, 4>(), d_in.view(),
                                    d_weight.view<T, 2>(), d_bias.view<T, 1>());
  found.heads = read(heads), found.d_heads = d_in.values(), found.d_weight = read(d_weight);
  found.d_bias = read(d_bias);
  return found;
}

/// Sums may differ by `of_sums`; if `exact`, maps must have the same bits.
void check_same(const Found& got, const Found& want, bool exact, double of_sums) {
  const auto close = [&](const Numbers& a, const Numbers& b) { check_close(a, b, of_sums, of_sums); };
  const auto same = [&](const Numbers& a, const Numbers& b) { exact ? check_close(a, b, 0, 0) : close(a, b); };
  same(got.normalised, want.normalised), same(got.added, want.added), same(got.pooled, want.pooled);
  same(got.chosen, want.chosen), same(got.unpooled, want.unpooled), same(got.upsampled, want.upsampled);
  same(got.downsampled, want.downsampled), same(got.sum, want.sum), same(got.dropped, want.dropped);
  same(got.d_heads, want.d_heads);
  close(got.mean, want.mean), close(got.inverse_std, want.inverse_std), close(got.d_x, want.d_x);
  close(got.d_a, want.d_a), close(got.d_b, want.d_b), close(got.d_gamma, want.d_gamma), close(got.d_beta, want.d_beta);
  close(got.heads, want.heads), close(got.d_weight, want.d_weight), close(got.d_bias, want.d_bias);
}

}  // namespace

TEST_CASE("feature loops: the same results in every layout, shape and alignment") {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 5, 7, 9}, Shape{3, 4, 2, 6}, Shape{2, 8, 1, 33},
                             Shape{1, 12, 33, 1}, Shape{1, 3, 8, 8}, Shape{1, 36, 10, 10}, Shape{5, 2, 3, 3}}) {
    CAPTURE(shape[1]);
    CAPTURE(shape[3]);
    const Numbers x = uniform<double>(size_t(shape.size()), -1, 1, 1);
    const Found want = run<float>(Exec{}, shape, Layout::nchw, 0, x);
    for (const Exec& exec : execs())
      for (const Layout layout : {Layout::nchw, Layout::nhwc, Layout::blocked8, Layout::blocked16}) {
        CAPTURE(int(layout));
        for (const int skipped : {0, 1})
          check_same(run<float>(exec, shape, layout, skipped, x), want, true, 2e-5);
      }
  }
}

TEST_CASE("feature loops: bfloat16 maps equal the CPU's, with the same rounding") {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 5, 7, 9}, Shape{1, 20, 4, 6}}) {
    CAPTURE(shape[1]);
    const Numbers x = uniform<double>(size_t(shape.size()), -1, 1, 1);
    const Found want = run<bfloat16>(Exec{}, shape, Layout::nchw, 0, x);
    for (const Exec& exec : execs())
      for (const Layout layout : {Layout::nchw, Layout::nhwc, Layout::blocked16})
        for (const int skipped : {0, 2})
          check_same(run<bfloat16>(exec, shape, layout, skipped, x), want, true, 2e-2);
  }
}

TEST_CASE("feature loops: sums have the same bits in every run, also where many blocks share a channel") {
  const Shape shape{2, 4, 72, 64};
  const Numbers x = uniform<double>(size_t(shape.size()), -1, 1, 1);
  for (const Exec& exec : execs())
    for (const Layout layout : {Layout::nchw, Layout::nhwc}) {
      const Found once = run<float>(exec, shape, layout, 0, x), twice = run<float>(exec, shape, layout, 0, x);
      CHECK(once.mean == twice.mean);
      CHECK(once.inverse_std == twice.inverse_std);
      CHECK(once.d_gamma == twice.d_gamma);
      CHECK(once.d_weight == twice.d_weight);
      check_same(once, run<float>(Exec{}, shape, Layout::nchw, 0, x), true, 1e-4);
    }
}

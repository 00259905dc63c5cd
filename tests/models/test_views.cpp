#include "engine/json.h"
#include "kernels/image/view_average.h"
#include "models/inference/segmenter.h"
#include "models/inference/views.h"
#include "models/registry.h"
#include "tests/support/fake_method.h"
#include "tests/support/file_support.h"
#include "tests/support/model_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

using Kind = MapSpec::Kind;
constexpr int height = 5, width = 8;

/// The scalar map is the image, vectors are differences of neighbours along x and y, extents are their squares, and the
/// code is the image's first pixel, which differs between most views.
Maps equivariant(const Exec& exec, const Tensor& image) {
  const std::vector<float> v = image.to_host<float>(exec);
  const int h = image.dim(1), w = image.dim(2);
  const auto at = [&](int y, int x) { return y < 0 || x < 0 || y >= h || x >= w ? 0.f : v[size_t(y * w + x)]; };
  std::vector<float> mixed, code(size_t(h * w), v[0]);
  for (int c = 0; c < 5; ++c)
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        const float d = c % 2 == 0 ? at(y, x + 1) - at(y, x - 1) : at(y + 1, x) - at(y - 1, x);
        mixed.push_back(c == 4 ? at(y, x) : c < 2 ? d : d * d);
      }
  const std::vector<float> vectors(mixed.begin(), mixed.begin() + 2 * h * w);
  return {{{"mixed", Tensor::from(exec, {5, h, w}, mixed)},
           {"vectors", Tensor::from(exec, {2, h, w}, vectors)},
           {"code", Tensor::from(exec, {1, h, w}, code)}}};
}

std::vector<MapSpec> specs(const std::vector<Kind>& mixed, Kind vectors = Kind::vector) {
  return {{"mixed", 5, Kind::scalar, mixed}, {"vectors", 2, vectors}, {"code", 1, Kind::code}};
}
const std::vector<Kind> right = {Kind::vector, Kind::vector, Kind::extent, Kind::extent, Kind::scalar};

Tensor some_image(const Exec& exec, int channels = 1) {
  return Tensor::from(exec, {channels, height, width}, uniform<float>(size_t(channels * height * width), 0, 1, 1));
}

}  // namespace

TEST_CASE("views: the inverse of a symmetry brings every pixel back, and parts of views are parts of the image") {
  for (int k = 0; k < kernels::square_symmetries; ++k) {
    const kernels::SquareSymmetry view{k};
    CAPTURE(k);
    const int view_height = view.swaps_sides() ? width : height, view_width = view.swaps_sides() ? height : width;
    const PixelRect part{1, 2, 3, 2};
    std::vector<int> seen(size_t(height * width));
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        int v = y, u = x;
        view.move(height, width, v, u);
        seen[size_t(y * width + x)] = part.contains(v, u);
        view.inverse().move(view_height, view_width, v, u);
        CHECK((v == y && u == x));
      }
    const PixelRect before = before_view(view, part, height, width);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        CHECK(before.contains(y, x) == bool(seen[size_t(y * width + x)]));
  }
}

TEST_CASE("views: an equivariant method gives the same maps with and without averaging over views") {
  for (const Exec& exec : execs()) {
    const FakeMethod method(specs(right), equivariant);
    const Tensor image = some_image(exec);
    const Maps one = equivariant(exec, image);
    const Maps mean = predict_views(exec, method, *method.predictor(exec), image, {});
    CHECK(mean.tensors.size() == 3);
    for (const char* name : {"mixed", "vectors", "code"})
      check_close(mean[name].to_host<float>(exec), one[name].to_host<float>(exec), 1e-6, 1e-6);
  }
}

TEST_CASE("views: channels declared with the wrong kind change the maps") {
  const Exec cpu;
  const Tensor image = some_image(cpu);
  const auto differs = [&](const std::vector<MapSpec>& wrong, const char* name) {
    const FakeMethod method(wrong, equivariant);
    const std::vector<float> mean =
        predict_views(cpu, method, *method.predictor(cpu), image, {})[name].to_host<float>(cpu);
    const std::vector<float> one = equivariant(cpu, image)[name].to_host<float>(cpu);
    double worst = 0;
    for (size_t i = 0; i < one.size(); ++i)
      worst = std::max(worst, std::abs(double(one[i]) - double(mean[i])));
    return worst > 0.1;
  };
  CHECK(differs(specs(right, Kind::scalar), "vectors"));
  CHECK(differs(specs(right, Kind::extent), "vectors"));
  CHECK(differs(specs({Kind::vector, Kind::vector, Kind::scalar, Kind::scalar, Kind::scalar}), "mixed"));
  CHECK(differs(specs({Kind::vector, Kind::vector, Kind::vector, Kind::vector, Kind::scalar}), "mixed"));
  CHECK(!differs(specs(right), "mixed"));
}

TEST_CASE("views: symmetries rotate counter-clockwise, then flip rows; mismatched sizes are refused") {
  for (const Exec& exec : execs()) {
    const Tensor image = some_image(exec);
    const std::vector<float> values = image.to_host<float>(exec);
    const Tensor turned = Tensor::empty(exec, {1, width, height}), flipped = Tensor::empty(exec, {1, height, width});
    kernels::apply_symmetry(exec, {1}, image.view<const float, 3>(), turned.view<float, 3>());
    kernels::apply_symmetry(exec, {4}, image.view<const float, 3>(), flipped.view<float, 3>());
    CHECK(turned.to_host<float>(exec)[0] == values[width - 1]);
    CHECK(flipped.to_host<float>(exec)[0] == values[(height - 1) * width]);
    for (const auto add : {kernels::add_undone_scalars, kernels::add_undone_vectors, kernels::add_undone_extents})
      CHECK_THROWS_AS(add(exec, {1}, image.view<const float, 3>(), 1, true, flipped.view<float, 3>()), Error);
    CHECK_THROWS_AS(
        kernels::add_undone_vectors(exec, {0}, image.view<const float, 3>(), 1, true, flipped.view<float, 3>()), Error);
  }
}

TEST_CASE("views: maps are averaged over views if requested, or by the method's default") {
  const Exec cpu;
  const Untrained vf({}, 1, cpu);
  Image pixels{24, 40, 1, PixelType::u8, std::vector<std::byte>(24 * 40)};
  for (size_t i = 0; i < pixels.pixels.size(); ++i)
    pixels.pixels[i] = std::byte(i * 7 % 251);
  const Source source(pixels, 1, parse_normalisation("divide"), "image");
  const auto map_of = [&](const Method& method, const char* name, bool tta) {
    const std::unique_ptr<Predictor> predictor = method.predictor(cpu);
    return predict_source(cpu, method, *predictor, source, {{}, 1, tta})[name].to_host<float>(cpu);
  };
  const Tensor image = part_of(cpu, source, 0, 0, 24, 40);
  CHECK(map_of(vf.method, "field", true) ==
        predict_views(cpu, vf.method, *vf.predictor, image, {})["field"].to_host<float>(cpu));
  CHECK(map_of(vf.method, "field", true) != map_of(vf.method, "field", false));

  const std::unique_ptr<Method> es = make_method("es", {});
  es->params().allocate(cpu);
  es->params().init(cpu, 3);
  const std::vector<float> by_default = map_of(*es, "raw", false);
  CHECK(map_of(*es, "raw", true) == by_default);
  es->settings().set(parse_assignment("views=false"), {Setting::Use::decoding});
  CHECK(map_of(*es, "raw", false) != by_default);
  CHECK(map_of(*es, "raw", true) == by_default);

  CHECK(can_average_views(*es));
  CHECK(can_average_views(*make_method("wn", {})));
  CHECK(!can_average_views(*make_method("fc", {})));
}

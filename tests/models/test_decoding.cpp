#include <cstdlib>

#include "data/synth/synth.h"
#include "engine/json.h"
#include "models/inference/segmentation.h"
#include "models/methods/vector_fields.h"
#include "models/registry.h"
#include "tests/support/command_support.h"
#include "tests/support/fake_method.h"
#include "tests/support/paths.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("decoding: more foreground pixels than can be clustered are refused before integration") {
  // Zero pages that are never written share one physical page: a logit of 0 everywhere.
  constexpr int64_t width = 1 << 15, height = kernels::max_points / width + 1;
  const auto zeros = [](int64_t channels) {
    void* memory = std::calloc(size_t(channels * height * width), sizeof(float));
    REQUIRE(memory);
    return Tensor::borrow(std::shared_ptr<void>(memory, std::free), memory, Device::cpu, {channels, height, width},
                          DType::f32);
  };
  VectorFieldDecoding d;
  d.threshold = 0.4;
  const Exec cpu;
  const std::string why = refusal([&] { follow(cpu, {{{"logit", zeros(1)}, {"field", zeros(2)}}}, d); });
  CHECK_MESSAGE(contains(why, "the image has 536903680 pixels of foreground"), why);
}

TEST_CASE("decoding: every device gives the same labels as decoding in two parts on the CPU") {
  using kernels::NoiseRule;
  const Exec cpu;
  VectorFields method{VectorFieldOptions{}};
  const Labels truth = make_synthetic({.size = 96, .seed = 3}, 0).labels;
  const Maps maps = method.oracle(cpu, truth);
  const auto on = [](const Exec& exec, const Maps& from) {
    return Maps{{{"logit", from["logit"].to_device(exec)}, {"field", from["field"].to_device(exec)}}};
  };
  const auto check_all = [&](const Maps& all, const VectorFieldDecoding& d, bool any) {
    const Labels want = decode_in_two_parts(cpu, all, d);
    CHECK((want.count > 0) == any);
    for (const Exec& exec : execs()) {
      const Labels got = decode(exec, on(exec, all), d);
      CHECK(got.count == want.count);
      CHECK(got.ids == want.ids);
      CHECK(got.height == want.height);
    }
  };
  for (const NoiseRule rule : {NoiseRule::none, NoiseRule::majority, NoiseRule::omnipose}) {
    VectorFieldDecoding d;
    d.noise = rule;
    check_all(maps, d, true);
    d.dbscan = {1, 25};  // many points are noise
    check_all(maps, d, true);
    d.dbscan = {0.01, 2};  // more grid cells than a table may have
    check_all(maps, d, false);
    d.integrate.solver = kernels::Solver::dopri5;
    d.rescale = {5, 95};
    d.dbscan = {3, 10};
    check_all(maps, d, true);
    d.threshold = 1 - 1e-6;
    check_all(maps, d, false);  // no foreground
  }

  // Some points end far outside the image; the clusters that they form there count too.
  const auto pushed = [&](float x) {
    const Tensor field = Tensor::from(cpu, {2, 96, 96}, maps["field"].to_host<float>(cpu));
    for (int y = 20; y < 30; ++y)
      for (int k = 0; k < 96; ++k)
        field.view<float, 3>()(0, y, k) = x;
    return Maps{{{"logit", maps["logit"]}, {"field", field}}};
  };
  VectorFieldDecoding d;
  d.noise = NoiseRule::majority;
  check_all(pushed(-100), d, true);
  check_all(pushed(10000), d, true);
  for (const Exec& exec : execs()) {
    CHECK(contains(refusal([&] { decode(exec, on(exec, pushed(std::nanf(""))), d); }), "is not finite"));
    VectorFieldDecoding tiny;
    tiny.dbscan.eps = 1e-200;
    CHECK(contains(refusal([&] { decode(exec, on(exec, maps), tiny); }), "--eps 1e-200: expected 1e-150 to 1e150"));
  }
}

TEST_CASE("decoding: segment refuses an image that it cannot decode by name, before running the network") {
  const Folder folder;
  const Image wide{1, 1 << 22, 1, PixelType::u8, std::vector<std::byte>(1 << 22)};
  write_png(folder / "wide.png", wide);
  const Ran ran = run_basin(folder, "segment wide.png --out out --model '" + basin::source_dir() +
                                        "/models/pretrained/nuclei-fluo.safetensors'");
  CHECK(ran.code == 1);
  CHECK_MESSAGE(
      contains(ran.err, "basin: wide.png: the image has 4194304 x 1 pixels, but its sides must be below 4194304"),
      ran.err);
}

TEST_CASE("decoding: the noise rule is stored in the model's settings; true and false keep their meaning") {
  using kernels::NoiseRule;
  VectorFieldOptions o;
  o.net.width = 8;
  for (const NoiseRule rule : {NoiseRule::none, NoiseRule::majority, NoiseRule::omnipose}) {
    o.decoding.noise = rule;
    const Json config = VectorFields(o).config();
    CHECK(VectorFields("vf-h1", config).options().decoding.noise == rule);
    if (rule != NoiseRule::omnipose) CHECK(config["decoding"]["snap_noise"] == (rule == NoiseRule::majority));
  }
  Json config = VectorFields(o).config();
  config["decoding"]["snap_noise"] = "sometimes";
  CHECK(contains(refusal([&] { make_method(config); }), "sometimes"));
}

TEST_CASE("decoding: masks and scores of objects follow their labels through a filter and another size") {
  // A bar of 12 x 2 pixels in row 0 and 1, a single pixel, and a block that the bar covers with two of its pixels.
  const auto found = [](const Exec&, const Maps&) {
    const Planes planes{8, 12, {{{0, 24}}, {{6 * 12 + 1, 6 * 12 + 2}}, {{12, 14}, {24, 26}, {36, 38}}}};
    return Instances{flatten(planes), {.9f, .8f, .7f}, planes};
  };
  const FakeMethod method(
      {}, [](const Exec&, const Tensor&) { return Maps(); }, found);
  Maps maps;
  maps.height = 4, maps.width = 6;
  const Instances half = decode_to_size({}, method, maps);
  CHECK(half.labels.count == 2);  // the pixel in column 1 and row 6 is not looked at
  CHECK(half.scores == std::vector<float>{.9f, .7f});
  REQUIRE(half.planes);
  CHECK(half.planes->objects == std::vector<std::vector<Planes::Run>>{{{0, 6}}, {{0, 1}, {6, 7}}});

  const Image image{8, 12, 1, PixelType::u8, std::vector<std::byte>(8 * 12)};
  const Source source(image, 1, {}, "x");
  SegmentationPlan plan;
  plan.filter.min_size = 2;
  const FoundObjects kept = find_objects({}, method, *method.predictor({}), source, plan, 1);
  CHECK(kept.dropped.too_small == 1);
  CHECK(kept.instances.scores == std::vector<float>{.9f, .7f});
  REQUIRE(kept.instances.planes);
  CHECK(kept.instances.planes->objects.size() == 2);
  CHECK(kept.instances.planes->objects[1].size() == 3);
}

TEST_CASE("decoding: whole masks are filled one by one, also around another object") {
  // A frame of 5 x 5 pixels with another object of one pixel in its hole.
  Labels labels{5, 5, 2, std::vector<int32_t>(25, 1)};
  for (int y = 1; y < 4; ++y)
    for (int x = 1; x < 4; ++x)
      labels.ids[size_t(5 * y + x)] = 0;
  labels.ids[12] = 2;
  const Image image{5, 5, 1, PixelType::u8, std::vector<std::byte>(25)};
  const Source source(image, 1, {}, "x");
  SegmentationPlan plan;
  plan.filter.fill_holes = true;
  for (const bool have_planes : {false, true}) {
    FakeMethod method(
        {}, [](const Exec&, const Tensor&) { return Maps(); },
        [&](const Exec&, const Maps&) {
          Instances found{labels, {}};
          if (have_planes) found.planes = masks_of(labels);
          return found;
        });
    method.shares_pixels = true;
    const FoundObjects kept = find_objects({}, method, *method.predictor({}), source, plan, 1);
    REQUIRE(kept.instances.planes);
    CHECK(kept.instances.planes->objects == std::vector<std::vector<Planes::Run>>{{{0, 25}}, {{12, 13}}});
    CHECK(kept.instances.labels(1, 1) == 1);
    CHECK(kept.instances.labels(2, 2) == 2);
  }
}

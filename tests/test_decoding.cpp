#include <cstdlib>

#include "engine/json.h"
#include "models/vector_fields.h"
#include "tests/command_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("decoding: more foreground than can be clustered is refused before it is followed") {
  // Memory that is never written is one page of zeros: a logit of 0 everywhere.
  constexpr int64_t width = 1 << 15, height = kernels::most_points / width + 1;
  const auto zeros = [](int64_t channels) {
    void* memory = std::calloc(size_t(channels * height * width), sizeof(float));
    REQUIRE(memory);
    return Tensor::borrow(std::shared_ptr<void>(memory, std::free), memory, Device::cpu, {channels, height, width},
                          DType::f32);
  };
  VectorFieldDecoding d;
  d.threshold = 0.4;
  const Exec cpu;
  const std::string why = refusal([&] { follow(cpu, {{{"logit", zeros(1)}, {"field", zeros(2)}}, {}}, d); });
  CHECK_MESSAGE(contains(why, "has 536903680 pixels of foreground"), why);
}

TEST_CASE("decoding: segment names the image that it cannot decode, before it runs the network") {
  const Folder folder;
  const Image wide{1, 1 << 22, 1, PixelType::u8, std::vector<std::byte>(1 << 22)};
  write_png(folder / "wide.png", wide);
  const Ran ran = run_basin(
      folder, "segment wide.png --out out --model '" BASIN_SOURCE_DIR "/models/pretrained/nuclei-fluo.safetensors'");
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.err, "basin: wide.png: is 4194304 x 1 pixels; sides are below 4194304"), ran.err);
}

TEST_CASE("decoding: the rule for noise is kept in the model's settings, and true and false mean what they did") {
  using kernels::NoiseRule;
  VectorFieldOptions o;
  o.net.width = 8;
  for (const NoiseRule rule : {NoiseRule::none, NoiseRule::majority, NoiseRule::omnipose}) {
    o.decoding.noise = rule;
    const Json config = VectorFields(o).config();
    CHECK(VectorFields(config).options().decoding.noise == rule);
    if (rule != NoiseRule::omnipose) CHECK(config["decoding"]["snap_noise"] == (rule == NoiseRule::majority));
  }
  Json config = VectorFields(o).config();
  config["decoding"]["snap_noise"] = "sometimes";
  CHECK(contains(refusal([&] { VectorFields{config}; }), "sometimes"));
}

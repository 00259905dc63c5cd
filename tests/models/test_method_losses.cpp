#include <algorithm>
#include <cmath>
#include <map>

#include "engine/json.h"
#include "tests/support/method_support.h"
#include "tests/support/support.h"

// The losses of the methods of plain U-Nets, W-Net and FCRNet, worked out by hand: their networks get weights with
// which the image is the map, so that a test chooses every value that a loss sees.

using namespace basin;
using namespace basin::test;

namespace {

const double root_half = std::sqrt(.5);

/// Gives the U-Nets of a method weights with which they pass the channels of an image without negative values on to
/// their features, and from there to the maps of `heads`. Everything else of the network is 0.
void pass_image_on(Method& method, const std::vector<std::string>& heads) {
  std::vector<std::string> passing{"encoder_0.conv_0", "encoder_0.conv_1", "decoder_3.conv_0", "decoder_3.conv_1"};
  passing.insert(passing.end(), heads.begin(), heads.end());
  Params& params = method.params();
  params.allocate({});
  for (const Params::Named& n : params.learnt()) {
    const auto is_named = [&](const std::string& layer) { return n.name.ends_with(layer + ".weight"); };
    if (std::none_of(passing.begin(), passing.end(), is_named)) continue;
    REQUIRE((n.shape[2] == 3 && n.shape[3] == 3));
    std::vector<float> weight(size_t(n.shape.size()));
    for (int64_t k = 0; k < std::min(n.shape[0], n.shape[1]); ++k)
      weight[size_t(k * n.shape[1] + k) * 9 + 4] = 1;  // from channel k to channel k, in the middle of the kernel
    params.value_slice(n).copy_from_host({}, weight.data());
  }
}

/// The loss terms of an image of 16 equal rows, whose channels have these values, and their total.
std::map<std::string, double> losses_of(Method& method, const std::vector<std::vector<float>>& row, float scheduled) {
  // Columns 0 to 3 are the first object, 8 to 15 the second: they are 5 px apart.
  Labels bands{16, 16, 2, {}};
  for (int i = 0; i < 256; ++i)
    bands.ids.push_back(i % 16 < 4 ? 1 : i % 16 < 8 ? 0 : 2);
  std::vector<float> pixels;
  for (const std::vector<float>& channel : row)
    for (int y = 0; y < 16; ++y)
      pixels.insert(pixels.end(), channel.begin(), channel.end());
  const Exec cpu;
  StepState state;
  state.scheduled = scheduled;
  Tape tape(cpu);
  const LossTerms loss = method.loss(tape, batch_of(cpu, method, bands, pixels), &state);
  std::map<std::string, double> values{{"total", loss.total.value.to_host<float>(cpu)[0]}};
  for (const auto& [name, term] : loss.terms)
    values[name] = term.value.to_host<float>(cpu)[0];
  return values;
}

void check_losses(const std::map<std::string, double>& got, const std::map<std::string, double>& want) {
  CHECK(got.size() == want.size());
  for (const auto& [name, value] : want) {
    REQUIRE_MESSAGE(got.count(name), name);
    CHECK_MESSAGE(got.at(name) == doctest::Approx(value).epsilon(1e-4), name);
  }
}

}  // namespace

TEST_CASE("method losses: W-Net's terms and their sum, by hand") {
  // Unit vectors (1, 0) in the first object, (1, 0) and (0, 1) in the halves of the background, and (.6, .8) in the
  // second object. The first channel is the distance too.
  const std::vector<std::vector<float>> row{{2, 2, 2, 2, 1, 1, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3},
                                            {0, 0, 0, 0, 0, 0, 1, 1, 4, 4, 4, 4, 4, 4, 4, 4}};
  // The target falls from 10 at the image border to 0 at the background.
  double distance = 1 + 1;
  for (const double target : {10., 20 / 3., 10 / 3., 0.})
    distance += std::pow(2 - target, 2);
  for (int k = 0; k < 8; ++k)
    distance += std::pow(3 - 10 * k / 7., 2);
  distance /= 16;
  struct Case {
    std::vector<std::string> settings;
    bool by_pixel, near;
    double inter_weight;
  };
  const Case cases[] = {{{}, true, true, 1},
                        {{"radius=4"}, true, false, 1},
                        {{"radius=5", "inter_weight=3"}, true, true, 3},
                        {{"radius=4", "inter_weight=0.5", "pixel_mean=false"}, false, false, .5},
                        {{"pixel_mean=false"}, false, true, 1}};
  for (const Case& c : cases) {
    std::vector<std::string> settings{"width=4", "channels=2", "embedding=2"};
    settings.insert(settings.end(), c.settings.begin(), c.settings.end());
    const std::unique_ptr<Method> method = method_with("wn", settings);
    CAPTURE(method->config().dump());
    pass_image_on(*method, {"distance", "embedding"});
    // The background's centre is (1, 1) / sqrt 2. It is a neighbour of both objects.
    const double intra = (1 - root_half) * (c.by_pixel ? 64 / 256. : 1 / 3.);
    const double with_background = root_half + 1.4 * root_half;
    const double inter = c.near ? (.6 + with_background) / 3 : with_background / 2;
    check_losses(losses_of(*method, row, 0), {{"distance", distance},
                                              {"intra", intra},
                                              {"inter", inter},
                                              {"total", distance + intra + c.inter_weight * inter}});
  }
}

TEST_CASE("method losses: FCRNet's terms and their sum, by hand, in both forms and with the guide") {
  // Colours: the second in the first object; the first and the second in the halves of the background; a mixture of the
  // second and the third in the second object.
  const std::vector<std::vector<float>> row{{0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                            {1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                            {0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2},
                                            std::vector<float>(16, 0.f)};
  struct Case {
    std::vector<std::string> settings;
    bool cosine, near;
    double inter_weight, guide_weight;
  };
  const Case cases[] = {{{"guide_weight=0", "inter_weight=4", "radius=10"}, false, true, 4, 0},  // as published
                        {{"guide_weight=0", "inter_weight=4", "radius=4"}, false, false, 4, 0},
                        {{"guide_weight=0", "inter_weight=4", "radius=10", "cosine=true"}, true, true, 4, 0},
                        {{}, false, false, 1, 30},
                        {{"guide_weight=7", "radius=5"}, false, true, 1, 7},
                        {{"guide_weight=7", "inter_weight=2", "cosine=true"}, true, false, 2, 7}};
  for (const Case& c : cases)
    for (const double alpha : {2., 4.}) {
      std::vector<std::string> settings{"width=4", "channels=4", "colours=4"};
      settings.insert(settings.end(), c.settings.begin(), c.settings.end());
      const std::unique_ptr<Method> method = method_with("fc", settings);
      CAPTURE(method->config().dump());
      CAPTURE(alpha);
      pass_image_on(*method, {"colours"});
      const double p = 1 / (1 + std::pow(2, alpha)), q = 1 - p, length = std::hypot(p, q);
      // Centres: (0, 1, 0, 0), (.5, .5, 0, 0) and (0, p, q, 0), divided by their lengths in the cosine form.
      const double intra = c.cosine ? 64 * (1 - root_half) / 256 : (64 * .5 + 128 * (1 - p * p - q * q)) / 256;
      const double between = c.cosine ? p / length : p;
      const double with_background = c.cosine ? root_half * (1 + p / length) : .5 * (1 + p);
      const double inter = c.near ? (between + with_background) / 3 : with_background / 2;
      // The guide has the first colour for the background, the second for the first object, and for the second object
      // the third if the objects are neighbours.
      const double guide = (32 * 2 + 128 * 2 * (c.near ? p * p : q * q)) / (4 * 256);
      std::map<std::string, double> want{{"intra", intra}, {"inter", inter}};
      if (c.guide_weight > 0) want["guide"] = guide;
      want["total"] = intra + c.inter_weight * inter + c.guide_weight * guide;
      check_losses(losses_of(*method, row, float(alpha)), want);
    }
}

#include "models/inference/segmenter.h"
#include "models/inference/views.h"
#include "tests/support/file_support.h"
#include "tests/support/model_support.h"
#include "tools/cli/progress.h"

using namespace basin;
using namespace basin::test;
using tools::Progress;

TEST_CASE("progress: a short stage may stay silent, and a long one is reported with the time left") {
  Progress silent("x.tif", "network", 0, Progress::Short::silent);
  CHECK(silent.line(0.5).empty());  // not due yet
  CHECK(silent.line(1).empty());
  CHECK(!silent.has_reported());
  Progress reported("x.tif", "network", 0);
  CHECK(reported.line(0.5).empty());
  CHECK(reported.line(1) == "x.tif: network 100 %");
  Progress due("x.tif", "network", 0, Progress::Short::silent, 0);
  const std::string half = due.line(0.5);
  CHECK(half.starts_with("x.tif: network 50 %, "));
  CHECK(half.ends_with(" left"));
  CHECK(due.has_reported());
  CHECK(due.line(1) == "x.tif: network 100 %");
}

TEST_CASE("progress: the network of an image in one piece reports the share of its tiles, and of its views") {
  const Untrained model;
  Image image{96, 160, 1, PixelType::u8, std::vector<std::byte>(96 * 160)};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = std::byte(i * i % 251);
  const Source source(image, 1, parse_normalisation("divide"), "image");
  const auto shares_of = [&](Tiling tiling, bool tta) {
    std::vector<double> shares;
    SegmentOptions options;
    options.tiling = {tiling, 64, 16, 1};
    options.tta = tta;
    options.tiling.progress = [&](double share) { shares.push_back(share); };
    segment_source({}, model.method, *model.predictor, source, options);
    REQUIRE(!shares.empty());
    CHECK(shares.back() == 1);
    CHECK(std::is_sorted(shares.begin(), shares.end()));
    return shares;
  };
  CHECK(shares_of(Tiling::fit, false).size() == 1);  // one tile
  for (const Tiling tiling : {Tiling::dynamic, Tiling::pad, Tiling::resize}) {
    const std::vector<double> plain = shares_of(tiling, false), views = shares_of(tiling, true);
    CHECK(plain.size() > 3);
    CHECK(plain[0] == doctest::Approx(1 / double(plain.size())));
    CHECK(views.size() == 8 * plain.size());
    CHECK(views[0] == doctest::Approx(plain[0] / 8));
  }
}

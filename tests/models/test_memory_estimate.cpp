#include "engine/json.h"
#include "models/inference/memory_estimate.h"
#include "models/registry.h"
#include "tests/support/support.h"

using namespace basin;

namespace {

/// Bytes of an image of one channel of 8 bits in one piece, as `segment` estimates them.
double estimate(const Json& config, int side, const TilingOptions& tiling = {}) {
  const std::unique_ptr<Method> method = make_method(config);
  const MemoryNeeds needs = method->memory_needs();
  constexpr double program = 100e6;
  return program + double(side) * side * double(1 + needs.per_pixel) +
         double(network_bytes(*method, tile_pixels(*method, tiling, side, side)));
}

/// A method with one channel, and a crop if it has this setting.
Json config_of(const std::string& name, int crop = 0) {
  Json config = make_method(name, {})->config();
  config["channels"] = 1;
  if (crop > 0) config["crop"] = crop;
  return config;
}

}  // namespace

TEST_CASE("memory: the estimates for each method are close to measured values") {
  // Largest memory of `segment --scale 1 --save labels --device cpu --threads 1`, kB (/usr/bin/time), with models of
  // 10 training steps. Images of 1,024 and 2,048 pixels a side, in one tile or few, and with --tile 256 --overlap 48.
  struct Measured {
    const char* name;
    double whole_1024, whole_2048, tiled_1024, tiled_2048;
  };
  for (const Measured& m :
       {Measured{"vf-h1", 1060768, 1025012, 227872, 259596}, Measured{"es", 332660, 1162584, 147908, 308412},
        Measured{"wn", 1523584, 1801512, 611332, 844084}, Measured{"fc", 984068, 1035804, 225228, 311952}}) {
    CAPTURE(m.name);
    const Json config = config_of(m.name);
    const auto check = [&](double estimated, double kilobytes) {
      CHECK(estimated > 0.9 * 1024 * kilobytes);
      CHECK(estimated < 1.45 * 1024 * kilobytes);
    };
    check(estimate(config, 1024), m.whole_1024);
    check(estimate(config, 2048), m.whole_2048);
    const TilingOptions tiles{Tiling::dynamic, 256, 48};
    check(estimate(config, 1024, tiles), m.tiled_1024);
    check(estimate(config, 2048, tiles), m.tiled_2048);
  }
  // og sees every image at the size of its crop.
  CHECK(estimate(config_of("og", 128), 1024) == doctest::Approx(1.7012e9).epsilon(0.1));
  CHECK(estimate(config_of("og", 512), 1024) == doctest::Approx(2.1410e9).epsilon(0.1));
}

TEST_CASE("memory: maps with more channels need more memory") {
  Json fc = config_of("fc"), wn = config_of("wn");
  const double of_fc = estimate(fc, 512), of_wn = estimate(wn, 512);
  fc["colours"] = 64, wn["embedding"] = 64;
  // 59 more maps of 4 bytes per pixel, and 56 embeddings that are smoothed too.
  CHECK(estimate(fc, 512) - of_fc == doctest::Approx(512. * 512 * 59 * 4).epsilon(0.02));
  CHECK(estimate(wn, 512) - of_wn == doctest::Approx(512. * 512 * 56 * 8).epsilon(0.02));
}

TEST_CASE("memory: a tile is as large as the receptive field makes it") {
  const std::unique_ptr<Method> es = make_method("es", {}), vf = make_method("vf-h1", {});
  CHECK(tile_pixels(*vf, {}, 500, 700) == 504 * 704);
  CHECK(tile_pixels(*vf, {}, 9000, 9000) <= 1024 * 1024);
  CHECK(tile_pixels(*es, {}, 2048, 2048) == 2048 * 2048);
  CHECK(tile_pixels(*es, {}, 9000, 9000) > 3000 * 2000);
  CHECK(tile_pixels(*es, {Tiling::dynamic, 256, 50}, 9000, 9000) == 2 * 256 * 256);
  CHECK(tile_pixels(*es, {Tiling::dynamic, 512, 50}, 300, 300) == 512 * 512);
}

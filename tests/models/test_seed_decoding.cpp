#include <cmath>

#include "data/synth/synth.h"
#include "models/methods/seed_decoding.h"
#include "tests/support/dataset_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// The settings of the authors' code.
SeedDecoding as_in_code() {
  SeedDecoding o;
  o.sigma = 3;
  o.peaks.border = 10;
  return o;
}

/// The settings of the paper: no smoothing of distances or embeddings, 45 degrees, and no regions dropped.
SeedDecoding as_in_paper() {
  SeedDecoding o;
  o.sigma = 0;
  o.embedding_radius = 0;
  o.min_cosine = std::sqrt(.5);
  o.weak = {0, 0};
  return o;
}

}  // namespace

TEST_CASE("seed decoding: perfect maps give back the labels, the same on every device") {
  SeedDecoding exact;  // without smoothing, which would make the peaks of adjacent thin objects unequal
  exact.sigma = 0;
  for (const unsigned seed : {1u, 2u}) {
    const Labels truth = make_synthetic({.size = 160, .seed = seed}, 0).labels;
    REQUIRE(truth.count > 3);
    Labels want;
    for (const Exec& exec : execs()) {
      const SeedMaps maps = seed_oracle(exec, truth);
      CHECK(maps.distance.shape() == Shape{1, 160, 160});
      CHECK(maps.embedding.shape() == Shape{8, 160, 160});
      const Labels got = decode_seeds(exec, maps.distance, maps.embedding, exact);
      CHECK(average_precision(score(truth, got), .5, Dialect::stardist).value_or(0) > .9);
      if (want.ids.empty()) want = got;
      CHECK(got.ids == want.ids);
      CHECK(got.count == want.count);
    }
  }
}

TEST_CASE("seed decoding: an image without peaks has no objects; every mode decodes a square") {
  for (const Exec& exec : execs()) {
    const Tensor nothing = Tensor::zeros(exec, {1, 12, 15}), embedding = Tensor::zeros(exec, {2, 12, 15});
    CHECK(decode_seeds(exec, nothing, embedding, {}).ids == std::vector<int32_t>(12 * 15, 0));

    Labels square{40, 50, 1, std::vector<int32_t>(40 * 50, 0)};
    for (int y = 10; y < 31; ++y)
      for (int x = 12; x < 33; ++x)
        square.ids[size_t(y * 50 + x)] = 1;
    const SeedMaps maps = seed_oracle(exec, square);
    for (const SeedDecoding& o : {SeedDecoding{}, as_in_code(), as_in_paper()}) {
      const Labels got = decode_seeds(exec, maps.distance, maps.embedding, o);
      CHECK(got.count == 1);
      CHECK(average_precision(score(square, got), .85, Dialect::stardist).value_or(0) == 1);
    }
    CHECK(decode_seeds(exec, maps.distance, maps.embedding, as_in_paper()).ids == square.ids);
    SeedDecoding large;
    large.weak.min_size = 1000;
    CHECK(decode_seeds(exec, maps.distance, maps.embedding, large).count == 0);
    SeedDecoding border;
    border.peaks.border = 25;
    CHECK(decode_seeds(exec, maps.distance, maps.embedding, border).count == 0);
    CHECK_THROWS_AS(decode_seeds(exec, nothing, maps.embedding, {}), Error);
  }
}

TEST_CASE("seed oracle: scores on images of plants and nuclei") {
  for (const auto& [name, least] :
       {std::pair(std::string("cvppp-a1/train"), .96), {std::string("dsb2018-fluo/train"), .95}}) {
    const bool plants = name.starts_with("cvppp");
    const std::vector<Labels> all = plants ? dataset_labels(name) : dataset_labels(name, 520, 696);
    if (all.empty()) continue;
    std::vector<ImageScore> by_default, as_published;
    for (size_t k = 0; k < all.size(); k += sanitized ? 16 : 1) {
      const Labels& truth = all[k];
      const Labels small = resize_nearest(truth, 512, 512);
      const SeedMaps maps = seed_oracle({}, small);
      const auto add = [&](const SeedDecoding& o, std::vector<ImageScore>& scores) {
        const Labels got = decode_seeds({}, maps.distance, maps.embedding, o);
        scores.push_back(score(truth, resize_nearest(got, truth.height, truth.width)));
      };
      add({}, by_default);
      add(as_in_code(), as_published);
    }
    const OracleScores s = oracle_scores(by_default);
    MESSAGE(name, ", ", by_default.size(), " images: ", describe(s),
            "; as published: ", describe(oracle_scores(as_published)));
    CHECK(s.sbd >= least - (sanitized ? .05 : 0));  // of fewer images
    CHECK(oracle_scores(as_published).sbd < s.sbd);
  }
}

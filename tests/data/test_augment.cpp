#include <algorithm>
#include <cmath>
#include <set>

#include "data/dataset/augment.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<Transform> all_transforms() {
  std::vector<Transform> all;
  for (int rotation = 0; rotation < 4; ++rotation)
    for (int flips = 0; flips < 4; ++flips) {
      Transform t;
      t.rotation = rotation, t.flip_rows = flips & 1, t.flip_columns = flips & 2;
      all.push_back(t);
    }
  return all;
}

std::vector<int> moved(const Transform& t, int size, const std::vector<int>& from) {
  std::vector<int> to(from.size());
  kernels::move_pixels<int>({}, square_map(t, size), {from.data(), {1, size, size}}, {to.data(), {1, size, size}});
  return to;
}

}  // namespace

TEST_CASE("augment: the option is parsed and printed") {
  for (const char* text : {"none", "flip", "flip,rotate,brightness,noise", "rotate,noise", "flip,scale:0.5,blur:2.25"})
    CHECK(to_string(parse_augmentation(text)) == text);
  CHECK(to_string(parse_augmentation("noise,flip")) == "flip,noise");
  CHECK(to_string(parse_augmentation("elastic:1,angle:0.25")) == "angle:0.25,elastic");
  const Augmentation moderate = parse_augmentation("moderate");
  CHECK(parse_augmentation(to_string(moderate)) == moderate);
  CHECK(moderate.scale == 0.5f);
  const auto refused = [](const char* text) { return refusal([&] { parse_augmentation(text); }); };
  for (const char* text : {"", "flop", "flip,", ",flip", "flip,,noise", "none,flip", "Flip", "flip noise",
                           "moderate,flip", "scale:", "scale:x", "scale:0", "scale:-1", "scale:nan", "scale:1x",
                           "scale:1:1", "scale:99", "flip:2", "noise,scale,noise:2"})
    CHECK(contains(refused(text), std::string("--augment ") + text + ": "));
  CHECK(contains(refused("flip,flop:2"), "\"flop:2\" is not an augmentation; expected flip, rotate, "));
  CHECK(contains(refused("noise,flip:2"), "flip takes no strength, but the item is flip:2"));
  CHECK(contains(refused("noise,scale:9"), "expected a strength above 0 and up to 3 in scale:9"));
  CHECK(contains(refused("noise,scale,noise:2"), "noise is given twice"));
}

TEST_CASE("augment: flips and a quarter rotation by hand") {
  const std::vector<int> square{1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(moved({}, 3, square) == square);
  CHECK(moved({.flip_rows = true}, 3, square) == std::vector<int>{7, 8, 9, 4, 5, 6, 1, 2, 3});
  CHECK(moved({.flip_columns = true}, 3, square) == std::vector<int>{3, 2, 1, 6, 5, 4, 9, 8, 7});
  // Counter-clockwise: (x, y) goes to (y, 2 - x).
  CHECK(moved({.rotation = 1}, 3, square) == std::vector<int>{3, 6, 9, 2, 5, 8, 1, 4, 7});
  CHECK(moved({.rotation = 1, .flip_rows = true}, 3, square) == std::vector<int>{1, 4, 7, 2, 5, 8, 3, 6, 9});
  CHECK(moved({.rotation = 3, .flip_columns = true}, 1, {5}) == std::vector<int>{5});
}

TEST_CASE("augment: the sixteen transforms are the eight symmetries of the square, each a permutation of pixels") {
  std::vector<int> square(25);
  for (int i = 0; i < 25; ++i)
    square[size_t(i)] = i;
  std::set<std::vector<int>> seen;
  for (const Transform& t : all_transforms()) {
    std::vector<int> to = moved(t, 5, square);
    for (int y = 0; y < 5; ++y)
      for (int x = 0; x < 5; ++x) {
        int from_y, from_x;
        t.source(5, y, x, from_y, from_x);
        REQUIRE(to[size_t(y * 5 + x)] == from_y * 5 + from_x);
      }
    seen.insert(to);
    std::sort(to.begin(), to.end());
    CHECK(to == square);
  }
  CHECK(seen.size() == 8);
}

TEST_CASE("augment: ranges and frequencies of the drawn flips, rotations, brightness and noise") {
  const int n = 4000;
  const Augmentation all = parse_augmentation("flip,rotate,brightness,noise");
  int rows = 0, columns = 0, both = 0, turns[4] = {};
  float gain = 0, offset = 0, noise = 0;
  for (int i = 0; i < n; ++i) {
    Random random(3, Purpose::augment, 0, uint64_t(i));
    const Transform t = draw_augmentation(all, 64, random).transform;
    rows += t.flip_rows, columns += t.flip_columns, both += t.flip_rows && t.flip_columns, ++turns[t.rotation];
    REQUIRE((t.gain >= 0.7f && t.gain <= 1.3f));
    REQUIRE((t.offset >= -0.1f && t.offset <= 0.1f));
    REQUIRE((t.noise >= 0 && t.noise <= 0.05f));
    gain += t.gain / n, offset += t.offset / n, noise += t.noise / n;
    // Leaving out options does not change what is drawn for the others.
    Random again(3, Purpose::augment, 0, uint64_t(i));
    const Transform only = draw_augmentation(parse_augmentation("brightness"), 64, again).transform;
    REQUIRE(only.gain == t.gain);
    REQUIRE(only.offset == t.offset);
    REQUIRE((only.rotation == 0 && !only.flip_rows && !only.flip_columns && only.noise == 0));
  }
  CHECK(std::abs(rows - n / 4) < 120);  // 4 standard deviations: 110
  CHECK(std::abs(columns - n / 4) < 120);
  CHECK(std::abs(both - n / 16) < 70);
  for (int t : turns)
    CHECK(std::abs(t - n / 4) < 120);
  CHECK(std::abs(gain - 1) < 0.02);
  CHECK(std::abs(offset) < 0.01);
  CHECK(std::abs(noise - 0.025) < 0.002);
  Random random(1, Purpose::augment);
  const Transform none = draw_augmentation(parse_augmentation("none"), 64, random).transform;
  CHECK((none.rotation == 0 && !none.flip_rows && !none.flip_columns));
  CHECK((none.gain == 1 && none.offset == 0 && none.noise == 0));
}

TEST_CASE("augment: warps and value changes are drawn independently, with the given frequency and strength") {
  const int n = 4000;
  const Augmentation all = parse_augmentation(
      "scale,angle:0.5,shear,elastic,invert,gamma,illumination,blur:2,sharpen,poisson,correlated,cutout");
  int scale = 0, angle = 0, shear = 0, elastic = 0, invert = 0, gamma = 0, light = 0, blur = 0, sharpen = 0, shot = 0,
      grainy = 0, cutout = 0, quiet = 0;
  float least = 9, most = 0, turn = 0, strongest = 0;
  for (int i = 0; i < n; ++i) {
    const auto drawn = [&](const Augmentation& a) {
      Random random(3, Purpose::augment, 0, uint64_t(i));
      return draw_augmentation(a, 64, random);
    };
    const Drawn d = drawn(all);
    const Warp& w = d.warp;
    const ValueChange& c = d.change;
    least = std::min(least, w.scale), most = std::max(most, w.scale), turn = std::max(turn, std::abs(w.angle));
    strongest = std::max(strongest, w.displacement.max / w.displacement.spacing);
    scale += w.scale != 1, angle += w.angle != 0, shear += w.shear != 0, elastic += w.displacement.max > 0;
    invert += c.invert, gamma += c.gamma != 1, light += c.illumination > 0, blur += c.blur > 0;
    sharpen += c.sharpen > 0, shot += c.photons > 0, grainy += c.correlated > 0, cutout += c.cutouts > 0;
    quiet += !w.any() && !c.any();
    REQUIRE((c.blur == 0 || (c.blur >= 0.6f && c.blur <= 3)));
    REQUIRE((c.photons == 0 || (c.photons >= 49.9f && c.photons <= 1001)));
    REQUIRE((c.cutouts >= 0 && c.cutouts <= 3));
    // Leaving out options does not change what is drawn for the others.
    const Drawn alone = drawn(parse_augmentation("scale,blur:2"));
    REQUIRE(alone.warp.scale == w.scale);
    REQUIRE(alone.change.blur == c.blur);
    REQUIRE((alone.warp.angle == 0 && alone.change.gamma == 1));
    const Drawn none = drawn(parse_augmentation("none"));
    REQUIRE((!none.warp.any() && !none.change.any()));
  }
  for (const auto& [times, share] : {std::pair{scale, 0.5},
                                     {angle, 0.5},
                                     {shear, 0.25},
                                     {elastic, 0.25},
                                     {invert, 0.1},
                                     {gamma, 0.3},
                                     {light, 0.2},
                                     {blur, 0.2},
                                     {sharpen, 0.2},
                                     {shot, 0.2},
                                     {grainy, 0.2},
                                     {cutout, 0.2}})
    CHECK(std::abs(times - share * n) < 4.5 * std::sqrt(n * share * (1 - share)));
  CHECK(quiet < n / 30);
  CHECK((least >= 0.5f && least < 0.51f && most <= 2 && most > 1.97f));
  CHECK((turn < 1.5708f && turn > 1.55f));
  CHECK((strongest < 0.2f && strongest > 0.19f));
}

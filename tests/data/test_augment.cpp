#include <algorithm>
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

TEST_CASE("augment: the option is read and printed") {
  for (const char* text : {"none", "flip", "flip,rotate,brightness,noise", "rotate,noise"})
    CHECK(to_string(parse_augmentation(text)) == text);
  CHECK(to_string(parse_augmentation("noise,flip")) == "flip,noise");
  for (const char* text : {"", "flop", "flip,", ",flip", "flip,,noise", "none,flip", "Flip", "flip noise"})
    CHECK(contains(refusal([&] { parse_augmentation(text); }), "--augment"));
}

TEST_CASE("augment: flips and a quarter turn by hand") {
  const std::vector<int> square{1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(moved({}, 3, square) == square);
  CHECK(moved({.flip_rows = true}, 3, square) == std::vector<int>{7, 8, 9, 4, 5, 6, 1, 2, 3});
  CHECK(moved({.flip_columns = true}, 3, square) == std::vector<int>{3, 2, 1, 6, 5, 4, 9, 8, 7});
  // Counter-clockwise: (x, y) goes to (y, 2 - x).
  CHECK(moved({.rotation = 1}, 3, square) == std::vector<int>{3, 6, 9, 2, 5, 8, 1, 4, 7});
  CHECK(moved({.rotation = 1, .flip_rows = true}, 3, square) == std::vector<int>{1, 4, 7, 2, 5, 8, 3, 6, 9});
  CHECK(moved({.rotation = 3, .flip_columns = true}, 1, {5}) == std::vector<int>{5});
}

TEST_CASE("augment: sixteen choices are the eight symmetries of the square, each a permutation") {
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

TEST_CASE("augment: what is drawn, and how often") {
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
    // One option leaves the others' numbers as they are.
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

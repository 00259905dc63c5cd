#include <algorithm>

#include "engine/pool.h"
#include "models/networks/tiling.h"
#include "models/networks/unet.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

const TileNetwork identity = [](const Tensor& tiles) { return std::vector<Tensor>{tiles}; };

Tensor random_image(int channels, int height, int width) {
  const Exec cpu;
  return Tensor::from(cpu, {channels, height, width}, uniform<float>(size_t(channels) * height * width, -1, 1, 3));
}

}  // namespace

TEST_CASE("tiling: tile positions equal the published ones, with the last tile twice where the stride fits") {
  using V = std::vector<int>;
  CHECK(dynamic_starts(256, 256, 50) == V{0, 0});
  CHECK(dynamic_starts(300, 256, 50) == V{0, 44});
  CHECK(dynamic_starts(462, 256, 50) == V{0, 206, 206});
  CHECK(dynamic_starts(512, 256, 50) == V{0, 206, 256});
  CHECK(dynamic_starts(668, 256, 50) == V{0, 206, 412, 412});
  CHECK(dynamic_starts(1000, 256, 50) == V{0, 206, 412, 618, 744});
}

TEST_CASE("tiling: a tile that occurs twice is predicted once and weighted twice") {
  const Exec cpu;
  std::vector<float> columns(32 * 56);
  for (size_t i = 0; i < columns.size(); ++i)
    columns[i] = float(i % 56);
  int tiles = 0;
  const TileNetwork start = [&](const Tensor& t) {  // sets a tile to the value of its first pixel
    tiles += t.dim(0);
    std::vector<float> values = t.to_host<float>(cpu);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = values[i / (32 * 32) * (32 * 32)];
    return std::vector<Tensor>{Tensor::from(cpu, t.shape(), values)};
  };
  const Tensor image = Tensor::from(cpu, {1, 32, 56}, columns);
  const std::vector<float> v =
      run_tiled(cpu, image, {Tiling::dynamic, 32, 8, 2}, {8, 8}, {false}, start)[0].to_host<float>(cpu);
  CHECK(dynamic_starts(56, 32, 8) == std::vector<int>{0, 24, 24});
  CHECK(tiles == 2);
  CHECK(v[25] == 0);
  CHECK(v[26] == doctest::Approx((0 + 2 * 24) / 3.));
  CHECK(v[29] == doctest::Approx((0 + 2 * 24) / 3.));
  CHECK(v[30] == 24);
}

TEST_CASE("tiling: when memory runs out, tiles are processed in smaller batches with the same maps") {
  for (const Exec& exec : execs()) {
    const Tensor image = random_image(1, 100, 90).to_device(exec);
    const auto run = [&](const TileNetwork& network) {
      return run_tiled(exec, image, {Tiling::dynamic, 32, 8, 8}, {8, 8}, {false}, network)[0].to_host<float>(exec);
    };
    std::vector<int> asked;
    const std::vector<float> found = run([&](const Tensor& tiles) {
      asked.push_back(tiles.dim(0));
      if (tiles.dim(0) > 3) throw OutOfMemory("no room");
      return identity(tiles);
    });
    CHECK(found == run(identity));
    CHECK(asked[0] == 8);
    CHECK(asked[1] == 4);
    CHECK(asked[2] == 2);
    CHECK(asked[3] == 2);
    CHECK_THROWS_AS(run([](const Tensor&) -> std::vector<Tensor> { throw OutOfMemory("never"); }), OutOfMemory);
  }
}

TEST_CASE("tiling: the identity network gives back images of any size") {
  const Exec cpu;
  for (const auto& [height, width] :
       {std::pair{1, 1}, {1, 70}, {16, 16}, {31, 33}, {64, 64}, {65, 40}, {150, 97}, {200, 17}})
    for (const Tiling tiling : {Tiling::dynamic, Tiling::pad, Tiling::exact}) {
      CAPTURE(height);
      CAPTURE(width);
      CAPTURE(to_string(tiling));
      const Tensor image = random_image(3, height, width);
      const std::vector<Tensor> out = run_tiled(cpu, image, {tiling, 32, 8, 3}, {8, 8}, {false}, identity);
      check_close(out[0].to_host<float>(cpu), image.to_host<float>(cpu), 1e-6, 0);
    }
}

TEST_CASE("tiling: images are padded with zeros, by mirroring, or with the edge if too small to mirror") {
  const Exec cpu;
  const auto rows_above = [&](Tiling tiling, int size, int tile) {  // the image rows shown 0, 1, 2 ... rows above row 0
    std::vector<float> rows(size_t(size) * 8);
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < 8; ++x)
        rows[size_t(y) * 8 + size_t(x)] = float(y + 1);
    std::vector<float> above;
    const TileNetwork look = [&](const Tensor& t) {
      above.clear();
      const int before = (tile - size) / 2;
      for (int k = 0; k <= before; ++k)
        above.push_back(t.view<const float, 4>()(0, 0, before - k, tile / 2) - 1);
      return std::vector<Tensor>{t};
    };
    run_tiled(cpu, Tensor::from(cpu, {1, size, 8}, rows), {tiling, tile, 0, 1}, {8, 8}, {false}, look);
    return above;
  };
  using V = std::vector<float>;
  CHECK(rows_above(Tiling::dynamic, 10, 16) == V{0, -1, -1, -1});
  CHECK(rows_above(Tiling::pad, 10, 16) == V{0, 1, 2, 3});
  CHECK(rows_above(Tiling::pad, 4, 16) == V{0, 0, 0, 0, 0, 0, 0});
  CHECK(rows_above(Tiling::pad, 6, 16) == V{0, 1, 2, 3, 4, 5});
  CHECK(rows_above(Tiling::pad, 5, 16) == V{0, 0, 0, 0, 0, 0});
}

TEST_CASE("tiling: vectors predicted on a resized image are scaled back to the image's pixels") {
  const Exec cpu;
  const Tensor image = random_image(1, 40, 90);
  const TileNetwork one = [&](const Tensor& t) {
    const std::vector<float> ones(size_t(2) * t.dim(0) * t.dim(2) * t.dim(3), 1);
    return std::vector<Tensor>{Tensor::from<float>(cpu, {t.dim(0), 2, t.dim(2), t.dim(3)}, ones)};
  };
  // 40 is enlarged to 64, two tiles of 32 without overlap, and 90 to 96, three tiles.
  const std::vector<Tensor> out = run_tiled(cpu, image, {Tiling::resize, 32, 0, 2}, {8, 8}, {true}, one);
  REQUIRE(out[0].shape() == Shape{2, 40, 90});
  const std::vector<float> v = out[0].to_host<float>(cpu);
  CHECK(v[0] == doctest::Approx(90. / 96));
  CHECK(v[40 * 90] == doctest::Approx(40. / 64));
}

TEST_CASE("tiling: exact tiles give the same maps as the whole image") {
  const Exec cpu;
  Params params;
  const UNet net(params, {.width = 16});
  params.allocate(cpu);
  params.init(cpu, 1);
  const UNet::Folded folded(cpu, net);
  const TileNetwork run = [&](const Tensor& t) { return folded(cpu, t); };
  const NetworkNeeds needs{UNet::multiple, UNet::receptive_radius};
  const Tensor image = random_image(1, 243, 330);
  const auto whole = run_tiled(cpu, image, {Tiling::exact, 512, 0, 1}, needs, {false, true}, run);
  const auto tiled = run_tiled(cpu, image, {Tiling::exact, 160, 0, 2}, needs, {false, true}, run);
  for (size_t m = 0; m < whole.size(); ++m)
    check_close(tiled[m].to_host<float>(cpu), whole[m].to_host<float>(cpu), 1e-5, 1e-5);
}

TEST_CASE("tiling: exact tiles cover the network's whole receptive field") {
  const Exec cpu;
  constexpr int radius = 9;
  // Each pixel becomes the sum over a square of side 2 * 9 + 1 around it, with zeros beyond the tile.
  const TileNetwork square = [&](const Tensor& t) {
    const View<const float, 4> in = t.view<const float, 4>();
    const Tensor out = Tensor::zeros(cpu, t.shape());
    const View<float, 4> sum = out.view<float, 4>();
    for (int n = 0; n < in.dim[0]; ++n)
      for (int y = 0; y < in.dim[2]; ++y)
        for (int x = 0; x < in.dim[3]; ++x)
          for (int v = std::max(0, y - radius); v <= std::min(in.dim[2] - 1, y + radius); ++v)
            for (int u = std::max(0, x - radius); u <= std::min(in.dim[3] - 1, x + radius); ++u)
              sum(n, 0, y, x) += in(n, 0, v, u);
    return std::vector<Tensor>{out};
  };
  const Tensor image = random_image(1, 121, 143);
  const auto whole = run_tiled(cpu, image, {Tiling::exact, 144, 0, 1}, {8, radius}, {false}, square);
  const auto tiled = run_tiled(cpu, image, {Tiling::exact, 64, 0, 2}, {8, radius}, {false}, square);
  CHECK(tiled[0].to_host<float>(cpu) == whole[0].to_host<float>(cpu));
}

TEST_CASE("tiling: a pixel influences the network's output as far as receptive_radius, and no further") {
  Exec plain;
  plain.variant = Variant::plain;  // its sums are exactly 0 where all terms are 0
  Params params;
  const UNet net(params, {.width = 2});
  params.allocate(plain);
  params.init(plain, 1);
  // All weights are positive, so that a pixel's influence cannot cancel.
  std::vector<float> values = params.values().to_host<float>(plain);
  for (const Params::Named& n : params.learnt())
    for (int64_t i = n.offset; i < n.offset + n.shape.size(); ++i)
      values[size_t(i)] = n.shape.rank() == 4 ? std::abs(values[size_t(i)]) + 1e-3f : float(n.constant);
  params.values().copy_from_host(plain, values.data());
  const UNet::Folded folded(plain, net);
  constexpr int size = 128, first = 60;
  int farthest = 0;
  for (int phase = 0; phase < UNet::multiple; ++phase) {
    const int at = first + phase;
    std::vector<float> point(size * size, 0.f);
    point[size_t(at * size + at)] = 1;
    for (const Tensor& map : folded(plain, Tensor::from(plain, {1, 1, size, size}, point))) {
      const std::vector<float> out = map.to_host<float>(plain);
      for (size_t i = 0; i < out.size(); ++i)
        if (out[i] != 0)
          farthest = std::max({farthest, std::abs(int(i % size) - at), std::abs(int(i / size % size) - at)});
    }
  }
  CHECK(farthest == UNet::receptive_radius);
}

TEST_CASE("tiling: tile sizes and overlaps that the network does not support are refused") {
  const Exec cpu;
  const Tensor image = random_image(1, 8, 8);
  CHECK_THROWS_AS(run_tiled(cpu, image, {Tiling::pad, 30, 8, 1}, {8, 8}, {false}, identity), Error);
  CHECK_THROWS_AS(run_tiled(cpu, image, {Tiling::pad, 32, 32, 1}, {8, 8}, {false}, identity), Error);
}

TEST_CASE("tiling: fit runs the whole image at once, or tiles with little overhead and the same maps") {
  const Exec cpu;
  const auto blur = [&](const Tensor& tiles) {  // has a receptive radius of 4 px
    const Tensor out = Tensor::zeros(cpu, tiles.shape());
    const auto from = tiles.view<const float, 4>();
    const auto to = out.view<float, 4>();
    for (int n = 0; n < from.dim[0]; ++n)
      for (int y = 0; y < from.dim[2]; ++y)
        for (int x = 0; x < from.dim[3]; ++x)
          for (int dy = -4; dy <= 4; ++dy)
            for (int dx = -4; dx <= 4; ++dx)
              if (y + dy >= 0 && x + dx >= 0 && y + dy < from.dim[2] && x + dx < from.dim[3])
                to(n, 0, y, x) += from(n, 0, y + dy, x + dx);
    return std::vector<Tensor>{out};
  };
  const NetworkNeeds needs{8, 4};
  for (const auto& [height, width] : {std::pair(50, 131), std::pair(1, 300), std::pair(96, 96), std::pair(7, 5)}) {
    const Tensor image = Tensor::from(cpu, {1, height, width}, uniform<float>(size_t(height) * size_t(width), 0, 1, 3));
    int64_t seen = 0, calls = 0;
    const auto counted = [&](const Tensor& tiles) {
      seen += tiles.shape().size(), ++calls;
      return blur(tiles);
    };
    TilingOptions o;
    const std::vector<float> whole = run_tiled(cpu, image, o, needs, {false}, counted)[0].to_host<float>(cpu);
    const int64_t padded = int64_t((height + 7) / 8 * 8) * ((width + 7) / 8 * 8);
    CHECK(calls == 1);
    CHECK(seen == padded);
    seen = 0;
    o.max_tile_pixels = 40 * 40;
    CHECK(run_tiled(cpu, image, o, needs, {false}, counted)[0].to_host<float>(cpu) == whole);
    CHECK(double(seen) <= 2.8 * double(padded));  // (40 / (40 - 2 * 8))^2
  }
}

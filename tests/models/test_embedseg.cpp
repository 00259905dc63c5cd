#include <algorithm>
#include <chrono>
#include <cmath>

#include "data/dataset/fill_holes.h"
#include "data/metrics/metrics.h"
#include "models/methods/embedseg_decoding.h"
#include "models/networks/erfnet.h"
#include "tests/support/field_support.h"
#include "tests/support/method_support.h"
#include "tests/support/model_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// The foreground pixels whose embedding is near enough to that of a seed, in the Gaussian with the seed's width.
template <class Foreground>
std::vector<size_t> proposal_of(const std::vector<float>& raw, int height, int width, size_t seed,
                                const Foreground& is_foreground) {
  const size_t n = size_t(height) * size_t(width);
  const auto e = [&](size_t i, size_t c) {
    return float(c == 0 ? i % size_t(width) : i / size_t(width)) + 1023 * std::tanh(raw[c * n + i]);
  };
  std::vector<size_t> proposal;
  for (size_t i = 0; i < n; ++i) {
    double u = 0;
    for (size_t c = 0; c < 2; ++c)
      u += std::exp(10.0 * double(raw[(2 + c) * n + seed])) * std::pow(double(e(i, c) - e(seed, c)) / 1023, 2);
    if (is_foreground(i) && std::exp(-u) > .5) proposal.push_back(i);
  }
  return proposal;
}

/// How many of these pixels are in a mask.
size_t number_of(const std::vector<size_t>& pixels, const std::vector<bool>& mask) {
  return size_t(std::count_if(pixels.begin(), pixels.end(), [&](size_t i) { return mask[i]; }));
}

/// The decoding as published: every step visits every pixel.
Labels decode_plainly(const std::vector<float>& raw, int height, int width, const EmbedSegDecoding& o) {
  const size_t n = size_t(height) * size_t(width);
  std::vector<float> phi(n);
  std::vector<bool> free(n), foreground(n);
  for (size_t i = 0; i < n; ++i) {
    phi[i] = 1 / (1 + std::exp(-raw[4 * n + i]));
    free[i] = foreground[i] = phi[i] > .5f;
  }
  std::vector<int64_t> ids(n, 0);
  int64_t id = 0;
  for (;;) {
    size_t seed = n;
    for (size_t i = 0; i < n; ++i)
      if (free[i] && (seed == n || phi[i] > phi[seed])) seed = i;
    if (seed == n || double(phi[seed]) < o.seed_threshold) break;
    free[seed] = false;
    const std::vector<size_t> proposal =
        proposal_of(raw, height, width, seed, [&](size_t i) { return bool(foreground[i]); });
    const size_t unclaimed = number_of(proposal, free);
    const bool accepted = int64_t(proposal.size()) > o.min_size && 2 * unclaimed > proposal.size();
    id += accepted;
    for (size_t i : proposal) {
      if (accepted) ids[i] = id;
      free[i] = false;
    }
  }
  return compact(height, width, ids);
}

/// The same for seeds at the local maxima of the smoothed seed map, on maps without plateaus.
Labels decode_by_maxima_plainly(const std::vector<float>& raw, int height, int width, const EmbedSegDecoding& o) {
  const size_t n = size_t(height) * size_t(width);
  std::vector<double> phi(n), smooth(n, 0);
  for (size_t i = 0; i < n; ++i)
    phi[i] = 1 / (1 + std::exp(-double(raw[4 * n + i])));
  const auto inside = [](int i, int side) { return i < 0 ? -1 - i : i < side ? i : 2 * side - 1 - i; };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int dy = -4; dy <= 4; ++dy)
        for (int dx = -4; dx <= 4; ++dx)
          smooth[size_t(y * width + x)] +=
              std::exp(-(dy * dy + dx * dx) / 2.) * phi[size_t(inside(y + dy, height) * width + inside(x + dx, width))];
  std::vector<size_t> seeds;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const size_t i = size_t(y * width + x);
      bool is_seed = phi[i] > .5;
      for (int v = std::max(y - 1, 0); v <= std::min(y + 1, height - 1); ++v)
        for (int u = std::max(x - 1, 0); u <= std::min(x + 1, width - 1); ++u)
          is_seed = is_seed && smooth[size_t(v * width + u)] <= smooth[i];
      if (is_seed) seeds.push_back(i);
    }
  std::stable_sort(seeds.begin(), seeds.end(), [&](size_t a, size_t b) { return phi[a] > phi[b]; });
  std::vector<int64_t> ids(n, 0);
  std::vector<bool> free(n, true);
  int64_t id = 0;
  for (const size_t seed : seeds) {
    const std::vector<size_t> proposal = proposal_of(raw, height, width, seed, [&](size_t i) { return phi[i] > .5; });
    const size_t unclaimed = number_of(proposal, free);
    if (int64_t(proposal.size()) <= o.min_size || 2 * unclaimed <= proposal.size()) continue;
    ++id;
    for (const size_t i : proposal)
      ids[i] = id, free[i] = false;
  }
  return compact(height, width, ids);
}

/// Whether both contain the same objects, whatever their ids.
bool same_objects(const Labels& a, const Labels& b) {
  std::vector<int32_t> partner(size_t(a.count) + 1, -1);
  if (a.count != b.count) return false;
  for (size_t i = 0; i < a.ids.size(); ++i) {
    int32_t& p = partner[size_t(a.ids[i])];
    if (p < 0) p = b.ids[i];
    if (p != b.ids[i] || (a.ids[i] == 0) != (b.ids[i] == 0)) return false;
  }
  return true;
}

Labels without_small(const Labels& labels, int64_t size) {
  std::vector<int64_t> area(size_t(labels.count) + 1, 0), ids(labels.ids.begin(), labels.ids.end());
  for (int64_t id : ids)
    ++area[size_t(id)];
  for (int64_t& id : ids)
    if (area[size_t(id)] <= size) id = 0;
  return compact(labels.height, labels.width, ids);
}

EmbedSegDecoding any_size() {
  EmbedSegDecoding o;
  o.min_size = 0;
  return o;
}

}  // namespace

TEST_CASE("EmbedSeg: perfect maps give back the labels, except objects of one and two pixels") {
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    // The seed pixel is claimed before the unclaimed share is measured: an object of two pixels is half claimed.
    const Labels truth = without_small(labels_of(g), 2);
    for (const Exec& exec : execs()) {
      const Labels got = decode(exec, embedseg_oracle(exec, truth), any_size());
      CHECK(same_objects(got, truth));
    }
  }
}

TEST_CASE("EmbedSeg: objects larger than the minimum size are kept, objects of that size are not") {
  const Labels truth = labels_of(grid({"111.2222", "111.2222", "111.2222"}));
  const Exec cpu;
  EmbedSegDecoding o;
  o.min_size = 9;
  CHECK(decode(cpu, embedseg_oracle(cpu, truth), o).count == 1);
  o.min_size = 8;
  CHECK(decode(cpu, embedseg_oracle(cpu, truth), o).count == 2);
}

TEST_CASE("EmbedSeg: decoding equals a plain search over all pixels") {
  const Exec cpu;
  const int height = 37, width = 41;
  const size_t n = size_t(height * width);
  for (unsigned seed = 1; seed <= 6; ++seed) {
    // Pixels point roughly to the nearest point of a coarse lattice, and the seed map has some ties.
    const std::vector<double> noise = uniform<double>(5 * n, -1, 1, seed);
    std::vector<float> raw(5 * n);
    for (size_t i = 0; i < n; ++i) {
      const double x = double(i % size_t(width)), y = double(i / size_t(width)), strength = .3 * seed - .3;
      raw[i] = float(std::atanh(((std::round(x / 9) * 9 - x) * .7 + strength * noise[i]) / 1023));
      raw[n + i] = float(std::atanh(((std::round(y / 9) * 9 - y) * .7 + strength * noise[n + i]) / 1023));
      raw[2 * n + i] = float(1 + .15 * noise[2 * n + i]);
      raw[3 * n + i] = float(1.05 + .15 * noise[3 * n + i]);
      raw[4 * n + i] = float(std::round(8 * noise[4 * n + i]) + (seed % 2 ? .3 : 1.5));
    }
    EmbedSegDecoding o;
    o.min_size = int(4 * seed);
    const Labels want = decode_plainly(raw, height, width, o);
    CHECK(want.count > 3);
    CHECK(same_objects(decode(cpu, Tensor::from(cpu, {5, height, width}, raw), o), want));
  }
}

TEST_CASE("EmbedSeg: a later object overwrites earlier ones unless most of it is already claimed") {
  // One row in which every pixel's embedding is the pixel itself. Seeds in descending order at x = 10, 16 and 40.
  const int width = 60;
  const Exec cpu;
  std::vector<float> raw(size_t(5 * width), 0);
  const auto sigma_of = [](double half_axis) {
    return float(std::log(std::log(2) * 1023 * 1023 / (half_axis * half_axis)) / 10);
  };
  for (int x = 0; x < width; ++x)
    raw[size_t(2 * width + x)] = raw[size_t(3 * width + x)] = sigma_of(5.5), raw[size_t(4 * width + x)] = 1;
  for (const auto& [x, seed] : std::vector<std::pair<int, float>>{{10, 9}, {16, 8}, {40, 7}})
    raw[size_t(4 * width + x)] = seed;
  const Labels first = decode(cpu, Tensor::from(cpu, {5, 1, width}, raw), any_size());
  // 10 claims 5..15. 16 proposes 11..21, of which 11..15 are claimed, as is its own seed: 5 of 11 are left.
  CHECK(first.count == 2);
  CHECK(first(0, 5) == 1);
  CHECK(first(0, 11) == 1);
  CHECK(first(0, 16) == 0);
  CHECK(first(0, 45) == 2);
  std::optional<Planes> none;
  decode(cpu, Tensor::from(cpu, {5, 1, width}, raw), any_size(), &none);
  CHECK(!none);  // the objects share no pixels
  raw[size_t(4 * width + 16)] = 1;
  raw[size_t(4 * width + 17)] = 8;  // proposes 12..22: 6 of 11 are left
  std::optional<Planes> whole;
  const Labels second = decode(cpu, Tensor::from(cpu, {5, 1, width}, raw), any_size(), &whole);
  CHECK(second.count == 3);
  // The first object keeps the pixels 12..15, which the second one covers in the labels.
  REQUIRE(whole);
  CHECK(whole->objects == std::vector<std::vector<Planes::Run>>{{{5, 16}}, {{12, 23}}, {{35, 46}}});
  CHECK(second(0, 11) == 1);
  CHECK(second(0, 12) == 2);
  raw[size_t(4 * width + 40)] = 2;  // a probability of .88
  CHECK(decode(cpu, Tensor::from(cpu, {5, 1, width}, raw), any_size()).count == 2);
  EmbedSegDecoding maxima = any_size();
  maxima.seeds = EmbedSegDecoding::Seeds::local_maxima;
  const Labels third = decode(cpu, Tensor::from(cpu, {5, 1, width}, raw), maxima);
  CHECK(third(0, 40) > 0);  // local maxima have no threshold
}

TEST_CASE("EmbedSeg: local maxima propose objects in seed map order, even if another object has claimed them") {
  const Exec cpu;
  const int width = 32;
  const auto decoded = [&](int first, int last, float inside, const std::vector<std::array<float, 3>>& peaks) {
    // One row in which every pixel's embedding is the pixel itself. peaks: x, seed, half-axis in px.
    const auto sigma_of = [](float half_axis) {
      return float(std::log(std::log(2) * 1023 * 1023 / double(half_axis * half_axis)) / 10);
    };
    std::vector<float> raw(size_t(5 * width), 0);
    for (int x = 0; x < width; ++x) {
      raw[size_t(2 * width + x)] = raw[size_t(3 * width + x)] = sigma_of(5.5f);
      raw[size_t(4 * width + x)] = x >= first && x <= last ? inside : -9;
    }
    for (const auto& [x, seed, half_axis] : peaks) {
      raw[size_t(2 * width) + size_t(x)] = sigma_of(half_axis);
      raw[size_t(4 * width) + size_t(x)] = seed;
    }
    EmbedSegDecoding o = any_size();
    o.seeds = EmbedSegDecoding::Seeds::local_maxima;
    return decode(cpu, Tensor::from(cpu, {5, 1, width}, raw), o);
  };
  // 10 claims 5..15. 15, which is one of these, proposes 3..27: 14 of these 25 are unclaimed.
  const Labels overwritten = decoded(3, 27, 1, {{10, 9, 5.5f}, {15, 8, 12.5f}});
  CHECK(overwritten(0, 3) > 0);
  CHECK(overwritten(0, 10) == overwritten(0, 3));
  CHECK(overwritten(0, 27) == overwritten(0, 3));
  // 10 has the higher seed probability, 15 the higher smoothed one: 10 claims 5..15, which leaves 15 only 5 of 11.
  const Labels ordered = decoded(5, 20, .5f, {{10, 9, 5.5f}, {14, 2.2f, 5.5f}, {15, 2.3f, 5.5f}, {16, 2.2f, 5.5f}});
  CHECK(ordered(0, 5) > 0);
  CHECK(ordered(0, 15) == ordered(0, 5));
  CHECK(ordered(0, 20) == 0);
}

TEST_CASE("EmbedSeg: decoding by local maxima without plateaus equals a plain search over all pixels") {
  const Exec cpu;
  const int height = 37, width = 41;
  const size_t n = size_t(height * width);
  int objects = 0;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    const std::vector<float> noise = uniform<float>(5 * n, -1, 1, seed);
    std::vector<float> raw(5 * n);
    for (size_t i = 0; i < n; ++i) {
      const double x = double(i % size_t(width)), y = double(i / size_t(width));
      raw[i] = float(std::atanh(((std::round(x / 9) * 9 - x) * .7 + .5 * double(noise[i])) / 1023));
      raw[n + i] = float(std::atanh(((std::round(y / 9) * 9 - y) * .7 + .5 * double(noise[n + i])) / 1023));
      raw[2 * n + i] = 1 + .15f * noise[2 * n + i], raw[3 * n + i] = 1.05f + .15f * noise[3 * n + i];
      raw[4 * n + i] = 4 * noise[4 * n + i] + 1;
    }
    EmbedSegDecoding o;
    o.seeds = EmbedSegDecoding::Seeds::local_maxima, o.min_size = int(4 * seed);
    const Labels want = decode_by_maxima_plainly(raw, height, width, o);
    objects += want.count;
    CHECK(same_objects(decode(cpu, Tensor::from(cpu, {5, height, width}, raw), o), want));
  }
  CHECK(objects > 20);
}

TEST_CASE("EmbedSeg: on a plateau of local maxima, a pixel that an earlier proposal contains is no seed") {
  const Exec cpu;
  const auto sigma_of = [](double half_axis) {
    return float(std::log(std::log(2) * 1023 * 1023 / (half_axis * half_axis)) / 10);
  };
  EmbedSegDecoding maxima = any_size();
  maxima.seeds = EmbedSegDecoding::Seeds::local_maxima;
  // A saturated row in which every pixel points to itself: 0 proposes 0..5. 6 proposes 1..11, of which 6..11 are free,
  // and overwrites 1..5; 12 proposes 7..17, and so on.
  const int width = 30;
  std::vector<float> row(5 * size_t(width), 0.f);
  std::fill(row.begin() + 2 * width, row.begin() + 4 * width, sigma_of(5.5));
  std::fill(row.begin() + 4 * width, row.end(), 20.f);
  std::vector<int32_t> want{1};
  for (int object = 2; object < 5; ++object)
    want.insert(want.end(), 6, object);
  want.insert(want.end(), 11, 5);
  std::optional<Planes> whole;
  const Labels found = decode(cpu, Tensor::from(cpu, {5, 1, width}, row), maxima, &whole);
  CHECK(found.ids == want);
  CHECK(found.count == 5);
  REQUIRE(whole);
  CHECK(whole->objects[0] == std::vector<Planes::Run>{{0, 6}});
  CHECK(whole->objects[1] == std::vector<Planes::Run>{{1, 12}});

  // A saturated image takes little time, whether proposals are accepted or not.
  for (const double half_axis : {3.0, 100.0, 2000.0})
    for (const int min_size : {0, 1 << 20}) {
      constexpr int side = 512;
      constexpr size_t pixels = size_t(side) * side;
      std::vector<float> raw(5 * pixels, 0.f);
      std::fill(raw.begin() + 2 * pixels, raw.begin() + 4 * pixels, sigma_of(half_axis));
      std::fill(raw.begin() + 4 * pixels, raw.end(), 20.f);
      maxima.min_size = min_size;
      const auto start = std::chrono::steady_clock::now();
      const Labels labels = decode(cpu, Tensor::from(cpu, {5, side, side}, raw), maxima);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      CHECK(seconds.count() < 10);
      CHECK((labels.count > 0) == (min_size == 0));
    }
}

TEST_CASE("EmbedSeg: maps without objects, with NaN and with infinity") {
  const Exec cpu;
  const auto count = [&](float o_x, float sigma_x, float seed) {  // objects in a row of three equal pixels
    std::vector<float> raw;
    for (float value : {o_x, 0.f, sigma_x, .5f, seed})
      raw.insert(raw.end(), 3, value);
    return decode(cpu, Tensor::from(cpu, {5, 1, 3}, raw), any_size()).count;
  };
  CHECK(count(0, .5, 9) == 1);
  CHECK(count(0, .5, -9) == 0);
  CHECK(count(INFINITY, -INFINITY, INFINITY) == 1);
  CHECK(count(0, INFINITY, 9) == 0);  // every pixel is its own proposal, too small to keep
  CHECK(count(NAN, .5, 9) == 0);
  CHECK(count(0, NAN, 9) == 0);
  CHECK(count(0, .5, NAN) == 0);
  CHECK(decode(cpu, Tensor::from<float>(cpu, {5, 1, 1}, {0, 0, 1, 1, 9}), any_size()).count == 0);
  Labels wide{1, 1200, 1, std::vector<int32_t>(1200, 0)};
  wide.ids.front() = wide.ids.back() = 1;
  CHECK_THROWS_AS(embedseg_oracle(cpu, wide), Error);
}

TEST_CASE("fill_holes: holes enclosed by one object are filled, except where other objects lie") {
  const auto filled = [](std::vector<std::string> rows) {
    const Labels l = fill_holes(labels_of(grid(std::move(rows))));
    std::string text;
    for (int y = 0; y < l.height; ++y, text += '/')
      for (int x = 0; x < l.width; ++x)
        text += l(y, x) == 0 ? '.' : char('0' + l(y, x));
    return text;
  };
  CHECK(filled({"111", "1.1", "111"}) == "111/111/111/");
  CHECK(filled({".1.", "1.1", ".1."}) == ".1./111/.1./");  // the background is 4-connected: a diagonal closes the hole
  CHECK(filled({"1.1", "1.1", "111"}) == "1.1/1.1/111/");
  CHECK(filled({"111", "1.1", "1.1"}) == "111/1.1/1.1/");  // the hole reaches the border
  CHECK(filled({"11111", "1...1", "1.2.1", "1...1", "11111"}) == "11111/11111/11211/11111/11111/");
  // Nested rings: the inner hole belongs to the inner ring, whichever ring has the lower id.
  CHECK(filled({"1111111", "1.....1", "1.222.1", "1.2.2.1", "1.222.1", "1.....1", "1111111"}) ==
        "1111111/1111111/1122211/1122211/1122211/1111111/1111111/");
  CHECK(filled({"2222222", "2.....2", "2.111.2", "2.1.1.2", "2.111.2", "2.....2", "2222222"}) ==
        "2222222/2222222/2211122/2211122/2211122/2222222/2222222/");
  CHECK(filled({"12", "2."}) == "12/2./");
  CHECK(filled({"."}) == "./");
}

TEST_CASE(
    "es: the maps of a fresh network have offsets of 0 and sigmas of 1, whatever the image, and a varied seed map") {
  for (const Exec& exec : execs()) {
    const std::unique_ptr<Method> method = method_with("es", {"width=8", "channels=2"});
    method->params().allocate(exec);
    method->init(exec, 3);
    const Tensor image = Tensor::from(exec, {2, 24, 32}, uniform<float>(2 * 24 * 32, 0, 1, 4));
    const std::vector<float> raw = method->predictor(exec)->predict(exec, image, {})["raw"].to_host<float>(exec);
    const auto channels = [&](int first, int last) {
      return std::vector<float>(raw.begin() + first * 24 * 32, raw.begin() + last * 24 * 32);
    };
    CHECK(channels(0, 2) == std::vector<float>(2 * 24 * 32, 0.f));
    CHECK(channels(2, 4) == std::vector<float>(2 * 24 * 32, 1.f));
    const std::vector<float> seeds = channels(4, 5);
    CHECK(*std::max_element(seeds.begin(), seeds.end()) > *std::min_element(seeds.begin(), seeds.end()) + 0.01f);
  }
}

TEST_CASE("es: folding the batch norms into the convolutions changes the maps only by rounding") {
  for (const int width : {16, 8})
    for (const Exec& exec : execs()) {
      CAPTURE(width);
      Params params;
      ErfNet net(params, {.width = width});
      params.allocate(exec);
      params.init(exec, 1);
      randomise_norms(exec, params);
      const Tensor x = Tensor::from(exec, {2, 1, 32, 48}, uniform<float>(2 * 32 * 48, 0, 1, 99));
      const auto maps = [&] {
        Tape tape(exec, Tape::Mode::evaluate);
        return net.forward(tape, {x}, nullptr).value.to_host<float>(exec);
      };
      const std::vector<float> before = maps();
      net.fold_norms(exec);
      check_same_maps(maps(), before, 2e-5);
    }
}

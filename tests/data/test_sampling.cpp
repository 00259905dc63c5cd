#include <cmath>
#include <map>
#include <set>

#include "data/dataset/loader.h"
#include "tests/support/file_support.h"
#include "tests/support/sampling_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// An image with the values f(y, x) and labels g(y, x), whose ids have no gaps.
template <class F, class G>
Example example_of(const std::string& stem, int height, int width, F f, G g) {
  Image image{height, width, 1, PixelType::u16, std::vector<std::byte>(size_t(height * width) * 2)};
  Labels labels{height, width, 0, std::vector<int32_t>(size_t(height * width))};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      image.as<uint16_t>()[y * width + x] = uint16_t(f(y, x));
      labels.ids[size_t(y * width + x)] = g(y, x);
      labels.count = std::max(labels.count, int(g(y, x)));
    }
  return {stem, Source(std::move(image), 1, {Normalisation::Kind::none}, stem), StoredLabels(labels)};
}

/// An image with the same values as its labels.
template <class G>
Example same(const std::string& stem, int height, int width, G g) {
  return example_of(stem, height, width, g, g);
}

LoaderOptions options_of(Sampling sampling, int crop, int batch = 1) {
  LoaderOptions o;
  o.batch = batch, o.crop = crop, o.seed = 5;
  o.sampling = sampling;
  o.augment = parse_augmentation("none");
  o.targets.maps = {{"ids", 1, DType::i32}};
  return o;
}

View<float, 4> image_in(const LoadedBatch& b) { return b.image.view<float, 4>(); }
View<int32_t, 4> ids_in(const LoadedBatch& b) { return b.targets.at("ids").view<int32_t, 4>(); }

std::string bytes_of(const LoadedBatch& b) {
  const Tensor& ids = b.targets.at("ids");
  return std::string(static_cast<const char*>(b.image.raw()), b.image.bytes()) +
         std::string(static_cast<const char*>(ids.raw()), ids.bytes()) + b.stems[0];
}

/// Squares of side 5 whose corners are 10 pixels apart.
int squares(int y, int x, int columns) {
  return y % 10 < 5 && x % 10 < 5 && x / 10 < columns ? 1 + y / 10 * columns + x / 10 : 0;
}

}  // namespace

TEST_CASE("sampling: ids are renumbered in order") {
  std::vector<int32_t> ids{0, 7, 7, 3, 3, 3, 9, 0, 12, 12};
  close_gaps(10, ids.data());
  CHECK(ids == std::vector<int32_t>{0, 2, 2, 1, 1, 1, 3, 0, 4, 4});
  ids = {-1, 7, -1, 3};
  close_gaps(4, ids.data());
  CHECK(ids == std::vector<int32_t>{-1, 2, -1, 1});
  ids = {-1, 0};
  close_gaps(2, ids.data());
  CHECK(ids == std::vector<int32_t>{-1, 0});
}

TEST_CASE("sampling: object crops are centred on objects, shifted into the image and drawn equally often") {
  std::vector<Example> examples;
  examples.push_back(same("a", 40, 60, [](int y, int x) { return squares(y, x, 6); }));
  examples.push_back(same("b", 40, 10, [](int y, int x) { return squares(y, x, 1); }));
  LoaderOptions o = options_of(Sampling::object_crop, 8, 4);
  Loader loader(examples, o, copy_ids);
  CHECK(loader.steps_per_epoch() == 7);  // the images have 24 and 4 objects
  std::map<std::pair<std::string, int>, int> seen;
  for (int step = 0; step < 700; ++step) {
    const LoadedBatch& b = loader.next();
    for (int n = 0; n < 4; ++n) {
      const View<float, 4> image = image_in(b);
      const View<int32_t, 4> ids = ids_in(b);
      // Squares begin at 2 + 10 k, so a crop begins at 10 k - 2 or, at the border, at 0.
      const int middle = int(image(n, 0, 4, 4)), corner = int(image(n, 0, 2, 2));
      REQUIRE((middle > 0 && middle == corner));
      ++seen[{b.stems[size_t(n)], middle}];
      std::set<int> before, after;
      for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) {
          before.insert(int(image(n, 0, y, x)));
          after.insert(ids(n, 0, y, x));
          REQUIRE((image(n, 0, y, x) == 0) == (ids(n, 0, y, x) == 0));
        }
      CHECK(before.size() == after.size());
      CHECK(*after.rbegin() == int(after.size()) - 1);  // ids have no gaps
    }
  }
  CHECK(seen.size() == 28);
  for (const auto& [object, times] : seen)
    CHECK(std::abs(times - 100) < 45);  // 4.5 standard deviations
}

TEST_CASE("sampling: an image smaller than the crop is padded by mirroring, and copies of objects are other objects") {
  std::vector<Example> examples;
  examples.push_back(same("a", 3, 4, [](int y, int x) { return 1 + 4 * y + x; }));
  LoaderOptions o = options_of(Sampling::object_crop, 16);
  Loader loader(examples, o, copy_ids);
  const LoadedBatch& b = loader.next();
  const auto fold = [](int i, int n) {
    while (i < 0 || i >= n)
      i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
  };
  std::set<int> ids;
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x) {
      const int want = 1 + 4 * fold(y - 6, 3) + fold(x - 6, 4);
      CHECK(int(image_in(b)(0, 0, y, x)) == want);
      ids.insert(ids_in(b)(0, 0, y, x));
    }
  CHECK(ids.size() == 256);  // no pixel touches its copies
  CHECK((*ids.begin() == 1 && *ids.rbegin() == 256));

  // The left one of two objects lies at the border, so that it and its copy are one object.
  std::vector<Example> at_border;  // the first loader still reads its own examples
  at_border.push_back(same("b", 12, 12, [](int y, int x) {
    return y < 4 || y > 7 ? 0 : x < 3 ? 1 : x > 5 && x < 9 ? 2 : 0;
  }));
  Loader wider(at_border, options_of(Sampling::object_crop, 24), copy_ids);
  const LoadedBatch& padded = wider.next();
  std::map<int, std::vector<int>> columns;  // of each object in the row through its middle
  for (int x = 0; x < 24; ++x)
    if (const int id = ids_in(padded)(0, 0, 12, x)) columns[id].push_back(x);
  const std::vector<std::vector<int>> want{{0}, {4, 5, 6, 7, 8}, {12, 13, 14}, {20, 21, 22}};
  std::vector<std::vector<int>> got;
  for (const auto& [id, all] : columns)
    got.push_back(all);
  std::sort(got.begin(), got.end());
  CHECK(got == want);
}

TEST_CASE("sampling: affine samples have one of eight scales, a centre in the image, and are flipped half the time") {
  // A pixel's value gives its position: bilinear interpolation of a linear function is exact.
  const int height = 200, width = 300, size = 64;
  std::vector<Example> examples;
  examples.push_back(example_of(
      "a", height, width, [](int y, int x) { return 200 * x + y + 1; },
      [](int y, int x) { return 1 + y / 8 * 40 + x / 8; }));
  Loader loader(examples, options_of(Sampling::affine, size), copy_ids);
  std::set<int> scales;
  int flipped = 0;
  for (int step = 0; step < 400; ++step) {
    const View<float, 4> image = image_in(loader.next());
    const double at = double(image(0, 0, 32, 32)) - 1;
    // Adjacent samples are less than 7 pixels apart, so that x and y follow from the value in the middle.
    const double x_right = double(image(0, 0, 32, 33)) - 1, below = double(image(0, 0, 33, 32)) - 1;
    REQUIRE(at >= 0);
    const double y = std::fmod(at, 200.), x = std::floor(at / 200);
    CHECK((x >= 128 && x < width - 128 && y >= 64 && y < height - 64));
    const double step_x = (x_right - at) / 200, step_y = below - at;
    CHECK(std::abs(step_x) == doctest::Approx(step_y).epsilon(1e-3));
    flipped += step_x < 0;
    scales.insert(int(std::lround(step_y * size / width * 100)));
  }
  CHECK(scales == std::set<int>{60, 70, 80, 90, 100, 110, 120, 130});
  CHECK(std::abs(flipped - 200) < 45);
}

TEST_CASE("sampling: every kind gives the same bytes with any number of workers, from any first step") {
  std::vector<Example> examples;
  examples.push_back(same("a", 40, 60, [](int y, int x) { return squares(y, x, 6); }));
  examples.push_back(same("b", 30, 20, [](int y, int x) { return squares(y, x, 2); }));
  examples.push_back(same("c", 70, 20, [](int, int) { return 0; }));
  examples[1].weight = 2.5;
  for (const Sampling sampling : {Sampling::crop, Sampling::object_crop, Sampling::affine})
    for (const bool by_objects : {false, true}) {
      if (by_objects && sampling != Sampling::crop) continue;
      LoaderOptions o = options_of(sampling, 16, 2);
      o.augment = parse_augmentation("moderate");
      o.draw_by = by_objects ? DrawBy::objects : DrawBy::images;
      o.draws = 5;
      std::vector<std::string> first;
      {
        Loader loader(examples, o, copy_ids);
        CHECK(loader.steps_per_epoch() == 2);
        for (int step = 0; step < 12; ++step)
          first.push_back(bytes_of(loader.next()));
      }
      CHECK(std::set<std::string>(first.begin(), first.end()).size() > 8);
      o.workers = 3, o.prefetch = 2;
      Loader loader(examples, o, copy_ids), later(examples, o, copy_ids, 5);
      for (int step = 0; step < 12; ++step)
        CHECK(bytes_of(loader.next()) == first[size_t(step)]);
      for (int step = 5; step < 12; ++step)
        CHECK(bytes_of(later.next()) == first[size_t(step)]);
    }
}

TEST_CASE("sampling: an epoch draws images in proportion to their weights") {
  std::vector<Example> examples;
  for (int i = 0; i < 4; ++i)
    examples.push_back(same(std::string(1, char('a' + i)), 8, 8, [](int, int) { return 1; }));
  examples[0].weight = 3, examples[1].weight = 0.5, examples[3].weight = 0;
  SamplerOptions o;
  o.crop = 8, o.draws = 9;
  const Sampler sampler(examples, o);
  std::vector<int> order;
  std::map<int, int> total;
  for (int epoch = 0; epoch < 200; ++epoch) {
    sampler.order(epoch, order);
    REQUIRE(order.size() == 9);
    std::map<int, int> times;
    for (const int image : order)
      ++times[image], ++total[image];
    // Nine draws by the weights 3, 0.5, 1 and 0.
    CHECK((times[0] == 6 && (times[1] == 1) && times[2] == 2 && times[3] == 0));
  }
  o.draws = 6;  // 4, 2/3 and 4/3 draws on average
  const Sampler six(examples, o);
  total.clear();
  for (int epoch = 0; epoch < 300; ++epoch) {
    six.order(epoch, order);
    for (const int image : order)
      ++total[image];
  }
  CHECK(total[0] == 1200);
  CHECK(std::abs(total[1] - 200) < 40);
  CHECK(std::abs(total[2] - 400) < 40);
  CHECK(fingerprint(examples) != fingerprint({examples[0], examples[1], examples[2]}));
  const std::string before = fingerprint(examples);
  examples[0].weight = 2;
  CHECK(fingerprint(examples) != before);
}

TEST_CASE("sampling: drawing by objects still draws images with few large objects and with background only") {
  std::vector<Example> examples;
  // 100 small objects, one large one, and nine images without any.
  examples.push_back(
      same("small", 100, 100, [](int y, int x) { return y % 10 == 0 && x % 10 == 0 ? 1 + y + x / 10 : 0; }));
  examples.push_back(same("large", 100, 100, [](int y, int x) { return y < 50 && x < 50 ? 1 : 0; }));
  for (int i = 0; i < 8; ++i)
    examples.push_back(same("empty", 100, 100, [](int, int) { return 0; }));
  LoaderOptions o = options_of(Sampling::crop, 16);
  o.draw_by = DrawBy::objects;
  Loader loader(examples, o, copy_ids);
  std::map<std::string, int> images;
  int held = 0;
  for (int step = 0; step < 2000; ++step) {
    const LoadedBatch& b = loader.next();
    ++images[b.stems[0]];
    bool any = false;
    for (int64_t i = 0; i < 256; ++i)
      any |= ids_in(b).data[i] != 0;
    held += any;
  }
  CHECK(std::abs(images["small"] - 600) < 90);  // 1/4 + 1/2 1/10
  CHECK(std::abs(images["large"] - 600) < 90);
  CHECK(std::abs(images["empty"] - 800) < 90);
  CHECK(held > 1000);  // a crop contains the object that it was drawn for
}

TEST_CASE("sampling: a crop drawn for an object contains its centroid, at any position in the crop") {
  std::vector<Example> examples;
  examples.push_back(same("a", 60, 60, [](int y, int x) { return y == 20 && x == 58 ? 1 : 0; }));
  SamplerOptions o;
  o.crop = 10, o.draw_by = DrawBy::objects;
  const Sampler sampler(examples, o);
  std::set<int> rows, columns;
  for (uint64_t i = 0; i < 500; ++i) {
    Random random(1, Purpose::test, 0, i);
    const Placement p = sampler.place({0, 0}, 1, random);
    rows.insert(p.y0), columns.insert(p.x0);
  }
  CHECK(rows == std::set<int>{11, 12, 13, 14, 15, 16, 17, 18, 19, 20});
  CHECK(columns == std::set<int>{49, 50});
}

TEST_CASE("sampling: data sets without suitable images and invalid weights are refused") {
  std::vector<Example> examples;
  examples.push_back(same("empty", 8, 8, [](int, int) { return 0; }));
  SamplerOptions o;
  o.sampling = Sampling::object_crop;
  CHECK(refusal([&] { Sampler(examples, o); }) == "no training image contains an object");
  o.draw_by = DrawBy::objects;
  CHECK(contains(refusal([&] { Sampler(examples, o); }), "needs random crops"));
  o.draw_by = DrawBy::images;
  examples[0].weight = -1;
  CHECK(contains(refusal([&] { Sampler(examples, o); }), "empty has the weight -1"));
  examples[0].weight = 0;
  CHECK(refusal([&] { Sampler(examples, o); }) == "there are no training images");
  CHECK(contains(refusal([] { parse_draw_by("object"); }), "--sampling object: expected images or objects"));
}

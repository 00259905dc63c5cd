#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>

#include "data/dataset/loader.h"
#include "kernels/field/distance_field.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

const Normalisation none{Normalisation::Kind::none};

/// An image whose pixel (y, x) has the value 1 + y width + x, and labels computed from that value.
int64_t label_of(int value) { return value % 5 == 0 ? 0 : value % 7; }
Example coded(const std::string& stem, int height, int width, int channels = 1) {
  Image image{height, width, channels, PixelType::u16, std::vector<std::byte>(size_t(height * width * channels) * 2)};
  std::vector<int64_t> ids;
  for (int i = 0; i < height * width; ++i) {
    for (int c = 0; c < channels; ++c)
      image.as<uint16_t>()[i * channels + c] = uint16_t(1 + i + 1000 * c);
    ids.push_back(label_of(1 + i));
  }
  return {stem, Source(std::move(image), channels, none, stem), StoredLabels(compact(height, width, ids))};
}

/// A target that consists of the labels themselves, without the margin.
MakeTargets copy_labels(int margin) {
  return [margin](const Exec&, View<const int32_t, 3> labels, const SampleTargets& to) {
    const View<float, 3> target = to.map<float>("target");
    for (int y = 0; y < target.dim[1]; ++y)
      for (int x = 0; x < target.dim[2]; ++x)
        target(0, y, x) = float(labels(0, y + margin, x + margin));
  };
}

LoaderOptions options_of(int batch, int crop, const std::string& augment = "none") {
  LoaderOptions o;
  o.batch = batch, o.crop = crop, o.seed = 11, o.targets.maps = {{"target"}};
  o.augment = parse_augmentation(augment);
  return o;
}

std::string bits_of(const LoadedBatch& b) {
  std::string bytes(static_cast<const char*>(b.image.raw()), b.image.bytes());
  for (const auto& [name, t] : b.targets)
    bytes.append(static_cast<const char*>(t.raw()), t.bytes());
  for (const std::string& s : b.stems)
    bytes += s + '\n';
  return bytes + std::to_string(b.step);
}

std::vector<Example> five() {
  std::vector<Example> examples;
  for (int i = 0; i < 5; ++i)
    examples.push_back(coded(std::string(1, char(97 + i)), 20 + 3 * i, 31 - 2 * i));
  return examples;
}

}  // namespace

TEST_CASE("loader: the same bytes with any number of workers, any prefetch and any first step") {
  const std::vector<Example> examples = five();
  LoaderOptions o = options_of(2, 16, "flip,rotate,brightness,noise");
  o.margin = 3;
  std::vector<std::string> first;
  {
    Loader loader(examples, o, copy_labels(3));
    CHECK(loader.steps_per_epoch() == 2);
    for (int step = 0; step < 12; ++step)
      first.push_back(bits_of(loader.next()));
  }
  CHECK(std::set<std::string>(first.begin(), first.end()).size() == 12);
  for (const auto& [workers, prefetch] : {std::pair{1, 1}, {2, 4}, {3, 1}, {7, 2}}) {
    o.workers = workers, o.prefetch = prefetch;
    Loader loader(examples, o, copy_labels(3));
    for (int step = 0; step < 12; ++step)
      CHECK(bits_of(loader.next()) == first[size_t(step)]);
    Loader later(examples, o, copy_labels(3), 5);
    for (int step = 5; step < 12; ++step)
      CHECK(bits_of(later.next()) == first[size_t(step)]);
  }
  o.seed = 12;
  Loader other(examples, o, copy_labels(3));
  CHECK(bits_of(other.next()) != first[0]);
}

TEST_CASE("loader: an epoch uses each image once, in a new random order, and drops the incomplete batch") {
  const std::vector<Example> examples = five();
  Loader loader(examples, options_of(2, 8), copy_labels(0));
  std::set<std::vector<std::string>> orders;
  std::set<std::string> ever;
  for (int epoch = 0; epoch < 20; ++epoch) {
    std::vector<std::string> order;
    for (int step = 0; step < 2; ++step) {
      const LoadedBatch& b = loader.next();
      CHECK(b.step == 2 * epoch + step);
      order.insert(order.end(), b.stems.begin(), b.stems.end());
    }
    CHECK(std::set<std::string>(order.begin(), order.end()).size() == 4);
    orders.insert(order);
    ever.insert(order.begin(), order.end());
  }
  CHECK(orders.size() > 10);
  CHECK(ever.size() == 5);
}

TEST_CASE("loader: with fewer images than a batch, images repeat with different crops") {
  std::vector<Example> examples;
  examples.push_back(coded("a", 60, 60));
  examples.push_back(coded("b", 60, 60));
  Loader loader(examples, options_of(5, 8), copy_labels(0));
  CHECK(loader.steps_per_epoch() == 1);
  const LoadedBatch& b = loader.next();
  CHECK(b.stems[0] == b.stems[2]);
  CHECK(b.stems[2] == b.stems[4]);
  CHECK(b.stems[1] == b.stems[3]);
  CHECK(b.stems[0] != b.stems[1]);
  std::set<float> corners;
  for (int n : {0, 2, 4})
    corners.insert(b.image.view<float, 4>()(n, 0, 0, 0));
  CHECK(corners.size() == 3);
}

TEST_CASE("loader: targets by name: maps of two types and sizes, and tables that are cleared for each sample") {
  std::vector<Example> examples;
  examples.push_back(coded("a", 20, 20));
  LoaderOptions o = options_of(2, 8);
  o.targets = {{{"coarse", 3, DType::f32, 4}, {"ids", 1, DType::i32}}, {{"rows", 5, 2}, {"numbers", 4, 1, DType::i32}}};
  std::atomic<int> calls{0};
  Loader loader(examples, o, [&](const Exec&, View<const int32_t, 3> labels, const SampleTargets& to) {
    const View<float, 3> coarse = to.map<float>("coarse");
    const View<int32_t, 3> ids = to.map<int32_t>("ids");
    for (int64_t i = 0; i < coarse.size(); ++i)
      coarse.data[i] = float(i);
    for (int64_t i = 0; i < labels.size(); ++i)
      ids.data[i] = labels.data[i];
    const int k = calls++ % 3;  // samples fill different numbers of rows
    for (int row = 0; row < k; ++row)
      to.table<float>("rows")(row, 1) = 7, to.table<int32_t>("numbers")(row, 0) = 9;
    *to.count("rows") = k;
    if (k == 2) {
      CHECK_THROWS_AS(to.map<float>("ids"), Error);
      CHECK_THROWS_AS(to.count("ids"), Error);
      CHECK(contains(refusal([&] { to.map<float>("colour"); }), "no target named colour"));
    }
  });
  for (int step = 0; step < 9; ++step) {
    const LoadedBatch& b = loader.next();
    REQUIRE(b.targets.size() == 6);
    CHECK(b.targets.at("coarse").shape() == Shape{2, 3, 2, 2});
    CHECK(b.targets.at("ids").shape() == Shape{2, 1, 8, 8});
    const View<float, 3> rows = b.targets.at("rows").view<float, 3>();
    const View<int32_t, 3> numbers = b.targets.at("numbers").view<int32_t, 3>();
    for (int n = 0; n < 2; ++n) {
      const int count = b.targets.at("rows_count").data<int32_t>()[n];
      CHECK(count == (2 * step + n) % 3);
      CHECK(b.targets.at("numbers_count").data<int32_t>()[n] == 0);
      CHECK(b.targets.at("coarse").view<float, 4>()(n, 2, 1, 1) == 11);
      const View<int32_t, 4> ids = b.targets.at("ids").view<int32_t, 4>();
      CHECK(ids(n, 0, 7, 7) == label_of(int(b.image.view<float, 4>()(n, 0, 7, 7))));
      int wrong = 0;
      for (int row = 0; row < 5; ++row)
        wrong += rows(n, row, 0) != 0 || rows(n, row, 1) != (row < count ? 7 : 0);
      for (int row = 0; row < 4; ++row)
        wrong += numbers(n, row, 0) != (row < count ? 9 : 0);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("loader: invalid targets are refused") {
  const auto refused = [](const TargetSpec& spec) { return refusal([&] { make_target_tensors({}, spec, 1, 8, 12); }); };
  CHECK(contains(refused({{{"a"}, {"a"}}, {}}), "two targets are named a"));
  CHECK(contains(refused({{{"a_count"}}, {{"a", 3}}}), "two targets are named a_count"));
  CHECK(contains(refused({{{"image"}}, {}}), "\"image\""));
  CHECK(contains(refused({{{"a", 1, DType::f32, 8}}, {}}), "8 x 12 pixels"));
  CHECK(contains(refused({{{"a", 1, DType::f64}}, {}}), "neither float32 nor int32"));
  CHECK(contains(refused({{}, {{"a", 0}}}), "0 rows"));
  CHECK(make_target_tensors({}, {{{"a", 2, DType::i32, 4}}, {}}, 3, 8, 12).at("a").shape() == Shape{3, 2, 2, 3});
}

TEST_CASE("loader: crops are contiguous and reach every position, and image and labels correspond") {
  std::vector<Example> examples;
  examples.push_back(coded("a", 11, 13, 2));
  Loader loader(examples, options_of(1, 8), copy_labels(0));
  std::set<int> corners;
  for (int step = 0; step < 300; ++step) {
    const LoadedBatch& b = loader.next();
    const View<float, 4> image = b.image.view<float, 4>(), target = b.targets.at("target").view<float, 4>();
    const int corner = int(image(0, 0, 0, 0));
    corners.insert(corner);
    int wrong = 0;
    for (int y = 0; y < 8; ++y)
      for (int x = 0; x < 8; ++x) {
        const int value = corner + 13 * y + x;
        wrong += image(0, 0, y, x) != float(value) || image(0, 1, y, x) != float(value + 1000);
        wrong += target(0, 0, y, x) != float(label_of(value));
      }
    REQUIRE(wrong == 0);
  }
  CHECK(corners.size() == 4 * 6);
}

TEST_CASE("loader: an image smaller than the crop is centred in zero padding; odd padding is split at random") {
  std::vector<Example> examples;
  examples.push_back(coded("a", 10, 7));
  LoaderOptions o = options_of(1, 16, "brightness,noise");
  o.augment.noise = false;
  o.margin = 2;
  Loader loader(examples, o, copy_labels(2));
  std::set<std::pair<int, int>> places;
  for (int step = 0; step < 60; ++step) {
    const LoadedBatch& b = loader.next();
    const View<float, 4> image = b.image.view<float, 4>(), target = b.targets.at("target").view<float, 4>();
    int y0 = 16, x0 = 16, y1 = -1, x1 = -1;
    for (int y = 0; y < 16; ++y)
      for (int x = 0; x < 16; ++x)
        if (image(0, 0, y, x) != 0)  // brightness does not change the padding
          y0 = std::min(y0, y), x0 = std::min(x0, x), y1 = std::max(y1, y), x1 = std::max(x1, x);
    REQUIRE(y1 - y0 == 9);
    REQUIRE(x1 - x0 == 6);
    places.insert({y0, x0});
    int wrong = 0;
    for (int y = 0; y < 16; ++y)
      for (int x = 0; x < 16; ++x) {
        const bool inside = y >= y0 && y <= y1 && x >= x0 && x <= x1;
        wrong += target(0, 0, y, x) != (inside ? float(label_of(1 + (y - y0) * 7 + x - x0)) : 0.f);
      }
    REQUIRE(wrong == 0);
  }
  CHECK(places == std::set<std::pair<int, int>>{{3, 4}, {3, 5}});
}

TEST_CASE("loader: with a margin, the field of a crop equals the whole image's field, cropped and rotated") {
  const int size = 70, margin = 15, crop = 24;
  const kernels::SdfFieldOptions sdf;
  std::vector<int64_t> ids(size * size);
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x)
      ids[size_t(y * size + x)] = x * x + y * y < 1500 ? 1 : (x - 60) * (x - 60) + (y - 40) * (y - 40) < 500 ? 2 : 0;
  const Labels labels = compact(size, size, ids);
  std::vector<float> whole(size_t(2 * size * size));
  kernels::sdf_field(Exec{}, View<const int32_t, 2>{labels.ids.data(), {size, size}}, sdf,
                     View<float, 3>{whole.data(), {2, size, size}});
  Image image{size, size, 1, PixelType::u16, std::vector<std::byte>(size_t(size * size) * 2)};
  for (int i = 0; i < size * size; ++i)
    image.as<uint16_t>()[i] = uint16_t(i);
  std::vector<Example> examples;
  examples.push_back({"a", Source(image, 1, none, "a"), StoredLabels(labels)});
  LoaderOptions o = options_of(1, crop, "flip,rotate");
  o.margin = margin, o.targets.maps[0].channels = 2;
  Loader loader(examples, o, [&](const Exec&, View<const int32_t, 3> layers, const SampleTargets& to) {
    const View<const int32_t, 2> window = first_layer(layers);
    const View<float, 3> target = to.map<float>("target");
    std::vector<float> field(size_t(2) * size_t(window.size()));
    kernels::sdf_field(Exec{}, window, sdf, View<float, 3>{field.data(), {2, window.dim[0], window.dim[1]}});
    for (int c = 0; c < 2; ++c)
      for (int y = 0; y < crop; ++y)
        std::memcpy(&target(c, y, 0), &field[size_t((c * window.dim[0] + y + margin) * window.dim[1] + margin)],
                    crop * sizeof(float));
  });
  std::set<std::pair<bool, bool>> axes;  // the direction of the image's x axis in the crop
  for (int step = 0; step < 100; ++step) {
    const LoadedBatch& b = loader.next();
    const View<float, 4> value = b.image.view<float, 4>(), target = b.targets.at("target").view<float, 4>();
    const int right = int(value(0, 0, 0, 1)) - int(value(0, 0, 0, 0)),
              down = int(value(0, 0, 1, 0)) - int(value(0, 0, 0, 0));
    axes.insert({std::abs(right) == 1, right + down > 0});
    // Projects a vector of the whole image onto the crop's axes.
    const auto along = [&](int axis, float x, float y) {
      return std::abs(axis) == 1 ? float(axis) * x : float(axis / size) * y;
    };
    double error = 0;
    for (int y = 0; y < crop; ++y)
      for (int x = 0; x < crop; ++x) {
        const size_t p = size_t(value(0, 0, y, x));
        const float u = whole[p], v = whole[p + size_t(size * size)];
        error = std::max<double>(error, std::abs(target(0, 0, y, x) - along(right, u, v)));
        error = std::max<double>(error, std::abs(target(0, 1, y, x) - along(down, u, v)));
      }
    REQUIRE(error < 1e-5);
  }
  CHECK(axes.size() == 4);
}

TEST_CASE("loader: targets that need whole objects get the labels of the whole image") {
  const int size = 70, crop = 24;
  std::vector<int64_t> ids(size * size);
  for (int y = 10; y < 60; ++y)
    for (int x = 3; x < 67; ++x)
      ids[size_t(y * size + x)] = 1;
  std::vector<Example> examples;
  examples.push_back(
      {"a", Source(Image{size, size, 1, PixelType::u8, std::vector<std::byte>(size_t(size * size))}, 1, none, "a"),
       StoredLabels(compact(size, size, ids))});
  LoaderOptions o = options_of(1, crop, "flip,rotate");
  o.margin = 1, o.whole_image = true;
  std::set<int> sizes;
  std::mutex mutex;
  Loader loader(examples, o, [&](const Exec&, View<const int32_t, 3> labels, const SampleTargets&) {
    const std::lock_guard lock(mutex);
    sizes.insert(labels.dim[1]);
    int64_t area = 0;
    for (int64_t i = 0; i < labels.size(); ++i)
      area += labels.data[i] == 1;
    if (area != 50 * 64) refuse("an object of ", area, " pixels");
  });
  for (int step = 0; step < 50; ++step)
    CHECK_NOTHROW(loader.next());
  CHECK(sizes.size() > 5);
  CHECK(*sizes.rbegin() <= 2 * size + crop);
}

TEST_CASE("loader: noise has the drawn standard deviation and differs between crops") {
  Image flat{64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64, std::byte{100})};
  std::vector<Example> examples;
  examples.push_back({"a", Source(flat, 1, none, "a"), StoredLabels(compact(64, 64, std::vector<int64_t>(64 * 64)))});
  Loader loader(examples, options_of(2, 64, "noise"), copy_labels(0));
  double mean_deviation = 0;
  for (int step = 0; step < 50; ++step) {
    const LoadedBatch& b = loader.next();
    const float* v = b.image.data<float>();
    double sum = 0, squares = 0;
    int same = 0;
    for (int i = 0; i < 64 * 64; ++i) {
      sum += double(v[i]) - 100, squares += (double(v[i]) - 100) * (double(v[i]) - 100);
      same += v[i] == v[i + 64 * 64];
    }
    CHECK(std::abs(sum / (64 * 64)) < 0.004);
    mean_deviation += std::sqrt(squares / (64 * 64)) / 50;
    CHECK(same < 400);
  }
  CHECK(std::abs(mean_deviation - 0.025) < 0.008);  // uniform in [0, 0.05]
}

TEST_CASE("loader: batches reuse the same memory") {
  const std::vector<Example> examples = five();
  LoaderOptions o = options_of(2, 8);
  o.prefetch = 3;
  Loader loader(examples, o, copy_labels(0));
  std::set<const void*> images;
  for (int step = 0; step < 40; ++step)
    images.insert(loader.next().image.raw());
  CHECK(images.size() == 4);
}

TEST_CASE("loader: a worker's exception is thrown by next, after the batches that precede it") {
  const std::vector<Example> examples = five();
  std::atomic<int> calls{0};
  LoaderOptions o = options_of(2, 8);
  o.prefetch = 2;
  Loader loader(examples, o, [&](const Exec&, View<const int32_t, 3>, const SampleTargets&) {
    if (++calls == 5) refuse("the fifth sample");
  });
  CHECK(loader.next().step == 0);
  CHECK(loader.next().step == 1);
  for (int k = 0; k < 2; ++k)
    CHECK(refusal([&] { loader.next(); }) == "c: the fifth sample");
}

TEST_CASE("loader: destroying a loader that was never read from ends its workers") {
  const std::vector<Example> examples = five();
  LoaderOptions o = options_of(2, 8);
  o.workers = 3;
  const Loader loader(examples, o, copy_labels(0));
  CHECK_THROWS_AS(Loader({}, o, copy_labels(0)), Error);
}

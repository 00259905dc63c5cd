#include <algorithm>
#include <cmath>
#include <functional>

#include "data/checks/training_set.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

Labels drawn_labels(const std::vector<std::string>& rows) {
  std::vector<int64_t> ids;
  for (const std::string& row : rows)
    for (const char c : row)
      ids.push_back(c == '.' ? 0 : c - '0');
  return compact(int(rows.size()), int(rows[0].size()), std::move(ids));
}

template <class T>
Image image_of(int height, int width, int channels, PixelType type, const std::vector<T>& values) {
  Image image{height, width, channels, type, std::vector<std::byte>(values.size() * sizeof(T))};
  std::copy(values.begin(), values.end(), image.as<T>());
  return image;
}

/// A square object of this side in the middle of an image.
Labels centred_square(int size, int side) {
  Labels labels{size, size, side > 0 ? 1 : 0, std::vector<int32_t>(size_t(size) * size_t(size))};
  const int first = (size - side) / 2;
  for (int y = first; y < first + side; ++y)
    for (int x = first; x < first + side; ++x)
      labels.ids[size_t(y * size + x)] = 1;
  return labels;
}

/// An image whose values are a ramp over the whole range of 8 bits, that differs from others by its first pixel.
Image ramp_image(int size, int first) {
  std::vector<uint8_t> values;
  for (int i = 0; i < size * size; ++i)
    values.push_back(uint8_t(i == 0 ? first : i % 256));
  return image_of(size, size, 1, PixelType::u8, values);
}

CheckedPair pair_of(const std::string& name, const Image& image, const Labels& labels, bool validation = false) {
  return {{name, name + ".png", {name + "_masks.png"}, false}, validation, facts_of(image), facts_of(labels)};
}

/// The findings of a kind as "severity file: text".
std::vector<std::string> of_kind(const std::vector<Finding>& findings, const std::string& kind) {
  std::vector<std::string> all;
  for (const Finding& f : findings)
    if (f.kind == kind) all.push_back(std::string(name_of(f.severity)) + " " + f.file + ": " + f.text);
  return all;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("checks: pieces are 8-connected, with their areas and first pixels") {
  const std::vector<Piece> pieces = pieces_of(drawn_labels({"1.1.22", "111.2.", ".....2", "1..2.."}));
  REQUIRE(pieces.size() == 4);
  const auto is = [](const Piece& p, int id, int64_t area, int y, int x) {
    return p.id == id && p.area == area && p.y == y && p.x == x;
  };
  CHECK(is(pieces[0], 1, 5, 0, 0));  // two arms that join in the second row
  CHECK(is(pieces[1], 2, 4, 0, 4));  // around a corner, by diagonals
  CHECK(is(pieces[2], 1, 1, 3, 0));
  CHECK(is(pieces[3], 2, 1, 3, 3));
  CHECK(pieces_of(drawn_labels({"..."})).empty());
  CHECK(pieces_of(drawn_labels({"12"})).size() == 2);  // touching objects are separate pieces
}

TEST_CASE("checks: statistics of labels by hand") {
  const LabelFacts facts = facts_of(drawn_labels({"11....", "11..33", "...1.."}));
  REQUIRE(facts.objects.size() == 2);
  CHECK(facts.objects[0].area == 5);
  CHECK(facts.objects[0].height == 3);
  CHECK(facts.objects[0].width == 4);
  CHECK(facts.objects[0].pieces == 2);
  CHECK(facts.objects[0].smallest.area == 1);
  CHECK(facts.objects[0].smallest.x == 3);
  CHECK(facts.objects[1].area == 2);
  CHECK(facts.objects[1].width == 2);
  CHECK(!looks_binary(facts));
  CHECK(looks_binary(facts_of(drawn_labels({"1.1"}))));
  CHECK(!looks_binary(facts_of(drawn_labels({"111"}))));
  CHECK(!looks_binary(facts_of(drawn_labels({"..."}))));
}

TEST_CASE("checks: labels whose borders were smoothed by interpolation are recognised") {
  // A block with the number 9; along part of its border, a seam with the number 4 lies between it and the background.
  const auto blocks = [](int seam_rows) {
    Labels labels{64, 64, 9, std::vector<int32_t>(64 * 64)};
    for (int y = 8; y < 56; ++y)
      for (int x = 8; x < 56; ++x)
        labels.ids[size_t(y * 64 + x)] = (x == 8 && y < 8 + seam_rows) ? 4 : 9;
    return facts_of(labels);
  };
  CHECK(!looks_smoothed(blocks(0)));
  CHECK(!looks_smoothed(blocks(10)));
  CHECK(looks_smoothed(blocks(40)));
}

TEST_CASE("checks: objects one pixel wide, side by side and in order, are not taken for smoothed ones") {
  const auto evidence_of = [](const std::function<int(int, int)>& id) {
    std::vector<int64_t> ids;
    for (int y = 0; y < 80; ++y)
      for (int x = 0; x < 80; ++x)
        ids.push_back(id(y, x));
    return facts_of(compact(80, 80, std::move(ids)));
  };
  const auto is_refused = [&](const std::function<int(int, int)>& id) {
    const LabelFacts facts = evidence_of(id);
    return facts.evidence.interpolated || looks_smoothed(facts);
  };
  const auto radius = [](int y, int x) { return int(std::hypot(y - 40, x - 40)); };
  CHECK(!is_refused([](int y, int) { return y + 1; }));
  CHECK(!is_refused([](int, int x) { return 90 - x; }));
  CHECK(!is_refused([](int y, int x) { return y + x + 1; }));
  CHECK(!is_refused([&](int y, int x) { return radius(y, x) < 38 ? radius(y, x) + 1 : 0; }));
  // Thin objects beside a large one, and rings around one, numbered from the inside.
  CHECK(!is_refused([](int y, int x) { return x < 40 ? 100 : y % 10 < 8 && x > 50 ? y + 1 : 0; }));
  CHECK(!is_refused([&](int y, int x) { return radius(y, x) < 10 ? 1 : radius(y, x) < 38 ? radius(y, x) : 0; }));
  // Spots without a plateau are smooth, whatever their numbers.
  CHECK(is_refused([&](int y, int x) { return std::max(0, 20 - int(std::hypot(y % 20 - 10, x % 20 - 10) * 2.2)); }));
  // Smoothing inserts one to three pixels with intermediate numbers between two objects, or an object and the
  // background.
  for (const int wide : {1, 2, 3}) {
    CAPTURE(wide);
    const auto step = [&](int d, int low, int high) {
      return low + (high - low) * std::clamp(d, 0, wide + 1) / (wide + 1);
    };
    CHECK(evidence_of([&](int y, int x) {
            return step(20 - std::max(std::abs(y - 40), std::abs(x - 40)), 0, 40);
          }).evidence.interpolated);
    CHECK(evidence_of([&](int y, int x) {
            return y < 5 || y > 60 ? 0 : x < 8 || x > 70 ? 0 : step(x - 40, 20, 60) + 0 * y;
          }).evidence.between > 0);
  }
}

TEST_CASE("checks: statistics of images by hand") {
  const ImageFacts camera = facts_of(image_of<uint16_t>(2, 2, 1, PixelType::u16, {5, 4095, 17, 100}));
  CHECK(camera.bits_used == 12);
  CHECK(camera.low == 5);
  CHECK(camera.high == 4095);
  CHECK(kind_of(camera) == "16-bit, 1 channel");
  const ImageFacts real = facts_of(image_of<float>(1, 2, 2, PixelType::f32, {-1.5f, 0, 2, 1}));
  CHECK(real.bits_used == 0);
  CHECK(real.low == -1.5);
  CHECK(real.high == 2);
  CHECK(kind_of(real) == "32-bit float, 2 channels");
  // One bright pixel of a thousand is above the 99.8th percentile.
  std::vector<uint8_t> values(1000, 3);
  values[7] = 200;
  const ImageFacts speck = facts_of(image_of(20, 50, 1, PixelType::u8, values));
  CHECK(speck.bright == 3);
  CHECK(speck.high == 200);
}

TEST_CASE("checks: pixel sizes that differ, or that contradict the given one, are reported") {
  const auto found = [](const std::vector<double>& sizes, double given, bool last_validates = false) {
    std::vector<CheckedPair> pairs;
    for (size_t k = 0; k < sizes.size(); ++k) {
      Image image = ramp_image(32, int(k));
      if (sizes[k] > 0) image.stack.pixel = PixelSides{sizes[k], sizes[k]};
      pairs.push_back(pair_of(std::string(1, char('a' + k)), image, centred_square(32, 16),
                              last_validates && k + 1 == sizes.size()));
    }
    CheckOptions options;
    options.pixel_size = given;
    return of_kind(check(pairs, options), "pixel sizes");
  };
  CHECK(found({0.25, 0.25, 0.251}, 0).empty());
  CHECK(found({0, 0}, 0).empty());
  CHECK(found({0, 0}, 0.5).empty());
  CHECK(found({0.25, 0.25}, 0.25).empty());
  CHECK(found({0.25, 0.5, 0.3}, 0) == Lines{"warning : the files give from 0.25 (a.png) to 0.5 um (b.png) per pixel"});
  CHECK(found({0.25, 0.5}, 0, true).empty());  // the model records that of its training images
  CHECK(found({0.25, 0.25}, 0.5) == Lines{"warning : the files give 0.25 um per pixel"});
  CHECK(found({0.25, 0.25}, 0.125) == Lines{"warning : the files give 0.25 um per pixel"});
  CHECK(found({0.25, 0.5}, 0.5) == Lines{"warning : the files give from 0.25 (a.png) to 0.5 um (b.png) per pixel"});
  CHECK(found({0.25, 0}, 0) ==
        Lines{"note : the files give 0.25 um per pixel for 1 of 2 images, and none for the others"});
}

TEST_CASE("checks: problems of single images and labels are found") {
  const Labels object = centred_square(32, 16);
  const Image plain = ramp_image(32, 0);
  std::vector<uint16_t> camera(1024);
  for (size_t i = 0; i < camera.size(); ++i)
    camera[i] = uint16_t(4 * i);
  std::vector<uint16_t> bright = camera;  // 15 bits are half of the range
  for (uint16_t& value : bright)
    value = uint16_t(8 * value);
  Labels strays = object;
  strays.ids[0] = 2, strays.ids[31] = 1, strays.count = 2;
  const std::vector<CheckedPair> pairs{
      pair_of("good", plain, object),
      pair_of("constant", image_of(2, 2, 1, PixelType::u8, std::vector<uint8_t>(4, 7)), centred_square(2, 2)),
      pair_of("camera", image_of(32, 32, 1, PixelType::u16, camera), object),
      pair_of("bright", image_of(32, 32, 1, PixelType::u16, bright), object),
      pair_of("dark", image_of(2, 2, 1, PixelType::u8, std::vector<uint8_t>{1, 2, 3, 4}), centred_square(2, 2)),
      pair_of("none", ramp_image(32, 1), centred_square(32, 0)),
      pair_of("binary", ramp_image(32, 2), drawn_labels({"1.1"})),
      pair_of("strays", ramp_image(32, 3), strays)};
  const std::vector<Finding> found = check(pairs, {});
  CHECK(of_kind(found, "constant images") == Lines{"warning constant.png: all pixels have the value 7"});
  CHECK(of_kind(found, "bit depth") == Lines{"note camera.png: uses 12 of 16 bits"});
  CHECK(of_kind(found, "nearly black images") == Lines{"note dark.png: 99.8 % of the values are at most 4 of 255"});
  // The advice is that for the normalisation in use, which is not the same for all methods.
  const auto advice = [&](const char* norm) {
    CheckOptions options;
    options.normalisation = parse_normalisation(norm);
    for (const Finding& f : check(pairs, options))
      if (f.kind == std::string("nearly black images")) return f.advice;
    return std::string();
  };
  CHECK(contains(advice("percentile:1,99.8"), "fine with --norm percentile:1,99.8"));
  CHECK(contains(advice("divide"), "give --norm percentile:1,99.8"));
  CHECK(of_kind(found, "binary masks") == Lines{"warning binary_masks.png: a single object in 2 pieces"});
  CHECK(of_kind(found, "objects in several pieces") ==
        Lines{"warning strays_masks.png: 1 of 2 objects (50.0 %) in several pieces; the smallest piece has 1 px, at x "
              "31, y 0"});
  CHECK(of_kind(found, "stray pixels") ==
        Lines{"warning strays_masks.png: 1 of 2 objects (50.0 %) of fewer than 4 px"});
  CHECK(of_kind(found, "types of pixels").size() == 1);
  CHECK(std::none_of(found.begin(), found.end(), [](const Finding& f) { return f.file == "good.png"; }));
  CHECK(std::none_of(found.begin(), found.end(), [](const Finding& f) { return f.severity == Severity::error; }));
}

TEST_CASE("checks: label images without objects, and training sets without any object, are reported") {
  const std::vector<Finding> found = check({pair_of("a", ramp_image(8, 0), centred_square(8, 0))}, {});
  CHECK(of_kind(found, "labels without objects") == Lines{"warning a_masks.png: contains no object"});
  CHECK(of_kind(found, "no objects") == Lines{"warning : no training image contains an object"});
  // Objects of validation images do not count.
  CHECK(of_kind(check({pair_of("a", ramp_image(8, 0), centred_square(8, 0)),
                       pair_of("b", ramp_image(8, 1), centred_square(8, 4), true)},
                      {}),
                "no objects")
            .size() == 1);
}

TEST_CASE("checks: duplicate images are reported") {
  const Labels object = centred_square(16, 8), other = centred_square(16, 6);
  const std::vector<Finding> found =
      check({pair_of("a", ramp_image(16, 0), object), pair_of("b", ramp_image(16, 0), object),
             pair_of("c", ramp_image(16, 0), other), pair_of("d", ramp_image(16, 1), object),
             pair_of("v", ramp_image(16, 1), object, true), pair_of("w", ramp_image(16, 2), object, true)},
            {});
  CHECK(of_kind(found, "duplicate images") == Lines{"warning b.png: has the same pixels as a.png",
                                                    "warning c.png: has the same pixels as a.png, but other labels"});
  CHECK(of_kind(found, "validation images in the training set") ==
        Lines{"warning v.png: has the same pixels as the training image d.png"});
}

TEST_CASE("checks: different numbers of channels are reported") {
  const Labels object = centred_square(4, 4);
  const auto with = [&](int channels) {
    std::vector<uint8_t> values;
    for (int i = 0; i < 16 * channels; ++i)
      values.push_back(uint8_t(16 * i / channels));
    return pair_of("c" + std::to_string(channels), image_of(4, 4, channels, PixelType::u8, values), object);
  };
  CHECK(of_kind(check({with(1), with(3)}, {}), "converted channels") ==
        Lines{"note c1.png: is grey, but the network will take 3 channels"});
  CHECK(of_kind(check({with(1), with(3)}, {.channels = 1}), "converted channels") ==
        Lines{"note c3.png: is RGB, but the network will take 1 channel"});
  const std::vector<Finding> refused = check({with(1), with(2)}, {});
  REQUIRE(of_kind(refused, "channels").size() == 1);
  CHECK(of_kind(refused, "channels")[0].find("c1.png has 1 channel, but the model takes 2") != std::string::npos);
}

TEST_CASE("checks: object sizes are computed at the training scale") {
  const std::vector<CheckedPair> pairs{pair_of("a", ramp_image(128, 0), centred_square(128, 100)),
                                       pair_of("b", ramp_image(128, 1), centred_square(128, 12)),
                                       pair_of("c", ramp_image(128, 2), centred_square(128, 3))};
  const ObjectSizes sizes = sizes_of(pairs);
  CHECK(sizes.lengths == std::vector<int>{3, 12, 100});
  CHECK(sizes.diameter(0) == doctest::Approx(3.3851));  // 2 sqrt(9 / pi)
  CHECK(sizes.diameter(0.5) == doctest::Approx(13.5406));
  CHECK(sizes.diameter(1) == doctest::Approx(112.838));
  const std::vector<SizeClass> classes = histogram_of(sizes);
  REQUIRE(classes.size() == 6);  // from 2 to 128
  CHECK(classes[0].from == 2);
  CHECK(classes[0].count == 1);
  CHECK(classes[1].count == 0);
  CHECK(classes[2].count == 1);
  CHECK(classes[5].to == 128);
  CHECK(classes[5].count == 1);
  const std::vector<Finding> found = check(pairs, {.crop = 64, .limits = {.reach = 15, .reach_setting = "truncate"}});
  CHECK(of_kind(found, "large objects") == Lines{"warning : 1 of 3 objects (33.3 %) longer than the crop of 64 px"});
  CHECK(of_kind(found, "small objects") == Lines{"warning : 1 of 3 objects (33.3 %) less than 5 px wide"});
  CHECK(of_kind(found, "field of vectors").size() == 1);
  CHECK(of_kind(check(pairs, {.scale = 0.5, .crop = 64}), "large objects").empty());
  CHECK(of_kind(check(pairs, {.scale = 2, .crop = 64}), "small objects").empty());
  CHECK(of_kind(check(pairs, {.crop = 100}), "large objects").empty());
  CHECK(of_kind(check(pairs, {.crop = 0}), "large objects").empty());
}

TEST_CASE("checks: findings are grouped by kind, the most severe first") {
  const std::vector<Finding> found{{Severity::note, "n", "a", "small thing", ""},
                                   {Severity::warning, "odd files", "a", "one", "look"},
                                   {Severity::warning, "odd files", "b", "two", "look"},
                                   {Severity::warning, "odd files", "c", "three", "look"},
                                   {Severity::error, "e", "", "it failed", "mend it"}};
  CHECK(lines_of(found, 2) == Lines{"error: it failed; mend it", "warning: odd files, in 3 files; look", "  a: one",
                                    "  b: two", "  and 1 more", "note: a: small thing"});
}

TEST_CASE("checks: crowded images, mirrored copies included, get the advice of a training that stops at one") {
  const auto dots = [](int size, int count) {  // single pixels
    Labels labels{size, size, count, std::vector<int32_t>(size_t(size) * size_t(size))};
    for (int k = 0; k < count; ++k)
      labels.ids[size_t(2 * (k / 8) * size + 2 * (k % 8))] = k + 1;
    return labels;
  };
  const std::vector<CheckedPair> pairs{pair_of("small", ramp_image(16, 1), dots(16, 10)),
                                       pair_of("large", ramp_image(64, 2), dots(64, 10)),
                                       pair_of("full", ramp_image(64, 3), dots(64, 60))};
  const auto crowded = [&](bool counts_mirrored) {
    return check(pairs, {.crop = 32, .limits = {.in_crop = 30, .counts_mirrored = counts_mirrored}});
  };
  CHECK(of_kind(crowded(false), "crowded images") ==
        Lines{"warning full_masks.png: has 60 objects, and a crop may have at most 30"});
  CHECK(of_kind(crowded(true), "crowded images") ==
        Lines{"warning small_masks.png: has 10 objects, about 43 with their mirrored copies in a crop of 32 px, and a "
              "crop may have at most 30",
              "warning full_masks.png: has 60 objects, and a crop may have at most 30"});
  const CheckedPair pixel = pair_of("pixel", Image{1, 1, 1, PixelType::u8, {std::byte(7)}}, drawn_labels({"1"}));
  CHECK(of_kind(check({pixel}, {.crop = 32, .limits = {.in_crop = 30, .counts_mirrored = true}}), "crowded images")
            .empty());
  for (const Finding& f : crowded(true))
    if (f.kind == "crowded images") CHECK(f.advice == "training stops at a crop with more: " + capacity_advice(60));
  CHECK(capacity_advice(60) == "give --set capacity=64, or a smaller --crop");
  CHECK(capacity_advice(64) == "give --set capacity=64, or a smaller --crop");
  CHECK(capacity_advice(65000) == "give --set capacity=65535, or a smaller --crop");
  CHECK(capacity_advice(65536) == "give a smaller --crop, with fewer objects");
}

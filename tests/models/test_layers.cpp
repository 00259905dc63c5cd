#include <algorithm>
#include <map>
#include <set>

#include "data/checks/training_set.h"
#include "data/dataset/loader.h"
#include "engine/json.h"
#include "models/registry.h"
#include "models/training/scaled_examples.h"
#include "tests/support/file_support.h"
#include "tests/support/mask_support.h"
#include "tests/support/sampling_support.h"

using namespace basin;
using namespace basin::test;

namespace {

struct PixelBox {
  int y0, y1, x0, x1;  // ends excluded
};
std::vector<Planes::Run> rectangle(const PixelBox& r, int width) {
  std::vector<Planes::Run> runs;
  for (int y = r.y0; y < r.y1; ++y)
    runs.push_back({int64_t(y) * width + r.x0, int64_t(y) * width + r.x1});
  return runs;
}
Planes rectangles(int height, int width, const std::vector<PixelBox>& all) {
  Planes planes{height, width, {}};
  for (const PixelBox& r : all)
    planes.objects.push_back(rectangle(r, width));
  return planes;
}
/// The pixels of an object, [height * width].
std::vector<bool> mask_of(const Planes& planes, size_t k) {
  std::vector<bool> mask(size_t(planes.height) * size_t(planes.width));
  for (const Planes::Run& run : planes.objects[k])
    for (int64_t i = run.begin; i < run.end; ++i)
      mask[size_t(i)] = true;
  return mask;
}

/// An image whose pixels have the values 1, 2, ... in raster order, with objects in up to `layers` layers.
Example example_of(const Planes& planes, int layers) {
  Image image{planes.height, planes.width, 1, PixelType::u16, {}};
  image.pixels.resize(size_t(planes.height) * size_t(planes.width) * 2);
  for (int i = 0; i < planes.height * planes.width; ++i)
    image.as<uint16_t>()[i] = uint16_t(1 + i);
  Example e{"a", Source(std::move(image), 1, {Normalisation::Kind::none}, "a"), StoredLabels(flatten(planes))};
  if (layers > 1) e.layers = StoredLabels(layered(planes, layers).labels);
  return e;
}

/// The masks of the objects of a sample, in the order of their ids. Throws if an id is in two layers.
std::vector<std::vector<bool>> masks_in(View<int32_t, 4> ids) {
  std::map<int32_t, std::vector<bool>> masks;
  std::map<int32_t, int> layer_of;
  const int pixels = ids.dim[2] * ids.dim[3];
  for (int layer = 0; layer < ids.dim[1]; ++layer)
    for (int i = 0; i < pixels; ++i) {
      const int32_t id = ids.data[layer * pixels + i];
      if (id == 0) continue;
      if (layer_of.emplace(id, layer).first->second != layer) refuse("object ", id, " is in two layers");
      std::vector<bool>& mask = masks[id];
      mask.resize(size_t(pixels));
      mask[size_t(i)] = true;
    }
  std::vector<std::vector<bool>> all;
  for (const auto& [id, mask] : masks)
    all.push_back(mask);
  return all;
}

LoaderOptions layer_options(Sampling sampling, int crop, int layers, const std::string& augment) {
  LoaderOptions o;
  o.batch = 1, o.crop = crop, o.seed = 4, o.layers = layers;
  o.sampling = sampling, o.augment = parse_augmentation(augment);
  o.targets.maps = {{"ids", layers, DType::i32}};
  return o;
}

View<int32_t, 4> ids_of(const LoadedBatch& b) { return b.targets.at("ids").view<int32_t, 4>(); }

/// Two crossing bars, a square on their crossing, one within the first bar alone, and one elsewhere.
const std::vector<PixelBox> worms{
    {14, 22, 4, 60}, {2, 40, 24, 32}, {16, 20, 26, 30}, {16, 20, 40, 52}, {28, 36, 44, 56}};

}  // namespace

TEST_CASE("layers: objects that share pixels are whole, each in the lowest layer that has room") {
  const Planes planes = rectangles(42, 64, worms);
  CHECK(layers_needed(planes) == 3);
  CHECK(layered(planes, 1).labels.ids == flatten(planes).ids);
  CHECK(layered(planes, 1).lost == covered(planes));
  const LayeredLabels whole = layered(planes, 3);
  CHECK(whole.lost.empty());
  CHECK(whole.labels.count == 5);
  CHECK(whole.labels.height == 3 * 42);
  const int layer_of[] = {0, 1, 2, 1, 0};
  for (size_t k = 0; k < 5; ++k) {
    const std::vector<bool> mask = mask_of(planes, k);
    std::vector<int32_t> want(whole.labels.ids.size(), 0), got = whole.labels.ids;
    for (size_t i = 0; i < mask.size(); ++i)
      if (mask[i]) want[size_t(layer_of[k]) * mask.size() + i] = int32_t(k) + 1;
    for (int32_t& id : got)
      if (id != int32_t(k) + 1) id = 0;
    CHECK(got == want);
  }
  // With a layer too few, the third object lies under the first two and is lost, and the fourth gets its number.
  const LayeredLabels two = layered(planes, 2);
  CHECK(two.lost == std::vector<size_t>{2});
  CHECK(two.labels(42 + 16, 40) == 3);
  // An object that is whole nowhere is put where most of its pixels are free.
  const Planes chain{1, 8, {{{0, 6}}, {{3, 8}}, {{5, 8}}}};
  CHECK(layered(chain, 1).labels.ids == std::vector<int32_t>{1, 1, 1, 1, 1, 1, 2, 2});
  CHECK(layered(chain, 2).labels.ids == std::vector<int32_t>{1, 1, 1, 1, 1, 1, 3, 3, 0, 0, 0, 2, 2, 2, 2, 2});
  CHECK(layers_needed(rectangles(9, 9, {})) == 1);
  Planes pile{1, 20, {}};
  for (int k = 0; k < 8; ++k)
    pile.objects.push_back({{k, 10 + k}});
  CHECK(layers_needed(pile) == 8);
  CHECK(layered(pile, 8).lost.empty());
  pile.objects.push_back({{8, 9}});
  CHECK(layers_needed(pile) == 9);
  pile.objects.push_back({{8, 10}});
  CHECK(layers_needed(pile) == 9);  // counting stops at one more than is allowed
}

TEST_CASE("layers: a sample contains the same part of each object as a sample of this object alone") {
  const Planes planes = rectangles(42, 64, worms);
  for (const Sampling sampling : {Sampling::crop, Sampling::affine})
    for (const std::string augment : {"flip,rotate", "flip,rotate,scale,angle,shear,elastic"}) {
      CAPTURE(int(sampling));
      CAPTURE(augment);
      std::vector<Example> all;
      all.push_back(example_of(planes, 3));
      Loader loader(all, layer_options(sampling, 32, 3, augment), copy_ids);
      std::vector<std::vector<std::vector<bool>>> want(30);
      for (size_t k = 0; k < planes.objects.size(); ++k) {
        std::vector<Example> alone;
        alone.push_back(example_of({planes.height, planes.width, {planes.objects[k]}}, 1));
        Loader of_one(alone, layer_options(sampling, 32, 1, augment), copy_ids);
        for (auto& masks : want)
          for (const std::vector<bool>& mask : masks_in(ids_of(of_one.next())))
            masks.push_back(mask);
      }
      size_t objects = 0;
      for (const auto& masks : want) {
        const auto got = masks_in(ids_of(loader.next()));
        CHECK(got == masks);
        objects += masks.size();
      }
      CHECK(objects > 60);
    }
}

TEST_CASE("layers: object crops are drawn around the objects of all layers, and mirrored copies are other objects") {
  const Planes planes = rectangles(42, 64, worms);
  std::vector<Example> examples;
  examples.push_back(example_of(planes, 3));
  CHECK(objects(examples) == 5);
  const int crop = 16;
  Loader loader(examples, layer_options(Sampling::object_crop, crop, 3, "none"), copy_ids);
  CHECK(loader.steps_per_epoch() == 5);
  std::set<int> middles, want;
  for (const PixelBox& r : worms) {
    const auto start = [&](int begin, int end, int n) {
      return int(std::clamp((begin + end - 1) / 2. - crop / 2., 0., double(n - crop)));
    };
    want.insert(1 + (start(r.y0, r.y1, 42) + crop / 2) * 64 + start(r.x0, r.x1, 64) + crop / 2);
  }
  // Each pixel of the image has its own value, which shows where a sample was cut out.
  for (int step = 0; step < 60; ++step) {
    const LoadedBatch& b = loader.next();
    const View<float, 4> image = b.image.view<float, 4>();
    middles.insert(int(image(0, 0, crop / 2, crop / 2)));
    std::vector<std::vector<bool>> masks;
    for (size_t k = 0; k < planes.objects.size(); ++k) {
      const std::vector<bool> plane = mask_of(planes, k);
      std::vector<bool> mask;
      for (int i = 0; i < crop * crop; ++i)
        mask.push_back(plane[size_t(image.data[i]) - 1]);
      if (std::count(mask.begin(), mask.end(), true) > 0) masks.push_back(mask);
    }
    CHECK(masks_in(ids_of(b)) == masks);
  }
  CHECK(middles == want);

  const Planes small = rectangles(12, 12, {{4, 8, 2, 10}, {2, 10, 4, 8}});
  std::vector<Example> narrow;  // the first loader still reads its own examples
  narrow.push_back(example_of(small, 2));
  Loader wider(narrow, layer_options(Sampling::object_crop, 32, 2, "flip,rotate"), copy_ids);
  for (int step = 0; step < 8; ++step) {
    const LoadedBatch& b = wider.next();
    const View<float, 4> image = b.image.view<float, 4>();
    const auto masks = masks_in(ids_of(b));
    CHECK(masks.size() > 8);
    std::vector<int> owners(32 * 32, 0);
    for (const std::vector<bool>& mask : masks) {
      std::vector<int64_t> in_plane(2, 0);
      for (size_t i = 0; i < mask.size(); ++i) {
        if (!mask[i]) continue;
        ++owners[i];
        for (size_t k = 0; k < 2; ++k)
          in_plane[k] += mask_of(small, k)[size_t(image.data[i]) - 1];
      }
      CHECK(std::count(mask.begin(), mask.end(), true) == *std::max_element(in_plane.begin(), in_plane.end()));
    }
    for (size_t i = 0; i < owners.size(); ++i) {
      const size_t from = size_t(image.data[i]) - 1;
      CHECK(owners[i] == mask_of(small, 0)[from] + mask_of(small, 1)[from]);
    }
  }
}

TEST_CASE("layers: samples of labels without overlap have empty further layers, and the same first one") {
  const Planes planes = rectangles(42, 64, {worms[0], worms[4]});
  std::vector<Example> examples;
  examples.push_back(example_of(planes, 1));
  for (const Sampling sampling : {Sampling::crop, Sampling::object_crop, Sampling::affine}) {
    Loader one(examples, layer_options(sampling, 32, 1, "flip,rotate,angle"), copy_ids);
    Loader two(examples, layer_options(sampling, 32, 2, "flip,rotate,angle"), copy_ids);
    for (int step = 0; step < 10; ++step) {
      const View<int32_t, 4> a = ids_of(one.next()), b = ids_of(two.next());
      CHECK(std::equal(a.data, a.data + a.size(), b.data));
      CHECK(std::count(b.data + a.size(), b.data + b.size(), 0) == a.size());
    }
  }
  examples[0].layers = StoredLabels(layered(rectangles(42, 64, worms), 3).labels);
  CHECK_THROWS_AS(Loader(examples, layer_options(Sampling::crop, 32, 2, "none"), copy_ids), Error);
}

TEST_CASE("layers: of overlapping masks of a DSB folder; objects that do not fit into a sample are reported once") {
  const Folder f;
  const auto put = [&](const std::string& name, const std::vector<size_t>& pixels) { put_mask(f, name, pixels); };
  for (const std::string name : {"m", "n", "o"})
    put(name + "/images/" + name + ".png", {}), put(name + "/masks/a.png", {0, 1}), put(name + "/masks/b.png", {2, 5});
  put("m/masks/c.png", {1, 4}), put("n/masks/c.png", {1, 2}), put("n/masks/d.png", {0, 1, 2, 3});
  const std::vector<Pair> pairs = find_pairs(f.path());
  const auto notes = [&](int layers) { return notes_of(read_examples(pairs, 1, {}, {}, layers)); };
  const std::string and_more = (f / "m/masks").string() + " and 1 more: ", of_n = (f / "n/masks").string() + ": ";
  const std::string lost = of_n + "1 of its masks, c.png, is completely covered by earlier ones and lost";
  const std::string overlap = and_more + "its objects overlap; where they do, the first keeps the pixel";
  CHECK(notes(0) == std::vector<std::string>{overlap, lost});
  CHECK(notes(1) == std::vector<std::string>{
                        overlap + " (a method with the setting layers can learn them whole: --set layers=3)", lost});
  CHECK(notes(2) ==
        std::vector<std::string>{of_n + "its objects need more than 2 layers to be whole; where they overlap, an "
                                        "earlier one keeps the pixel (--set layers=3 keeps all of them "
                                        "whole)"});
  CHECK(notes(3).empty());

  const std::vector<Example> flat = read_examples(pairs, 1, {}, {}, 1), whole = read_examples(pairs, 1, {}, {}, 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(true_labels(whole[i]).ids == true_labels(flat[i]).ids);  // for scores
    CHECK(flat[i].layer_count() == 1);
    CHECK(whole[i].layer_count() == std::vector<int>{2, 3, 1}[i]);
  }
  CHECK(whole[0].layered().labels().ids == std::vector<int32_t>{1, 1, 2, 0, 0, 2, 0, 3, 0, 0, 3, 0});
  CHECK(objects(flat) == 3 + 3 + 2);
  CHECK(objects(whole) == 3 + 4 + 2);
  CHECK(fingerprint(whole) != fingerprint(flat));
  CHECK(fingerprint(flat) == fingerprint(read_examples(pairs, 1, {})));
}

TEST_CASE("layers: warnings are about the objects as samples contain them") {
  Planes planes = rectangles(42, 64, {{14, 22, 4, 60}, {2, 40, 24, 32}});  // flattened, the second is in two pieces
  std::vector<Example> flat, whole;
  flat.push_back(example_of(planes, 1)), whole.push_back(example_of(planes, 2));
  const auto warnings = [](const std::vector<Example>& examples) {
    std::string all;
    for (const std::string& line : training_warnings(examples, {}))
      all += line + '\n';
    return all;
  };
  CHECK_MESSAGE(
      contains(warnings(flat), "1 of 2 objects (50.0 %) in several pieces; the smallest piece has 96 px, at x 24, y 2"),
      warnings(flat));
  CHECK(!contains(warnings(whole), "pieces"));
  planes.objects[1].push_back({41 * 64 + 24, 41 * 64 + 26});
  whole[0] = example_of(planes, 2);
  CHECK_MESSAGE(contains(warnings(whole), "the smallest piece has 2 px, at x 24, y 41"), warnings(whole));
}

TEST_CASE("layers: objects of images that are scaled for the network are whole too") {
  const Planes planes = rectangles(42, 64, worms);
  std::vector<Example> examples;
  examples.push_back(example_of(planes, 3));
  const Example scaled = std::move(scaled_examples(examples, 0.5)[0]);
  REQUIRE(scaled.layer_count() == 3);
  CHECK(scaled.layered().height() == 3 * 21);
  const Labels labels = scaled.layered().labels();
  for (int k = 0; k < 5; ++k) {
    std::vector<int32_t> mask(21 * 32, 0);
    for (size_t i = 0; i < labels.ids.size(); ++i)
      if (labels.ids[i] == k + 1) mask[i % mask.size()] = 1;
    CHECK(mask == resized(flatten({42, 64, {planes.objects[size_t(k)]}}), 21, 32).ids);
  }
  CHECK(true_labels(scaled).ids == resized(flatten(planes), 21, 32).ids);
}

TEST_CASE("layers: a setting of the methods that is in model files only if there is more than one") {
  for (const std::string name : {"es", "og"}) {
    CAPTURE(name);
    const std::unique_ptr<Method> one = make_method(name, {});
    CHECK(one->sample_spec().layers == 1);
    Json config = one->config();
    CHECK(!config.contains("layers"));
    config["layers"] = 3;
    const std::unique_ptr<Method> three = make_method(config);
    CHECK(three->sample_spec().layers == 3);
    CHECK(three->targets().maps[0].channels == 3);
    CHECK(three->config()["layers"] == 3);
    config["layers"] = 9;
    CHECK(contains(refusal([&] { make_method(config); }), "layers is 9; expected 1 to 8"));
  }
  CHECK(!make_method("vf-h1", {})->settings().has("layers"));
}

TEST_CASE("layers: og's targets of two crossing objects are those of each object alone") {
  const std::unique_ptr<Method> method = make_method("og", {{"layers", "2", "--set layers=2"}});
  const Planes planes = rectangles(64, 64, {{14, 22, 4, 60}, {2, 40, 24, 32}});
  const auto targets_of = [&](const Planes& of) {
    Labels labels = layered(of, 2).labels;
    TargetTensors to = make_target_tensors({}, method->targets(), 1, 64, 64);
    clear_tables({}, method->targets(), to);
    method->make_targets({}, {labels.ids.data(), {2, 64, 64}}, SampleTargets(to, 0));
    return to;
  };
  const TargetTensors both = targets_of(planes);
  CHECK(both.at("boxes_count").data<int32_t>()[0] == 2);
  const std::vector<float> boxes(both.at("boxes").data<float>(), both.at("boxes").data<float>() + 8);
  CHECK(boxes == std::vector<float>{31.5f, 17.5f, 56, 8, 27.5f, 20.5f, 8, 38});
  const View<int32_t, 4> pieces = both.at("pieces").view<int32_t, 4>();
  const std::vector<std::vector<bool>> masks = masks_in(pieces);
  REQUIRE(masks.size() == 2);
  for (size_t k = 0; k < 2; ++k) {
    CHECK(masks[k] == mask_of(planes, k));
    const TargetTensors one = targets_of({64, 64, {planes.objects[k]}});
    CHECK(one.at("boxes_count").data<int32_t>()[0] == 1);
    CHECK(std::equal(&boxes[4 * k], &boxes[4 * k] + 4, one.at("boxes").data<float>()));
  }
}

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/synth/synth.h"
#include "kernels/runtime/platform.h"
#include "tests/support/paths.h"

using namespace basin;

namespace {

/// A slow, simple reference: finds the pieces of each object by repeatedly taking the smallest neighbouring label.
int pieces_of(const Labels& labels, int id) {
  std::vector<int> root(labels.ids.size());
  for (size_t p = 0; p < root.size(); ++p)
    root[p] = int(p);
  const int w = labels.width, h = labels.height;
  for (bool changed = true; changed;) {
    changed = false;
    auto join = [&](int p, int q) {
      if (labels.ids[size_t(p)] != id || labels.ids[size_t(q)] != id || root[size_t(p)] == root[size_t(q)]) return;
      root[size_t(p)] = root[size_t(q)] = std::min(root[size_t(p)], root[size_t(q)]);
      changed = true;
    };
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        if (x + 1 < w) join(y * w + x, y * w + x + 1);
        if (y + 1 < h) join(y * w + x, y * w + x + w);
      }
  }
  std::set<int> roots;
  for (size_t p = 0; p < root.size(); ++p)
    if (labels.ids[p] == id) roots.insert(root[p]);
  return int(roots.size());
}

bool same(const Synthetic& a, const Synthetic& b) {
  return a.image.pixels == b.image.pixels && a.labels.ids == b.labels.ids && a.labels.count == b.labels.count;
}

/// The number of adjacent pixel pairs that belong to different objects.
int contacts(const Labels& labels) {
  int n = 0;
  auto differ = [](int32_t a, int32_t b) { return a && b && a != b; };
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) {
      if (x > 0) n += differ(labels(y, x - 1), labels(y, x));
      if (y > 0) n += differ(labels(y - 1, x), labels(y, x));
    }
  return n;
}

}  // namespace

TEST_CASE("synth: labels are exact, and the image shows the labelled objects") {
  for (SynthKind kind : {SynthKind::bacteria, SynthKind::worms, SynthKind::nuclei})
    for (SynthModality modality : {SynthModality::phase, SynthModality::fluorescence}) {
      int touching = 0;
      for (int index = 0; index < 4; ++index) {
        CAPTURE(int(kind));
        CAPTURE(int(modality));
        CAPTURE(index);
        const SynthOptions options{kind, modality, 200, 11, 1};
        const Synthetic made = make_synthetic(options, index);
        const Labels& labels = made.labels;
        REQUIRE(made.image.pixels.size() == 200 * 200);
        REQUIRE(made.image.height == 200);
        REQUIRE(labels.ids.size() == 200 * 200);
        REQUIRE(labels.count >= 1);
        CHECK(labels.count <= 150);
        std::vector<int> area(size_t(labels.count) + 1);
        std::vector<double> light(size_t(labels.count) + 1);
        int32_t next = 1;
        bool ordered = true;
        for (size_t p = 0; p < labels.ids.size(); ++p) {
          const int32_t id = labels.ids[p];
          if (id < 0 || id > labels.count) FAIL("id ", id, " of ", labels.count);
          if (id == next) ++next;
          ordered = ordered && id < next;  // in raster order of the first pixel
          ++area[size_t(id)];
          light[size_t(id)] += double(made.image.pixels[p]);
        }
        CHECK(ordered);
        CHECK(next == labels.count + 1);
        const double background = light[0] / area[0];
        for (int id = 1; id <= labels.count; ++id) {
          CAPTURE(id);
          CHECK(area[size_t(id)] >= 30);
          if (id % 8 == 1) CHECK(pieces_of(labels, id) == 1);
          const double mean = light[size_t(id)] / area[size_t(id)];
          if (modality == SynthModality::phase)
            CHECK(mean < background - 5);
          else
            CHECK(mean > background + 5);
        }
        touching += contacts(labels);
      }
      CHECK(touching >= 6);
    }
}

TEST_CASE("synth: an image depends only on the options and its index") {
  for (SynthKind kind : {SynthKind::bacteria, SynthKind::worms, SynthKind::nuclei, SynthKind::colony}) {
    const SynthOptions options{kind, SynthModality::automatic, 96, 7, 1};
    std::vector<Synthetic> reference;
    for (int index = 0; index < 6; ++index)
      reference.push_back(make_synthetic(options, index));
    CHECK_FALSE(same(reference[0], reference[1]));
    SynthOptions other = options;
    other.seed = 8;
    CHECK_FALSE(same(reference[0], make_synthetic(other, 0)));
    const int before = omp_get_max_threads();
    for (int threads : {1, 2, 7}) {
      std::vector<Synthetic> made(6);
      omp_set_num_threads(threads);
#pragma omp parallel for schedule(dynamic)
      for (int index = 5; index >= 0; --index)
        made[size_t(index)] = make_synthetic(options, index);
      for (size_t k = 0; k < made.size(); ++k)
        CHECK(same(made[k], reference[k]));
    }
    omp_set_num_threads(before);
  }
}

TEST_CASE("synth: colonies of every shape under every microscope have exact labels") {
  const SynthShape shapes[] = {SynthShape::rods,    SynthShape::filaments, SynthShape::curved,
                               SynthShape::stalked, SynthShape::cocci,     SynthShape::channels};
  const SynthModality modalities[] = {SynthModality::phase, SynthModality::fluorescence, SynthModality::bright_field};
  int touching = 0, darker = 0, lighter = 0;
  for (const SynthShape shape : shapes)
    for (const SynthModality modality : modalities) {
      CAPTURE(int(shape));
      CAPTURE(int(modality));
      const SynthOptions options{SynthKind::colony, modality, 128, 3, 1, 16, shape};
      const Synthetic made = make_synthetic(options, int(shape));
      REQUIRE(made.image.type == PixelType::u16);
      REQUIRE(made.image.pixels.size() == 2 * 128 * 128);
      REQUIRE(made.labels.ids.size() == 128 * 128);
      std::vector<int> area(size_t(made.labels.count) + 1);
      double inside = 0, outside = 0;
      int32_t next = 1;
      for (size_t p = 0; p < made.labels.ids.size(); ++p) {
        const int32_t id = made.labels.ids[p];
        REQUIRE(id >= 0);
        REQUIRE(id <= made.labels.count);
        if (id == next) ++next;
        REQUIRE(id < next);
        ++area[size_t(id)];
        (id != 0 ? inside : outside) += made.image.as<uint16_t>()[p];
      }
      for (int id = 1; id <= made.labels.count; ++id) {
        CHECK(area[size_t(id)] >= 12);
        if (id % 8 == 1) CHECK(pieces_of(made.labels, id) == 1);
      }
      touching += contacts(made.labels);
      if (made.labels.count == 0) continue;
      const bool dark = inside / (128 * 128 - area[0]) < outside / area[0];
      darker += dark && modality == SynthModality::phase, lighter += !dark && modality == SynthModality::fluorescence;
    }
  CHECK(touching > 100);
  CHECK(darker >= 5);
  CHECK(lighter >= 5);
}

TEST_CASE("synth: the bit depth and the modality of a colony are drawn at random unless they are given") {
  int wide = 0, equal = 0;
  for (int index = 0; index < 24; ++index) {
    const Synthetic made = make_synthetic({SynthKind::colony, SynthModality::any, 64, 1, 1}, index);
    wide += made.image.type == PixelType::u16;
    equal += same(made, make_synthetic({SynthKind::colony, SynthModality::automatic, 64, 1, 1}, index));
  }
  CHECK(wide >= 8);
  CHECK(wide <= 22);
  CHECK(equal == 24);
  const Synthetic twelve = make_synthetic({SynthKind::colony, SynthModality::phase, 64, 1, 1, 12}, 0);
  for (size_t p = 0; p < 64 * 64; ++p)
    REQUIRE(twelve.image.as<uint16_t>()[p] <= 4095);
}

TEST_CASE("synth: the images in data/samples are reproduced byte for byte") {
  const std::string folder = basin::source_dir() + "/data/samples/";
  for (const std::string name : {"bacteria_000", "bacteria_001", "bacteria_002", "nuclei_000", "nuclei_001"}) {
    const SynthKind kind = name[0] == 'b' ? SynthKind::bacteria : SynthKind::nuclei;
    const Synthetic made = make_synthetic({kind, SynthModality::automatic, 256, 7, 1}, name.back() - '0');
    CAPTURE(name);
    CHECK(read_image(folder + name + "_img.png").pixels == made.image.pixels);
    CHECK(read_labels(folder + name + "_masks.png").ids == made.labels.ids);
  }
}

TEST_CASE("synth: size and density scale the number of objects") {
  auto objects = [](int size, double density) {
    int n = 0;
    for (int index = 0; index < 4; ++index)
      n += make_synthetic({SynthKind::nuclei, SynthModality::automatic, size, 2, density}, index).labels.count;
    return n;
  };
  const int usual = objects(256, 1);
  CHECK(objects(256, 0.25) < 0.5 * usual);
  CHECK(objects(512, 1) > 2.5 * usual);
  CHECK(make_synthetic({SynthKind::bacteria, SynthModality::automatic, 32, 2, 0.05}, 0).image.pixels.size() == 1024);
}

TEST_CASE("synth: options out of range are refused") {
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 31, 0, 1}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 9000, 0, 1}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 64, 0, 3}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::automatic, 64, 0, std::nan("")}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({}, -1), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::colony, SynthModality::any, 64, 0, 1, 10}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::bacteria, SynthModality::phase, 64, 0, 1, 16}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::worms, SynthModality::any, 64, 0, 1}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::nuclei, SynthModality::bright_field, 64, 0, 1}, 0), Error);
  CHECK_THROWS_AS(make_synthetic({SynthKind::bacteria, SynthModality::phase, 64, 0, 1, 8, SynthShape::cocci}, 0),
                  Error);
}

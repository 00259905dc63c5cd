#include "data/dataset/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "kernels/runtime/enum_names.h"

namespace basin {
namespace {

constexpr std::pair<DrawBy, const char*> draw_by_names[] = {{DrawBy::images, "images"}, {DrawBy::objects, "objects"}};

void shuffle(Random& random, std::vector<int>& all) {
  for (int i = int(all.size()) - 1; i > 0; --i)
    std::swap(all[size_t(i)], all[size_t(random.below(i + 1))]);
}

/// Uniform in [0, 1): 48 random bits.
double fine_uniform(Random& random) {
  const double high = double(random.uniform());
  return high + double(random.uniform()) * 0x1p-24;
}

/// An index in [begin, end), drawn by cumulative weights.
size_t draw_weighted(const std::vector<double>& sums, size_t begin, size_t end, Random& random) {
  const double at = fine_uniform(random) * sums[end - 1];
  const auto found = std::upper_bound(sums.begin() + ptrdiff_t(begin), sums.begin() + ptrdiff_t(end), at);
  return std::min(size_t(found - sums.begin()), end - 1);
}

/// The range of starts of a crop along an axis of the image: first, and one past the last.
std::pair<int, int> crop_starts(int image, int crop) {
  const int padding = image < crop ? (crop - image + 1) / 2 : 0;
  return {-padding, image + padding - crop + 1};
}

int crop_start(int image, int crop, Random& random) {
  const auto [begin, end] = crop_starts(image, crop);
  return random.below(end - begin) + begin;
}

/// A random start among the crops that contain `at`, as far as possible.
int crop_start_about(int image, int crop, double at, Random& random) {
  const auto [begin, end] = crop_starts(image, crop);
  return std::clamp(int(std::lround(at)) - random.below(crop), begin, end - 1);
}

/// The start of the crop whose middle is nearest to `at`; a smaller image is centred.
int crop_start_centred(int image, int crop, double at) {
  if (image < crop) return -((crop - image) / 2);
  return int(std::clamp(at - crop / 2., 0., double(image - crop)));
}

/// The distance that centres of affine samples keep from an image's border.
int affine_border(int n) {
  int border = 128;
  while (n - border <= border)
    border /= 2;
  return border;
}

Placement affine_placement(int height, int width, int size, Random& random) {
  const double side = std::max(height, width) * (6 + random.below(8)) / 10.;
  const int border_x = affine_border(width), border_y = affine_border(height);
  const int x = border_x + random.below(width - 2 * border_x), y = border_y + random.below(height - 2 * border_y);
  const double step = 2 * std::ceil(side / 2) / size;  // distance in the image of neighbouring sample pixels
  const double right = random.uniform() < 0.5f ? -step : step;
  Placement p;
  p.kind = Placement::Kind::warp, p.size = size;
  p.map = {right, 0, x - right * size / 2, 0, step, y - step * size / 2};
  return p;
}

}  // namespace

DrawBy parse_draw_by(const std::string& text) { return value_in(draw_by_names, "--sampling", text); }

std::string to_string(DrawBy by) { return name_in(draw_by_names, by); }

int64_t draws_per_epoch(const std::vector<Example>& examples, Sampling sampling) {
  int64_t draws = 0;
  for (const Example& e : examples)
    draws += sampling == Sampling::object_crop ? e.layered().count() : 1;
  return draws;
}

Sampler::Sampler(const std::vector<Example>& examples, const SamplerOptions& options)
    : examples_(examples),
      options_(options),
      draws_(options.draws > 0 ? options.draws : draws_per_epoch(examples, options.sampling)) {
  BASIN_CHECK(options.draw_by == DrawBy::images || options.sampling == Sampling::crop,
              "drawing by objects needs random crops");
  for (size_t i = 0; i < examples.size(); ++i) {
    const Example& e = examples[i];
    if (!(e.weight >= 0 && e.weight < 1e9)) refuse(e.stem, " has the weight ", e.weight, "; expected 0 or more");
    if (e.weight == 0) continue;
    weighted_ |= !images_.empty() && e.weight != examples[size_t(images_[0])].weight;
    images_.push_back(int(i));
    image_weights_.push_back((image_weights_.empty() ? 0 : image_weights_.back()) + e.weight);
  }
  if (images_.empty()) refuse("there are no training images");
  if (options.sampling == Sampling::object_crop || options.draw_by == DrawBy::objects) find_objects();
}

/// Lists the objects; object crops put all into one class.
void Sampler::find_objects() {
  const auto class_of = [&](const Object& o) {
    return options_.sampling == Sampling::object_crop ? 0 : std::bit_width(uint64_t(o.pixels));
  };
  std::vector<int32_t> row;
  for (const int image : images_) {
    const Example& e = examples_[size_t(image)];
    const StoredLabels& labels = e.layered();
    std::vector<Object> found(size_t(labels.count()), Object{image, 0, 0, 0});
    row.resize(size_t(e.source.width()));
    for (int at = 0; at < labels.height(); ++at) {
      labels.row(at, 0, e.source.width(), row.data());
      const int y = at % e.source.height();
      for (int x = 0; x < e.source.width(); ++x) {
        if (row[size_t(x)] == 0) continue;
        Object& o = found[size_t(row[size_t(x)] - 1)];
        o.y += y, o.x += x, ++o.pixels;
      }
    }
    for (Object& o : found) {
      if (o.pixels == 0) continue;
      o.y /= double(o.pixels), o.x /= double(o.pixels);
      objects_.push_back(o);
    }
  }
  if (objects_.empty()) refuse("no training image contains an object");
  std::stable_sort(objects_.begin(), objects_.end(),
                   [&](const Object& a, const Object& b) { return class_of(a) < class_of(b); });
  for (size_t i = 0; i < objects_.size(); ++i) {
    const bool first = i == 0 || class_of(objects_[i - 1]) != class_of(objects_[i]);
    if (first) class_begin_.push_back(i);
    object_weights_.push_back((first ? 0 : object_weights_.back()) + examples_[size_t(objects_[i].image)].weight);
  }
  class_begin_.push_back(objects_.size());
}

void Sampler::order(int64_t epoch, std::vector<int>& images) const {
  images.clear();
  if (!objects_.empty()) return;
  images = images_;
  Random random(options_.seed, Purpose::order, uint32_t(epoch));
  shuffle(random, images);
  if (!weighted_) return;
  // Systematic sampling: the images, in random order, divide a line into segments as long as their weights, and
  // equidistant marks with a random start choose the images in whose segments they are.
  const double length = image_weights_.back();
  const double first = fine_uniform(random);
  std::vector<int> chosen;
  double end = 0;
  for (const int image : images) {
    end += examples_[size_t(image)].weight;
    while (int64_t(chosen.size()) < draws_ && (double(chosen.size()) + first) * length < end * double(draws_))
      chosen.push_back(image);
  }
  while (int64_t(chosen.size()) < draws_)  // rounding may move a mark past the end
    chosen.push_back(images.back());
  shuffle(random, chosen);
  images = std::move(chosen);
}

Sampler::Choice Sampler::choose(const std::vector<int>& order, uint64_t position, Random& random) const {
  if (objects_.empty()) return {order[position % order.size()]};
  if (options_.draw_by == DrawBy::objects && random.below(2) == 0)
    return {images_[draw_weighted(image_weights_, 0, images_.size(), random)]};
  const size_t k = size_t(random.below(int(class_begin_.size()) - 1));
  const size_t object = draw_weighted(object_weights_, class_begin_[k], class_begin_[k + 1], random);
  return {objects_[object].image, int(object)};
}

Placement Sampler::place(const Choice& choice, float scale, Random& random) const {
  const Example& e = examples_[size_t(choice.image)];
  const int height = e.source.height(), width = e.source.width(), size = options_.crop;
  if (options_.sampling == Sampling::affine) return affine_placement(height, width, size, random);
  Placement p;
  p.size = size;
  // First a window at least as large as what the sample will show, then one of the sample's size with the same middle.
  const int wider = int(std::ceil((double(size) / double(scale) - size) / 2)), shown = size + 2 * wider;
  if (options_.sampling == Sampling::object_crop) {
    const Object& o = objects_[size_t(choice.object)];
    p.mirror = true;
    p.y0 = crop_start_centred(height, shown, o.y), p.x0 = crop_start_centred(width, shown, o.x);
  } else if (choice.object >= 0) {
    const Object& o = objects_[size_t(choice.object)];
    p.y0 = crop_start_about(height, shown, o.y, random), p.x0 = crop_start_about(width, shown, o.x, random);
  } else {
    p.y0 = crop_start(height, shown, random), p.x0 = crop_start(width, shown, random);
  }
  p.y0 += wider, p.x0 += wider;
  return p;
}

}  // namespace basin

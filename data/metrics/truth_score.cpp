#include "data/metrics/truth_score.h"

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// What predicted objects are outside the ignored pixels.
struct Remainder {
  Objects objects;                  // with the same numbers; an object may have no pixel left
  std::vector<int64_t> kept, lost;  // pixels of each object outside and inside; [0] is not used

  explicit Remainder(int count) : kept(size_t(count) + 1), lost(kept.size()) {}
};

Remainder remainder_of(const Labels& objects, const Labels& ignored) {
  Remainder rest(objects.count);
  Labels labels = objects;
  for (size_t p = 0; p < labels.ids.size(); ++p) {
    int32_t& id = labels.ids[p];
    ++(ignored.ids[p] ? rest.lost : rest.kept)[size_t(id)];
    if (ignored.ids[p]) id = 0;
  }
  rest.objects = std::move(labels);
  return rest;
}

Remainder remainder_of(const Planes& objects, const Labels& ignored) {
  Remainder rest(int(objects.objects.size()));
  Planes planes{objects.height, objects.width, {}};
  for (size_t k = 0; k < objects.objects.size(); ++k) {
    std::vector<Planes::Run>& runs = planes.objects.emplace_back();
    for (const Planes::Run& run : objects.objects[k])
      for (int64_t p = run.begin; p < run.end; ++p) {
        if (!ignored.ids[size_t(p)]) append_run(runs, p, p + 1);
        ++(ignored.ids[size_t(p)] ? rest.lost : rest.kept)[k + 1];
      }
  }
  rest.objects = std::move(planes);
  return rest;
}

/// `prediction` has the size of the truth.
Remainder remainder_of(const Truth& truth, const Objects& prediction) {
  const Labels ignored = truth.ignored->labels();
  return std::visit(
      [&](const auto& objects) {
        BASIN_CHECK(objects.height == ignored.height && objects.width == ignored.width, objects.width, " x ",
                    objects.height, " against ", ignored.width, " x ", ignored.height);
        return remainder_of(objects, ignored);
      },
      prediction);
}

/// The objects with these ascending numbers, renumbered.
Labels selected(const Labels& labels, const std::vector<int32_t>& numbers) {
  std::vector<int32_t> to(size_t(labels.count) + 1);
  Labels some{labels.height, labels.width, 0, labels.ids};
  for (const int32_t number : numbers)
    to[size_t(number)] = ++some.count;
  for (int32_t& id : some.ids)
    id = to[size_t(id)];
  return some;
}

/// `table`: the overlap of the true objects and the remainder.
CountedObjects counted_among(const Remainder& rest, const Overlap& table) {
  std::vector<bool> matched(rest.kept.size());
  for (const Overlap::Pair& pair : table.pairs)
    if (pair.iou > 0.5) matched[size_t(pair.prediction)] = true;
  CountedObjects counted;
  for (size_t k = 1; k < rest.kept.size(); ++k)
    if (rest.kept[k] > 0 && (matched[k] || rest.lost[k] <= rest.kept[k])) counted.numbers.push_back(int32_t(k));
  std::visit([&](const auto& objects) { counted.objects = selected(objects, counted.numbers); }, rest.objects);
  return counted;
}

}  // namespace

Overlap overlap(const Objects& truth, const Objects& prediction) {
  return std::visit([](const auto& t, const auto& p) { return overlap(t, p); }, truth, prediction);
}

CountedObjects counted_objects(const Truth& truth, const Objects& prediction) {
  if (truth.ignored) {
    const Remainder rest = remainder_of(truth, prediction);
    return counted_among(rest, overlap(truth.objects, rest.objects));
  }
  CountedObjects all{prediction, {}};
  for (int32_t number = 1; number <= count_of(prediction); ++number)
    all.numbers.push_back(number);
  return all;
}

ImageScore score(const Truth& truth, const Objects& prediction, std::span<const double> confidence) {
  if (!truth.ignored) return score(overlap(truth.objects, prediction), confidence);
  const Remainder rest = remainder_of(truth, prediction);
  const Overlap of_pixels = overlap(truth.objects, rest.objects);
  const CountedObjects counted = counted_among(rest, of_pixels);
  std::vector<double> of_counted;
  if (!confidence.empty())
    for (const int32_t number : counted.numbers)
      of_counted.push_back(confidence[size_t(number) - 1]);
  ImageScore s = score(overlap(truth.objects, counted.objects), of_counted);
  set_pixel_scores(of_pixels, s);
  return s;
}

}  // namespace basin

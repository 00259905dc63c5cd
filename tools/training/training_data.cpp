#include "tools/training/training_data.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <set>

#include "data/dataset/training_sets.h"
#include "engine/json.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

/// Warns about images that belong to both lists.
void report_repeated(const std::vector<Example>& train, const std::vector<Example>& validation) {
  const std::vector<std::string> images = image_fingerprints(train);
  const std::set<std::string> seen(images.begin(), images.end());
  int64_t repeated = 0;
  for (const std::string& image : image_fingerprints(validation))
    repeated += seen.contains(image);
  if (repeated > 0)
    std::fprintf(stderr, "%s also used for training: the validation scores will be too high\n",
                 counted(repeated, "validation image").c_str());
}

/// Warns about images that occur in several sets, since they are drawn more often.
void report_shared(const std::vector<std::vector<Example>>& sets) {
  std::set<std::string> seen;
  int64_t shared = 0;
  for (const std::vector<Example>& set : sets) {
    const std::vector<std::string> images = image_fingerprints(set);
    const std::set<std::string> own(images.begin(), images.end());
    for (const std::string& image : own)
      shared += !seen.insert(image).second;
  }
  if (shared > 0)
    std::fprintf(stderr, "%s in more than one --data and therefore drawn more often\n",
                 counted(shared, "training image").c_str());
}

/// Moves `examples` into lists of these lengths.
std::vector<std::vector<Example>> divided(std::vector<Example> examples, const std::vector<size_t>& lengths) {
  std::vector<std::vector<Example>> lists;
  auto from = std::make_move_iterator(examples.begin());
  for (const size_t length : lengths) {
    lists.emplace_back(from, from + ptrdiff_t(length));
    from += ptrdiff_t(length);
  }
  return lists;
}

}  // namespace

Json TrainingData::sets() const {
  Json all = Json::array();
  for (size_t k = 0; k < paths.size(); ++k)
    all.push_back({{"path", paths[k]}, {"images", images[k]}, {"share", shares[k]}});
  return all;
}

CheckOptions check_options(const Method& method, int crop, double scale) {
  const SampleSpec spec = method.sample_spec();
  if (crop % spec.multiple != 0) refuse("--crop ", crop, ": expected a multiple of ", spec.multiple);
  if (method.sees_whole_images() && scale != 1)
    refuse("--scale ", scale, ": the method ", method.name(), " resizes whole images to --crop; change --crop instead");
  CheckOptions check;
  check.scale = scale, check.multiple = spec.multiple;
  check.crop = method.sees_whole_images() ? 0 : crop;
  check.resized_to = method.sees_whole_images() ? crop : 0;
  check.needs_objects = spec.sampling == Sampling::object_crop;
  check.limits = method.object_limits();
  return check;
}

TrainingData read_training_data(const TrainingDataOptions& options, int channels, const SampleSpec& spec) {
  TrainingData data;
  std::vector<TrainingSet> sets;
  std::vector<Pair> pairs, held;
  std::vector<size_t> held_of_set;
  std::vector<std::string> left_out;
  const auto append = [](std::vector<Pair>& all, const std::vector<Pair>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  for (const std::string& text : options.data) {
    sets.push_back(parse_training_set(text));
    Split split{find_pairs(sets.back().path, &left_out), {}};
    if (options.val.empty()) split = split_for_validation(split.kept, options.val_fraction);
    choose(split.kept, options.choice), choose(split.held_out, options.choice);  // planes of a file are not split
    data.paths.push_back(sets.back().path.string());
    data.images.push_back(split.kept.size());
    held_of_set.push_back(split.held_out.size());
    append(pairs, split.kept), append(held, split.held_out);
  }
  if (!options.val.empty()) {
    held = find_pairs(options.val, &left_out);
    choose(held, options.choice);
    held_of_set = {held.size()};
  }
  report_notes(left_out);
  for (const std::string& folder : data.paths)
    if (holds_predictions(folder)) report_notes({folder + ": " + predictions_warning});
  std::fprintf(stderr, "training: %s", describe_pairs(pairs).c_str());
  if (!held.empty()) std::fprintf(stderr, "validation: %s", describe_pairs(held).c_str());

  std::optional<int64_t> ignore;
  if (options.ignore_label) ignore = *options.ignore_label;
  std::vector<Example> train = read_examples(pairs, channels, spec.normalisation, ignore, spec.layers);
  std::vector<Example> validation = read_examples(held, train.front().source.channels(), spec.normalisation, ignore);
  if (ignore && !any_ignored(train)) report_notes({unused_label(*options.ignore_label, any_ignored(validation))});
  report_notes(notes_of(train)), report_notes(notes_of(validation));
  report_converted(converted(train) + converted(validation), train.front().source.channels());
  report_repeated(train, validation);
  std::vector<std::vector<Example>> lists = divided(std::move(train), data.images);
  report_shared(lists);
  MergedSets merged = merge_sets(std::move(lists), sets, spec.sampling);
  data.train = std::move(merged.examples), data.shares = std::move(merged.shares);
  std::vector<TrainingSet> places(held_of_set.size());
  for (size_t k = 0; options.val.empty() && k < places.size(); ++k)
    places[k].path = sets[k].path;
  data.validation = merge_sets(divided(std::move(validation), held_of_set), places, {}).examples;
  if (sets.size() > 1)
    for (size_t k = 0; k < sets.size(); ++k)
      std::fprintf(stderr, "%s: %s, %.3g %% of the samples\n", data.paths[k].c_str(),
                   counted(int64_t(data.images[k]), "training image").c_str(), 100 * data.shares[k]);
  return data;
}

}  // namespace basin::tools

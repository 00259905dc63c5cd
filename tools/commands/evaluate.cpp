#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string_view>

#include "data/arrays/zarr.h"
#include "data/metrics/score_bytes.h"
#include "data/metrics/truth_score.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/ranks/ranks.h"
#include "kernels/runtime/parallel_errors.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/evaluation.h"
#include "tools/cli/run_json.h"
#include "tools/cli/version.h"

namespace basin::tools {
namespace {

struct EvaluateArguments {
  std::vector<std::string> prediction, truth;  // prediction[k] is scored against truth[k]
  std::string json, csv, dialect = "stardist";
  PlaneChoice choice;
  std::optional<int> ignore_label;
  int threads = 0;
};

/// Those of a label image, or of a stack of masks if its name says that it is one.
Objects predicted_objects(const Pair& prediction) {
  if (is_instances(labels_path(prediction))) return read_pair_objects(prediction);
  return read_pair_labels(prediction);
}

/// What is known of one image.
struct ScoredPair {
  ImageScore score;
  std::vector<std::pair<std::string, std::vector<std::string>>> notes;  // what reading each file changed or left out
  bool has_ignored = false;                                             // the truth has ignored pixels
};

ScoredPair score_pair(const LabelPair& pair, bool with_confidence, std::optional<int> ignore) {
  const Objects predictions = predicted_objects(pair.prediction);
  const Truth truth = read_truth(pair.truth, ignore);
  ScoredPair scored;
  scored.notes.emplace_back(labels_path(pair.prediction).string(), notes_on(predictions));
  scored.notes.emplace_back(labels_path(pair.truth).string(), notes_on(truth.objects));
  scored.has_ignored = truth.ignored.has_value();
  std::visit(
      [&](const auto& t, const auto& p) {
        if (t.height != p.height || t.width != p.width)
          refuse(labels_path(pair.prediction).string(), ": ", p.width, " x ", p.height, " pixels, but ",
                 labels_path(pair.truth).string(), " has ", t.width, " x ", t.height);
      },
      truth.objects, predictions);
  std::vector<double> confidence;
  if (const int count = count_of(predictions); with_confidence && count > 0)
    confidence = read_confidence(confidence_path(pair.prediction), count, chosen_plane(pair.prediction));
  scored.score = score(truth, predictions, confidence);
  return scored;
}

/// Gives all ranks what each has found of the pairs for which `is_mine` is set.
void exchange(Ranks& ranks, const std::vector<bool>& is_mine, std::vector<ScoredPair>& scored) {
  std::string mine;
  const auto put = [&](const std::string& bytes) { mine += std::to_string(bytes.size()) + ' ' + bytes; };
  for (size_t k = 0; k < scored.size(); ++k) {
    if (!is_mine[k]) continue;
    put(to_text(Json{{"pair", k}, {"notes", scored[k].notes}, {"has_ignored", scored[k].has_ignored}}));
    std::string score;
    put_score(score, scored[k].score);
    put(score);
  }
  const auto take = [](std::string_view& bytes) {
    const size_t size = std::stoull(std::string(bytes.substr(0, bytes.find(' '))));
    bytes.remove_prefix(bytes.find(' ') + 1);
    const std::string_view front = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return front;
  };
  for (const std::string& of_rank : ranks.gather_texts(mine))
    for (std::string_view left = of_rank; !left.empty();) {
      const Json known = parse_json(std::string(take(left)));
      ScoredPair& pair = scored.at(known["pair"].get<size_t>());
      known["notes"].get_to(pair.notes), known["has_ignored"].get_to(pair.has_ignored);
      std::string_view score = take(left);
      pair.score = take_score(score);
    }
}

/// Throws if a rank would score other files than rank 0.
void check_ranks(Ranks& ranks, const std::vector<LabelPair>& pairs) {
  std::string files;
  for (const LabelPair& pair : pairs)
    files += labels_path(pair.truth).string() + '\n' + labels_path(pair.prediction).string() + '\n';
  const std::vector<std::string> all = ranks.gather_texts(version_text() + files);
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r] != all[0])
      refuse("rank ", r, " has another version of Basin or finds other files than rank 0; give all ranks the same");
}

/// The scores of all pairs; reports the notes on their files. If several files fail, the error is that of the first one
/// in the order of the pairs, or with several ranks that of one of them.
std::vector<ImageScore> score_pairs(const std::vector<LabelPair>& pairs, bool with_confidence,
                                    std::optional<int> ignore) {
  Ranks* const ranks = ranks_of_run();
  if (ranks) check_ranks(*ranks, pairs);
  std::vector<ScoredPair> scored(pairs.size());
  std::vector<bool> is_mine(pairs.size(), false);
  const size_t at_once =
      ranks ? size_t(value_of_first(ranks, omp_get_max_threads())) : std::max<size_t>(1, pairs.size());
  share_tasks(ranks, int64_t((pairs.size() + at_once - 1) / at_once), [&](int64_t task) {
    const size_t begin = size_t(task) * at_once, n = std::min(at_once, pairs.size() - begin);
    for_each_parallel(n, [&](size_t k) { scored[begin + k] = score_pair(pairs[begin + k], with_confidence, ignore); });
    std::fill_n(is_mine.begin() + ptrdiff_t(begin), n, true);
  });
  if (ranks) exchange(*ranks, is_mine, scored);
  std::vector<ImageScore> scores;
  NoteList notes;
  bool any_ignored = false;
  for (ScoredPair& of_pair : scored) {
    scores.push_back(std::move(of_pair.score));
    for (const auto& [file, lines] : of_pair.notes)
      notes.add(file, lines);
    any_ignored = any_ignored || of_pair.has_ignored;
  }
  report_notes(notes.lines());
  if (ignore && !any_ignored) report_notes({unused_label(*ignore)});
  return scores;
}

/// The pairs of the planes that are scored: one, or each of two stacks. Masks of objects are one plane.
std::vector<LabelPair> chosen_planes(LabelPair pair, const PlaneChoice& choice) {
  if (is_instances(labels_path(pair.prediction))) {
    pair.truth.choice = choice;
    return {pair};
  }
  std::vector<Pair> truths{pair.truth}, predictions{pair.prediction};
  choose(truths, choice), choose(predictions, choice);
  if (truths.size() == 1 || predictions.size() == 1) {
    pair.truth.choice = pair.prediction.choice = choice;
    return {pair};
  }
  const auto of_one_plane = [](const Pair& a, const Pair& b) { return a.choice.plane == b.choice.plane; };
  if (!std::equal(truths.begin(), truths.end(), predictions.begin(), predictions.end(), of_one_plane))
    refuse(labels_path(pair.prediction).string(), ": has ", predictions.size(), " planes, the last of them ",
           predictions.back().choice.plane, ", but ", labels_path(pair.truth).string(), " has ", truths.size(),
           ", the last of them ", truths.back().choice.plane);
  std::vector<LabelPair> planes;
  for (size_t k = 0; k < truths.size(); ++k)
    planes.push_back({pair.stem + " (" + truths[k].choice.plane + ")", truths[k], predictions[k]});
  return planes;
}

/// Says which label images of a folder are scored although there are masks of whole objects beside them.
void note_instances(const std::vector<LabelPair>& pairs) {
  NoteList notes;
  for (const LabelPair& pair : pairs) {
    const std::filesystem::path labels = labels_path(pair.prediction);
    if (!is_instances(labels) &&
        std::filesystem::exists(labels.parent_path() / (labels_stem(labels) + "_instances.tif")))
      notes.add(labels.string(),
                {"scored instead of *_instances.tif beside it; to score objects that overlap, give --pred "
                 "that file, or a folder without *_masks.*"});
  }
  report_notes(notes.lines());
}

/// Pairs the labels of every subset, refuses outputs that would overwrite them, and reports predictions without a
/// truth.
void pair_subsets(const EvaluateArguments& options, Evaluation& e) {
  if (options.prediction.size() != options.truth.size())
    refuse("evaluate: ", options.prediction.size(), " --pred and ", options.truth.size(),
           " --truth; give the same number of each");
  std::vector<std::filesystem::path> extra;
  for (size_t k = 0; k < options.truth.size(); ++k) {
    const LabelPairs found = pair_labels(options.prediction[k], options.truth[k]);
    e.subsets.push_back({options.prediction[k], options.truth[k], found.pairs.size()});
    for (const std::string& out : {options.json, options.csv}) {
      keep_inputs(out, {options.truth[k], options.prediction[k]});
      for (const LabelPair& pair : found.pairs) {
        keep_inputs(out, pair.truth.masks), keep_inputs(out, pair.prediction.masks);
        keep_inputs(out, {confidence_path(pair.prediction)});
      }
    }
    if (is_folder(options.prediction[k])) note_instances(found.pairs);
    const size_t before = e.pairs.size();
    for (const LabelPair& pair : found.pairs)
      for (LabelPair& plane : chosen_planes(pair, options.choice))
        e.pairs.push_back(std::move(plane));
    e.subsets.back().images = e.pairs.size() - before;
    extra.insert(extra.end(), found.extra.begin(), found.extra.end());
  }
  if (!extra.empty())
    std::fprintf(stderr, "basin: %s without a true label image left out; the first is %s\n",
                 counted(int64_t(extra.size()), "prediction").c_str(), extra[0].string().c_str());
}

Evaluation evaluate(const EvaluateArguments& options) {
  Evaluation e;
  e.dialect = parse_dialect(options.dialect);
  e.ignore_label = options.ignore_label;
  pair_subsets(options, e);
  Given given;
  for (const LabelPair& pair : e.pairs)
    given.confidences = given.confidences || std::filesystem::exists(confidence_path(pair.prediction));
  e.scores = score_pairs(e.pairs, given.confidences, options.ignore_label);
  for (const ImageScore& s : e.scores)
    given.planes = given.planes || s.from_planes;
  e.metrics = metrics(e.dialect, given);
  e.curves = curves(e.dialect, given);
  return e;
}

void run(const EvaluateArguments& options) {
  if (!options.json.empty() && options.json == options.csv)
    refuse(options.json, ": --json and --csv name the same file");
  set_threads(options.threads);
  const Evaluation e = evaluate(options);
  const bool writes = is_first(ranks_of_run());
  set_ranks_of_run(nullptr);
  if (!writes) return;
  if (!options.json.empty()) write_atomically(options.json, to_text(json_of(e), 1) + "\n");
  if (!options.csv.empty()) write_atomically(options.csv, table_of(e));
  for (const std::string& file : {options.json, options.csv})
    write_run_json_beside(file);
  print(e);
}

}  // namespace

void add_evaluate(Command& program) {
  Command command = program.subcommand("evaluate", "score predicted label images against true ones");
  const auto options = std::make_shared<EvaluateArguments>();
  command
      .add("--pred", options->prediction,
           "predicted label images, or stacks of masks *_instances.tif: a folder, or one file")
      .repeatable()
      .required();
  command
      .add("--truth", options->truth,
           "true labels, one for each --pred: a data folder as for train, a folder of label images, a CSV list, or one "
           "file")
      .repeatable()
      .required();
  command
      .add("--dialect", options->dialect,
           "the definition of AP to use: stardist and cellpose match objects at IoU >= t, torchvf and dsb2018 at "
           "IoU > t")
      .one_of(dialect_names())
      .shown();
  command.add("--json", options->json, "write all scores to this JSON file").output();
  command.add("--csv", options->csv, "write the scores of each image to this CSV file, one row per image").output();
  add_ignore_label_option(command, options->ignore_label);
  add_plane_options(command, options->choice, Reads::labels);
  add_threads_option(command, options->threads);
  command.runs_on_ranks();
  command.runs([=] { run(*options); });
}

}  // namespace basin::tools

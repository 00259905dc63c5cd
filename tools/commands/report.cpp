#include "data/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "data/arrays/zarr.h"
#include "data/metrics/truth_score.h"
#include "data/report/overlay.h"
#include "kernels/runtime/platform.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/results/report_pictures.h"

namespace basin::tools {
namespace {
namespace fs = std::filesystem;

struct ReportArguments {
  std::vector<std::string> images, prediction, truth;  // images[k], prediction[k] and truth[k] belong together
  fs::path out;
  std::string title = "Basin", summary;
  std::vector<std::string> times;  // STAGE=SECONDS
  PlaneChoice choice;
  std::optional<int> ignore_label;
  int limit = 24;
};

/// An image, or a plane of a stack, with its labels. The pairs say what is read of the files.
struct Card {
  std::string name;
  fs::path image;
  PlaneChoice choice;  // of the image
  Pair prediction;
  std::optional<Pair> truth;
};

/// The labels of an image, among those of a source.
Pair labels_of(const ImageFile& file, const std::map<std::string, Pair>& labels, const fs::path& source) {
  const auto found = labels.find(file.stem);
  if (found == labels.end())
    refuse(file.path.string(), ": ", source.string(), is_folder(source) ? " has no" : " is not the",
           " label image of the same stem, which would be named ", file.stem, "_masks.* or ", file.stem, ".*");
  Pair pair = found->second;
  if (!pair.one_object_each) pair.image = file.path;
  return pair;
}

/// The planes of a pair that a choice leaves open; the pair itself if there is only one.
std::vector<Pair> open_planes(const Pair& pair, const PlaneChoice& choice) {
  std::vector<Pair> planes{pair};
  choose(planes, choice);
  return planes;
}

/// One card for the image, or for each plane that its files have in common.
void add_cards(Card whole, const PlaneChoice& choice, std::vector<Card>& cards) {
  // The pages of *_instances.* are masks of one image.
  const bool masks = is_instances(labels_path(whole.prediction));
  const std::vector<Pair> predictions =
      masks ? std::vector<Pair>{whole.prediction} : open_planes(whole.prediction, choice);
  const std::vector<Pair> truths = whole.truth ? open_planes(*whole.truth, choice) : predictions;
  if (truths.size() != predictions.size()) {
    const bool in_truth = truths.size() < predictions.size();
    refuse(labels_path(in_truth ? *whole.truth : whole.prediction).string(), ": does not have the ",
           std::max(truths.size(), predictions.size()), " planes of ", whole.image.string(),
           " and of its other labels; choose one with --plane");
  }
  for (size_t k = 0; k < predictions.size(); ++k) {
    Card& card = cards.emplace_back(whole);
    card.prediction = predictions[k];
    card.choice = masks ? choice : predictions[k].choice;
    if (predictions.size() > 1) card.name += plane_suffix(predictions[k]);
    if (card.truth) card.truth = truths[k];
  }
}

/// The images of one input with their labels, which may be in folders below those that are given.
std::vector<Card> cards_of(const ReportArguments& settings, size_t set, std::vector<std::string>& left_out) {
  const fs::path images = settings.images[set], prediction = settings.prediction[set];
  const fs::path truth = settings.truth.empty() ? "" : settings.truth[set];
  const FoundLabels predictions = find_labels_in_or_below(prediction);
  std::map<std::string, Pair> truths;
  if (!truth.empty()) truths = find_labels_like(predictions, truth);
  for (const auto* labels : {&predictions.labels, &std::as_const(truths)})
    for (const auto& [stem, pair] : *labels)
      keep_inputs(settings.out, pair.masks);
  std::vector<Card> cards;
  for (const ImageFile& file :
       predictions.below ? find_images_below(images, &left_out) : find_images(images, &left_out)) {
    keep_inputs(settings.out, {file.path});
    const std::string name = (fs::path(file.stem).parent_path() / file.path.filename()).string();
    Card card{name, file.path, {}, labels_of(file, predictions.labels, prediction), {}};
    if (!truth.empty()) card.truth = labels_of(file, truths, truth);
    add_cards(std::move(card), settings.choice, cards);
  }
  return cards;
}

/// The predicted objects, which have the size of the image: those of *_instances.* may share pixels.
Objects predicted_of(const Pair& pair, const Image& image) {
  if (!is_instances(labels_path(pair))) return read_pair_labels(pair, image.height, image.width);
  Objects objects = read_pair_objects(pair);
  check_size(pair, objects, image.height, image.width);
  return objects;
}

/// An image that a browser can show: 8-bit RGB unchanged, anything else as stretched grey.
Image viewable(const Image& image) {
  if (image.type == PixelType::u8 && image.channels == 3) return image;
  return overlay(image,
                 {image.height, image.width, 0, std::vector<int32_t>(size_t(image.height) * size_t(image.width))});
}

std::string text_of(const std::optional<double>& value) { return value ? fmt::format("{:.3f}", *value) : "-"; }

ReportTable score_table(const std::string& title, const std::vector<ImageScore>& scores) {
  const ImageScore all = pool(scores);
  double miscounted = 0;
  for (const ImageScore& s : scores)
    miscounted += std::abs(double(s.prediction) - double(s.truth)) / double(scores.size());
  ReportTable table{fmt::format("{} on {}", title, counted(int64_t(scores.size()), "image")),
                    {"IoU at least", "AP, mean over images", "AP, pooled"},
                    {},
                    fmt::format("AP = TP / (TP + FP + FN); {} objects, {} predicted; count error per image {:.1f}",
                                all.truth, all.prediction, miscounted)};
  for (const double threshold : {0.5, 0.75, 0.9})
    table.rows.push_back({fmt::format("{:.2f}", threshold), text_of(mean_average_precision(scores, threshold)),
                          text_of(average_precision(all, threshold, Dialect::stardist))});
  return table;
}

ReportTable time_table(const std::vector<std::string>& times) {
  ReportTable table{"Time", {"stage", "seconds"}, {}, ""};
  double sum = 0;
  for (const std::string& time : times) {
    const size_t sign = time.rfind('=');
    char* end = nullptr;
    const double seconds = sign == std::string::npos ? 0 : std::strtod(time.c_str() + sign + 1, &end);
    if (sign == 0 || sign == std::string::npos || end == time.c_str() + sign + 1 || *end || !(seconds >= 0))
      refuse("--time ", time, ": expected STAGE=SECONDS");
    table.rows.push_back({time.substr(0, sign), fmt::format("{:.1f}", seconds)});
    sum += seconds;
  }
  table.rows.push_back({"sum", fmt::format("{:.1f}", sum)});
  return table;
}

/// Adds the images of one folder with their predictions and, if given, truths and scores. Returns whether a truth has
/// ignored pixels.
bool add_images(const ReportArguments& settings, size_t set, Report& page) {
  std::vector<ImageScore> scores;
  int shown = 0;
  bool any_ignored = false;
  std::vector<std::string> left_out;
  NoteList notes;
  for (const Card& card : cards_of(settings, set, left_out)) {
    const Image image = read_image(card.image, card.choice);
    notes.add(card.image.string(), image.notes);
    const Objects prediction = predicted_of(card.prediction, image);
    notes.add(labels_path(card.prediction).string(), notes_on(prediction));
    ReportItem item{card.name, counted(count_of(prediction), "object"), {}};
    const bool show = shown < settings.limit;
    if (show)
      item.pictures = {{"input", "", encode_png(viewable(image))},
                       {caption_of("prediction", prediction), "", encode_png(overlay(image, drawn(prediction)))}};
    if (card.truth) {
      const Truth truth = read_truth(*card.truth, settings.ignore_label);
      check_size(*card.truth, truth.objects, image.height, image.width);
      notes.add(labels_path(*card.truth).string(), notes_on(truth.objects));
      any_ignored = any_ignored || truth.ignored;
      scores.push_back(score(truth, prediction));
      if (truth.ignored) item.summary += fmt::format(" ({} counted)", scores.back().prediction);
      item.summary += fmt::format(", {} true; AP50 {}", count_of(truth.objects),
                                  text_of(average_precision(scores.back(), 0.5, Dialect::stardist)));
      if (show)
        item.pictures.push_back(
            {caption_of("truth", truth.objects), "", encode_png(overlay(image, drawn(truth.objects)))});
    }
    if (show) page.items.push_back(std::move(item));
    shown += show;
  }
  report_notes(left_out), report_notes(notes.lines());
  if (!scores.empty())
    page.tables.push_back(
        score_table(settings.images.size() > 1 ? settings.images[set] + ": scores" : "Scores", scores));
  return any_ignored;
}

void report(const ReportArguments& settings) {
  const size_t sets = settings.images.size();
  if (settings.prediction.size() != sets || (!settings.truth.empty() && settings.truth.size() != sets))
    refuse("report: ", counted(int64_t(sets), "input"), ", ", settings.prediction.size(), " --pred and ",
           settings.truth.size(), " --truth; give the same number of each");
  if (settings.ignore_label && settings.truth.empty())
    refuse("--ignore-label ", *settings.ignore_label, ": there are no true labels; give --truth");
  bool any_ignored = false;
  Report page{settings.title, settings.summary, {}, {}};
  for (size_t set = 0; set < sets; ++set)
    any_ignored = add_images(settings, set, page) || any_ignored;
  if (settings.ignore_label && !any_ignored) report_notes({unused_label(*settings.ignore_label)});
  if (!settings.times.empty()) page.tables.push_back(time_table(settings.times));
  write_report(settings.out, page);
  write_run_json_beside(settings.out);
  std::printf("%s\n", settings.out.string().c_str());
}

}  // namespace

void add_report(Command& program) {
  Command command = program.subcommand("report", "write an HTML page with images, predictions, scores and times");
  auto settings = std::make_shared<ReportArguments>();
  command.add("IMAGES", settings->images, "folders of images, or images").required();
  command.add("--pred", settings->prediction, "predicted labels, one for each of IMAGES, as for evaluate")
      .repeatable()
      .required();
  command.add("--truth", settings->truth, "true labels, one for each of IMAGES: adds the true objects and scores")
      .repeatable();
  command.add("--out", settings->out, "the HTML file to write, such as report.html").output().required();
  command.add("--title", settings->title, "heading of the page").shown();
  command.add("--summary", settings->summary, "sentence below the heading");
  command.add("--time", settings->times, "STAGE=SECONDS: adds a row to the table of times").repeatable();
  command.add("--limit", settings->limit, "images shown per folder, or planes of stacks; all are scored")
      .not_negative()
      .shown();
  add_ignore_label_option(command, settings->ignore_label);
  add_plane_options(command, settings->choice);
  command.runs([settings] { report(*settings); });
}

}  // namespace basin::tools

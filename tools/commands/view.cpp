#include "data/view/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>

#include "data/arrays/npy.h"
#include "data/files/csv.h"
#include "data/files/image.h"
#include "data/files/stack_planes.h"
#include "data/metrics/metrics_files.h"
#include "data/objects/objects_csv.h"
#include "engine/json.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/results/object_tables.h"
#include "tools/results/result_files.h"
#include "tools/results/run_images.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  std::string results, out;
  std::vector<std::string> images;
  int threads = 0;
};

/// The table of objects that `segment` has written, if it is one of `objects` objects.
std::optional<ObjectTable> saved_table(const fs::path& path, int objects) {
  if (!fs::is_regular_file(path)) return std::nullopt;
  const std::vector<std::string> lines = csv_lines(path);
  if (lines.size() != size_t(objects) + 1) return std::nullopt;
  ObjectTable table;
  table.names = split_csv(lines[0], path.string());
  if (table.names[0] != "label") return std::nullopt;
  for (int k = 1; k <= objects; ++k) {
    const std::vector<std::string> cells = split_csv(lines[size_t(k)], path.string());
    if (cells.size() != table.names.size()) return std::nullopt;
    for (const std::string& cell : cells) {
      double value = NAN;
      std::from_chars(cell.data(), cell.data() + cell.size(), value);
      table.numbers.push_back(value);
    }
    if (table.row(size_t(k - 1))[0] != k) return std::nullopt;
  }
  return table;
}

/// Pictures of the labels' size; others become a remark.
void add_pictures(ViewImage& view, std::vector<ViewPicture> pictures, const std::string& what) {
  for (ViewPicture& picture : pictures) {
    const Image& image = picture.image;
    if (image.height != view.labels.height || image.width != view.labels.width) {
      view.remarks.push_back(fmt::format("{} is {} x {} pixels, but its labels are {} x {}, so it is not shown", what,
                                         image.width, image.height, view.labels.width, view.labels.height));
      return;
    }
    view.pictures.push_back(std::move(picture));
  }
}

/// Reads the image, or one plane of a stack, and adds its pictures. None, with a remark, if it cannot be shown.
std::optional<Image> add_image(ViewImage& view, const RunImage& from, const PlaneChoice& choice) {
  if (from.image.empty()) {
    view.remarks.push_back("the image was not found, so its labels are shown alone");
    return std::nullopt;
  }
  try {
    Image image = read_image(from.image, choice);
    add_pictures(view, pictures_of(image), "the image");
    if (view.pictures.empty()) return std::nullopt;
    return image;
  } catch (const Error& error) {
    view.remarks.push_back(std::string(error.what()) + "; its labels are shown alone");
    return std::nullopt;
  }
}

/// Adds the maps and the probability that the run has saved.
void add_maps(ViewImage& view, const RunResults& run, const std::string& base) {
  for (const std::string& kind : run.save) {
    const std::string map = base + "_" + kind + ".npy", picture = base + "_probability.png";
    if (fs::is_regular_file(map))
      add_pictures(view, pictures_of_map(kind, read_npy(map), map), fs::path(map).filename().string());
    if (kind == "probability" && fs::is_regular_file(picture)) {
      std::vector<ViewPicture> pictures = pictures_of(read_image(picture));
      for (ViewPicture& p : pictures)
        p.name = kind, p.high = 1, p.stretch = false;
      add_pictures(view, std::move(pictures), fs::path(picture).filename().string());
    }
  }
}

/// The name of an image below the folder that it was found in: "plate1/a.tif"; its stem if its file is unknown.
std::string name_of(const RunImage& image) {
  return image.image.empty() ? image.stem : fs::path(image.stem).replace_filename(image.image.filename()).string();
}

ViewImage view_of(const RunResults& run, const RunImage& from, const fs::path& out) {
  ViewImage view;
  view.name = name_of(from);
  view.remarks = from.remarks;
  view.labels = read_labels(from.labels);
  const std::optional<Image> image = add_image(view, from, run.choice);
  const std::string base = (out / from.stem).string();
  add_maps(view, run, base);
  if (run.saved("csv") || run.saved("table"))
    if (std::optional<ObjectTable> table = saved_table(base + table_suffix, view.labels.count)) {
      view.table = std::move(*table);
      return view;
    }
  std::optional<std::vector<float>> scores;
  if (const fs::path path = base + scores_suffix; fs::is_regular_file(path)) {
    const std::vector<double> saved = read_confidence(path, view.labels.count);
    scores.emplace(saved.begin(), saved.end());
  }
  view.table = table_of(measure(view.labels, {.image = image ? &*image : nullptr}), scores,
                        image ? image->stack.pixel_size().value_or(0) : 0);
  return view;
}

/// One plane of a stack, whose objects keep the numbers that they have in the stack of labels.
ViewImage view_of_plane(const RunResults& run, const RunImage& from, const std::string& name, const StackPlanes& labels,
                        const std::optional<StackPlanes>& planes, int64_t plane) {
  ViewImage view;
  view.name = name;
  view.remarks = from.remarks;
  const Image numbered = read_image(from.labels, choice_of_plane(labels, plane, {}));
  std::vector<int64_t> ids = with_pixels(numbered.type, [&](auto zero) {
    const auto* first = numbered.as<decltype(zero)>();
    return std::vector<int64_t>(first, first + size_t(numbered.height) * size_t(numbered.width));
  });
  std::vector<int64_t> numbers = ids;
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  if (!numbers.empty() && numbers[0] == 0) numbers.erase(numbers.begin());
  view.labels = compact(numbered.height, numbered.width, std::move(ids));
  const PlaneChoice choice = planes ? choice_of_plane(*planes, plane, run.choice) : run.choice;
  const std::optional<Image> image = add_image(view, from, choice);
  view.table = table_of(measure(view.labels, {.image = image ? &*image : nullptr}), {},
                        image ? image->stack.pixel_size().value_or(0) : 0);
  for (size_t k = 0; k < numbers.size(); ++k)
    view.table.numbers[k * view.table.names.size()] = double(numbers[k]);
  return view;
}

/// The planes of the image's file; none if it cannot be read or has another number of planes than its labels.
std::optional<StackPlanes> planes_of_image(const RunImage& image, const PlaneChoice& choice, int64_t count) {
  if (image.image.empty()) return std::nullopt;
  try {
    StackPlanes planes = planes_in(image.image, choice);
    if (planes.count() == count) return planes;
  } catch (const Error&) {
  }
  return std::nullopt;
}

/// Throws unless the folder may be replaced: it does not exist, is empty, or is an earlier view.
void check_out(const fs::path& out) {
  if (fs::exists(out) && !fs::is_directory(out)) refuse(out.string(), ": is a file; give a folder as --out");
  if (fs::exists(out) && !fs::is_empty(out) && !made_by("view", out / "run.json"))
    refuse(out.string(), ": contains other files than an earlier view; give another --out");
}

void run(const Options& o) {
  set_threads(o.threads);
  const fs::path out = o.out.empty() ? fs::path(o.results) / "view" : fs::path(o.out);
  const RunResults run = find_run_images(o.results, o.images);
  check_out(out);
  for (const std::string& note : run.notes)
    std::fprintf(stderr, "basin: %s\n", note.c_str());
  if (!run.finished) std::fprintf(stderr, "basin: %s: this run has not finished\n", o.results.c_str());
  ViewFolder folder(out);
  int64_t images = 0, objects = 0, lost = 0;
  const auto add = [&](const ViewImage& view) {
    folder.add(view);
    objects += view.labels.count;
  };
  for (const RunImage& image : run.images) {
    ++images;
    if (image.labels.empty()) {
      folder.add_without_results(name_of(image), image.remarks);
      continue;
    }
    lost += image.image.empty();
    const StackPlanes planes = planes_in(image.labels, {});
    if (planes.count() == 1) {
      add(view_of(run, image, o.results));
      continue;
    }
    const std::optional<StackPlanes> of_image = planes_of_image(image, run.choice, planes.count());
    for (int64_t plane = 0; plane < planes.count(); ++plane)
      add(view_of_plane(run, image, image.stem + " " + planes.name_of(plane), planes, of_image, plane));
  }
  if (lost > 0)
    std::fprintf(stderr, "basin: %s: %s not found, so the page shows labels alone; --image says where images are\n",
                 o.results.c_str(), lost == 1 ? "1 image was" : fmt::format("{} images were", lost).c_str());
  const std::string found = counted(images, "image") + ", " + counted(objects, "object");
  write_run_json(folder.temporary() / "run.json", {{"images", images}, {"objects", objects}});
  folder.commit(o.results, found + (run.finished ? "" : "; the run has not finished"));
  std::printf("%s: %s\n", (out / "index.html").c_str(), found.c_str());
}

}  // namespace

void add_view(Command& program) {
  Command command = program.subcommand("view", "write a page for looking through the results of segment");
  auto o = std::make_shared<Options>();
  command.add("OUT", o->results, "the output folder of segment").required();
  command.add("--out", o->out, "folder of the page; an earlier page there is replaced; default: OUT/view");
  command.add("--image", o->images, "an image or a folder of images, if they are no longer where they were segmented")
      .repeatable();
  add_threads_option(command, o->threads);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

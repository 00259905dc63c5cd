#include "data/synth/synth.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/ranks/ranks.h"
#include "kernels/runtime/platform.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/results/result_files.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

const std::map<std::string, SynthKind> kinds{{"bacteria", SynthKind::bacteria},
                                             {"worms", SynthKind::worms},
                                             {"nuclei", SynthKind::nuclei},
                                             {"colony", SynthKind::colony}};
const std::map<std::string, SynthModality> modalities{{"auto", SynthModality::automatic},
                                                      {"phase", SynthModality::phase},
                                                      {"fluorescence", SynthModality::fluorescence},
                                                      {"brightfield", SynthModality::bright_field},
                                                      {"any", SynthModality::any}};
const std::map<std::string, SynthShape> shapes{
    {"any", SynthShape::any},          {"rods", SynthShape::rods},       {"filaments", SynthShape::filaments},
    {"curved", SynthShape::curved},    {"stalked", SynthShape::stalked}, {"cocci", SynthShape::cocci},
    {"channels", SynthShape::channels}};
const std::map<std::string, int> depths{{"auto", 0}, {"8", 8}, {"12", 12}, {"16", 16}};

template <class T>
std::vector<std::string> names_of(const std::map<std::string, T>& choices) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices)
    names.push_back(name);
  return names;
}

struct SynthArguments {
  Common common;
  std::string kind = "bacteria", modality = "auto", shape = "any", bits = "auto";
  int count = 20, size = 256;
  double density = 1;
  std::filesystem::path out;
};

void synth(SynthArguments settings) {
  settings.common.device = "cpu";
  make_exec(settings.common);
  SynthOptions options;
  options.kind = kinds.at(settings.kind);
  options.modality = modalities.at(settings.modality);
  options.size = settings.size;
  options.seed = settings.common.seed;
  options.density = settings.density;
  options.bits = depths.at(settings.bits);
  options.shape = shapes.at(settings.shape);
  Ranks* const ranks = ranks_of_run();
  do_first_on_one(ranks, [&] {
    make_folder(settings.out);
    if (is_first(ranks) && !std::filesystem::is_empty(settings.out))
      refuse("--out ", settings.out.string(), " is not empty: give an empty or new folder");
  });
  const auto make = [&](int index) {
    const Synthetic made = make_synthetic(options, index);
    const std::string stem = fmt::format("{}_{:03}", settings.kind, index);
    ImageFiles files(settings.out / stem);
    files.write(masks_suffix(made.labels), [&](const fs::path& file) { write_labels(file, made.labels); });
    files.write("_img.png", [&](const fs::path& file) { write_png(file, made.image); });
    files.keep();
    return int64_t(made.labels.count);
  };

  int64_t objects = 0;
  const int at_once =
      ranks ? value_of_first(ranks, omp_get_max_threads()) : settings.count;  // images that a rank makes at a time
  share_tasks(ranks, (settings.count + at_once - 1) / at_once, [&](int64_t task) {
    std::exception_ptr failure;
    std::atomic<bool> failed = false;
    const int begin = int(task) * at_once, end = std::min(begin + at_once, settings.count);
#pragma omp parallel for schedule(dynamic) reduction(+ : objects)
    for (int index = begin; index < end; ++index) {
      if (failed) continue;
      try {
        objects += make(index);
      } catch (...) {
        if (!failed.exchange(true)) failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  });
  const std::vector<int64_t> of_ranks = gather_elements(ranks, std::vector<int64_t>{objects});
  objects = std::accumulate(of_ranks.begin(), of_ranks.end(), int64_t(0));
  if (!is_first(ranks)) return;
  write_run_json(settings.out / "run.json", {{"objects", objects}});
  std::printf("%s with %s in %s\n", counted(settings.count, "image").c_str(), counted(objects, "object").c_str(),
              settings.out.string().c_str());
}

}  // namespace

void add_synth(Command& program) {
  Command command = program.subcommand("synth", "generate synthetic microscopy images with exact label images");
  auto settings = std::make_shared<SynthArguments>();
  command.add("--kind", settings->kind, "what to draw; colony: realistic bacteria, random in every parameter")
      .one_of(names_of(kinds))
      .shown();
  command
      .add("--modality", settings->modality,
           "auto: phase for bacteria and worms, fluorescence for nuclei, any for colony")
      .one_of(names_of(modalities))
      .shown();
  command.add("--shape", settings->shape, "cell shape in a colony").one_of(names_of(shapes)).shown();
  command.add("--bits", settings->bits, "bit depth of the camera for a colony; auto: random")
      .one_of(names_of(depths))
      .shown();
  command.add("--count", settings->count, "number of images").within(1, 1000000).shown();
  command.add("--size", settings->size, "height and width, px").within(32, 8192).shown();
  command.add("--density", settings->density, "factor on the number of objects per area").within(0.05, 2.0).shown();
  command.add("--out", settings->out, "folder for NAME_img.png and NAME_masks.png (.tif above 65,535 objects)")
      .required();
  add_threads_option(command, settings->common.threads);
  add_seed_option(command, settings->common);
  command.runs_on_ranks();
  command.runs([settings] { synth(*settings); });
}

}  // namespace basin::tools

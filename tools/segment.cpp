#include <chrono>
#include <cstdio>
#include <fstream>
#include <set>

#include "data/dataset.h"
#include "data/npy.h"
#include "data/overlay.h"
#include "engine/files.h"
#include "engine/json.h"
#include "models/model_file.h"
#include "models/segmenter.h"
#include "models/tiling.h"
#include "models/vector_fields.h"
#include "tools/command.h"
#include "tools/machine.h"
#include "tools/run_json.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  Common common;
  std::vector<std::string> inputs, save{"labels", "overlay"};
  std::string model, out, tiling = "dynamic", norm, solver, interpolation, suppression, rescale, precision = "fp32";
  TilingOptions tiles;
  std::optional<double> threshold, eps, step;
  std::optional<int> min_samples, steps;
  bool snap_noise = false;
};

void override_decoding(const Options& o, VectorFieldDecoding& d) {
  if (o.threshold) d.threshold = *o.threshold;
  if (o.eps) d.dbscan.eps = *o.eps;
  if (o.min_samples) d.dbscan.min_samples = *o.min_samples;
  if (!o.solver.empty()) d.integrate.solver = kernels::parse_solver(o.solver);
  if (!o.interpolation.empty()) d.integrate.interpolation = kernels::parse_interpolation(o.interpolation);
  if (!o.suppression.empty()) d.integrate.suppression = kernels::parse_suppression(o.suppression);
  if (!o.rescale.empty()) {
    d.rescale.reset();
    if (o.rescale != "none") d.rescale = kernels::parse_divergence_range(o.rescale);
  }
  if (o.step) d.integrate.step = *o.step;
  if (o.steps) d.integrate.steps = *o.steps;
  if (o.snap_noise) d.snap_noise = true;
  check(d.integrate);
}

void save_map(const fs::path& path, const Tensor& map) {
  write_npy(path, {map.dim(0), map.dim(1), map.dim(2)}, map.data<const float>());
}

void run(const Options& o) {
  if (o.precision != "fp32") refuse("--precision ", o.precision, ": this version segments in fp32 on the CPU");
  const Exec exec = make_cpu_exec(o.common);
  Model model = load_model(o.model, exec);
  if (auto* fields = dynamic_cast<VectorFields*>(model.method.get())) override_decoding(o, fields->decoding());
  const SampleSpec spec = model.method->sample_spec();
  const Normalisation norm = o.norm.empty() ? spec.normalisation : parse_normalisation(o.norm);
  TilingOptions tiles = o.tiles;
  tiles.tiling = parse_tiling(o.tiling);
  const std::set<std::string> save(o.save.begin(), o.save.end());

  std::vector<fs::path> images;
  std::set<std::string> stems;
  for (const std::string& input : o.inputs)
    for (const fs::path& p : find_images(input)) {
      if (!stems.insert(stem_of(p)).second) refuse(p.string(), ": another input has the same name");
      images.push_back(p);
    }
  std::error_code error;
  fs::create_directories(o.out, error);
  if (error || !fs::is_directory(o.out)) refuse("cannot make the folder ", o.out);

  double read = 0, network = 0, decode = 0, write = 0;
  const auto clock = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  for (const fs::path& path : images) {
    const fs::path base = fs::path(o.out) / stem_of(path);
    const auto named = [&](const char* suffix) { return fs::path(base.string() + suffix); };
    double t = clock();
    const Source source(read_image(path), spec.channels, norm, path.string());
    read += clock() - t;
    const Segmentation s = segment_source(exec, *model.method, source, tiles);
    network += s.network_seconds, decode += s.decode_seconds;
    t = clock();
    if (save.count("labels")) write_labels(named(masks_suffix(s.labels)), s.labels);
    if (save.count("overlay")) write_png(named("_overlay.png"), overlay(source.image(), s.labels));
    if (save.count("field")) save_map(named("_field.npy"), s.maps["field"]);
    if (save.count("logit")) save_map(named("_logit.npy"), s.maps["logit"]);
    write += clock() - t;
    std::printf("%s: %d objects\n", path.string().c_str(), s.labels.count);
    std::fflush(stdout);
  }
  std::printf("%zu images: read %.3f s, network %.3f s, decode %.3f s, write %.3f s\n", images.size(), read, network,
              decode, write);
  write_run_json(fs::path(o.out) / "run.json",
                 {{"inputs", o.inputs},
                  {"model", o.model},
                  {"images", images.size()},
                  {"save", o.save},
                  {"config", model.method->config()},
                  {"norm", to_string(norm)},
                  {"tiling", to_string(tiles.tiling)},
                  {"tile", tiles.tile},
                  {"overlap", tiles.overlap},
                  {"precision", o.precision},
                  {"threads", threads_in_use()},
                  {"seconds", {{"read", read}, {"network", network}, {"decode", decode}, {"write", write}}}});
}

}  // namespace

void add_segment(Command& program) {
  Command command = program.subcommand("segment", "segment images with a trained model");
  auto o = std::make_shared<Options>();
  command.add("INPUT", o->inputs, "images, or folders of images").required();
  command.add("--model", o->model, "a .safetensors file").required();
  command.add("--out", o->out, "folder for what is written").required();
  command.add("--save", o->save, "labels, overlay, field, logit")
      .list()
      .one_of({"labels", "overlay", "field", "logit"})
      .shown();
  command.add("--tile", o->tiles.tile, "side of a tile, a multiple of 8").positive().shown();
  command.add("--overlap", o->tiles.overlap, "pixels that neighbouring tiles share").not_negative().shown();
  command.add("--tiling", o->tiling, "how images are cut").one_of({"dynamic", "pad", "resize", "exact"}).shown();
  command.add("--norm", o->norm, "divide, percentile:LOW,HIGH or none; default: the model's");
  command.add("--threshold", o->threshold, "foreground probability; default: the model's").within(1e-6, 1 - 1e-6);
  command.add("--eps", o->eps, "DBSCAN radius in pixels; default: the model's").positive();
  command.add("--min-samples", o->min_samples, "DBSCAN neighbours of a core point; default: the model's").positive();
  command.add("--solver", o->solver, "euler, midpoint, rk4 or dopri5; default: the model's");
  command.add("--interpolation", o->interpolation, "bilinear or nearest; default: the model's");
  command
      .add("--suppress", o->suppression,
           "euler: slow the flow down with time, as in Omnipose's paper (paper, also without a value) or in its code "
           "(omnipose), or not (none); default: the model's")
      .alone("paper");
  command
      .add("--rescale", o->rescale,
           "as Omnipose: vectors of the foreground to length 1, times their divergence with these percentiles at 0 and "
           "1 (without a value 0.01,99.99), or none; default: the model's")
      .alone("0.01,99.99");
  command.add("--step", o->step, "length of an integration step; default: the model's").positive();
  command.add("--steps", o->steps, "integration steps; default: the model's").not_negative();
  command.flag("--snap-noise", o->snap_noise, "give noise points to their nearest objects");
  command.add("--precision", o->precision, "fp32 or bf16").shown();
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

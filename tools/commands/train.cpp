#include <cmath>
#include <cstdio>
#include <set>

#include "data/dataset/loader.h"
#include "engine/files.h"
#include "engine/json.h"
#include "kernels/image/components.h"
#include "models/methods/vector_fields.h"
#include "models/training/trainer.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  Common common;
  std::string data, model = "vf-h1", out, val, norm = "divide", augment = "flip", field = "sdf";
  std::string schedule = "constant";
  double val_fraction = 0.1, lr = 2e-4;
  bool resume = false, deterministic = false, no_graph = false;
  int64_t epochs = 100, steps = 0, save_every = 0;
  int batch = 2, crop = 256, width = 32, channels = 0;
  std::vector<double> weights{1, 1, 1}, tversky{0.5, 0.5};
};

/// What was decided and found beside the options: for run.json.
Json describe(const TrainOptions& t, const Method& method, size_t train, size_t validation, int64_t converted) {
  return {{"images", train},
          {"validation_images", validation},
          {"converted", converted},
          {"config", method.config()},
          {"steps", t.steps},
          {"save_every", t.save_every},
          {"validate_every", t.validate_every}};
}

/// Tells of validation images that are training images too, which say little about others.
void report_repeated(const std::vector<Example>& train, const std::vector<Example>& validation) {
  const std::vector<std::string> images = image_fingerprints(train);
  const std::set<std::string> seen(images.begin(), images.end());
  int64_t repeated = 0;
  for (const std::string& image : image_fingerprints(validation))
    repeated += seen.contains(image);
  if (repeated > 0)
    std::fprintf(stderr, "%s for validation with the pixels of one to train on: their scores flatter the model\n",
                 counted(repeated, "image").c_str());
}

/// Tells of labels that are one object in many pieces: most likely a mask of all objects.
void report_binary(const std::vector<Example>& examples) {
  std::vector<std::string> binary;
  for (const Example& e : examples) {
    if (e.labels.count() != 1) continue;
    const Labels labels = true_labels(e);
    const std::vector<uint8_t> mask(labels.ids.begin(), labels.ids.end());
    std::vector<int32_t> ids(mask.size());
    if (kernels::components({}, {mask.data(), {labels.height, labels.width}}, 8,
                            {ids.data(), {labels.height, labels.width}}) > 1)
      binary.push_back(e.stem);
  }
  if (!binary.empty())
    std::fprintf(stderr,
                 "%s with labels that are one object in several pieces, the first %s: where each piece is an object, "
                 "basin components numbers them\n",
                 counted(int64_t(binary.size()), "image").c_str(), binary[0].c_str());
}

void refuse_used(const Options& o) {
  if (!o.resume && fs::is_directory(o.out) && !fs::is_empty(o.out))
    refuse("--out ", o.out, " is not empty: use --resume to go on with it, or another folder");
}

void run(const Options& o) {
  Exec exec = make_exec(o.common);
  if (o.common.precision == "bf16" && exec.device == Device::cpu)
    refuse("--precision bf16: training on the CPU is in fp32");
  exec.deterministic = o.deterministic;
  refuse_used(o);
  VectorFieldOptions v;
  v.net.decoders = o.model == "vf-h2" ? 2 : 1;
  v.net.width = o.width;
  v.normalisation = parse_normalisation(o.norm);
  v.field = parse_field_kind(o.field);
  if (o.crop % UNet::multiple != 0) refuse("--crop ", o.crop, ": expected a multiple of ", UNet::multiple);
  const Augmentation augment = parse_augmentation(o.augment);
  std::vector<std::string> left_out;
  std::vector<Pair> pairs = find_pairs(o.data, &left_out), held;
  if (!o.val.empty()) {
    held = find_pairs(o.val, &left_out);
  } else {
    Split split = split_for_validation(pairs, o.val_fraction);
    pairs = std::move(split.kept), held = std::move(split.held_out);
  }
  report_notes(left_out);
  std::fprintf(stderr, "to train on, %s", describe_pairs(pairs).c_str());
  if (!held.empty()) std::fprintf(stderr, "for validation, %s", describe_pairs(held).c_str());

  const std::vector<Example> train_set = read_examples(pairs, o.channels, v.normalisation);
  v.net.in_channels = train_set.front().source.channels();
  const std::vector<Example> val_set = read_examples(held, v.net.in_channels, v.normalisation);
  report_notes(notes_of(train_set)), report_notes(notes_of(val_set));
  report_converted(converted(train_set) + converted(val_set), v.net.in_channels);
  report_repeated(train_set, val_set);
  report_binary(train_set);
  if (objects(train_set) == 0) refuse(o.data, ": no image to train on holds an object");
  v.net.seed = o.common.seed;
  v.weights = {o.weights[0], o.weights[1], o.weights[2]};
  v.tversky = {o.tversky[0], o.tversky[1]};
  VectorFields method(v);
  method.params().allocate(exec);

  TrainOptions t;
  const int64_t per_epoch = steps_per_epoch(int64_t(train_set.size()), o.batch);
  t.steps = o.steps > 0 ? o.steps : o.epochs * per_epoch;
  t.save_every = o.save_every > 0 ? o.save_every : per_epoch;
  // About every five epochs. Not a share of the steps in all: a resumed run may ask for more of them.
  t.validate_every = (5 * per_epoch + t.save_every - 1) / t.save_every * t.save_every;
  t.batch = o.batch, t.crop = o.crop, t.rate = o.lr, t.seed = o.common.seed;
  t.augment = augment;
  t.graph = !o.no_graph;
  t.schedule = o.schedule == "cosine" ? Schedule::cosine : Schedule::constant;

  make_folder(o.out);
  std::fprintf(stderr, "%s with %s to train on, %s with %s held out, %s of %s of %d x %d px, %s\n",
               counted(int64_t(train_set.size()), "image").c_str(), counted(objects(train_set), "object").c_str(),
               counted(int64_t(val_set.size()), "image").c_str(), counted(objects(val_set), "object").c_str(),
               counted(t.steps, "step").c_str(), counted(t.batch, "crop").c_str(), t.crop, t.crop,
               counted(method.params().count(), "parameter").c_str());
  resolve_setting("channels", v.net.in_channels);
  if (o.steps > 0) resolve_setting("epochs", nullptr);
  t.accepted = [&] {
    remove_temporaries(o.out);
    write_run_json(fs::path(o.out) / "run.json",
                   describe(t, method, train_set.size(), val_set.size(), converted(train_set) + converted(val_set)));
  };
  const RunFiles files{o.out};
  if (val_set.empty())
    std::fprintf(stderr, "no validation images: the run has no scores and no %s\n", files.best().filename().c_str());
  const bool begun = fs::exists(files.state());
  if (o.resume && !begun && (fs::exists(files.last()) || fs::exists(files.best())))
    refuse(o.out, ": holds models, but not the state that --resume goes on from, ", files.state().filename().string());
  if (o.resume && !begun)
    std::fprintf(stderr, "%s: nothing to go on with yet; the run begins at step 0\n", o.out.c_str());
  train(exec, method, train_set, val_set, t, files, o.resume);
}

}  // namespace

void add_train(Command& program) {
  Command command = program.subcommand("train", "train a model on labelled images");
  auto o = std::make_shared<Options>();
  command.add("--data", o->data, "folder of images with masks, or a CSV list").required();
  command.add("--model", o->model, "network").one_of({"vf-h1", "vf-h2"}).shown();
  command.add("--out", o->out, "folder of the run: models, state, metrics.csv, run.json").required();
  const Option val = command.add("--val", o->val, "folder of validation images; default: a part of --data");
  command.add("--val-fraction", o->val_fraction, "part of --data that is held out, by name")
      .within(0., 0.9)
      .shown()
      .excludes(val);
  const Option epochs = command.add("--epochs", o->epochs, "epochs in all").positive().shown();
  command.add("--steps", o->steps, "steps in all, instead of epochs").positive().excludes(epochs);
  command.add("--batch", o->batch, "crops per step").within(1, 4096).shown();
  command.add("--crop", o->crop, "side of a crop, a multiple of 8").within(8, 16384).shown();
  command.add("--lr", o->lr, "learning rate of Adam").positive().shown();
  command.add("--schedule", o->schedule, "learning rate over the run").one_of({"constant", "cosine"}).shown();
  command.add("--width", o->width, "channels of the first stage").within(1, 256).shown();
  command.add("--channels", o->channels, "input channels; 0: the most any image has").within(0, 1024);
  command.add("--norm", o->norm, "divide, percentile:LOW,HIGH or none").shown();
  command.add("--augment", o->augment, "list of flip, rotate, brightness, noise; or none").shown();
  command.add("--weights", o->weights, "of the losses ivp,mse,tversky").list(3).not_negative().shown();
  command.add("--tversky", o->tversky, "weights of false positives and false negatives").list(2).not_negative().shown();
  command.add("--field", o->field, "target field").one_of({"sdf", "affinity", "omnipose", "centroid"}).shown();
  command.add("--save-every", o->save_every, "steps between saves; default: one epoch").positive();
  add_precision_option(command, o->common);
  command.flag("--deterministic", o->deterministic, "the same bytes from run to run; the CPU always gives them");
  command.flag("--no-graph", o->no_graph, "on a GPU: launch every kernel on its own");
  command.flag("--resume", o->resume, "go on where the run in --out stopped");
  add_device_options(command, o->common);
  add_seed_option(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

#include <cmath>
#include <cstdio>
#include <set>

#include "data/dataset/loader.h"
#include "engine/files.h"
#include "engine/json.h"
#include "kernels/image/components.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "models/training/learning_rate.h"
#include "models/training/trainer.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/cli/setting_options.h"
#include "tools/cli/shipped_models.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  Common common;
  std::string data, model = "vf-h1", finetune, out, val, augment, schedule, sampling = "images";
  double val_fraction = 0.1;
  std::optional<double> lr, weight_decay;
  double clip = 0, ema = 0;
  bool resume = false, deterministic = false, no_graph = false;
  int64_t epochs = 0, steps = 0, draws = 0, save_every = 0, warm_up = 0;
  std::optional<int> batch, crop, accumulate;
  int channels = 0, patience = 0;
  SettingOptions settings;
};

/// The learning rate of the method with what the command line says otherwise.
LearningRate learning_rate_of(const Options& o, LearningRate rate) {
  if (o.lr) rate.rate = *o.lr;
  if (!o.schedule.empty()) rate.schedule = parse_schedule(o.schedule);
  rate.warm_up = o.warm_up;
  return rate;
}

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

/// Reports validation images that are training images too, which say little about others.
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

/// Reports labels that are one object in many pieces: most likely a mask of all objects.
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
  // Settings first: a mistake in them is reported before images are read.
  Model start;
  if (!o.finetune.empty()) start = load_model(model_file(o.finetune, "--finetune"), exec);
  std::unique_ptr<Method> method = start.method ? make_method(start.method->config()) : make_method(o.model, {});
  const Json config = method->config();
  const TrainingDefaults defaults = method->training_defaults();
  std::vector<Assignment> assignments{{"seed", std::to_string(o.common.seed), "--seed"}};
  if (!start.method) assignments.push_back({"normalisation", defaults.normalisation, "the default --norm"});
  for (const Assignment& a : o.settings.assignments(method->settings(), method->name()))
    assignments.push_back(a);
  method = reconfigure(config, assignments);
  const SampleSpec wanted = method->sample_spec();
  const int crop = o.crop.value_or(defaults.crop), batch = o.batch.value_or(defaults.batch);
  const int accumulate = o.accumulate.value_or(defaults.accumulate);
  if (crop % wanted.multiple != 0) refuse("--crop ", crop, ": expected a multiple of ", wanted.multiple);
  const Augmentation augment = parse_augmentation(o.augment.empty() ? defaults.augment : o.augment);
  const DrawBy draw_by = parse_draw_by(o.sampling);
  if (draw_by == DrawBy::objects && wanted.sampling.kind != Sampling::Kind::crop)
    refuse("--sampling objects: the method ", method->name(), " draws its samples in a way of its own");
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

  const std::vector<Example> train_set =
      read_examples(pairs, start.method ? wanted.channels : o.channels, wanted.normalisation);
  const int channels = train_set.front().source.channels();
  const std::vector<Example> val_set = read_examples(held, channels, wanted.normalisation);
  report_notes(notes_of(train_set)), report_notes(notes_of(val_set));
  report_converted(converted(train_set) + converted(val_set), channels);
  report_repeated(train_set, val_set);
  report_binary(train_set);
  if (objects(train_set) == 0) refuse(o.data, ": no image to train on holds an object");
  assignments.push_back({"channels", std::to_string(channels), "--channels"});
  method = reconfigure(config, assignments);
  method->params().allocate(exec);

  TrainOptions t;
  const int64_t draws = o.draws > 0 ? o.draws : draws_per_epoch(train_set, method->sample_spec().sampling);
  const int64_t per_epoch = std::max<int64_t>(1, steps_per_epoch(draws, batch) / accumulate);
  t.steps = o.steps > 0 ? o.steps : (o.epochs > 0 ? o.epochs : defaults.epochs) * per_epoch;
  t.save_every = o.save_every > 0 ? o.save_every : per_epoch;
  // About every five epochs. Not a share of the steps in all: a resumed run may ask for more of them.
  t.validate_every = (5 * per_epoch + t.save_every - 1) / t.save_every * t.save_every;
  t.batch = batch, t.crop = crop, t.seed = o.common.seed;
  t.rate = learning_rate_of(o, defaults.rate);
  t.augment = augment;
  t.draw_by = draw_by, t.draws = o.draws;
  t.patience = o.patience;
  if (start.method) t.start = &start.method->params();
  t.step = {.graph = !o.no_graph, .accumulate = accumulate, .adam = defaults.adam, .clip = o.clip, .average = o.ema};
  if (o.weight_decay) t.step.adam.weight_decay = *o.weight_decay;

  std::fprintf(stderr, "%s with %s to train on, %s with %s held out, %s of %s of %d x %d px, %s\n",
               counted(int64_t(train_set.size()), "image").c_str(), counted(objects(train_set), "object").c_str(),
               counted(int64_t(val_set.size()), "image").c_str(), counted(objects(val_set), "object").c_str(),
               counted(t.steps, "step").c_str(), counted(t.batch, "crop").c_str(), t.crop, t.crop,
               counted(method->params().count(), "parameter").c_str());
  resolve_setting("model", method->name());
  resolve_setting("channels", channels);
  resolve_setting("epochs", o.steps > 0 ? Json(nullptr) : Json(t.steps / per_epoch));
  resolve_setting("batch", batch);
  resolve_setting("crop", crop);
  resolve_setting("accumulate", accumulate);
  resolve_setting("lr", t.rate.rate);
  resolve_setting("schedule", to_string(t.rate.schedule));
  resolve_setting("augment", to_string(augment));
  resolve_setting("weight_decay", t.step.adam.weight_decay);
  resolve_setting("norm", to_string(wanted.normalisation));
  t.accepted = [&] {
    make_folder(o.out);
    remove_temporaries(o.out);
    write_run_json(fs::path(o.out) / "run.json",
                   describe(t, *method, train_set.size(), val_set.size(), converted(train_set) + converted(val_set)));
  };
  const RunFiles files{o.out};
  if (val_set.empty())
    std::fprintf(stderr, "no validation images: the run has no scores and no %s\n", files.best().filename().c_str());
  const bool begun = fs::exists(files.state());
  if (o.resume && !begun && (fs::exists(files.last()) || fs::exists(files.best())))
    refuse(o.out, ": holds models, but not the state that --resume goes on from, ", files.state().filename().string());
  if (o.resume && !begun)
    std::fprintf(stderr, "%s: nothing to go on with yet; the run begins at step 0\n", o.out.c_str());
  train(exec, *method, train_set, val_set, t, files, o.resume);
}

}  // namespace

void add_train(Command& program) {
  Command command = program.subcommand("train", "train a model on labelled images");
  auto o = std::make_shared<Options>();
  command.add("--data", o->data, "folder of images with masks, or a CSV list").required();
  const Option model =
      command.add("--model", o->model, "method; `basin methods` lists them").one_of(method_names()).shown();
  command.add("--out", o->out, "folder of the run: models, state, metrics.csv, run.json").required();
  const Option val = command.add("--val", o->val, "folder of validation images; default: a part of --data");
  command.add("--val-fraction", o->val_fraction, "part of --data that is held out, by name")
      .within(0., 0.9)
      .shown()
      .excludes(val);
  const Option epochs = command.add("--epochs", o->epochs, "epochs in all; default: the method's").positive();
  command.add("--steps", o->steps, "steps in all, instead of epochs").positive().excludes(epochs);
  command.add("--batch", o->batch, "crops that the network sees at once; default: the method's").within(1, 4096);
  command.add("--accumulate", o->accumulate, "batches whose gradients are averaged for a step; default: the method's")
      .positive();
  command.add("--crop", o->crop, "side of a crop in pixels; default: the method's").within(8, 16384);
  command.add("--lr", o->lr, "learning rate of Adam; default: the method's").positive();
  command.add("--schedule", o->schedule,
              "learning rate over the run: constant, cosine, polynomial or step; default: the method's");
  command.add("--warm-up", o->warm_up, "steps over which the learning rate rises from 0").not_negative();
  command.add("--weight-decay", o->weight_decay, "L2 decay of the weights; default: the method's").not_negative();
  command.add("--clip", o->clip, "norm to which gradients are scaled down; 0: as they are").not_negative();
  command.add("--ema", o->ema, "decay of a moving average of the weights, which is what is saved; 0: none")
      .within(0., 0.999999);
  command.add("--patience", o->patience, "validations without a better score after which the run ends; 0: never")
      .not_negative();
  const Option channels =
      command.add("--channels", o->channels, "input channels; 0: the most any image has").within(0, 1024);
  command
      .add("--finetune", o->finetune,
           "model file, or a name that `basin models` lists, whose method, settings and weights the run starts from; "
           "its method's default rate may be too "
           "high")
      .excludes(model)
      .excludes(channels);
  command.add("--augment", o->augment,
              "list of " + augmentation_names() +
                  ", each with :strength if it takes one; or moderate, or none; default: the method's");
  o->settings.add_to(command, {Setting::Use::network, Setting::Use::training}, "the method's");
  command
      .add("--sampling", o->sampling, "images: each once an epoch; objects: half the crops about objects of any size")
      .one_of({"images", "objects"})
      .shown();
  command.add("--draws", o->draws, "samples of an epoch; default: the method's").positive();
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

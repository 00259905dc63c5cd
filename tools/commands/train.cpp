#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/checks/training_set.h"
#include "data/dataset/loader.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/ranks/ranks.h"
#include "engine/text.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "models/training/learning_rate.h"
#include "models/training/trainer.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/run_json.h"
#include "tools/cli/setting_options.h"
#include "tools/cli/shipped_models.h"
#include "tools/training/training_data.h"
#include "tools/training/training_report.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr int max_count = 1'000'000'000;  // of steps, epochs and samples: products of two still fit 64 bits

struct TrainArguments {
  Common common;
  TrainingDataOptions data;
  std::string model = default_method(), finetune, freeze, out, augment, schedule, sampling = "images";
  std::optional<double> lr, weight_decay, scale, pixel_size;
  double clip = 0, ema = 0;
  bool tensorboard = false, resume = false, deterministic = false, no_graph = false, sync_bn = false;
  int64_t epochs = 0, steps = 0, draws = 0, save_every = 0, warm_up = 0;
  std::optional<int> batch, crop, accumulate;
  int channels = 0, patience = 0, report_images = 6;
  SettingOptions settings;
};

/// The method's learning rate with the overrides from the command line.
LearningRate learning_rate_of(const TrainArguments& o, LearningRate rate) {
  if (o.lr) rate.rate = *o.lr;
  if (!o.schedule.empty()) rate.schedule = parse_schedule(o.schedule);
  rate.warm_up = o.warm_up;
  return rate;
}

/// Values that were chosen or found at run time rather than given as options, for run.json.
Json describe(const TrainOptions& t, const Method& method, const TrainingData& data) {
  Json values{{"images", data.train.size()},
              {"validation_images", data.validation.size()},
              {"converted", converted(data.train) + converted(data.validation)},
              {"config", method.config()},
              {"steps", t.steps},
              {"save_every", t.save_every},
              {"validate_every", t.validate_every}};
  if (data.paths.size() > 1) values["data_sets"] = data.sets();
  return values;
}

void refuse_used(const TrainArguments& o) {
  if (!o.resume && fs::is_directory(o.out) && !fs::is_empty(o.out))
    refuse("--out ", o.out, " is not empty: use --resume to continue that run, or give another folder");
}

/// Removes what a run has left that failed before it saved a model, so that the folder can be used again.
void remove_if_useless(const RunFiles& files) {
  std::error_code none;
  if (fs::exists(files.last(), none) || fs::exists(files.best(), none)) return;
  for (const fs::path& file : {files.state(), files.metrics(), files.events(), files.folder / "run.json"})
    fs::remove(file, none);
}

/// Throws if an assignment changes the shape of the network, and thereby of the weights that --finetune starts from.
void refuse_other_shapes(const std::string& model, Method& start, const std::vector<Assignment>& assignments) {
  const auto equal = [](const Params::Named& a, const Params::Named& b) {
    return a.name == b.name && a.shape == b.shape;
  };
  const std::vector<Params::Named>& had = start.params().learnt();
  for (const Assignment& a : assignments) {
    const std::unique_ptr<Method> changed = reconfigure(start.config(), {a});
    const std::vector<Params::Named>& has = changed->params().learnt();
    if (!std::equal(had.begin(), had.end(), has.begin(), has.end(), equal))
      refuse(a.origin, ": ", a.key, " cannot be changed with --finetune; it is ",
             text_of_value(start.settings().find(a.key).value()), " in ", model);
  }
}

/// The method to train, and what its settings are based on.
struct ChosenMethod {
  Model start;                          // that of --finetune; otherwise without a method
  Json config;                          // the settings before those that were given
  std::vector<Assignment> assignments;  // those that were given
  std::unique_ptr<Method> method;
  TrainingDefaults defaults;
};

ChosenMethod choose_method(const TrainArguments& o, const Exec& exec) {
  ChosenMethod chosen;
  if (!o.finetune.empty()) chosen.start = load_model(model_file(o.finetune, "--finetune"), exec);
  Method* const start = chosen.start.method.get();
  chosen.method = start ? make_method(start->config()) : make_method(o.model, {});
  chosen.config = chosen.method->config();
  chosen.defaults = chosen.method->training_defaults();
  std::vector<Assignment>& assignments = chosen.assignments;
  assignments = {{"seed", std::to_string(o.common.seed), "--seed"}};
  if (!start) assignments.push_back({"normalisation", chosen.defaults.normalisation, "the default --norm"});
  const std::vector<Assignment> given = o.settings.assignments(chosen.method->settings(), chosen.method->name());
  for (const Assignment& a : given)
    if (a.key == "channels") refuse(a.origin, ": the number of channels is that of the images, or of --channels");
  if (start) refuse_other_shapes(o.finetune, *start, given);
  assignments.insert(assignments.end(), given.begin(), given.end());
  // Some methods store the size of their training samples as a setting.
  if (o.crop) check_options(*chosen.method, *o.crop, o.scale.value_or(1));  // before a setting takes its value
  for (const Assignment& a : given)
    if (o.crop && a.key == "crop") refuse(a.origin, ": this setting is given twice, also by --crop ", *o.crop);
  if (o.crop && chosen.method->settings().has("crop"))
    assignments.push_back({"crop", std::to_string(*o.crop), "--crop " + std::to_string(*o.crop)});
  chosen.method = reconfigure(chosen.config, assignments);
  return chosen;
}

void refuse_unsuitable(const TrainArguments& o, const Exec& exec, const ChosenMethod& chosen) {
  Method& method = *chosen.method;
  if (!o.freeze.empty() && !chosen.start.method)
    refuse("--freeze ", o.freeze, ": a frozen encoder needs trained weights; give them with --finetune");
  if (!o.freeze.empty() && method.encoder().empty())
    refuse("--freeze ", o.freeze, ": the method ", method.name(), " has no single encoder");
  leave_out_label(method, o.data.ignore_label);
  if (o.sync_bn && !method.capturable())
    refuse("--sync-bn: the layers that the method ", method.name(),
           " runs depend on the objects, and ranks see different ones");
  if (exec.deterministic && exec.device != Device::cpu && !method.can_be_deterministic())
    refuse("--deterministic: on a GPU the method ", method.name(), " adds up gradients in a varying order");
}

/// The batches of a step. Ranks share a batch like the batches whose gradients one process averages.
struct Batches {
  int whole;       // crops of a batch of all ranks together
  int shares;      // the number of ranks
  int batch;       // crops of a rank's share of a batch
  int accumulate;  // shares whose gradients are averaged
};

Batches batches_of(const TrainArguments& o, const Exec& exec, const TrainingDefaults& defaults) {
  const int whole = o.batch.value_or(defaults.batch), shares = ranks_of_run() ? ranks_of_run()->count() : 1;
  if (whole % shares != 0)
    refuse("--batch ", whole, ": the ", shares, " ranks share a batch equally; give a multiple of ", shares);
  if (shares > 1 && exec.device != Device::cpu) refuse("several ranks train on the CPU: give --device cpu");
  return {whole, shares, whole / shares, o.accumulate.value_or(defaults.accumulate) * shares};
}

/// Reports what is unfavourable about the training images, and refuses to draw objects where there are none.
void check_images(const TrainingData& data, const CheckOptions& check, bool needs_objects) {
  report_notes(training_warnings(data.train, check));
  if (objects(data.train) > 0) return;
  const std::string none = joined(data.paths) + ": no training image contains an object";
  if (needs_objects) refuse(none);
  std::fprintf(stderr, "%s: the model learns nothing but background\n", none.c_str());
}

TrainOptions options_of(const TrainArguments& o, const TrainingDefaults& defaults, const Batches& batches,
                        int64_t per_epoch) {
  TrainOptions t;
  t.steps = o.steps > 0 ? o.steps : (o.epochs > 0 ? o.epochs : defaults.epochs) * per_epoch;
  t.save_every = o.save_every > 0 ? o.save_every : per_epoch;
  // About every five epochs, not a fraction of the total steps: a resumed run may ask for more of them.
  t.validate_every = (5 * per_epoch + t.save_every - 1) / t.save_every * t.save_every;
  t.batch = batches.batch, t.seed = o.common.seed;
  t.rate = learning_rate_of(o, defaults.rate);
  t.draws = o.draws;
  t.patience = o.patience, t.tensorboard = o.tensorboard;
  t.pixel_size = o.pixel_size.value_or(0);
  if (o.data.ignore_label) t.ignore_label = *o.data.ignore_label;
  t.freeze_encoder = !o.freeze.empty();
  t.step = {.graph = !o.no_graph,
            .accumulate = batches.accumulate,
            .ranks = ranks_of_run(),
            .join_batches = o.sync_bn,
            .adam = defaults.adam,
            .clip = o.clip,
            .average = o.ema};
  if (o.weight_decay) t.step.adam.weight_decay = *o.weight_decay;
  return t;
}

void announce(const TrainingData& data, const TrainOptions& t, const Batches& batches, const Method& method) {
  const std::string crops = (batches.accumulate > 1 ? std::to_string(batches.accumulate) + " times " : "") +
                            counted(t.batch, "crop") +
                            (batches.shares > 1 ? " on " + std::to_string(batches.shares) + " ranks" : "");
  std::fprintf(stderr, "training on %s with %s, validating on %s with %s: %s of %s of %d x %d px, %s\n",
               counted(int64_t(data.train.size()), "image").c_str(), counted(objects(data.train), "object").c_str(),
               counted(int64_t(data.validation.size()), "image").c_str(),
               counted(objects(data.validation), "object").c_str(), counted(t.steps, "step").c_str(), crops.c_str(),
               t.crop, t.crop, counted(method.params().count(), "parameter").c_str());
}

/// Writes the values of options that were left out to run.json.
void resolve_settings(const TrainArguments& o, const TrainOptions& t, const Batches& batches, const Method& method,
                      int channels, int64_t per_epoch) {
  if (o.data.data.size() == 1) resolve_setting("data", o.data.data[0]);
  resolve_setting("model", method.name());
  resolve_setting("channels", channels);
  resolve_setting("epochs", o.steps > 0 ? Json(nullptr) : Json(t.steps / per_epoch));
  resolve_setting("batch", batches.whole);
  resolve_setting("crop", t.crop);
  resolve_setting("accumulate", batches.accumulate / batches.shares);
  if (batches.shares > 1) resolve_setting("ranks", batches.shares);
  resolve_setting("scale", t.segment.scale);
  resolve_setting("lr", t.rate.rate);
  resolve_setting("schedule", to_string(t.rate.schedule));
  resolve_setting("augment", to_string(t.augment));
  resolve_setting("weight_decay", t.step.adam.weight_decay);
  resolve_setting("norm", to_string(method.sample_spec().normalisation));
}

/// Says what a run in this folder starts from, if that is not what was asked for.
void check_resumed(const TrainArguments& o, const RunFiles& files) {
  if (!o.resume || fs::exists(files.state())) return;
  if (fs::exists(files.last()) || fs::exists(files.best()))
    refuse(o.out, ": contains models, but --resume also needs the training state, ", files.state().filename().string());
  std::fprintf(stderr, "%s: no state to resume from; starting at step 0\n", o.out.c_str());
}

void run(const TrainArguments& o) {
  explain_interrupt("the same command with --resume continues after the last save");
  Exec exec = make_exec(o.common);
  if (o.common.precision == "bf16" && exec.device == Device::cpu)
    refuse("--precision bf16: the CPU trains only in fp32");
  exec.deterministic = o.deterministic;
  refuse_used(o);
  // Settings are checked first, so that mistakes in them are reported before any image is read.
  ChosenMethod chosen = choose_method(o, exec);
  std::unique_ptr<Method>& method = chosen.method;
  const Method* const start = chosen.start.method.get();
  refuse_unsuitable(o, exec, chosen);
  const SampleSpec wanted = method->sample_spec();
  const int crop = o.crop.value_or(method->training_defaults().crop);
  const Batches batches = batches_of(o, exec, chosen.defaults);
  check_options(*method, crop, o.scale.value_or(1));  // before any image is read
  const Augmentation augment = parse_augmentation(o.augment.empty() ? chosen.defaults.augment : o.augment);
  const DrawBy draw_by = parse_draw_by(o.sampling);
  if (draw_by == DrawBy::objects && wanted.sampling != Sampling::crop)
    refuse("--sampling objects: the method ", method->name(), " has its own sampling; omit --sampling");

  const TrainingData data = read_training_data(o.data, start ? wanted.channels : o.channels, wanted);
  const double scale =
      o.scale.value_or(start ? with_name(o.finetune, [&] { return stored_scale(chosen.start.info); }) : 1);
  CheckOptions check = check_options(*method, crop, scale);
  check.pixel_size = o.pixel_size.value_or(0);
  check_images(data, check, wanted.sampling == Sampling::object_crop || draw_by == DrawBy::objects);
  const int channels = data.train.front().source.channels();
  chosen.assignments.push_back({"channels", std::to_string(channels), "--channels"});
  method = reconfigure(chosen.config, chosen.assignments);
  method->params().allocate(exec);

  const int64_t draws = o.draws > 0 ? o.draws : draws_per_epoch(data.train, wanted.sampling);
  const int64_t per_epoch = std::max<int64_t>(1, steps_per_epoch(draws, batches.batch) / batches.accumulate);
  TrainOptions t = options_of(o, chosen.defaults, batches, per_epoch);
  t.crop = crop, t.augment = augment, t.draw_by = draw_by;
  t.segment.scale = scale;
  if (start) t.start = &start->params();
  announce(data, t, batches, *method);
  resolve_settings(o, t, batches, *method, channels, per_epoch);
  bool begun = false;
  t.accepted = [&] {
    begun = true;
    make_folder(o.out);
    write_run_json(fs::path(o.out) / "run.json", describe(t, *method, data));
  };
  const RunFiles files{o.out};
  TrainingReport report(files, o.report_images);
  t.scored = [&](const Example& e, const Labels& found, const ImageScore& score) { report.add(e, found, score); };
  t.saved = [&] { report.write(); };
  if (data.validation.empty()) {
    if (o.patience > 0) refuse("--patience ", o.patience, ": there are no validation images whose score could improve");
    std::fprintf(stderr, "no validation images: no scores are computed and %s is not written\n",
                 files.best().filename().c_str());
  }
  check_resumed(o, files);
  try {
    train(exec, *method, data.train, data.validation, t, files, o.resume);
  } catch (...) {
    if (begun && !o.resume) remove_if_useless(files);
    throw;
  }
}

}  // namespace

void add_train(Command& program) {
  Command command = program.subcommand("train", "train a model on labelled images");
  command.runs_on_ranks();
  auto o = std::make_shared<TrainArguments>();
  command
      .add("--data", o->data.data,
           "folder of images with masks, or a CSV list, with :WEIGHT after the path for its share of the samples")
      .repeatable()
      .required();
  const Option model =
      command.add("--model", o->model, "method to train; `basin methods` lists them").one_of(method_names()).shown();
  command.add("--out", o->out, "output folder: models, training state, metrics.csv, report.html, run.json").required();
  const Option val =
      command.add("--val", o->data.val, "folder of validation images; default: hold out a part of each --data");
  command.add("--val-fraction", o->data.val_fraction, "fraction of --data held out for validation, chosen by file name")
      .within(0., 0.9)
      .shown()
      .excludes(val);
  add_ignore_label_option(command, o->data.ignore_label, "the losses, if the method can do this");
  const Option epochs =
      command.add("--epochs", o->epochs, "total number of epochs; default: the method's").within(1, max_count);
  command.add("--steps", o->steps, "total number of steps, instead of epochs").within(1, max_count).excludes(epochs);
  command.add("--batch", o->batch, "crops per batch, of all ranks together; default: the method's").within(1, 4096);
  command.flag(
      "--sync-bn", o->sync_bn,
      "with several ranks: batch normalisation sees the crops of all ranks together, not only those of its own");
  command.add("--accumulate", o->accumulate, "batches whose gradients are averaged in one step; default: the method's")
      .within(1, 4096);
  command.add("--crop", o->crop, "side of a crop, px; default: the method's").within(8, 16384);
  command
      .add("--scale", o->scale,
           "resize images by this factor, when the model is trained and when it segments: less than 1 for objects "
           "much larger than 30 px; default: 1, or that of --finetune")
      .within(min_scale, max_scale);
  command
      .add("--pixel-size", o->pixel_size,
           "size of a pixel of the training images, um, which the model records; default: as their files say, if they "
           "agree")
      .positive();
  command.add("--lr", o->lr, "learning rate of Adam; default: the method's").positive();
  command.add("--schedule", o->schedule,
              "learning rate schedule: constant, cosine, polynomial or step; default: the method's");
  command.add("--warm-up", o->warm_up, "steps over which the learning rate rises linearly from 0").within(0, max_count);
  command.add("--weight-decay", o->weight_decay, "L2 weight decay; default: the method's").not_negative();
  command.add("--clip", o->clip, "largest gradient norm; larger gradients are scaled down to it; 0: no clipping")
      .not_negative();
  command
      .add("--ema", o->ema,
           "decay of an exponential moving average of the weights, which is saved instead of them; 0: none")
      .within(0., 0.999999);
  command.add("--patience", o->patience, "stop after this many validations without a better AP50:95; 0: never")
      .within(0, 1000000);
  const Option channels =
      command.add("--channels", o->channels, "input channels of the network; 0: as many as the image with the most")
          .within(0, 1024);
  add_plane_options(command, o->data.choice);
  command
      .add("--finetune", o->finetune,
           "start from the method, settings and weights of this model, a file or a name that `basin models` lists; "
           "choose a "
           "lower --lr than for a new model")
      .model()
      .excludes(model)
      .excludes(channels);
  command
      .add("--freeze", o->freeze, "with --finetune: part of the network that keeps its weights and running statistics")
      .one_of({"encoder"});
  command.add("--augment", o->augment,
              "list of " + augmentation_names() + ", some with :strength; or moderate, or none; default: the method's");
  o->settings.add_to(command, {Setting::Use::network, Setting::Use::training}, "the method's");
  command
      .add("--sampling", o->sampling,
           "images: each image once per epoch; objects: half of the crops contain an object drawn evenly over sizes")
      .one_of({"images", "objects"})
      .shown();
  command.add("--draws", o->draws, "samples per epoch; default: the method's").within(1, max_count);
  command.add("--save-every", o->save_every, "steps between saves; default: one epoch").within(1, max_count);
  command.flag("--tensorboard", o->tensorboard, "also write losses, rate and scores as events for TensorBoard");
  command
      .add("--report-images", o->report_images, "validation images that report.html in --out shows, with their errors")
      .within(0, 1000)
      .shown();
  add_precision_option(command, o->common);
  command.flag("--deterministic", o->deterministic, "on a GPU: bitwise reproducible results; the CPU's always are");
  command.flag("--no-graph", o->no_graph, "on a GPU: launch kernels one by one instead of as a CUDA graph");
  command.flag("--resume", o->resume, "continue the run in --out where it stopped");
  add_device_options(command, o->common);
  add_seed_option(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

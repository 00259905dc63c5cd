// Runs parts of a method, for comparison with other software by the scripts of this folder: training steps, the loss of
// given maps, the targets for given labels, the objects in given maps and the batches of a training run.
//
//     basin_training_step FOLDER
//
// FOLDER/request.json specifies the task: {"task": ..., "method": NAME, "settings": ["KEY=VALUE", ...], ...}. Arrays
// are raw float32, labels raw int32, in files of FOLDER that are named after them.
//   model    {}: writes `model.safetensors` with the first values of seed 5.
//   train    {"shape": [N, C, H, W], "model": FILE, "steps": 1, "rate": 0, "scheduled": 0, "dropout": [...]}: steps on
//            a batch `image` and the method's targets, from a model file or else from the first values of seed 5. The
//            targets of og are computed from `labels`, those of other methods are read. Writes `values`, `loss<step>`,
//            and of the first step `gradient` and `running`, with their tables learnt.txt and statistics.txt; and for
//            every {"p", "layer", "shape", "channels": BOOL} of "dropout" the numbers that it multiplies by in each
//            step, `dropout<layer>-<step>`.
//   loss     {"shape": [N, K, H, W], "scheduled": 2}: of `maps`, what the last layer gives, against `labels` [N, H, W].
//            Writes `loss` and `gradient`. For wn the maps are the vectors of the embedding. For og they are `heat`,
//            `size` and `offset`, and the logits `masks` of the regions of the true boxes; the points where masks are
//            refined are left out. Writes `gradient_heat` and so on.
//   targets  {"shape": [H, W], "crop": [h, w]}: of the middle of `labels`, each written under its name.
//   decode   {"maps": {NAME: [C, H, W], ...}}: writes `labels`.
//   batches  {"data": PATH, "batch": N, "crop": SIDE, "scale": 1, "seed": 0, "augment": "none", "first": 0, "count": 1}
//            The batches of `count` steps of `basin train` on all images of PATH. Writes `image` and the target maps,
//            each with one batch after the other, and `maps.json`, {NAME: channels} of these.
// For og alone:
//   regions  {"count": B}: of `boxes` [B, 5], sample, x, y, width and height. Writes `source` [R], the box of each
//            region, and `drawn` [P, 2], the random points of all regions from which refining chooses in step 0.
//   boxes    {"shape": [h, w]}: of the maps `heat`, `size` and `offset`. Writes `boxes` [B, 5], the last is the score.
//   objects  {"count": B, "frame": [H, W], "shape": [h, w], "published": BOOL}: of such `boxes` and the probabilities
//            `masks` of their regions. Writes `objects` [n, 5], x, y, width, height and score, and their `pixels`.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "data/dataset/loader.h"
#include "engine/json.h"
#include "engine/ops/embedding.h"
#include "engine/ops/instance.h"
#include "engine/ops/loss.h"
#include "kernels/nn/adam.h"
#include "kernels/nn/channels.h"
#include "kernels/nn/dropout.h"
#include "models/inference/model_file.h"
#include "models/methods/method_support.h"
#include "models/methods/object_guided_decoding.h"
#include "models/networks/og_detector.h"
#include "models/networks/og_masks.h"
#include "models/training/feed.h"
#include "models/training/scaled_examples.h"

namespace basin {
namespace {

Shape shape_of(const Json& list) {
  const auto d = list.get<std::vector<int64_t>>();
  if (d.size() == 2) return {d[0], d[1]};
  if (d.size() == 3) return {d[0], d[1], d[2]};
  if (d.size() == 4) return {d[0], d[1], d[2], d[3]};
  refuse("request.json: a shape of ", d.size(), " numbers; expected 2 to 4");
}

struct Folder {
  std::string path;

  template <class T>
  Tensor read(const Exec& exec, const std::string& name, const Shape& shape) const {
    std::vector<T> values(size_t(shape.size()));
    std::ifstream in(path + '/' + name, std::ios::binary);
    in.read(reinterpret_cast<char*>(values.data()), std::streamsize(values.size() * sizeof(T)));
    if (!in) refuse(path, "/", name, ": too short");
    return Tensor::from(exec, shape, values);
  }
  template <class T>
  void write(const std::string& name, const std::vector<T>& values) const {
    std::ofstream out(path + '/' + name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * sizeof(T)));
    if (!out.flush()) refuse(path, "/", name, ": could not be written");
  }
  void write(const Exec& exec, const std::string& name, const Tensor& tensor) const {
    write(name, tensor.to_host<float>(exec));
  }
  /// One line per tensor: name, first element, number of elements.
  void write_names(const std::string& name, const std::vector<Params::Named>& tensors) const {
    std::ofstream out(path + '/' + name);
    for (const Params::Named& t : tensors)
      out << t.name << ' ' << t.offset << ' ' << t.shape.size() << '\n';
  }
  Json request() const {
    std::ifstream in(path + "/request.json");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    Json json = parse_json(text);
    if (!json.is_object()) refuse(path, "/request.json: no JSON object");
    return json;
  }
};

std::unique_ptr<Method> method_of(const Json& request) {
  std::vector<Assignment> assignments;
  for (const Json& text : request.value("settings", Json::array()))
    assignments.push_back(parse_assignment(text.get<std::string>()));
  return make_method(request.at("method").get<std::string>(), assignments);
}

/// The factors of a dropout in nchw order: one for each element, or for each channel of a sample.
std::vector<float> dropout_mask(const Exec& exec, const Json& dropout, uint64_t seed, const StepState& state) {
  const double p = dropout.at("p").get<double>();
  const auto layer = dropout.at("layer").get<uint32_t>();
  const Shape shape = shape_of(dropout.at("shape"));
  if (dropout.value("channels", false)) {
    std::vector<float> mask(size_t(shape[0] * shape[1]));
    kernels::channel_dropout_mask<float>(exec, int(shape[0]), int(shape[1]), 1, p, seed, layer, &state, mask.data());
    return mask;
  }
  const Tensor ones = Tensor::from(exec, shape, std::vector<float>(size_t(shape.size()), 1));
  const Tensor mask = Tensor::empty(exec, shape);
  kernels::dropout<float>(exec, ones.features<const float>(), p, seed, layer, &state, mask.features<float>());
  return mask.to_host<float>(exec);
}

/// The method's targets for labels [N, H, W].
TargetTensors targets_of(const Exec& exec, const Method& method, const Tensor& labels) {
  const int n = labels.dim(0), height = labels.dim(1), width = labels.dim(2);
  TargetTensors targets = make_target_tensors(exec, method.targets(), n, height, width);
  clear_tables(exec, method.targets(), targets);
  for (int k = 0; k < n; ++k)
    method.make_targets(exec, {labels.data<int32_t>() + int64_t(k) * height * width, {1, height, width}},
                        SampleTargets(targets, k));
  return targets;
}

Batch read_batch(const Exec& exec, const Folder& folder, const Method& method, const Shape& shape) {
  Batch batch{{{"image", folder.read<float>(exec, "image", shape)}}};
  const TargetSpec spec = method.targets();
  if (!spec.tables.empty()) {
    batch.tensors.merge(targets_of(exec, method, folder.read<int32_t>(exec, "labels", {shape[0], shape[2], shape[3]})));
    return batch;
  }
  for (const TargetMap& map : spec.maps) {
    const Shape of_map{shape[0], map.channels, shape[2] / map.down, shape[3] / map.down};
    batch.tensors[map.name] = map.type == DType::i32 ? folder.read<int32_t>(exec, map.name, of_map)
                                                     : folder.read<float>(exec, map.name, of_map);
  }
  return batch;
}

void model(const Exec& exec, const Folder& folder, const Json& request) {
  const std::unique_ptr<Method> method = method_of(request);
  method->params().allocate(exec);
  method->init(exec, 5);
  save_model(folder.path + "/model.safetensors", exec, *method, Json::object());
}

void train(const Exec& exec, const Folder& folder, const Json& request) {
  std::unique_ptr<Method> method = method_of(request);
  Params& params = method->params();
  params.allocate(exec);
  if (request.contains("model")) {
    const Model model = load_model(request["model"].get<std::string>(), exec);
    params.values().copy_from(exec, model.method->params().values());
    params.running().copy_from(exec, model.method->params().running());
  } else {
    method->init(exec, 5);
  }
  folder.write_names("learnt.txt", params.learnt());
  folder.write_names("statistics.txt", params.statistics());
  folder.write(exec, "values", params.values());

  const Batch batch = read_batch(exec, folder, *method, shape_of(request.at("shape")));
  const kernels::AdamOptions adam = method->training_defaults().adam;
  const Tensor m = Tensor::zeros(exec, params.values().shape()), v = Tensor::zeros(exec, params.values().shape());
  StepState state{.rate = request.value("rate", 0.f), .scheduled = request.value("scheduled", 0.f)};
  const Json settings = method->config();
  for (const int steps = request.value("steps", 1); state.step < steps; ++state.step, ++state.batch) {
    const std::string number = std::to_string(state.step);
    for (const Json& dropout : request.value("dropout", Json::array()))
      folder.write("dropout" + std::to_string(dropout.at("layer").get<int>()) + '-' + number,
                   dropout_mask(exec, dropout, settings.at("seed").get<uint64_t>(), state));
    params.gradients().zero(exec);
    Tape tape(exec);
    const LossTerms loss = method->loss(tape, batch, &state);
    folder.write(exec, "loss" + number, loss.total.value);
    tape.backward(loss.total, Tensor::from(exec, {1}, std::vector<float>{1}));
    if (state.step == 0) {
      folder.write(exec, "gradient", params.gradients());
      if (!params.statistics().empty()) folder.write(exec, "running", params.running());
    }
    kernels::adam<float>(exec, adam, &state, params.gradients().view<const float, 1>(),
                         params.values().view<float, 1>(), m.view<float, 1>(), v.view<float, 1>());
  }
}

/// Labels [N, H, W] as [N, 1, H, W].
Tensor in_one_layer(const Tensor& t) {
  return Tensor::borrow(t.owner(), t.raw(), t.device(), {t.dim(0), 1, t.dim(1), t.dim(2)}, t.dtype());
}

/// The loss of maps before their activation, computed with the operations that the method's own loss() uses.
Var loss_of_maps(Tape& tape, const Var& maps, const Tensor& labels, const Json& config, const float& scheduled) {
  const std::string method = config.at("method").get<std::string>();
  const int capacity = config.at("capacity").get<int>();
  if (method == "es") {
    const std::string name = config.at("centre").get<std::string>();
    const auto centre = name == "medoid"     ? kernels::CentreKind::medoid
                        : name == "centroid" ? kernels::CentreKind::centroid
                                             : kernels::CentreKind::approximate_medoid;
    return instance_loss(tape, maps, instance_targets(tape.exec(), in_one_layer(labels), capacity, centre)).total;
  }
  const ObjectTables tables = object_tables(tape.exec(), labels, capacity, config.at("radius").get<double>());
  kernels::EmbeddingLossOptions options = method == "wn" ? kernels::wnet_loss : kernels::fcrnet_loss;
  options.inter_weight = config.at("inter_weight").get<double>();
  if (method == "wn") {
    options.per_object = !config.at("pixel_mean").get<bool>();
    return embedding_loss(tape, unit_vectors(tape, maps), tables, options).total;
  }
  options.unit_centres = config.at("cosine").get<bool>();
  Var h = power_activation(tape, maps, Tensor::from<float>(tape.exec(), {1}, {scheduled}));
  if (options.unit_centres) h = unit_vectors(tape, h);
  return embedding_loss(tape, h, tables, options).total;
}

/// Rows [B, 5]: four numbers of a box, and its sample (first) or its score (last).
struct BoxRows {
  std::vector<RoiBox> boxes;
  std::vector<ScoredBox> scored;

  BoxRows(const Exec& exec, const Folder& folder, int count, bool with_scores) {
    const std::vector<float> rows = folder.read<float>(exec, "boxes", {count, 5}).to_host<float>(exec);
    for (const float* row = rows.data(); row < rows.data() + rows.size(); row += 5) {
      const float* b = with_scores ? row : row + 1;
      boxes.push_back({with_scores ? 0 : int(row[0]), double(b[0]), double(b[1]), double(b[2]), double(b[3])});
      if (with_scores) scored.push_back({boxes.back(), double(row[4])});
    }
  }
};

/// Like ObjectGuided::loss for these outputs of the networks, without the points where masks are refined.
void guided_loss(const Exec& exec, const Folder& folder, const Json& request) {
  const std::unique_ptr<Method> method = method_of(request);
  const Json config = method->config();
  const Shape image = shape_of(request.at("shape"));
  const int samples = int(image[0]), height = int(image[1]), width = int(image[2]);
  const Tensor labels = folder.read<int32_t>(exec, "labels", image);
  const Batch batch{targets_of(exec, *method, labels)};
  const int capacity = batch["boxes"].dim(1), down = kernels::detection_down;
  const Shape of_heat{samples, 1, height / down, width / down}, of_size{samples, 2, height / down, width / down};
  const Tensor heat = Tensor::empty(exec, of_heat), cell = Tensor::empty(exec, {samples, capacity}, DType::i32);
  const Tensor size = Tensor::empty(exec, {samples, capacity, 2}), offset = Tensor::empty(exec, size.shape());
  kernels::detection_targets<float>(exec, batch["boxes"].view<const float, 3>(),
                                    batch["boxes_count"].view<const int32_t, 1>(), heat.view<float, 4>(),
                                    cell.view<int32_t, 2>(), size.view<float, 3>(), offset.view<float, 3>());
  std::vector<RoiBox> boxes;
  std::vector<int32_t> piece;
  for (int n = 0; n < samples; ++n)
    for (int k = 0; k < batch["boxes_count"].data<int32_t>()[n]; ++k) {
      const float* b = batch["boxes"].data<float>() + 4 * (n * capacity + k);
      boxes.push_back({n, double(b[0]), double(b[1]), double(b[2]), double(b[3])});
      piece.push_back(k + 1);
    }
  const OgRegions regions = og_regions(exec, boxes, OgDetector::levels);
  Tape tape(exec);
  std::vector<std::pair<std::string, Var>> given{{"heat", tape.leaf(folder.read<float>(exec, "heat", of_heat))},
                                                 {"size", tape.leaf(folder.read<float>(exec, "size", of_size))},
                                                 {"offset", tape.leaf(folder.read<float>(exec, "offset", of_size))}};
  std::vector<WeightedVar> terms{
      {centre_focal_loss(tape, given[0].second, heat), 1},
      {cell_l1_loss(tape, given[1].second, cell, size), config.at("size_weight").get<double>()},
      {cell_l1_loss(tape, given[2].second, cell, offset), config.at("offset_weight").get<double>()}};
  if (regions.count() > 0) {
    const RoiList& list = regions.levels[0];
    std::vector<int32_t> label;
    for (const int k : regions.source)
      label.push_back(piece[size_t(k)]);
    const Var truth{roi_mask_sample(exec, batch["pieces"], label, list, DType::f32)};
    given.push_back({"masks", tape.leaf(folder.read<float>(exec, "masks", {list.points}))});
    terms.push_back(
        {segment_bce_loss(tape, given[3].second, roi_values(tape, truth, list).value, list.before, list.count()),
         config.at("mask_weight").get<double>()});
  }
  const Var value = weighted_sum(tape, terms);
  tape.backward(value, Tensor::from(exec, {1}, std::vector<float>{1}));
  folder.write(exec, "loss", value.value);
  for (const auto& [name, var] : given)
    folder.write(exec, "gradient_" + name, tape.grad(var));
}

void regions(const Exec& exec, const Folder& folder, const Json& request) {
  const BoxRows rows(exec, folder, request.at("count").get<int>(), false);
  const OgRegions regions = og_regions(exec, rows.boxes, OgDetector::levels);
  folder.write("source", std::vector<int32_t>(regions.source.begin(), regions.source.end()));
  std::vector<int32_t> before{0};  // all candidates are kept
  for (const RoiList::Region& r : regions.levels.at(0).regions)
    before.push_back(before.back() + 3 * (r.height * r.width / 8));
  const RoiList& list = regions.levels[0];
  const Tensor logits = Tensor::zeros(exec, {list.points}), kept = Tensor::from(exec, {list.count() + 1}, before);
  const Tensor at = Tensor::empty(exec, {before.back(), 2}, DType::f64),
               roi = Tensor::empty(exec, {before.back()}, DType::i32);
  kernels::uncertain_points<float>(exec, logits.view<const float, 1>(), list.view(), kept.view<const int32_t, 1>(),
                                   kept.view<const int32_t, 1>(), before.back(), 0, 0, at.view<double, 2>(),
                                   roi.view<int32_t, 1>());
  folder.write("drawn", at.to_host<double>(exec));
}

void boxes(const Exec& exec, const Folder& folder, const Json& request) {
  const Shape map = shape_of(request.at("shape")), pair{2, map[0], map[1]};
  std::vector<float> rows;
  for (const auto& [box, score] :
       decode_boxes(exec, folder.read<float>(exec, "heat", {1, map[0], map[1]}), folder.read<float>(exec, "size", pair),
                    folder.read<float>(exec, "offset", pair), {}))
    rows.insert(rows.end(), {float(box.x), float(box.y), float(box.width), float(box.height), float(score)});
  folder.write("boxes", rows);
}

void objects(const Exec& exec, const Folder& folder, const Json& request) {
  const BoxRows rows(exec, folder, request.at("count").get<int>(), true);
  const RoiList list = roi_list(exec, rows.boxes, 0);
  const Shape frame = shape_of(request.at("frame")), shape = shape_of(request.at("shape"));
  using Votes = ObjectGuidedDecoding::Votes;
  const ObjectGuidedDecoding decoding{.votes = request.at("published") ? Votes::published : Votes::normalised};
  const ScoredMasks found =
      decode_masks(rows.scored, list, folder.read<float>(exec, "masks", {list.points}).to_host<float>(exec),
                   GuidedFrame::filled(int(frame[0]), int(frame[1])), int(shape[0]), int(shape[1]), decoding);
  std::vector<float> table;
  std::vector<int32_t> pixels;
  for (const Instance& o : found.objects) {
    table.insert(table.end(), {float(o.x), float(o.y), float(o.width), float(o.height), float(o.score)});
    pixels.insert(pixels.end(), o.mask.begin(), o.mask.end());
  }
  folder.write("objects", table);
  folder.write("pixels", pixels);
}

void loss(const Exec& exec, const Folder& folder, const Json& request) {
  if (request.at("method") == "og") return guided_loss(exec, folder, request);
  const Shape shape = shape_of(request.at("shape"));
  Tape tape(exec);
  const Var maps = tape.leaf(folder.read<float>(exec, "maps", shape));
  const Tensor labels = folder.read<int32_t>(exec, "labels", {shape[0], shape[2], shape[3]});
  const Var value = loss_of_maps(tape, maps, labels, method_of(request)->config(), request.value("scheduled", 0.f));
  tape.backward(value, Tensor::from(exec, {1}, std::vector<float>{1}));
  folder.write(exec, "loss", value.value);
  folder.write(exec, "gradient", tape.grad(maps));
}

void targets(const Exec& exec, const Folder& folder, const Json& request) {
  const std::unique_ptr<Method> method = method_of(request);
  const Shape shape = shape_of(request.at("shape"));
  const Tensor labels = folder.read<int32_t>(exec, "labels", shape);
  const Shape crop = request.contains("crop") ? shape_of(request["crop"]) : shape;
  const TargetTensors made = make_target_tensors(exec, method->targets(), 1, crop[0], crop[1]);
  method->make_targets(exec, {labels.data<const int32_t>(), {1, labels.dim(0), labels.dim(1)}}, SampleTargets(made, 0));
  for (const auto& [name, tensor] : made)
    if (tensor.dtype() == DType::f32) folder.write(exec, name, tensor);
}

void decode(const Exec& exec, const Folder& folder, const Json& request) {
  Maps maps;
  for (const auto& [name, shape] : request.at("maps").items())
    maps.tensors[name] = folder.read<float>(exec, name, shape_of(shape));
  folder.write("labels", method_of(request)->decode(exec, maps).labels.ids);
}

void batches(const Exec& exec, const Folder& folder, const Json& request) {
  const std::unique_ptr<Method> method = method_of(request);
  const SampleSpec spec = method->sample_spec();
  std::vector<Example> examples =
      read_examples(find_pairs(request.at("data").get<std::string>()), spec.channels, spec.normalisation);
  if (const double scale = request.value("scale", 1.0); scale != 1) examples = scaled_examples(examples, scale);
  LoaderOptions load = loader_options(exec, *method);
  load.batch = request.at("batch").get<int>(), load.crop = request.at("crop").get<int>();
  load.seed = request.value("seed", uint64_t(0));
  load.augment = parse_augmentation(request.value("augment", "none"));
  Loader loader(examples, load, target_maker(*method), request.value("first", int64_t(0)));
  std::map<std::string, std::ofstream> files;
  Json maps = Json::object();
  for (int k = 0; k < request.value("count", 1); ++k) {
    const LoadedBatch& batch = loader.next();
    const auto append = [&](const std::string& name, const Tensor& tensor) {
      std::ofstream& out = files.try_emplace(name, folder.path + '/' + name, std::ios::binary).first->second;
      out.write(static_cast<const char*>(tensor.raw()), std::streamsize(tensor.bytes()));
      if (!out.flush()) refuse(folder.path, "/", name, ": could not be written");
      maps[name] = tensor.dim(1);
    };
    append("image", batch.image);
    for (const TargetMap& map : load.targets.maps)
      append(map.name, batch.targets.at(map.name));
  }
  std::ofstream(folder.path + "/maps.json") << maps.dump();
}

void run(const Folder& folder) {
  const Exec exec;
  const Json request = folder.request();
  const std::string task = request.at("task").get<std::string>();
  if (task == "model") return model(exec, folder, request);
  if (task == "train") return train(exec, folder, request);
  if (task == "loss") return loss(exec, folder, request);
  if (task == "targets") return targets(exec, folder, request);
  if (task == "decode") return decode(exec, folder, request);
  if (task == "batches") return batches(exec, folder, request);
  if (task == "regions") return regions(exec, folder, request);
  if (task == "boxes") return boxes(exec, folder, request);
  if (task == "objects") return objects(exec, folder, request);
  refuse("request.json: unknown task ", task);
}

}  // namespace
}  // namespace basin

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: basin_training_step FOLDER\n");
    return 2;
  }
  try {
    basin::run({arguments[1]});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "basin_training_step: %s\n", error.what());
    return 1;
  }
}

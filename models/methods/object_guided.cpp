#include "models/methods/object_guided.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/json.h"
#include "engine/ops/loss.h"
#include "engine/safetensors.h"
#include "kernels/image/tiles.h"
#include "kernels/nn/activation.h"
#include "models/methods/method_support.h"

namespace basin {
namespace {

using VoteRule = ObjectGuidedDecoding::Votes;

constexpr std::pair<VoteRule, const char*> vote_rules[] = {{VoteRule::normalised, "normalised"},
                                                           {VoteRule::published, "published"}};

/// The network computes masks only for boxes with a higher score than this, so decoding cannot use boxes below it.
constexpr double min_confidence = 0.1;

/// The areas of all boxes together are at most this many times that of the image: see leave_out_excess().
constexpr double max_coverage = 8;
constexpr int shrunk_much = 2;  // an image shrunk by more than this is reported

void publish(ObjectGuidedOptions& o, Settings& s) {
  using Use = Setting::Use;
  s.integer(Use::network, "channels", o.channels, 1, 1024, "input channels");
  s.integer(Use::network, "width", o.width, 1, 1024,
            "channels of the first network stage; published: 64; 16 can be trained on a CPU")
      .option = "--width";
  s.seed(Use::network, "seed", o.seed, "seed of the points at which masks are refined in training");
  s.integer(Use::network, "crop", o.crop, OgDetector::multiple, 16384,
            "side of the training samples, and of the square to which images are resized for segmentation, px");
  s.add(normalisation_setting(o.normalisation));
  publish_layers(o.layers, s);
  s.number(Use::training, "size_weight", o.size_weight, 0, 1e6, "weight of the loss of the widths and heights");
  s.number(Use::training, "offset_weight", o.offset_weight, 0, 1e6, "weight of the loss of the offsets of centres");
  s.number(Use::training, "mask_weight", o.mask_weight, 0, 1e6, "weight of the loss of the masks");
  s.number(Use::training, "point_weight", o.point_weight, 0, 1e6,
           "weight of the loss at points where masks are uncertain");
  s.flag(Use::decoding, "resize", o.resize,
         "resize images to the size of the training samples, as published; otherwise they keep their size, rounded up "
         "to a multiple of 32 px")
      .changes_maps = true;
  Setting& letterbox = s.flag(Use::decoding, "letterbox", o.letterbox,
                              "resize images with their aspect ratio, as training samples are, between bars of zeros");
  letterbox.changes_maps = letterbox.optional = true;
  s.number(Use::decoding, "confidence", o.decoding.confidence, min_confidence, 1, "boxes have a higher score than this")
      .candidates = {"0.2", "0.3", "0.4", "0.5"};
  s.integer(Use::decoding, "max_objects", o.decoding.max_objects, 1, max_guided_objects,
            "largest number of boxes in an image; those with the highest scores are kept");
  s.number(Use::decoding, "max_overlap", o.decoding.max_overlap, 0, 1,
           "an object whose mask has a higher IoU than this with one of higher score is dropped")
      .candidates = {"0.1", "0.2", "0.5"};
  s.choice(Use::decoding, "votes", o.decoding.votes, vote_rules,
           "when a pixel belongs to an object: the mean of its votes is at least 0.5, or, as published, their sum at "
           "least 0.53");
}

/// The network's input: the image with values centred at 0.
Tensor centred(const Exec& exec, const Tensor& image) {
  const Tensor shifted = image.clone(exec);
  const Tensor shift = Tensor::from(exec, {image.dim(1)}, std::vector<float>(size_t(image.dim(1)), -0.5f));
  kernels::add_bias<float>(exec, shift.data<const float>(), false, shifted.features<float>());
  return shifted;
}

/// The frame for an image of this size.
GuidedFrame frame_of(const ObjectGuidedOptions& o, int height, int width) {
  const auto rounded_up = [](int n) {
    return (n + OgDetector::multiple - 1) / OgDetector::multiple * OgDetector::multiple;
  };
  if (!o.resize) return GuidedFrame::filled(rounded_up(height), rounded_up(width));
  GuidedFrame frame = GuidedFrame::filled(o.crop, o.crop);
  if (!o.letterbox) return frame;
  const double scale = double(o.crop) / std::max(height, width);
  PixelRect& image = frame.image;
  image.height = std::clamp(int(std::lround(height * scale)), 1, o.crop);
  image.width = std::clamp(int(std::lround(width * scale)), 1, o.crop);
  image.y = (o.crop - image.height) / 2, image.x = (o.crop - image.width) / 2;
  return frame;
}

/// The image [1, C, height, width] as the network sees it.
Tensor in_frame(const Exec& exec, const Tensor& image, const GuidedFrame& frame) {
  const auto of_size = [&](int height, int width) { return Tensor::empty(exec, {1, image.dim(0), height, width}); };
  const Tensor scaled = of_size(frame.image.height, frame.image.width);
  kernels::resize_map(exec, image.view<const float, 3>(), 1, 1, image_of<float>(scaled, 0));
  if (frame.image.pixels() == int64_t(frame.height) * frame.width) return scaled;
  const Tensor whole = of_size(frame.height, frame.width);
  kernels::cut_tile(exec, image_of<const float>(scaled, 0), -frame.image.y, -frame.image.x, kernels::Outside::zero,
                    kernels::Outside::zero, image_of<float>(whole, 0));
  return whole;
}

uint32_t batch_of(const Exec& exec, const StepState* state) {
  StepState host;
  Tensor::borrow({}, const_cast<StepState*>(state), exec.device, {int64_t(sizeof host)}, DType::u8)
      .copy_to_host(exec, &host);
  return uint32_t(host.batch);
}

/// The boxes of a batch's objects, and the number of each one's piece in its sample.
struct TrueBoxes {
  std::vector<RoiBox> boxes;
  std::vector<int32_t> piece;
};

TrueBoxes true_boxes(const Exec& exec, const Batch& batch) {
  const Tensor &boxes = batch["boxes"], &count = batch["boxes_count"];
  const int samples = boxes.dim(0), capacity = boxes.dim(1);
  const std::vector<float> table = boxes.to_host<float>(exec);
  const std::vector<int32_t> counts = count.to_host<int32_t>(exec);
  TrueBoxes all;
  for (int n = 0; n < samples; ++n)
    for (int k = 0; k < counts[size_t(n)]; ++k) {
      const float* b = &table[4 * (size_t(n) * size_t(capacity) + size_t(k))];
      all.boxes.push_back({n, double(b[0]), double(b[1]), double(b[2]), double(b[3])});
      all.piece.push_back(k + 1);
    }
  return all;
}

std::vector<RoiBox> boxes_of(const std::vector<ScoredBox>& scored) {
  std::vector<RoiBox> boxes;
  for (const ScoredBox& b : scored)
    boxes.push_back(b.box);
  return boxes;
}

/// The total area of the boxes over that of the frame.
double coverage_of(const std::vector<RoiBox>& boxes, int height, int width) {
  double pixels = 0;
  for (const RoiBox& b : boxes)
    pixels += std::max(0., b.width) * std::max(0., b.height);
  return pixels / (double(height) * width);
}

/// Leaves out boxes that, together with those of higher scores, would cover the frame more than `max_coverage` times.
/// For images unlike the training images a network may predict boxes of any size, and masks need memory for all of
/// them.
void leave_out_excess(GuidedMaps& maps, int height, int width) {
  std::vector<ScoredBox> kept;
  double covered = 0;
  for (const ScoredBox& b : maps.boxes) {
    const double coverage = coverage_of({b.box}, height, width);
    const bool fits = covered + coverage <= max_coverage;
    if (fits) covered += coverage;
    (fits ? kept : maps.left_out).push_back(b);
  }
  maps.boxes = std::move(kept);
}

Maps maps_of(const Exec& exec, const GuidedMaps& guided, int height, int width) {
  std::vector<float> table;
  const auto add = [&](const RoiBox& box, double score) {
    table.insert(table.end(), {float(box.x), float(box.y), float(box.width), float(box.height), float(score)});
  };
  for (const auto& [box, score] : guided.boxes)
    add(box, score);
  for (const auto& [box, score] : guided.left_out)
    add(box, -score);
  const Exec images = for_images(exec);
  // A network's maps are on the device already; the oracle's are on the CPU.
  const auto there = [&](const Tensor& map) { return map.device() == images.device ? map : map.to_device(images); };
  Maps maps({{"heat", there(guided.heat)},
             {"size", there(guided.size)},
             {"offset", there(guided.offset)},
             {"boxes", Tensor::from(images, {1, int64_t(table.size() / 5), 5}, table)},
             {"box_probability", Tensor::from(images, {1, 1, int64_t(guided.masks.size())}, guided.masks)}});
  maps.height = height, maps.width = width;
  return maps;
}

}  // namespace

ObjectGuided::ObjectGuided(const ObjectGuidedOptions& options)
    : options_(std::make_shared<ObjectGuidedOptions>(options)),
      detector_(params_, {.in_channels = options.channels, .width = options.width}),
      masks_(params_, {.in_channels = options.channels, .width = options.width}) {
  publish(*options_, settings_);
}
ObjectGuided::ObjectGuided(const std::string&, const Json& config)
    : ObjectGuided(options_from<ObjectGuidedOptions>(config, publish)) {}

void ObjectGuided::check_settings() const {
  if (options_->crop % OgDetector::multiple != 0)
    refuse("--set crop=", options_->crop, ": expected a multiple of ", OgDetector::multiple);
  if (options_->letterbox && !options_->resize)
    refuse("--set letterbox=true: images that keep their size (resize=false) keep their aspect ratio too");
}

TrainingDefaults ObjectGuided::training_defaults() const {
  TrainingDefaults d;
  d.batch = 8, d.crop = options_->crop, d.epochs = 100;
  d.rate = {.rate = 1.25e-4, .schedule = Schedule::constant};
  d.augment = "none";  // sampling already scales, shifts and flips
  d.normalisation = "divide";
  return d;
}

SampleSpec ObjectGuided::sample_spec() const {
  SampleSpec spec;
  spec.channels = options_->channels;
  spec.multiple = OgDetector::multiple;
  spec.layers = options_->layers;
  spec.normalisation = options_->normalisation;
  spec.sampling = Sampling::affine;
  spec.host_targets = true;
  return spec;
}

ObjectLimits ObjectGuided::object_limits() const {
  return {.in_image = options_->decoding.max_objects, .narrow = narrow_guided_object};
}

TargetSpec ObjectGuided::targets() const {
  return {{{"pieces", options_->layers, DType::i32}}, {{"boxes", max_guided_objects, 4, DType::f32}}};
}

void ObjectGuided::make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets& to) const {
  const View<int32_t, 3> pieces = to.map<int32_t>("pieces");
  const int layers = pieces.dim[0], height = pieces.dim[1], width = pieces.dim[2];
  Labels given{layers * height, width, 0, std::vector<int32_t>(size_t(pieces.size()))};
  given.count = cut_compact(labels, {given.ids.data(), {layers, height, width}});
  const GuidedObjects objects = guided_objects(given, max_guided_objects, layers);
  std::copy(objects.pieces.ids.begin(), objects.pieces.ids.end(), pieces.data);
  const View<float, 2> boxes = to.table<float>("boxes");
  for (int k = 0; k < objects.pieces.count; ++k) {
    const RoiBox& b = objects.boxes[size_t(k)];
    boxes(k, 0) = float(b.x), boxes(k, 1) = float(b.y), boxes(k, 2) = float(b.width), boxes(k, 3) = float(b.height);
  }
  *to.count("boxes") = objects.pieces.count;
}

LossTerms ObjectGuided::loss(Tape& tape, const Batch& batch, const StepState* state) const {
  const Exec& exec = tape.exec();
  const OgDetector::Result found = detector_.forward(tape, {centred(exec, batch["image"])});
  const Tensor &boxes = batch["boxes"], &count = batch["boxes_count"];
  const int samples = boxes.dim(0), capacity = boxes.dim(1);
  const Tensor heat = Tensor::empty(exec, found.heat.value.shape());
  const Tensor cell = Tensor::empty(exec, {samples, capacity}, DType::i32);
  const Tensor size = Tensor::empty(exec, {samples, capacity, 2}), offset = Tensor::empty(exec, size.shape());
  kernels::detection_targets<float>(exec, boxes.view<const float, 3>(), count.view<const int32_t, 1>(),
                                    heat.view<float, 4>(), cell.view<int32_t, 2>(), size.view<float, 3>(),
                                    offset.view<float, 3>());
  LossTerms loss;
  loss.terms = {{"heat", centre_focal_loss(tape, found.heat, heat)},
                {"size", cell_l1_loss(tape, found.size, cell, size)},
                {"offset", cell_l1_loss(tape, found.offset, cell, offset)}};
  std::vector<WeightedVar> weighted{{loss.terms[0].second, 1},
                                    {loss.terms[1].second, options_->size_weight},
                                    {loss.terms[2].second, options_->offset_weight}};
  const RegionLosses regions = region_losses(tape, batch, found.pyramid, state);
  loss.terms.push_back({"mask", regions.mask});
  loss.terms.push_back({"points", regions.points});
  weighted.push_back({regions.mask, options_->mask_weight});
  weighted.push_back({regions.points, options_->point_weight});
  loss.total = weighted_sum(tape, weighted);
  return loss;
}

ObjectGuided::RegionLosses ObjectGuided::region_losses(Tape& tape, const Batch& batch, const std::vector<Var>& pyramid,
                                                       const StepState* state) const {
  const Exec& exec = tape.exec();
  const TrueBoxes truths = true_boxes(exec, batch);
  const OgRegions regions = og_regions(exec, truths.boxes, OgDetector::levels);
  RegionLosses loss{{Tensor::zeros(exec, {1})}, {Tensor::zeros(exec, {1})}};
  if (regions.count() == 0) return loss;
  const RoiList& list = regions.levels[0];
  std::vector<int32_t> label;
  for (const int k : regions.source)
    label.push_back(truths.piece[size_t(k)]);
  const Var truth{roi_mask_sample(exec, batch["pieces"], label, list, DType::f32)};
  const OgMasks::Features features = masks_.forward(tape, pyramid, regions);
  loss.mask = segment_bce_loss(tape, features.logits, roi_values(tape, truth, list).value, list.before, list.count());
  const RoiPlaces uncertain =
      uncertain_points(exec, features.logits.value, list, options_->seed, batch_of(exec, state));
  const std::vector<OgMasks::PointLogits> refined = masks_.refine(tape, features, regions, uncertain);
  double terms = 0;
  for (const OgMasks::PointLogits& p : refined)
    terms += p.places.regions;
  std::vector<WeightedVar> heads;
  for (const OgMasks::PointLogits& p : refined)
    heads.push_back(
        {segment_bce_loss(tape, p.value, point_sample(tape, truth, list, p.places).value, p.places.before, terms)});
  if (!heads.empty()) loss.points = weighted_sum(tape, heads);
  return loss;
}

std::vector<MapSpec> ObjectGuided::maps() const {
  // Views have different boxes, so that their maps cannot be averaged.
  const auto code = MapSpec::Kind::code;
  return {{"heat", 1, code}, {"size", 2, code}, {"offset", 2, code}, {"boxes", 1, code}, {"box_probability", 1, code}};
}

MemoryNeeds ObjectGuided::memory_needs() const {
  constexpr int everywhere = 1 << 20;  // a receptive field as wide as any image
  return {.per_pixel = 13,
          .per_tile_pixel = 28 * options_->width,
          .fixed = 25 * params_.count(),
          .tiles = {OgDetector::multiple, everywhere},
          .frame_pixels = options_->resize ? int64_t(options_->crop) * options_->crop : 0};
}

/// A copy of the network with its own weights.
class ObjectGuided::Network : public Predictor {
 public:
  Network(const Exec& exec, const ObjectGuided& method) : options_(method.options_), method_(*method.options_) {
    method_.take_parameters(exec, method);
    method_.detector_.fold_norms(exec);
    prepared_ = method_.params_.prepared_weights();
  }

  Maps predict(const Exec& given, const Tensor& image, const TilingOptions&) const override {
    Exec exec = given;
    exec.prepared = prepared_.get();
    const GuidedFrame frame = frame_of(*options_, image.dim(1), image.dim(2));
    Tape tape(exec, Tape::Mode::evaluate);
    const OgDetector::Result found = method_.detector_.forward(tape, {centred(exec, in_frame(exec, image, frame))});
    const auto map_of = [](const Var& v) {
      const Tensor& t = v.value;
      return Tensor::borrow(t.owner(), t.raw(), t.device(), {t.dim(1), t.dim(2), t.dim(3)}, t.dtype());
    };
    GuidedMaps maps{map_of(found.heat), map_of(found.size), map_of(found.offset), {}, {}};
    ObjectGuidedDecoding all;
    all.confidence = min_confidence;
    all.max_objects = max_guided_objects + 1;  // decoding then knows whether there are more
    maps.boxes = decode_boxes(exec, maps.heat, maps.size, maps.offset, all);
    leave_out_excess(maps, frame.height, frame.width);
    const OgRegions regions = og_regions(exec, boxes_of(maps.boxes), OgDetector::levels);
    if (regions.count() > 0) maps.masks = masks_in_order(tape, found.pyramid, regions, boxes_of(maps.boxes));
    return maps_of(exec, maps, image.dim(1), image.dim(2));
  }

 private:
  /// The mask probabilities in the order of the boxes, all of which have regions.
  std::vector<float> masks_in_order(Tape& tape, const std::vector<Var>& pyramid, const OgRegions& regions,
                                    const std::vector<RoiBox>& boxes) const {
    const OgMasks::Features features = method_.masks_.forward(tape, pyramid, regions);
    const std::vector<float> values = sigmoid_of(tape, features.logits.value).to_host<float>(tape.exec());
    const RoiList ordered = roi_list({}, boxes, 0);
    std::vector<float> masks(values.size());
    for (int r = 0; r < regions.count(); ++r) {
      const RoiList::Region& from = regions.levels[0].regions[size_t(r)];
      std::copy_n(values.begin() + from.offset, from.height * from.width,
                  masks.begin() + ordered.regions[size_t(regions.source[size_t(r)])].offset);
    }
    return masks;
  }
  static Tensor sigmoid_of(Tape& tape, const Tensor& logits) {
    const Shape as_maps{1, 1, 1, logits.shape().size()};
    return sigmoid(tape, {Tensor::borrow(logits.owner(), logits.raw(), logits.device(), as_maps, logits.dtype())})
        .value;
  }

  std::shared_ptr<const ObjectGuidedOptions> options_;
  ObjectGuided method_;
  std::unique_ptr<PreparedWeights> prepared_;
};

std::unique_ptr<Predictor> ObjectGuided::predictor(const Exec& exec) const {
  return std::make_unique<Network>(exec, *this);
}

Instances ObjectGuided::decode(const Exec& exec, Maps maps) const {
  constexpr int down = kernels::detection_down;
  const int frame_height = maps["heat"].dim(1) * down, frame_width = maps["heat"].dim(2) * down;
  const std::vector<float> table = maps["boxes"].to_host<float>(exec);
  std::vector<ScoredBox> boxes;
  bool are_all = true;
  for (size_t k = 0; k + 5 <= table.size(); k += 5) {
    const float* b = &table[k];
    if (double(b[4]) <= options_->decoding.confidence) break;  // boxes are sorted by descending score
    are_all = int(boxes.size()) < options_->decoding.max_objects;
    if (!are_all) break;
    boxes.push_back({{0, double(b[0]), double(b[1]), double(b[2]), double(b[3])}, double(b[4])});
  }
  const RoiList regions = roi_list({}, boxes_of(boxes), 0);
  std::vector<float> masks = maps["box_probability"].to_host<float>(exec);
  masks.resize(size_t(regions.points));  // the masks of the boxes left out come last
  const int height = maps.height > 0 ? maps.height : frame_height, width = maps.width > 0 ? maps.width : frame_width;
  // Without bars the size of the image plays no part, which may have been scaled before.
  const GuidedFrame frame =
      options_->letterbox ? frame_of(*options_, height, width) : GuidedFrame::filled(frame_height, frame_width);
  PaintedMasks found = paint(decode_masks(boxes, regions, masks, frame, height, width, options_->decoding));
  Instances instances{std::move(found.labels), std::move(found.scores), std::move(found.planes)};
  const PixelRect& seen = frame.image;
  if (options_->resize && (seen.height * shrunk_much < height || seen.width * shrunk_much < width))
    instances.remarks.push_back(fmt::format(
        "it is shrunk from {} x {} to {} x {} pixels, so that small objects are lost; cut it into smaller images, or "
        "give --set {}resize=false",
        width, height, seen.width, seen.height, options_->letterbox ? "letterbox=false --set " : ""));
  if (found.hidden > 0)
    instances.remarks.push_back("objects that lie entirely under others with higher scores are left out: " +
                                std::to_string(found.hidden));
  if (!are_all)
    instances.remarks.push_back("only the " + std::to_string(boxes.size()) +
                                " boxes with the highest scores are kept (max_objects); cut the image into smaller "
                                "ones to find more objects");
  int64_t left_out = 0;
  for (size_t k = 0; k + 5 <= table.size(); k += 5)
    left_out += -double(table[k + 4]) > options_->decoding.confidence;
  if (left_out > 0)
    instances.remarks.push_back("objects left out because the boxes of all objects overlap too much: " +
                                std::to_string(left_out));
  if (coverage_of(boxes_of(boxes), frame_height, frame_width) > max_coverage / 2)
    instances.remarks.push_back(
        "the boxes of the objects cover the image many times, so that they are hardly objects: the image may be unlike "
        "those that the model was trained on");
  return instances;
}

Maps ObjectGuided::oracle(const Exec& exec, const Labels& labels) const { return layered_oracle(exec, labels, 1); }

Maps ObjectGuided::layered_oracle(const Exec& exec, const Labels& labels, int layers) const {
  const int height = labels.height / layers;
  const GuidedFrame frame = frame_of(*options_, height, labels.width);
  return maps_of(exec, object_guided_oracle(labels, frame, layers), height, labels.width);
}

Json recognise_object_guided(const SafeTensors& content, const std::string& file) {
  const StoredTensor* stem = content.find("base_network.conv1.weight");
  if (!stem || stem->shape.size() != 4 || !content.find("seg_combine.0.up.0.weight")) return nullptr;
  ObjectGuidedOptions o;
  o.width = int(stem->shape[0]);
  o.channels = int(stem->shape[1]);
  if (o.width < 1 || o.width > 1024 || o.channels < 1 || o.channels > 1024)
    refuse(file, " has a first convolution with an invalid number of channels");
  return ObjectGuided(o).config();
}

}  // namespace basin

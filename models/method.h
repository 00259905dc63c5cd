#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/checks/object_limits.h"
#include "data/dataset/normalise.h"
#include "data/dataset/sample.h"
#include "data/dataset/sampling.h"
#include "data/files/planes.h"
#include "engine/params.h"
#include "engine/tape.h"
#include "kernels/nn/adam.h"
#include "models/block_decoding.h"
#include "models/networks/tiling.h"
#include "models/settings.h"

namespace basin {

/// Named tensors: a batch for a loss, or the maps of an image.
struct NamedTensors {
  std::map<std::string, Tensor> tensors;

  const Tensor& operator[](const std::string& name) const {
    const auto at = tensors.find(name);
    BASIN_CHECK(at != tensors.end(), "no tensor is named ", name);
    return at->second;
  }
};

/// "image" [N,C,H,W] and the targets of the method's TargetSpec, on the device.
using Batch = NamedTensors;

/// The maps of a whole image, each [C,H,W], on the device that segments.
struct Maps : NamedTensors {
  Maps() = default;
  Maps(std::map<std::string, Tensor> maps) : NamedTensors{std::move(maps)} {}

  /// Pixels of these maps per pixel that the network saw: above 1 if an image was shrunk for the network and its maps
  /// were enlarged again. Lengths in decoding settings are in pixels that the network saw.
  double scale = 1;
  /// The size to which the instances are resized after decoding; 0: that of the maps.
  int height = 0, width = 0;
};

/// How the values of a map change when the image is rotated, mirrored or scaled.
struct MapSpec {
  enum class Kind {
    scalar,
    vector,  // pairs of channels x, y: a field; of maps that can be resized, in pixels
    offset,  // pairs of channels x, y: the way from a pixel to a point, in a unit that resizing does not change
    extent,  // pairs of channels that are lengths along x and y, in such a unit
    code,    // values that tell objects apart and may differ between views, so that views cannot be averaged
  };
  std::string name;
  int channels = 1;
  Kind kind = Kind::scalar;
  std::vector<Kind> kinds = {};  // of each channel, where they are of several kinds

  Kind kind_of(int channel) const { return kinds.empty() ? kind : kinds[size_t(channel)]; }
};

/// The objects of an image.
struct Instances {
  Labels labels;                          // where objects overlap, the one that the method puts on top
  std::vector<float> scores;              // of objects 1, 2, ...; empty if the method gives none
  std::optional<Planes> planes = {};      // the whole mask of each object; none if the labels show all of it
  std::vector<std::string> remarks = {};  // sentences about objects that may be missing or wrong

  /// Keeps the scores and masks of the objects with these numbers alone, after the labels were renumbered.
  void keep(const std::vector<int32_t>& numbers);
};

/// How training samples are cut from images.
struct SampleSpec {
  int channels = 1;
  int multiple = 1;            // the sides of a crop are multiples of this
  int32_t beyond = 0;          // label of pixels outside the image; -1 distinguishes them from background
  int layers = 1;              // of labels: with more than one, objects that share pixels are kept whole
  int margin = 0;              // width of the border of labels around a crop that the targets need, px
  bool whole_objects = false;  // targets depend on whole objects: the margin then covers the image
  bool host_targets = false;   // the CPU computes the targets, whatever the device
  Sampling sampling = Sampling::crop;
  Normalisation normalisation;
};

/// How the learning rate changes during a run.
enum class Schedule {
  constant,
  cosine,      // falls to 0 along half a period
  polynomial,  // times (1 - step / steps) ^ power
  step,        // times `factor` after every `every` steps
};
struct LearningRate {
  double rate = 2e-4;
  Schedule schedule = Schedule::constant;
  int64_t warm_up = 0;  // steps over which the rate rises linearly from 0 to the scheduled one
  double power = 0.9;
  double factor = 0.9;
  int64_t every = 5000;

  bool operator==(const LearningRate&) const = default;
};

/// The defaults of `train`: the published values of the method where they suit images of any kind, and else what
/// docs/methods.md says.
struct TrainingDefaults {
  int batch = 2, accumulate = 1, crop = 256;
  int64_t epochs = 100;
  LearningRate rate;
  kernels::AdamOptions adam;
  std::string augment = "flip";
  std::string normalisation = "percentile:1,99.8";
};

/// The loss terms of a step, each a number in device memory, and their weighted sum.
struct LossTerms {
  std::vector<std::pair<std::string, Var>> terms;
  Var total;
};

/// The memory that segmentation of an image on the CPU needs besides the image and the program: measured values,
/// rounded up.
struct MemoryNeeds {
  int64_t per_pixel = 0;       // bytes of the maps and of decoding them, per pixel of the image or of the maps, if more
  int64_t per_tile_pixel = 0;  // bytes of the network, per pixel of a tile
  int64_t fixed = 0;           // bytes, whatever the size
  NetworkNeeds tiles = {};     // of exact tiles
  int64_t frame_pixels = 0;    // of the size at which the network sees every image; 0: it sees tiles
};

/// A trained network, made from a copy of the method's parameters: later changes of them have no effect. Decoding
/// settings that change the maps are read at each prediction. On the CPU several threads may use it at once; on a GPU
/// one at a time, because cuDNN's plans are shared.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// The method's maps of a normalised image [C, H, W].
  virtual Maps predict(const Exec&, const Tensor& image, const TilingOptions&) const = 0;
  /// What exact tiles of an image need, if their maps equal those of the whole image.
  virtual std::optional<NetworkNeeds> needs_of_exact_tiles() const { return {}; }
};

/// Decodes the maps of one image into instances with one decoding after another, and caches what neighbouring decodings
/// share.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// `decoding`: as returned by Settings::decoding().
  virtual Instances decode(const Exec&, const Json& decoding) = 0;
};

/// One published method: its networks, targets, losses, settings and decoding. Training, inference and the command line
/// use only this interface. Methods cannot be copied or moved, because networks and settings refer to their members.
class Method {
 public:
  Method() = default;
  virtual ~Method() = default;
  Method(const Method&) = delete;
  Method& operator=(const Method&) = delete;

  /// The name for `--model` and in model files.
  virtual std::string name() const = 0;
  const Settings& settings() const { return settings_; }
  Settings& settings() { return settings_; }
  /// Throws one sentence if settings contradict each other. make_method() calls it; call it after changes.
  virtual void check_settings() const {}
  /// Everything that make_method() needs to create it again.
  Json config() const;

  Params& params() { return params_; }
  const Params& params() const { return params_; }

  /// Sets the initial values of the parameters, which depend only on the seed.
  virtual void init(const Exec& exec, uint64_t seed) { params().init(exec, seed); }

  /// Makes targets() and make_targets() accept labels of -1, at pixels that are to be left out of every loss. Returns
  /// false if the method cannot.
  virtual bool ignore_negative_labels() { return false; }

  /// The prefix of the names of the encoder's tensors, for `train --freeze encoder`; empty if the network has no single
  /// encoder.
  virtual std::string encoder() const { return {}; }

  virtual TrainingDefaults training_defaults() const { return {}; }
  virtual SampleSpec sample_spec() const = 0;
  /// Which objects the method cannot learn or find with the present settings, for warnings about a training set.
  virtual ObjectLimits object_limits() const { return {}; }
  /// The targets of a sample, in the order in which they are computed.
  virtual TargetSpec targets() const = 0;
  /// Computes the targets of one crop [H, W] from labels [layers, H + 2 margin, W + 2 margin], with the margin of
  /// sample_spec() or a wider one: see MakeTargets. Called by several threads at once, and on a GPU if the loader
  /// leaves samples raw.
  virtual void make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets&) const = 0;
  /// Runs the networks on a training tape.
  virtual LossTerms loss(Tape&, const Batch&, const StepState*) const = 0;
  /// A parameter of the loss that depends on the training progress, 0 to 1. loss() reads it from StepState::scheduled.
  virtual double scheduled(double /*progress*/) const { return 0; }
  /// Whether scheduled() varies, so that the length of a run matters from its first step on.
  virtual bool is_scheduled() const { return false; }
  /// Whether training on a GPU can give the same bits on every run, as Exec::deterministic asks.
  virtual bool can_be_deterministic() const { return true; }
  /// False if shapes depend on the data, so that a step cannot be captured as a CUDA graph.
  virtual bool capturable() const { return true; }

  /// The maps that predict() returns.
  virtual std::vector<MapSpec> maps() const = 0;
  /// Whether maps may be resized to the image if the network saw it at another scale.
  virtual bool has_scalable_maps() const { return false; }
  /// Whether the network sees every image as a whole, in training at the size of a crop: images are then not tiled.
  virtual bool sees_whole_images() const { return false; }
  /// Whether the network sees every image at one fixed size, so that a scale has no effect.
  virtual bool sees_one_size() const { return false; }
  /// Whether the maps of an image are always averaged over its eight views, even without test-time augmentation.
  virtual bool averages_views() const { return false; }
  /// The map of which one channel is the logit of the probability that a pixel is foreground; empty if there is none.
  virtual std::string foreground_logit() const { return {}; }
  virtual int foreground_channel() const { return 0; }
  /// Whether the network can compute in bfloat16, as Exec::precision asks.
  virtual bool supports_bfloat16() const { return false; }
  /// Whether instances have scores.
  virtual bool gives_scores() const { return false; }
  /// Whether objects may share pixels, so that Instances::planes has what the labels cannot show.
  virtual bool may_share_pixels() const { return false; }
  virtual std::unique_ptr<Predictor> predictor(const Exec&) const = 0;
  /// Decodes maps into instances. Maps whose memory is not shared are freed as soon as they are no longer needed,
  /// because an image may fill the memory.
  virtual Instances decode(const Exec&, Maps) const = 0;
  virtual MemoryNeeds memory_needs() const { return {}; }
  /// Why decode_blocks() cannot be used with the present settings, as part of a sentence; empty if it can be.
  virtual std::string reason_for_whole_image() const { return "the method " + name() + " decodes images as a whole"; }
  /// Decodes an image that may be larger than memory block by block: writes the same labels as decode() and returns the
  /// extents of objects 1, 2, ...
  virtual std::vector<ObjectExtent> decode_blocks(const BlockDecoding&) const;
  /// The default shares nothing: it decodes from the maps each time, with another method of this config.
  virtual std::unique_ptr<Decoder> decoder(Maps) const;
  /// The maps of a perfect network for these labels, in the form that predict() returns.
  virtual Maps oracle(const Exec&, const Labels&) const = 0;
  /// The same for objects that share pixels: labels in layers, one below the other (LayeredLabels). Only methods whose
  /// samples have several layers implement it.
  virtual Maps layered_oracle(const Exec&, const Labels&, int layers) const;

 protected:
  /// Allocates the parameters and copies them from a method of the same config, for a predictor that owns its weights.
  void take_parameters(const Exec&, const Method& from);

  Settings settings_;
  Params params_;
};

}  // namespace basin

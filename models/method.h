#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset/normalise.h"
#include "data/dataset/sample.h"
#include "data/dataset/sampling.h"
#include "data/files/planes.h"
#include "engine/params.h"
#include "engine/tape.h"
#include "kernels/nn/adam.h"
#include "models/networks/tiling.h"
#include "models/settings.h"

namespace basin {

/// Named tensors: a batch for a loss, or maps of an image.
struct NamedTensors {
  std::map<std::string, Tensor> tensors;

  const Tensor& operator[](const std::string& name) const {
    const auto at = tensors.find(name);
    BASIN_CHECK(at != tensors.end(), "no tensor is called ", name);
    return at->second;
  }
};

/// "image" [N,C,H,W] and the targets of the method's TargetSpec, on the device.
using Batch = NamedTensors;

/// Maps of a whole image, each [C,H,W], on the device that segments.
struct Maps : NamedTensors {
  Maps() = default;
  Maps(std::map<std::string, Tensor> maps) : NamedTensors{std::move(maps)} {}

  /// Pixels of these maps for each pixel that the network saw: above 1 where an image was shrunk for the network and
  /// its maps were enlarged again. Lengths among the decoding settings are in pixels that the network saw.
  double scale = 1;
  /// The size of the image that the instances are wanted for; 0: that of the maps.
  int height = 0, width = 0;
};

/// How the values of a map change where the image is turned, mirrored or scaled.
struct MapSpec {
  enum class Kind {
    scalar,
    vector,  // pairs of channels x, y; of maps that can be resized, in pixels
    extent,  // pairs of channels that are lengths along x and y
    code,    // tells objects apart and may be any other one in another view, so that views cannot be averaged
  };
  std::string name;
  int channels = 1;
  Kind kind = Kind::scalar;
  std::vector<Kind> kinds = {};  // of each channel, where they are of several kinds

  Kind kind_of(int channel) const { return kinds.empty() ? kind : kinds[size_t(channel)]; }
};

/// The objects of an image.
struct Instances {
  Labels labels;                 // where objects overlap, the one with the higher score is on top
  std::vector<float> scores;     // of objects 1, 2, ...; empty where the method gives none
  std::optional<Planes> planes;  // one for each object, where objects may share pixels
};

/// How training samples are cut.
struct SampleSpec {
  int channels = 1;
  int multiple = 1;            // of the sides of a crop
  int margin = 0;              // of labels around a crop that the targets need, in pixels
  bool whole_objects = false;  // targets depend on objects as a whole: the margin then covers the image
  bool host_targets = false;   // targets are made by the CPU, whatever the device
  Sampling sampling;
  Normalisation normalisation;
};

/// How the learning rate changes over a run.
enum class Schedule {
  constant,
  cosine,      // falls to 0 along half a period
  polynomial,  // times (1 - step / steps) ^ power
  step,        // times `factor` after every `every` steps
};
struct LearningRate {
  double rate = 2e-4;
  Schedule schedule = Schedule::constant;
  int64_t warm_up = 0;  // steps over which the rate rises from 0 to that of the schedule
  double power = 0.9;
  double factor = 0.9;
  int64_t every = 5000;

  bool operator==(const LearningRate&) const = default;
};

/// What `train` does unless the command line says otherwise: the published values of the method.
struct TrainingDefaults {
  int batch = 2, accumulate = 1, crop = 256;
  int64_t epochs = 100;
  LearningRate rate;
  kernels::AdamOptions adam;
  std::string augment = "flip";
  std::string normalisation = "percentile:1,99.8";
};

/// The losses of a step, each a number in device memory, and their weighted sum.
struct LossTerms {
  std::vector<std::pair<std::string, Var>> terms;
  Var total;
};

/// A trained network, made once from the parameters that the method had then: later changes of these do not reach it.
/// May be used by several threads at once.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// The method's maps of an image [C, H, W], normalised.
  virtual Maps predict(const Exec&, const Tensor& image, const TilingOptions&) const = 0;
};

/// Turns the maps of one image into instances under one decoding after another, and keeps what neighbouring decodings
/// share.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// `decoding`: as Settings::decoding() gives it.
  virtual Instances decode(const Exec&, const Json& decoding) = 0;
};

/// One published method: its networks, targets, losses, settings and decoding. Training, inference and the command line
/// know this interface alone. Methods stay where they are made: networks and settings refer to their members.
class Method {
 public:
  Method() = default;
  virtual ~Method() = default;
  Method(const Method&) = delete;
  Method& operator=(const Method&) = delete;

  /// What `--model` and model files call it.
  virtual std::string name() const = 0;
  const Settings& settings() const { return settings_; }
  Settings& settings() { return settings_; }
  /// Throws one sentence where settings do not go together. make_method() calls it; to be called after changes.
  virtual void check_settings() const {}
  /// Everything needed to make it again with make_method().
  Json config() const;

  Params& params() { return params_; }
  const Params& params() const { return params_; }

  /// First values of the parameters, which depend on the seed alone.
  virtual void init(const Exec& exec, uint64_t seed) { params().init(exec, seed); }

  virtual TrainingDefaults training_defaults() const { return {}; }
  virtual SampleSpec sample_spec() const = 0;
  /// The targets of a sample beside its image, in the order in which they are made.
  virtual TargetSpec targets() const = 0;
  /// Makes those of one crop [H, W] from labels [H + 2 margin, W + 2 margin] with the margin of sample_spec() or a
  /// wider one: see MakeTargets. Called by several threads at once, and on a GPU where the loader leaves samples raw.
  virtual void make_targets(const Exec&, View<const int32_t, 2> labels, const SampleTargets&) const = 0;
  /// Runs the networks on a training tape.
  virtual LossTerms loss(Tape&, const Batch&, const StepState*) const = 0;
  /// A number of the loss that changes with the share of the training that is done, 0 to 1: loss() finds it in
  /// StepState::scheduled.
  virtual double scheduled(double /*progress*/) const { return 0; }
  /// Whether scheduled() changes at all, so that the length of a run matters from its first step on.
  virtual bool is_scheduled() const { return false; }
  /// False where shapes depend on the data, so that a step cannot be recorded once and started as a whole.
  virtual bool capturable() const { return true; }

  /// The maps that predict() gives.
  virtual std::vector<MapSpec> maps() const = 0;
  /// Whether maps of an image that the network saw at another scale mean the same after they are resized.
  virtual bool has_scalable_maps() const { return false; }
  /// Whether the maps of an image are those of its eight views averaged, even where nobody asks for it.
  virtual bool averages_views() const { return false; }
  virtual std::unique_ptr<Predictor> predictor(const Exec&) const = 0;
  /// Maps that nobody else holds are let go as soon as they are done with: an image may fill the memory.
  virtual Instances decode(const Exec&, Maps) const = 0;
  /// By default nothing is shared: another method of this config decodes the maps anew each time.
  virtual std::unique_ptr<Decoder> decoder(Maps) const;
  /// The maps that a perfect network would give for these labels, as predict() gives them.
  virtual Maps oracle(const Exec&, const Labels&) const = 0;

 protected:
  /// Allocates the parameters and copies those of a method of the same config: for a predictor that owns its weights.
  void take_parameters(const Exec&, const Method& from);

  Settings settings_;
  Params params_;
};

}  // namespace basin

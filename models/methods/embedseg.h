#pragma once
#include "kernels/embedding/instance_loss.h"
#include "models/method.h"
#include "models/methods/embedseg_decoding.h"
#include "models/networks/erfnet.h"

namespace basin {

struct EmbedSegOptions {
  int channels = 1, width = 16;
  uint64_t seed = 0;
  Normalisation normalisation;
  kernels::CentreKind centre = kernels::CentreKind::medoid;
  int capacity = 256;  // largest number of objects in a crop
  int layers = 1;      // of labels; objects that share pixels are in different ones
  kernels::InstanceLossOptions loss;
  bool views = true;  // average the maps of the eight views of an image
  EmbedSegDecoding decoding;
};

/// EmbedSeg (Lalit et al. 2022): every pixel predicts the centre of its object, and how close to it other pixels must
/// point in order to belong to the same object. Objects form around the pixels with the highest seed probabilities.
/// Target: "labels" [layers,H,W], int32, compact. Map: "raw" [5,H,W] = o_x, o_y, sigma_x, sigma_y, seed, before tanh
/// and sigmoid.
class EmbedSeg : public Method {
 public:
  /// `config`: the config of a model file, or null for the defaults.
  EmbedSeg(const std::string& name, const Json& config);

  std::string name() const override { return "es"; }
  std::string encoder() const override { return "encoder."; }
  void init(const Exec&, uint64_t seed) override;

  TrainingDefaults training_defaults() const override;
  SampleSpec sample_spec() const override;
  ObjectLimits object_limits() const override { return {.in_crop = options_.capacity, .counts_mirrored = true}; }
  TargetSpec targets() const override;
  void make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets&) const override;
  LossTerms loss(Tape&, const Batch&, const StepState*) const override;

  std::vector<MapSpec> maps() const override;
  MemoryNeeds memory_needs() const override;
  bool averages_views() const override { return options_.views; }
  /// The seed map: near 1 at the middle of an object, and falling to its border.
  std::string foreground_logit() const override { return "raw"; }
  int foreground_channel() const override { return 4; }
  bool may_share_pixels() const override { return true; }
  std::unique_ptr<Predictor> predictor(const Exec&) const override;
  Instances decode(const Exec&, Maps) const override;
  Maps oracle(const Exec&, const Labels&) const override;
  Maps layered_oracle(const Exec&, const Labels&, int layers) const override;

 private:
  class Network;
  explicit EmbedSeg(const EmbedSegOptions&);

  EmbedSegOptions options_;
  ErfNet net_;
};

}  // namespace basin

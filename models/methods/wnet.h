#pragma once
#include "models/method.h"
#include "models/methods/seed_decoding.h"
#include "models/networks/plain_unet.h"

namespace basin {

struct WNetOptions {
  int channels = 3, width = 32;
  uint64_t seed = 0;
  Normalisation normalisation;
  int embedding = 8;   // channels of the embedding
  double radius = 10;  // objects within this distance, in px, are neighbours and should have different directions
  int capacity = 512;  // largest number of objects in a crop
  double inter_weight = 1;
  double block_dropout = 0, head_dropout = 0;
  bool pixel_mean = true;  // weight pixels equally, as the authors' code does, instead of objects, as the paper does
  SeedDecoding decoding;
};

/// W-Net, distance embedding (Wu et al. 2020): a first U-Net predicts the distance to the boundary of each object, and
/// a second one, whose input includes the first one's features, an embedding; objects grow from the peaks of the
/// distance. Targets: "labels" [1,H,W], int32, compact, and "distance" [1,H,W]. Maps: "distance" [1,H,W], "embedding"
/// [K,H,W].
class WNet : public Method {
 public:
  /// `config`: the config of a model file, or null for the defaults.
  WNet(const std::string& name, const Json& config);

  std::string name() const override { return "wn"; }

  TrainingDefaults training_defaults() const override;
  SampleSpec sample_spec() const override;
  ObjectLimits object_limits() const override { return {.in_crop = options_.capacity}; }
  TargetSpec targets() const override;
  void make_targets(const Exec&, View<const int32_t, 3> layers, const SampleTargets&) const override;
  LossTerms loss(Tape&, const Batch&, const StepState*) const override;

  std::vector<MapSpec> maps() const override;
  MemoryNeeds memory_needs() const override;
  std::unique_ptr<Predictor> predictor(const Exec&) const override;
  Instances decode(const Exec&, Maps) const override;
  Maps oracle(const Exec&, const Labels&) const override;

 private:
  static constexpr int receptive_radius = 2 * PlainUNet::receptive_radius + 2;

  class Network;
  struct Outputs {
    Var distance, embedding;
  };
  explicit WNet(const WNetOptions&);
  /// `state`: of the training step; null for inference.
  Outputs forward(Tape&, const Tensor& image, const StepState* state) const;

  WNetOptions options_;
  PlainUNet first_;
  MapHead distance_, forwarded_;
  PlainUNet second_;
  MapHead embedding_;
};

}  // namespace basin

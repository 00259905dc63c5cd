#pragma once
#include <array>

#include "models/method.h"
#include "models/methods/colour_decoding.h"
#include "models/networks/plain_unet.h"

namespace basin {

struct FcrNetOptions {
  int channels = 1, width = 16;
  uint64_t seed = 0;
  Normalisation normalisation;
  int colours = 5;          // published: 4
  double radius = 3;        // objects within this distance, in px, are neighbours and should differ; published: 10
  int capacity = 512;       // largest number of objects in a crop
  bool cosine = false;      // use the paper's loss instead of that of the authors' code
  double inter_weight = 1;  // published: 4
  double block_dropout = 0, head_dropout = 0;
  double guide_weight = 30;                     // published: 0, without a guide
  std::array<double, 5> alphas{2, 2, 4, 6, 8};  // of the activation, each for one fifth of the training steps
  ColourDecoding decoding;
};

/// FCRNet, four-colour embedding (Cao and Yan 2021): a U-Net assigns each pixel one of a few colours, such that
/// neighbouring objects differ; objects are the connected components of the colours. Target: "labels" [1,H,W], int32,
/// compact, and "guide" [K,H,W], one-hot. Map: "colours" [K,H,W], which sum to 1.
///
/// The guide is our addition; with guide_weight = 0 there is none. The published loss leaves open which object gets
/// which colour, so that a network soon gives every object all colours in equal parts; in our trials it still did after
/// 1,600 steps. The guide is a colouring of all objects by a fixed rule (colour_in_raster_order). The loss adds
/// guide_weight times the mean squared difference of the maps from it.
class FcrNet : public Method {
 public:
  /// `config`: the config of a model file, or null for the defaults.
  FcrNet(const std::string& name, const Json& config);

  std::string name() const override { return "fc"; }
  std::string encoder() const override { return "encoder_"; }

  void check_settings() const override;
  TrainingDefaults training_defaults() const override;
  SampleSpec sample_spec() const override;
  ObjectLimits object_limits() const override { return {.in_crop = options_.capacity}; }
  TargetSpec targets() const override;
  void make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets&) const override;
  LossTerms loss(Tape&, const Batch&, const StepState*) const override;
  double scheduled(double progress) const override;
  bool is_scheduled() const override { return true; }

  std::vector<MapSpec> maps() const override;
  MemoryNeeds memory_needs() const override;
  std::unique_ptr<Predictor> predictor(const Exec&) const override;
  Instances decode(const Exec&, Maps) const override;
  Maps oracle(const Exec&, const Labels&) const override;

 private:
  static constexpr int receptive_radius = PlainUNet::receptive_radius + 1;

  class Network;
  explicit FcrNet(const FcrNetOptions&);
  /// The network's output before its activation. `state`: of the training step; null for inference.
  Var forward(Tape&, const Tensor& image, const StepState* state) const;

  /// Writes the guide of compact labels.
  void make_guide(View<const int32_t, 2> labels, View<float, 3> guide) const;

  FcrNetOptions options_;
  PlainUNet net_;
  MapHead head_;
};

}  // namespace basin

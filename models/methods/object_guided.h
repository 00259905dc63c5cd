#pragma once
#include "models/method.h"
#include "models/methods/object_guided_decoding.h"
#include "models/networks/og_detector.h"
#include "models/networks/og_masks.h"

namespace basin {

struct SafeTensors;

struct ObjectGuidedOptions {
  int channels = 3, width = 64;
  uint64_t seed = 0;
  int crop = 512;
  int layers = 1;  // of labels; objects that share pixels are in different ones
  Normalisation normalisation;
  double size_weight = 0.1, offset_weight = 1, mask_weight = 2, point_weight = 1;
  bool letterbox = false;  // with resize: keep the aspect ratio
  bool resize = true;
  ObjectGuidedDecoding decoding;
};

/// Object-guided segmentation with feature refinement (Yi et al., IEEE TMI 40 (2021)): a network finds the bounding
/// boxes of objects by their centres, and a second one gives the mask of each box. Objects have scores and may overlap.
/// Targets: the map "pieces" [layers, H, W], int32, and the table "boxes" with x, y of the centre, width and height of
/// each piece in px (GuidedObjects). Maps: "heat" [1, h, w], "size" and "offset" [2, h, w], where h and w are a quarter
/// of the network's frame; "boxes" [1, B, 5] = x, y, width and height in the frame and the score, by descending score,
/// and last, with negative scores, those that are left out because the boxes would cover the frame too often;
/// "box_probability" [1, 1, P], the probabilities at the points of the regions of the others.
class ObjectGuided : public Method {
 public:
  explicit ObjectGuided(const ObjectGuidedOptions&);
  /// `config`: the config of a model file, or null for the defaults.
  ObjectGuided(const std::string& name, const Json& config);

  std::string name() const override { return "og"; }
  std::string encoder() const override { return "base_network."; }
  void check_settings() const override;
  TrainingDefaults training_defaults() const override;
  SampleSpec sample_spec() const override;
  ObjectLimits object_limits() const override;
  TargetSpec targets() const override;
  void make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets&) const override;
  LossTerms loss(Tape&, const Batch&, const StepState*) const override;
  bool can_be_deterministic() const override { return false; }  // points of several boxes add to one pixel
  bool capturable() const override { return false; }

  std::vector<MapSpec> maps() const override;
  MemoryNeeds memory_needs() const override;
  bool gives_scores() const override { return true; }
  bool sees_whole_images() const override { return true; }
  bool sees_one_size() const override { return options_->resize; }
  bool may_share_pixels() const override { return true; }
  std::unique_ptr<Predictor> predictor(const Exec&) const override;
  Instances decode(const Exec&, Maps) const override;
  Maps oracle(const Exec&, const Labels&) const override;
  Maps layered_oracle(const Exec&, const Labels&, int layers) const override;

 private:
  class Network;

  /// The losses of the masks in the regions of the true boxes, and of their uncertain points.
  struct RegionLosses {
    Var mask, points;
  };
  RegionLosses region_losses(Tape&, const Batch&, const std::vector<Var>& pyramid, const StepState*) const;

  // Shared with the predictors, so that changes of the setting `resize` apply to them.
  const std::shared_ptr<ObjectGuidedOptions> options_;
  OgDetector detector_;
  OgMasks masks_;
};

/// The config for a checkpoint of the public code; null for other files.
Json recognise_object_guided(const SafeTensors&, const std::string& file);

}  // namespace basin

#pragma once
#include <array>

#include "kernels/field/vector_field.h"
#include "kernels/flow/ivp.h"
#include "models/method.h"
#include "models/methods/vector_field_decoding.h"
#include "models/networks/unet.h"

namespace basin {

struct SafeTensors;

struct VectorFieldOptions {
  UNetOptions net;
  Normalisation normalisation;
  kernels::FieldOptions field;
  std::array<double, 3> weights{1, 1, 1};   // of the IVP, MSE and Tversky losses
  std::array<double, 2> tversky{0.5, 0.5};  // weights of false positives and false negatives
  kernels::IvpOptions ivp;
  VectorFieldDecoding decoding;
};

/// Vector fields for instance segmentation (Peters 2022): a U-Net predicts the foreground and a vector field; every
/// foreground pixel moves along the field, and clustering the end points gives the instances.
/// Targets: "mask" [1,H,W], 0 or 1; "target" [2,H,W], the field; and, if there are ignored pixels, "counted" [1,H,W], 0
/// at these and 1 elsewhere. In the other two targets ignored pixels are background with a field of 0. Maps: "logit"
/// [1,H,W] and "field" [2,H,W].
class VectorFields : public Method {
 public:
  explicit VectorFields(const VectorFieldOptions&);
  /// `name`: vf-h1 or vf-h2. `config`: the config of a model file, or null for the defaults.
  VectorFields(const std::string& name, const Json& config);

  std::string name() const override { return options_.net.decoders == 2 ? "vf-h2" : "vf-h1"; }

  std::string encoder() const override { return "backbone."; }
  bool ignore_negative_labels() override { return has_ignored_ = true; }
  void check_settings() const override;
  SampleSpec sample_spec() const override;
  ObjectLimits object_limits() const override;
  TargetSpec targets() const override;
  void make_targets(const Exec&, View<const int32_t, 3> layers, const SampleTargets&) const override;
  LossTerms loss(Tape&, const Batch&, const StepState*) const override;

  std::vector<MapSpec> maps() const override;
  MemoryNeeds memory_needs() const override;
  bool has_scalable_maps() const override { return true; }
  bool supports_bfloat16() const override { return true; }
  std::string foreground_logit() const override { return "logit"; }
  std::unique_ptr<Predictor> predictor(const Exec&) const override;
  Instances decode(const Exec&, Maps) const override;
  std::string reason_for_whole_image() const override;
  std::vector<ObjectExtent> decode_blocks(const BlockDecoding&) const override;
  std::unique_ptr<Decoder> decoder(Maps) const override;
  Maps oracle(const Exec&, const Labels&) const override;

  const VectorFieldOptions& options() const { return options_; }
  VectorFieldDecoding& decoding() { return options_.decoding; }

 private:
  VectorFieldOptions options_;
  UNet net_;
  bool has_ignored_ = false;  // there are ignored pixels, and the target "counted"
};

/// The losses of a predicted logit [N, 1, H, W] and field [N, 2, H, W] against the targets "mask" and "target". If
/// there is a target "counted", each loss is computed over the pixels where it is 1: the other pixels start no
/// trajectories of the IVP loss, and for trajectories that cross them both fields are 0 there.
LossTerms vector_field_losses(Tape&, Var logit, Var field, const Batch& targets, const VectorFieldOptions&);

/// The config for a torchvf state_dict of H1 or H2: channels, width and decoders follow from the shapes, and all other
/// settings are torchvf's defaults. Null if the tensors are not those of these networks; throws for an invalid size.
Json recognise_torchvf(const SafeTensors&, const std::string& file);

}  // namespace basin

#pragma once
#include <array>
#include <optional>

#include "kernels/flow/ivp.h"
#include "models/methods/vector_field_decoding.h"
#include "models/networks/unet.h"

namespace basin {

enum class FieldKind { sdf, affinity, omnipose, centroid };
FieldKind parse_field_kind(const std::string&);
std::string to_string(FieldKind);

struct VectorFieldOptions {
  UNetOptions net;
  Normalisation normalisation;
  FieldKind field = FieldKind::sdf;
  int truncate = 10, kernel = 11;           // of the SDF field; kernel of the affinity field too
  std::array<double, 3> weights{1, 1, 1};   // of the IVP, MSE and Tversky losses
  std::array<double, 2> tversky{0.5, 0.5};  // weights of false positives and false negatives
  kernels::IvpOptions ivp;
  VectorFieldDecoding decoding;
};

/// Vector fields for instance segmentation (Peters et al.; methods.md 3): a U-Net predicts the foreground and a field;
/// every foreground pixel follows the field, and a clustering of the end points gives the instances.
/// Maps: "logit" [1,H,W] and "field" [2,H,W]. Targets: "mask", 1 where there is an object, else 0, and "target", the
/// field.
class VectorFields : public Method {
 public:
  explicit VectorFields(const VectorFieldOptions&);
  explicit VectorFields(const Json& config);

  SampleSpec sample_spec() const override;
  TargetSpec targets() const override { return {{{"mask", 1}, {"target", 2}}, {}}; }
  void make_targets(const Exec&, View<const int32_t, 2> labels, const SampleTargets& to) const override;
  LossTerms loss(Tape&, const Batch&, const StepState*) const override;
  Maps predict(const Exec&, const Tensor& image, const TilingOptions&) const override;
  Labels decode(const Exec&, Maps) const override;
  Maps oracle(const Exec&, const Labels&) const override;
  void refresh(const Exec&) override;
  Params& params() override { return params_; }
  const Params& params() const override { return params_; }
  Json config() const override;

  const VectorFieldOptions& options() const { return options_; }
  VectorFieldDecoding& decoding() { return options_.decoding; }

 private:
  VectorFieldOptions options_;
  Params params_;
  UNet net_;
  std::optional<UNet::Folded> folded_;
};

}  // namespace basin

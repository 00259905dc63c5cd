#pragma once
#include <string>

#include "models/method.h"

// What several methods share.

namespace basin {

/// The setting "normalisation", with the option --norm.
Setting normalisation_setting(Normalisation&);

/// The middle of labels, of the size of `to`, with ids renumbered to 1, 2, ... in their order. In host memory.
void cut_compact(View<const int32_t, 2> labels, View<int32_t, 2> to);

/// A tensor [N, 1, H, W] seen as [N, H, W].
Tensor without_channel(const Tensor&);

/// StepState::scheduled as a tensor [1], which an operation reads when it runs.
Tensor scheduled_number(const Exec&, const StepState*);

/// Decodes the same maps again and again by a method of its own, of the same settings but for the decoding's.
template <class M>
class RepeatedDecoder : public Decoder {
 public:
  RepeatedDecoder(const std::string& name, const Json& config, Maps maps)
      : method_(name, config), maps_(std::move(maps)) {}

  Instances decode(const Exec& exec, const Json& decoding) override {
    method_.settings().set_decoding(decoding);
    return method_.decode(exec, maps_);
  }

 private:
  M method_;
  Maps maps_;
};

}  // namespace basin

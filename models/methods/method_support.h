#pragma once
#include "engine/json.h"
#include "models/method.h"

// Functions that several methods share.

namespace basin {

/// The setting "normalisation", with the option --norm.
Setting normalisation_setting(Normalisation&);

/// Copies the central part of labels [layers, h, w] that has the size of `to`, and renumbers the ids of all layers
/// together to 1, 2, ... in their order; negative ids become 0. In host memory. Returns the number of objects.
int cut_compact(View<const int32_t, 3> labels, View<int32_t, 3> to);

/// Publishes the setting "capacity", the largest number of objects in a crop.
void publish_capacity(int& value, Settings&);

/// Publishes the setting "layers", the number of label layers of training samples (SampleSpec::layers).
void publish_layers(int& value, Settings&);

/// Throws a sentence that names the setting `capacity` if a crop has more objects than the loss has room for.
/// `mirrored`: as ObjectLimits::counts_mirrored.
void check_capacity(int objects, int capacity, bool mirrored = false);

/// Whether none of the eight neighbours of a pixel of a map [height, width] has a larger value.
bool is_local_maximum(const std::vector<float>& map, int height, int width, int32_t pixel);

/// A view of a tensor [N, 1, H, W] as [N, H, W].
Tensor without_channel(const Tensor&);

/// StepState::scheduled as a tensor [1], which an operation reads when it runs.
Tensor scheduled_number(const Exec&, const StepState*);

/// A method's options with the settings of `config`, or its default options if that is null. `publish` is the function
/// that creates the settings for the options.
template <class Options>
Options options_from(const Json& config, void (*publish)(Options&, Settings&), Options options = {}) {
  if (config.is_null()) return options;
  Settings settings;
  publish(options, settings);
  settings.read(config);
  return options;
}

}  // namespace basin

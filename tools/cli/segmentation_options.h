#pragma once
#include <optional>
#include <string>
#include <vector>

#include "models/inference/segmentation.h"
#include "tools/cli/setting_options.h"

namespace basin::tools {

/// The options that decide how an image becomes labels.
class SegmentationOptions {
 public:
  void add_to(Command&);
  /// The plan for a model with this description, named in messages by `name`. Applies the settings that were given to
  /// the method, and throws one sentence for those that it does not have.
  SegmentationPlan plan(Method&, const Json& info, const std::string& name) const;

  /// Sentences about options of tiling and scale that have no effect on this method.
  std::vector<std::string> unused_options(const Method&) const;

 private:
  TilingOptions chosen_tiling() const;
  void choose_scale(SegmentationPlan&, const Json& info, const std::string& name) const;

  std::string tiling_, norm_, scale_;
  std::optional<int> tile_, overlap_;
  std::optional<double> diameter_, pixel_size_;
  bool tta_ = false;
  ObjectFilter filter_;
  SettingOptions settings_;
};

/// Adds --min-size, --max-size, --exclude-edges and --fill-holes.
void add_filter_options(Command&, ObjectFilter&);

}  // namespace basin::tools

#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/dataset/ignored.h"
#include "engine/json.h"
#include "models/inference/segmenter.h"
#include "models/inference/validation.h"
#include "models/method.h"

namespace basin {

/// The values to try for a decoding setting, as texts.
struct Candidates {
  std::string key;
  std::vector<std::string> texts;
  std::string option = {};  // the option that gave them, for messages; empty: --try
};
/// All combinations are tried, the last setting varying fastest; other settings keep their values.
using DecodingGrid = std::vector<Candidates>;

/// The values to try that the method proposes.
DecodingGrid proposed_grid(const Settings&);

/// The method's present decoding, then every other combination of the grid, each as returned by Settings::decoding().
/// Throws one sentence for values that cannot be used. Leaves the settings unchanged.
std::vector<Json> decodings_to_try(Settings&, const DecodingGrid&);

/// Throws one sentence that names a combination of values which the method refuses, with as few of the grid's settings
/// as suffice for that. Leaves the settings unchanged.
void check_decodings(Method&, const DecodingGrid&, const std::vector<Json>& decodings);

/// Scores the instances that each decoding yields from the maps of one image, whose true objects do not overlap.
std::vector<ImageScore> score_decodings(const Exec&, const Method&, const Maps&, const Truth&,
                                        const std::vector<Json>& decodings);

/// The scores of each decoding on labelled images, segmented with these options. The network runs once per image or
/// view, not once per decoding. `seen` is called after each image.
std::vector<ValidationScores> try_decodings(const Exec&, const Method&, const Predictor&, const std::vector<Example>&,
                                            const std::vector<Json>& decodings, Dialect, const SegmentOptions&,
                                            const std::function<void(const Example&)>& seen = {});

/// The score to compare decodings by: "AP50", "AP75", "AP90" or "AP50:95".
double criterion(const ValidationScores&, const std::string& by);

/// Indices of the decodings, best first. Ties keep the order of the list, so the present decoding, its first, wins a
/// tie.
std::vector<size_t> ranking(const std::vector<ValidationScores>&, const std::string& by);

}  // namespace basin

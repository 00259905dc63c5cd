#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "engine/json.h"
#include "models/inference/segmenter.h"
#include "models/inference/validation.h"
#include "models/method.h"

namespace basin {

/// The values that are tried for a decoding setting, as texts.
struct Candidates {
  std::string key;
  std::vector<std::string> texts;
  std::string option = {};  // that gave them, for messages; empty: --try
};
/// All combinations are tried, the last setting varying fastest; settings that are not among them stay as they are.
using DecodingGrid = std::vector<Candidates>;

/// The values that the method proposes.
DecodingGrid proposed_grid(const Settings&);

/// The method's present decoding, then every combination of the grid but that, each as Settings::decoding() gives it.
/// Throws one sentence for what cannot be used. The settings are afterwards what they were.
std::vector<Json> decodings_to_try(Settings&, const DecodingGrid&);

/// Scores the instances that each decoding makes of the maps of one image.
std::vector<ImageScore> score_decodings(const Exec&, const Method&, const Maps&, const Labels& truth,
                                        const std::vector<Json>& decodings);

/// The scores of each decoding on labelled images, whose maps are those of the options. The network sees each image
/// once, or once in each view. `seen` is called after each image.
std::vector<ValidationScores> try_decodings(const Exec&, const Method&, const Predictor&, const std::vector<Example>&,
                                            const std::vector<Json>& decodings, Dialect, const SegmentOptions&,
                                            const std::function<void(const Example&)>& seen = {});

/// What the best decoding is best in: "AP50", "AP75", "AP90" or "AP50:95".
double criterion(const ValidationScores&, const std::string& by);

/// Numbers of the decodings, the best first; equally good ones in the order of the list, so that the present one, which
/// is its first, wins a tie.
std::vector<size_t> ranking(const std::vector<ValidationScores>&, const std::string& by);

}  // namespace basin

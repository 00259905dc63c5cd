#include "models/inference/tuning.h"

#include <algorithm>
#include <numeric>

#include "data/metrics/truth_score.h"
#include "engine/text.h"

namespace basin {
namespace {

/// Why the method refuses a decoding; empty if it accepts it.
std::string refusal_of(Method& method, const Json& decoding) {
  method.settings().set_decoding(decoding);
  try {
    method.check_settings();
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

}  // namespace

DecodingGrid proposed_grid(const Settings& settings) {
  DecodingGrid grid;
  for (const Setting& s : settings.all())
    if (!s.candidates.empty()) grid.push_back({s.key, s.candidates});
  return grid;
}

std::vector<Json> decodings_to_try(Settings& settings, const DecodingGrid& grid) {
  const Json present = settings.decoding();
  std::vector<Json> all{present};
  std::vector<std::vector<Json>> values;
  size_t combinations = 1;
  for (const auto& [key, texts, option] : grid) {
    if (texts.empty()) refuse(option.empty() ? "--try " + key : option, ": expected at least one value");
    if (settings.find(key).changes_maps)
      refuse("--try ", key,
             "=...: the maps of the network depend on it, and tune computes them only once; compare two "
             "runs of segment instead");
    std::vector<Json>& checked = values.emplace_back();
    for (const std::string& text : texts) {
      settings.set({key, text, option.empty() ? "--try " + key + "=" + text : option + " " + text},
                   {Setting::Use::decoding});
      checked.push_back(settings.find(key).value());
    }
    settings.set_decoding(present);
    combinations *= texts.size();
    if (combinations > 1000000) refuse("tune would try more than 1000000 combinations; give fewer values");
  }
  if (grid.empty()) return all;
  for (size_t k = 0; k < combinations; ++k) {
    Json decoding = present;
    size_t rest = k;
    for (size_t i = grid.size(); i-- > 0;) {
      decoding[grid[i].key] = values[i][rest % values[i].size()];
      rest /= values[i].size();
    }
    if (decoding != present) all.push_back(std::move(decoding));
  }
  return all;
}

void check_decodings(Method& method, const DecodingGrid& grid, const std::vector<Json>& decodings) {
  const Json present = method.settings().decoding();
  for (Json decoding : decodings) {
    std::string why = refusal_of(method, decoding);
    if (why.empty()) continue;
    std::string combination;
    for (const Candidates& c : grid) {
      Json without = decoding;
      without[c.key] = present[c.key];
      if (const std::string still = refusal_of(method, without); !still.empty()) {
        decoding = without, why = still;
        continue;
      }
      add_to_list(combination, c.key + "=" + method.settings().find(c.key).text_of(decoding[c.key]));
    }
    method.settings().set_decoding(present);
    refuse("tune cannot try ", combination, ": ", why);
  }
  method.settings().set_decoding(present);
}

std::vector<ImageScore> score_decodings(const Exec& exec, const Method& method, const Maps& maps, const Truth& truth,
                                        const std::vector<Json>& decodings) {
  const Labels& objects = std::get<Labels>(truth.objects);
  std::vector<ImageScore> scores;
  const std::unique_ptr<Decoder> decoder = method.decoder(maps);
  for (const Json& decoding : decodings)
    scores.push_back(score(truth, at_size(decoder->decode(exec, decoding), objects.height, objects.width).labels));
  return scores;
}

std::vector<ValidationScores> try_decodings(const Exec& exec, const Method& method, const Predictor& predictor,
                                            const std::vector<Example>& examples, const std::vector<Json>& decodings,
                                            Dialect dialect, const SegmentOptions& options,
                                            const std::function<void(const Example&)>& seen) {
  std::vector<std::vector<ImageScore>> scores(decodings.size());  // for each decoding, by image
  for (const Example& e : examples) {
    const std::vector<ImageScore> of_image = with_name(e.stem, [&] {
      const Maps maps = predict_source(exec, method, predictor, e.source, options);
      return score_decodings(exec, method, maps, truth_of(e), decodings);
    });
    for (size_t k = 0; k < decodings.size(); ++k)
      scores[k].push_back(of_image[k]);
    if (seen) seen(e);
  }
  std::vector<ValidationScores> all;
  for (const std::vector<ImageScore>& of_decoding : scores)
    all.push_back(validation_scores(of_decoding, dialect));
  return all;
}

double criterion(const ValidationScores& s, const std::string& by) {
  if (by == "AP50") return s.ap50;
  if (by == "AP75") return s.ap75;
  if (by == "AP90") return s.ap90;
  BASIN_CHECK(by == "AP50:95", "criterion ", by);
  return s.ap;
}

std::vector<size_t> ranking(const std::vector<ValidationScores>& scores, const std::string& by) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return criterion(scores[a], by) > criterion(scores[b], by); });
  return order;
}

}  // namespace basin

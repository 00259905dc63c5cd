#include "models/inference/validation.h"

#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

Metric metric_of(const std::string& key, Dialect dialect) {
  for (Metric& m : metrics(dialect))
    if (m.key == key) return std::move(m);
  BASIN_CHECK(false, "no metric is called ", key);
  return {};
}

}  // namespace

ValidationScores validation_scores(std::span<const ImageScore> images, Dialect dialect) {
  const auto mean = [&](const char* key) {
    return aggregate(metric_of(key, dialect), Aggregation::mean, images).value_or(0);
  };
  return {dialect, mean("AP50"), mean("AP75"), mean("AP90"), mean("AP50:95"), mean("DiC")};
}

std::string full_name(const std::string& key, Dialect dialect) {
  return full_name(metric_of(key, dialect), Aggregation::mean);
}

Json to_json(const ValidationScores& s) {
  return {{full_name("AP50", s.dialect), s.ap50},
          {full_name("AP75", s.dialect), s.ap75},
          {full_name("AP90", s.dialect), s.ap90},
          {full_name("AP50:95", s.dialect), s.ap}};
}

}  // namespace basin

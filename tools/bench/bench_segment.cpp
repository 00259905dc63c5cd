#include <algorithm>
#include <set>

#include "data/metrics/metrics.h"
#include "data/synth/synth.h"
#include "models/inference/segmenter.h"
#include "models/methods/vector_fields.h"
#include "models/networks/tiling.h"
#include "tools/bench/bench.h"

namespace basin::tools {
namespace {

/// Runs an untrained network over the whole image, but returns the maps of a perfect one. An untrained network takes as
/// long as a trained one, but its foreground is arbitrary, and with it the work of decoding.
class TrueMaps : public Predictor {
 public:
  TrueMaps(const Exec& exec, const Method& method, const Labels& truth)
      : network_(method.predictor(exec)), maps_(method.oracle(exec, truth)) {}

  Maps predict(const Exec& exec, const Tensor& image, const TilingOptions& tiling) const override {
    network_->predict(exec, image, tiling);
    return maps_;
  }

 private:
  std::unique_ptr<Predictor> network_;
  Maps maps_;
};

Image image_of(const Labels& labels) {
  Image image{labels.height, labels.width, 1, PixelType::u8, {}};
  for (const int32_t id : labels.ids)
    image.pixels.push_back(std::byte(id ? 200 : 20));
  return image;
}

int64_t tiles_along(int length, const TilingOptions& tiling) {
  if (length <= tiling.tile) return 1;
  const std::vector<int> starts = dynamic_starts(length, tiling.tile, tiling.overlap);
  return int64_t(std::set<int>(starts.begin(), starts.end()).size());
}

}  // namespace

std::vector<BenchResult> bench_segment(const BenchOptions& asked) {
  BenchOptions o = asked;
  if (o.exec.device == Device::cpu && o.reps == 0) o.reps = 2;  // each takes several seconds
  Synthetic work;
  if (o.input.empty())
    work = make_synthetic({.size = 2048, .seed = o.seed}, 0);
  else
    work.labels = read_labels(o.input), work.image = image_of(work.labels);
  const Labels& truth = work.labels;
  VectorFields method{VectorFieldOptions{}};
  method.params().allocate(o.exec);
  method.params().init(o.exec, o.seed);
  const TrueMaps predictor(o.exec, method, truth);
  const Source source(std::move(work.image), 1, {}, "the image");
  const TilingOptions tiling{.tiling = Tiling::dynamic};  // the published tiling
  const std::string shape = std::to_string(truth.width) + "x" + std::to_string(truth.height) + ", " +
                            std::to_string(truth.count) + " objects";

  const Labels found = method.decode(o.exec, method.oracle(o.exec, truth)).labels;
  const std::optional<double> ap = average_precision(score(truth, found), 0.5, Dialect::stardist);
  BASIN_CHECK(truth.count == 0 || ap.value_or(0) > 0.9, "segment: decoding the true maps gives an AP50 of ",
              ap.value_or(0));

  std::vector<double> network, decode;
  Labels last;
  BenchResult all = time_it(o, "segment", shape, [&] {
    Segmentation s = segment_source(o.exec, method, predictor, source, {tiling});
    last = std::move(s.instances.labels);
    network.push_back(1e3 * s.network_seconds), decode.push_back(1e3 * s.decode_seconds);
  });
  BASIN_CHECK(last.ids == found.ids, "segment: the labels differ from those of the true maps");
  const auto part = [&](const char* name, const std::vector<double>& ms) {
    BenchResult r = all;
    const std::vector<double> timed(ms.end() - std::min<ptrdiff_t>(all.reps, std::ssize(ms)), ms.end());
    r.name = name;
    r.median_ms = median(timed), r.min_ms = *std::min_element(timed.begin(), timed.end());
    r.cpu_ms = r.flops = 0;
    return r;
  };
  std::vector<BenchResult> rows;
  if (o.exec.device != Device::cpu) {  // time of decoding when the host reads back in between
    const Maps maps = method.oracle(o.exec, truth);
    rows.push_back(time_it(o, "segment, decode in two parts", shape,
                           [&] { decode_in_two_parts(o.exec, maps, method.options().decoding); }));
  }
  BenchResult of_network = part("segment, network", network), of_decode = part("segment, decode", decode);
  all.flops = of_network.flops =
      h1_flops * double(tiles_along(truth.height, tiling) * tiles_along(truth.width, tiling));
  all.decode_share = of_decode.median_ms / (of_network.median_ms + of_decode.median_ms);
  rows.insert(rows.begin(), {all, of_network, of_decode});
  return rows;
}

}  // namespace basin::tools

#include <climits>
#include <cmath>
#include <cstdio>

#include "data/npy.h"
#include "engine/tensor.h"
#include "kernels/dbscan.h"
#include "kernels/snap_noise.h"
#include "tools/command.h"
#include "tools/run_json.h"

namespace basin::tools {
namespace {

struct Settings {
  Common common;
  std::filesystem::path points, out;
  kernels::DbscanOptions dbscan;
  std::string snap_noise = "none";
};

template <class T>
std::vector<int32_t> cluster(const Exec& exec, const Settings& settings, const Array& array, int64_t* clusters) {
  const int64_t n = array.shape[0];
  for (int64_t i = 0; i < 2 * n; ++i)
    if (!std::isfinite(array.as<T>()[i]))
      refuse(settings.points.string(), ": point ", i / 2, " has a coordinate that is not finite");
  const Tensor points = Tensor::empty(exec, {n, 2}, dtype_of<T>), labels = Tensor::empty(exec, {n}, DType::i32);
  points.copy_from_host(exec, array.bytes.data());
  *clusters = kernels::dbscan<T>(exec, points.view<const T, 2>(), settings.dbscan, labels.view<int32_t, 1>());
  kernels::snap_noise<T>(exec, points.view<const T, 2>(), kernels::parse_noise_rule(settings.snap_noise),
                         settings.dbscan.eps, labels.view<int32_t, 1>());
  return labels.to_host<int32_t>(exec);
}

void run(const Settings& settings) {
  keep_inputs(settings.out, {settings.points});
  const Array points = read_npy(settings.points);
  if (!points.is_real() || points.shape.size() != 2 || points.shape[1] != 2)
    refuse(settings.points.string(), ": expected points [N, 2] of float32 or float64");
  if (points.shape[0] > kernels::most_points)
    refuse(settings.points.string(), ": has ", points.shape[0], " points; up to ", kernels::most_points,
           " are clustered at once");
  kernels::parse_noise_rule(settings.snap_noise);
  const Exec exec = make_exec(settings.common);
  int64_t clusters = 0;
  const std::vector<int32_t> labels = points.type == ElementType::f32
                                          ? cluster<float>(exec, settings, points, &clusters)
                                          : cluster<double>(exec, settings, points, &clusters);
  const std::vector<int64_t> wide(labels.begin(), labels.end());
  int64_t noise = 0;
  for (const int32_t label : labels)
    noise += label < 0;
  write_npy(settings.out, {points.shape[0]}, wide.data());
  write_run_json_beside(settings.out);
  std::printf("%lld points, %lld clusters, %lld noise\n", static_cast<long long>(wide.size()),
              static_cast<long long>(clusters), static_cast<long long>(noise));
}

}  // namespace

void add_cluster(Command& program) {
  Command command = program.subcommand("cluster", "DBSCAN of points [N, 2], with the labels of scikit-learn's");
  auto settings = std::make_shared<Settings>();
  command.add("POINTS", settings->points, "points [N, 2] as (x, y), .npy of float32 or float64").required();
  command.add("--eps", settings->dbscan.eps, "points this far apart, or nearer, are neighbours").required();
  command.add("--min-samples", settings->dbscan.min_samples, "neighbours that make a core point, itself included")
      .required();
  command
      .add("--snap-noise", settings->snap_noise,
           "noise takes the label that its 5 nearest clustered points mostly have (majority, also without a value), or "
           "by Omnipose's rule that of one nearer than eps among its 5 nearest points (omnipose), or stays noise "
           "(none); default: none")
      .alone("majority");
  command.add("--out", settings->out, "labels [N], .npy of int64: clusters from 0, noise -1").required();
  add_device_options(command, settings->common);
  command.runs([settings] { run(*settings); });
}

}  // namespace basin::tools

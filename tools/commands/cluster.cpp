#include <cstdio>
#include <numeric>

#include "data/arrays/npy.h"
#include "data/files/labels.h"
#include "tools/cli/arrays.h"
#include "tools/cli/command.h"
#include "tools/cli/run_json.h"
#include "tools/cli/steps.h"

namespace basin::tools {
namespace {

struct ClusterArguments {
  Common common;
  std::filesystem::path points, mask, out;
  PlaneChoice choice;  // of the mask
  ClusterStep cluster;
};

/// Writes a label image: each mask pixel gets 1 + the cluster of its point; noise and everything else are background.
void paint(const ClusterArguments& settings, const Mask& mask, const std::vector<int32_t>& labels, int64_t clusters) {
  Labels image{mask.height, mask.width, int(clusters), std::vector<int32_t>(mask.pixels.size())};
  size_t next = 0;
  for (size_t p = 0; p < mask.pixels.size(); ++p)
    if (mask.pixels[p]) image.ids[p] = labels[next++] + 1;
  write_labels(settings.out, image);
}

void run(const ClusterArguments& settings) {
  if (settings.mask.empty()) expect_npy(settings.out);
  keep_inputs(settings.out, {settings.points, settings.mask});
  const Array points = read_npy(settings.points);
  expect_clusterable(points, settings.points.string());
  settings.cluster.check();
  Mask mask;
  if (!settings.mask.empty()) {
    mask = read_mask(settings.mask.string(), settings.choice);
    const int64_t pixels = std::accumulate(mask.pixels.begin(), mask.pixels.end(), int64_t(0));
    if (pixels != points.shape[0])
      refuse(settings.mask.string(), ": has ", pixels, " foreground pixels, but ", settings.points.string(), " has ",
             points.shape[0], " points");
  }
  const Exec exec = make_exec(settings.common);
  int64_t clusters = 0;
  const std::vector<int32_t> labels = settings.cluster.labels_of(exec, points, clusters);
  int64_t noise = 0;
  for (const int32_t label : labels)
    noise += label < 0;
  if (settings.mask.empty())
    write_npy(settings.out, {points.shape[0]}, std::vector<int64_t>(labels.begin(), labels.end()).data());
  else
    paint(settings, mask, labels, clusters);
  write_run_json_beside(settings.out);
  std::printf("%lld points, %lld clusters, %lld noise\n", static_cast<long long>(labels.size()),
              static_cast<long long>(clusters), static_cast<long long>(noise));
}

}  // namespace

void add_cluster(Command& program) {
  Command command =
      program.subcommand("cluster", "cluster points [N, 2] by DBSCAN, with the same labels as scikit-learn");
  auto settings = std::make_shared<ClusterArguments>();
  command.add("POINTS", settings->points, "points [N, 2] as (x, y), .npy of float32 or float64").required();
  settings->cluster.add_to(command);
  command.add("--mask", settings->mask,
              "image whose foreground pixels (not 0), in raster order, are where the POINTS started");
  command
      .add("--out", settings->out,
           "labels [N], .npy of int64: clusters from 0, noise is -1. With --mask: a label image (.png, .tif or .npy), "
           "clusters from 1, noise is 0")
      .output()
      .required();
  add_plane_options(command, settings->choice, Reads::labels);
  add_device_options(command, settings->common);
  command.runs([settings] { run(*settings); });
}

}  // namespace basin::tools

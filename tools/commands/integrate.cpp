#include "kernels/flow/integrate.h"

#include <memory>
#include <string>

#include "data/arrays/npy.h"
#include "kernels/cluster/mask_points.h"
#include "kernels/flow/divergence.h"
#include "tools/cli/arrays.h"
#include "tools/cli/command.h"
#include "tools/cli/run_json.h"
#include "tools/cli/steps.h"

namespace basin::tools {
namespace {

struct IntegrateRequest {
  Common common;
  std::string field, points, mask, out, rescale;
  PlaneChoice choice;  // of the mask
  IntegrateStep step;
};

/// The field multiplied by its divergence on the mask. The divergence is computed in float32.
template <class T>
Tensor rescaled(const Exec& exec, const Tensor& field, const Tensor& mask, const std::string& range) {
  const std::vector<T> given = field.to_host<T>(exec);
  const Tensor narrow = Tensor::from(exec, field.shape(), std::vector<float>(given.begin(), given.end()));
  const View<float, 3> view = narrow.view<float, 3>();
  kernels::rescale_by_divergence(exec, view, mask.view<const uint8_t, 2>(), kernels::parse_divergence_range(range),
                                 view);
  const std::vector<float> scaled = narrow.to_host<float>(exec);
  return Tensor::from(exec, field.shape(), std::vector<T>(scaled.begin(), scaled.end()));
}

void run(const IntegrateRequest& request) {
  expect_npy(request.out);
  keep_inputs(request.out, {request.field, request.points, request.mask});
  if (request.points.empty() == request.mask.empty()) refuse("integrate: give exactly one of --points and --mask");
  const kernels::IntegrateOptions options = request.step.options();
  if (!request.rescale.empty() && request.mask.empty())
    refuse("--rescale: needs the foreground pixels; give them with --mask");
  const Array field = read_npy(request.field);
  expect_field(field, request.field);
  const int h = int(field.shape[1]), w = int(field.shape[2]);
  Array start;
  if (!request.points.empty()) {
    start = read_npy(request.points);
    expect_points(start, request.points);
  }
  const Exec exec = make_exec(request.common);
  const DType dtype = wider(field, request.points.empty() ? field : start);
  Tensor vectors = to_tensor(exec, field, dtype, {2, h, w});
  with_real(dtype, [&]<class T>(T) {
    Tensor points;
    if (!request.points.empty()) {
      points = to_tensor(exec, start, dtype, {start.shape[0], 2});
    } else {
      const Mask read = read_mask(request.mask, request.choice);
      if (read.height != h || read.width != w)
        refuse(request.mask, ": a mask of ", read.height, " x ", read.width, " pixels for a field of ", h, " x ", w);
      const Tensor mask = Tensor::from(exec, {h, w}, read.pixels);
      points = Tensor::empty(exec, {kernels::count_points(exec, mask.view<const uint8_t, 2>()), 2}, dtype);
      kernels::mask_points<T>(exec, mask.view<const uint8_t, 2>(), points.view<T, 2>());
      if (!request.rescale.empty()) vectors = rescaled<T>(exec, vectors, mask, request.rescale);
    }
    kernels::integrate<T>(exec, vectors.view<const T, 3>(), points.view<T, 2>(), options);
    const std::vector<T> moved = points.to_host<T>(exec);
    expect_finite(moved, request.field, "final coordinates of points");
    write_npy(request.out, {points.dim(0), 2}, moved.data());
  });
  write_run_json_beside(request.out);
}

}  // namespace

void add_integrate(Command& program) {
  Command command = program.subcommand("integrate", "move points through a vector field");
  auto request = std::make_shared<IntegrateRequest>();
  command.add("FIELD", request->field, "the field: .npy, float32 or float64 [2,H,W], x then y, px").required();
  command.add("--points", request->points, "starting points: .npy, float32 or float64 [N,2], (x, y)");
  command.add("--mask", request->mask,
              "start at the foreground pixels (not 0) of this image or .npy [H,W], in raster order");
  request->step.add_to(command);
  command
      .add("--rescale", request->rescale,
           "as in Omnipose: normalise the vectors on --mask, multiply by their divergence, scaled so that these "
           "percentiles "
           "are 0 and 1 (no value: 0.01,99.99); default: off")
      .alone("0.01,99.99", {});
  command.add("--out", request->out, "final points: .npy [N,2], in the wider element type of the inputs")
      .output()
      .required();
  add_plane_options(command, request->choice, Reads::labels);
  add_device_options(command, request->common);
  command.runs([request] { run(*request); });
}

}  // namespace basin::tools

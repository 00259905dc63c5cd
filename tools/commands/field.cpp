#include <algorithm>
#include <memory>
#include <string>

#include "data/arrays/npy.h"
#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/field/affinity_field.h"
#include "kernels/field/centroid_field.h"
#include "kernels/field/distance_field.h"
#include "kernels/field/omnipose_field.h"
#include "kernels/image/tiles.h"
#include "tools/cli/command.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

using kernels::CentroidMode;

struct FieldRequest {
  Common common;
  std::string labels, out, kind = "sdf", mode = "unit";
  kernels::SdfFieldOptions sdf;
};

void run(const FieldRequest& request) {
  expect_npy(request.out);
  keep_inputs(request.out, {request.labels});
  if (request.sdf.kernel % 2 == 0) refuse("--kernel ", request.sdf.kernel, ": expected an odd number");
  const Exec exec = make_exec(request.common);
  const Labels labels = read_labels(request.labels);
  if (request.kind == "centroid" && int64_t(labels.ids.size()) >= kernels::centroid_pixel_limit)
    refuse(request.labels, ": has ", labels.ids.size(), " pixels; --kind centroid works on fewer than ",
           kernels::centroid_pixel_limit);
  // As in training, the outside of the image is background: one row or column of it is added on each side.
  const int height = labels.height + 2, width = labels.width + 2;
  std::vector<int32_t> framed(size_t(height) * size_t(width));
  for (int y = 0; y < labels.height; ++y)
    std::copy_n(labels.ids.begin() + ptrdiff_t(y) * labels.width, labels.width,
                framed.begin() + ptrdiff_t(y + 1) * width + 1);
  const Tensor ids = Tensor::from(exec, {height, width}, framed);
  const Tensor whole = Tensor::empty(exec, {2, height, width}),
               field = Tensor::empty(exec, {2, labels.height, labels.width});
  const auto from = ids.view<const int32_t, 2>();
  const auto to = whole.view<float, 3>();
  if (request.kind == "sdf")
    kernels::sdf_field(exec, from, request.sdf, to);
  else if (request.kind == "affinity")
    kernels::affinity_field(exec, from, request.sdf.kernel, to);
  else if (request.kind == "omnipose")
    kernels::omnipose_field(exec, from, to);
  else
    kernels::centroid_field(exec, from, request.mode == "unit" ? CentroidMode::unit : CentroidMode::displacement, to);
  kernels::cut_tile(exec, whole.view<const float, 3>(), 1, 1, kernels::Outside::zero, kernels::Outside::zero,
                    field.view<float, 3>());
  report_notes(labels.notes);
  write_npy(request.out, {2, labels.height, labels.width}, field.to_host<float>(exec).data());
  write_run_json_beside(request.out);
}

}  // namespace

void add_field(Command& program) {
  Command command =
      program.subcommand("field", "compute the vector field of a label image, the training target of a network");
  auto request = std::make_shared<FieldRequest>();
  command.add("LABELS", request->labels, "label image: .png, .tif or .npy [H,W]; 0 is background").required();
  command.add("--kind", request->kind, "which vector field")
      .one_of({"sdf", "affinity", "omnipose", "centroid"})
      .shown();
  command.add("--truncate", request->sdf.truncate, "sdf: largest distance, px; farther ones are clipped to it")
      .within(1, 30000)
      .shown();
  command.add("--kernel", request->sdf.kernel, "sdf, affinity: width of the window, odd, px").within(3, 63).shown();
  command.add("--mode", request->mode, "centroid: unit vectors towards the centroid, or the whole displacement to it")
      .one_of({"unit", "displacement"})
      .shown();
  command.add("--out", request->out, "the field: .npy, float32 [2,H,W], x then y").required();
  add_device_options(command, request->common);
  command.runs([request] { run(*request); });
}

}  // namespace basin::tools

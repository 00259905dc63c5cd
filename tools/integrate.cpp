#include "kernels/integrate.h"

#include <memory>
#include <string>

#include "data/image.h"
#include "data/npy.h"
#include "engine/files.h"
#include "kernels/points.h"
#include "tools/arrays.h"
#include "tools/command.h"

namespace basin::tools {
namespace {

struct IntegrateRequest {
  Common common;
  std::string field, points, mask, out, solver = "euler", interpolation = "bilinear", suppression = "none";
  kernels::IntegrateOptions options;
};

/// 1 where any channel of the image is not 0.
std::vector<uint8_t> non_zero(const Image& image) {
  std::vector<uint8_t> mask(size_t(image.height) * size_t(image.width));
  const size_t size = size_of(image.type) * size_t(image.channels);
  for (size_t p = 0; p < mask.size(); ++p)
    for (size_t b = 0; b < size; ++b)
      mask[p] |= image.pixels[p * size + b] != std::byte{0};
  return mask;
}

/// A mask [H, W] from an image or a .npy file: which pixels are not 0.
Tensor read_mask(const Exec& exec, const std::string& path, int height, int width) {
  std::vector<uint8_t> mask;
  int64_t h = 0, w = 0;
  if (lower_extension(path) == ".npy") {
    const Array array = read_npy(path);
    if (array.shape.size() != 2) refuse(path, ": expected a mask [H, W], not ", shape_text(array));
    h = array.shape[0], w = array.shape[1];
    mask = with_element(array.type, [&]<class T>(T) {
      std::vector<uint8_t> m;
      for (const T v : array.values<T>())
        m.push_back(v != 0);
      return m;
    });
  } else {
    const Image image = read_image(path);
    h = image.height, w = image.width;
    mask = non_zero(image);
  }
  if (h != height || w != width)
    refuse(path, ": a mask of ", h, " x ", w, " pixels for a field of ", height, " x ", width);
  return Tensor::from(exec, {h, w}, mask);
}

void run(IntegrateRequest request) {
  if (request.points.empty() == request.mask.empty()) refuse("integrate: give either --points or --mask");
  request.options.solver = kernels::parse_solver(request.solver);
  request.options.interpolation = kernels::parse_interpolation(request.interpolation);
  request.options.suppression = kernels::parse_suppression(request.suppression);
  if (request.options.suppression != kernels::Suppression::none && request.options.solver != kernels::Solver::euler)
    refuse("--suppress: is defined for --solver euler");
  const Array field = read_real(request.field, {3});
  if (field.shape[0] != 2 || field.size() == 0)
    refuse(request.field, ": expected a field [2, H, W], not ", shape_text(field));
  const int h = int(field.shape[1]), w = int(field.shape[2]);
  constexpr int most = 1 << 22;
  if (h >= most || w >= most || int64_t(h) * w >= int64_t(1) << 31)
    refuse(request.field, ": a field of ", h, " x ", w, " pixels is too large");

  Array start;
  if (!request.points.empty()) {
    start = read_real(request.points, {2});
    if (start.shape[1] != 2) refuse(request.points, ": expected points [N, 2], not ", shape_text(start));
  }
  const Exec exec = make_exec(request.common);
  const DType dtype = wider(field, request.points.empty() ? field : start);
  const Tensor vectors = to_tensor(exec, field, dtype, {2, h, w});
  with_real(dtype, [&]<class T>(T) {
    Tensor points;
    if (!request.points.empty()) {
      points = to_tensor(exec, start, dtype, {start.shape[0], 2});
    } else {
      const Tensor mask = read_mask(exec, request.mask, h, w);
      points = Tensor::empty(exec, {kernels::count_points(exec, mask.view<const uint8_t, 2>()), 2}, dtype);
      kernels::mask_points<T>(exec, mask.view<const uint8_t, 2>(), points.view<T, 2>());
    }
    kernels::integrate<T>(exec, vectors.view<const T, 3>(), points.view<T, 2>(), request.options);
    write_npy(request.out, {points.dim(0), 2}, points.to_host<T>(exec).data());
  });
}

}  // namespace

void add_integrate(Command& program) {
  Command command = program.subcommand("integrate", "move points through a vector field");
  auto request = std::make_shared<IntegrateRequest>();
  command.add("FIELD", request->field, "the field: .npy, float32 or float64 [2,H,W], x then y, px").required();
  command.add("--points", request->points, "where to start: .npy, float32 or float64 [N,2], (x, y)");
  command.add("--mask", request->mask,
              "start at the pixels of this image (or .npy [H,W]) that are not 0, in raster order");
  command.add("--solver", request->solver, "how to step").one_of({"euler", "midpoint", "rk4", "dopri5"}).shown();
  command.add("--step", request->options.step, "length of a step in time; dopri5: of the first trial")
      .positive()
      .shown();
  command.add("--steps", request->options.steps, "number of steps; dopri5 integrates to step * steps")
      .within(0, 100000000)
      .shown();
  command.add("--tolerance", request->options.tolerance, "dopri5: the largest error of a step, px").positive().shown();
  command.add("--interpolation", request->interpolation, "how to read the field between pixels")
      .one_of({"bilinear", "nearest"})
      .shown();
  command
      .add("--suppress", request->suppression,
           "euler: slow the flow down with time, as in Omnipose's paper (also without a value) or as in its code; "
           "default: not")
      .alone("paper")
      .one_of({"none", "paper", "omnipose"});
  command.add("--out", request->out, "where the points end: .npy [N,2], as wide as the inputs").required();
  add_device_options(command, request->common);
  command.runs([request] { run(*request); });
}

}  // namespace basin::tools

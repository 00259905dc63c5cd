#include "kernels/image/components.h"

#include <cstdio>

#include "data/files/labels.h"
#include "engine/tensor.h"
#include "tools/cli/arrays.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

struct ComponentsArguments {
  Common common;
  std::filesystem::path image, out;
  PlaneChoice choice;
  int connectivity = 8;
};

void run(const ComponentsArguments& settings) {
  keep_inputs(settings.out, {settings.image});
  const Mask mask = read_mask(settings.image.string(), settings.choice);
  const Exec exec = make_exec(settings.common);
  const Tensor pixels = Tensor::from(exec, {mask.height, mask.width}, mask.pixels);
  const Tensor ids = Tensor::empty(exec, {mask.height, mask.width}, DType::i32);
  const int64_t count =
      kernels::components(exec, pixels.view<const uint8_t, 2>(), settings.connectivity, ids.view<int32_t, 2>());
  write_labels(settings.out, {mask.height, mask.width, int(count), ids.to_host<int32_t>(exec)});
  write_run_json_beside(settings.out);
  std::printf("%s\n", counted(count, "component").c_str());
}

}  // namespace

void add_components(Command& program) {
  Command command = program.subcommand("components", "label the connected components of a mask");
  auto settings = std::make_shared<ComponentsArguments>();
  command.add("IMAGE", settings->image, "image, or .npy [H, W]: pixels that are not 0 are foreground").required();
  command.add("--connectivity", settings->connectivity, "neighbours of a pixel: 4 or 8").one_of({4, 8}).shown();
  command
      .add("--out", settings->out,
           "label image (.npy, .png or .tif): components numbered from 1 in raster order of their first pixel")
      .output()
      .required();
  add_plane_options(command, settings->choice, Reads::labels);
  add_device_options(command, settings->common);
  command.runs([settings] { run(*settings); });
}

}  // namespace basin::tools

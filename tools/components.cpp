#include "kernels/components.h"

#include <algorithm>
#include <cstdio>

#include "data/image.h"
#include "data/labels.h"
#include "data/npy.h"
#include "engine/tensor.h"
#include "tools/command.h"

namespace basin::tools {
namespace {

struct Settings {
  Common common;
  std::filesystem::path image, out;
  int connectivity = 8;
};

struct Mask {
  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  // 0 or 1
};

template <class T>
std::vector<uint8_t> nonzero(const T* values, size_t n) {
  std::vector<uint8_t> mask(n);
  for (size_t i = 0; i < n; ++i)
    mask[i] = values[i] != 0;
  return mask;
}

Mask read_mask(const std::filesystem::path& path) {
  if (path.extension() == ".npy") {
    const Array array = read_npy(path);
    if (array.shape.size() != 2) refuse(path.string(), ": expected an array [H, W]");
    if (std::max({array.shape[0], array.shape[1], array.size()}) > INT32_MAX)
      refuse(path.string(), ": 2^31 pixels or more");
    return {int(array.shape[0]), int(array.shape[1]), with_element(array.type, [&](auto zero) {
              return nonzero(array.as<decltype(zero)>(), size_t(array.size()));
            })};
  }
  const Image image = read_image(path);
  if (image.channels != 1) refuse(path.string(), ": expected one channel, not ", image.channels);
  const size_t n = size_t(image.height) * size_t(image.width);
  if (n > INT32_MAX) refuse(path.string(), ": 2^31 pixels or more");
  switch (image.type) {
    case PixelType::u8:
      return {image.height, image.width, nonzero(image.as<uint8_t>(), n)};
    case PixelType::u16:
      return {image.height, image.width, nonzero(image.as<uint16_t>(), n)};
    case PixelType::u32:
      return {image.height, image.width, nonzero(image.as<uint32_t>(), n)};
    case PixelType::f32:
      break;
  }
  return {image.height, image.width, nonzero(image.as<float>(), n)};
}

void run(const Settings& settings) {
  const Mask mask = read_mask(settings.image);
  const Exec exec = make_exec(settings.common);
  const Tensor pixels = Tensor::from(exec, {mask.height, mask.width}, mask.pixels);
  const Tensor ids = Tensor::empty(exec, {mask.height, mask.width}, DType::i32);
  const int64_t count =
      kernels::components(exec, pixels.view<const uint8_t, 2>(), settings.connectivity, ids.view<int32_t, 2>());
  write_labels(settings.out, {mask.height, mask.width, int(count), ids.to_host<int32_t>(exec)});
  std::printf("%lld components\n", static_cast<long long>(count));
}

}  // namespace

void add_components(Command& program) {
  Command command = program.subcommand("components", "label the connected components of a mask");
  auto settings = std::make_shared<Settings>();
  command.add("IMAGE", settings->image, "one channel, or .npy [H, W]: what is not 0 is foreground").required();
  command.add("--connectivity", settings->connectivity, "4 or 8 neighbours to a pixel").one_of({4, 8}).shown();
  command.add("--out", settings->out, "labels from 1 in raster order of the first pixel: .npy, .png, .tif").required();
  add_device_options(command, settings->common);
  command.runs([settings] { run(*settings); });
}

}  // namespace basin::tools

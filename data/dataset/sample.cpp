#include "data/dataset/sample.h"

#include "kernels/image/symmetry.h"
#include "kernels/runtime/scratch.h"

namespace basin {
namespace {

void add(TargetTensors& all, const std::string& name, Tensor tensor) {
  BASIN_CHECK(!name.empty() && name != "image", "a target cannot be named \"", name, '"');
  BASIN_CHECK(tensor.dtype() == DType::f32 || tensor.dtype() == DType::i32, "target ", name,
              " has elements that are neither float32 nor int32");
  BASIN_CHECK(all.emplace(name, std::move(tensor)).second, "two targets are named ", name);
}

}  // namespace

TargetTensors make_target_tensors(const Exec& exec, const TargetSpec& spec, int64_t n, int64_t height, int64_t width) {
  TargetTensors all;
  for (const TargetMap& m : spec.maps) {
    BASIN_CHECK(m.channels > 0 && m.down > 0 && height % m.down == 0 && width % m.down == 0, "target ", m.name,
                " cannot have ", m.channels, " channels of a crop of ", height, " x ", width, " pixels reduced ",
                m.down, " times");
    add(all, m.name, Tensor::empty(exec, {n, m.channels, height / m.down, width / m.down}, m.type));
  }
  for (const TargetTable& t : spec.tables) {
    BASIN_CHECK(t.capacity > 0 && t.columns > 0, "target ", t.name, " cannot have ", t.capacity, " rows of ", t.columns,
                " columns");
    add(all, t.name, Tensor::empty(exec, {n, t.capacity, t.columns}, t.type));
    add(all, t.name + "_count", Tensor::empty(exec, {n}, DType::i32));
  }
  return all;
}

void clear_tables(const Exec& exec, const TargetSpec& spec, const TargetTensors& targets) {
  for (const TargetTable& t : spec.tables) {
    targets.at(t.name).zero(exec);
    targets.at(t.name + "_count").zero(exec);
  }
}

const Tensor& SampleTargets::tensor(const std::string& name) const {
  const auto at = batch_.find(name);
  BASIN_CHECK(at != batch_.end(), "there is no target named ", name);
  return at->second;
}

void prepare(const Exec& exec, const RawSample& raw, const MakeTargets& make_targets, View<float, 3> image,
             const SampleTargets& targets) {
  const int layers = raw.labels.dim[0], size = raw.labels.dim[1], crop = raw.image.dim[1];
  BASIN_CHECK(raw.labels.dim[2] == size && raw.image.dim[2] == crop && crop > 0 && size >= crop, "the image is ",
              raw.image, " and the labels are ", raw.labels);
  const Temp<int32_t> memory(exec, raw.labels.size());
  const View<int32_t, 3> labels{memory.data(), {layers, size, size}};
  kernels::move_pixels<int32_t>(exec, square_map(raw.transform, size), raw.labels, labels);
  kernels::move_pixels<float>(exec, square_map(raw.transform, crop), raw.image, image);
  make_targets(exec, labels, targets);
}

}  // namespace basin

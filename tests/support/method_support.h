#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "models/registry.h"

// Methods by name, and batches for their losses.

namespace basin::test {

/// The method with this name and these settings, each "key=value".
inline std::unique_ptr<Method> method_with(const std::string& name, const std::vector<std::string>& assignments) {
  std::vector<Assignment> all;
  for (const std::string& a : assignments)
    all.push_back(parse_assignment(a));
  return make_method(name, all);
}

/// A batch of one whole image, from its pixels [C, H, W], with the method's training targets for its labels.
inline Batch batch_of(const Exec& exec, const Method& method, const Labels& labels, const std::vector<float>& pixels) {
  const Exec cpu;
  const SampleSpec spec = method.sample_spec();
  const int height = labels.height + 2 * spec.margin, width = labels.width + 2 * spec.margin;
  std::vector<int32_t> ids(size_t(height) * size_t(width), spec.beyond);
  for (int y = 0; y < labels.height; ++y)
    std::copy_n(&labels.ids[size_t(y) * size_t(labels.width)], labels.width,
                &ids[size_t(y + spec.margin) * size_t(width) + size_t(spec.margin)]);
  const TargetTensors targets = make_target_tensors(cpu, method.targets(), 1, labels.height, labels.width);
  clear_tables(cpu, method.targets(), targets);
  method.make_targets(cpu, {ids.data(), {1, height, width}}, SampleTargets(targets, 0));
  Batch batch;
  for (const auto& [name, target] : targets)
    batch.tensors[name] = target.to_device(exec);
  const int64_t channels = int64_t(pixels.size()) / (int64_t(labels.height) * labels.width);
  batch.tensors["image"] = Tensor::from(exec, {1, channels, labels.height, labels.width}, pixels);
  return batch;
}

}  // namespace basin::test

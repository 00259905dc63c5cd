#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/synth/synth.h"
#include "engine/files.h"
#include "engine/safetensors.h"
#include "models/methods/vector_fields.h"
#include "models/training/trainer.h"
#include "tests/support/file_support.h"

// Short training runs of a small network on synthetic images.

namespace basin::test {

inline std::vector<Example> synthetic(int count, int size) {
  std::vector<Example> examples;
  for (int i = 0; i < count; ++i) {
    Synthetic s = make_synthetic({.size = size, .seed = 4}, i);
    examples.push_back(
        {"image" + std::to_string(i), Source(std::move(s.image), 1, {}, "synthetic"), StoredLabels(s.labels)});
  }
  return examples;
}

inline VectorFieldOptions small_options() {
  VectorFieldOptions o;
  o.net.width = 8;
  return o;
}

inline TrainOptions few_steps(int64_t steps) {
  TrainOptions o;
  o.steps = steps, o.save_every = 2, o.validate_every = 4, o.crop = 16;
  o.augment = parse_augmentation("flip,rotate,brightness,noise,scale,angle,gamma");
  o.workers = 2;
  o.segment.tiling.tile = 64;
  return o;
}

inline void run(const std::filesystem::path& folder, const TrainOptions& options, bool resume, const Exec& exec = {}) {
  VectorFields method(small_options());
  method.params().allocate(exec);
  const std::vector<Example> examples = synthetic(5, 64);
  const std::vector<Example> held(examples.begin(), examples.begin() + 1);
  train(exec, method, examples, held, options, {folder}, resume);
}

inline SafeTensors read_state(const Folder& folder) {
  return decode_safetensors(read_file(folder / "last.state.safetensors"), "state");
}

}  // namespace basin::test

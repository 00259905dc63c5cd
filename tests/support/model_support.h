#pragma once
#include "models/methods/vector_fields.h"

namespace basin::test {

inline VectorFieldOptions of_width_8(VectorFieldOptions options) {
  options.net.width = 8;
  return options;
}

/// A small untrained model, for tests in which its results do not matter.
struct Untrained {
  VectorFields method;
  std::unique_ptr<Predictor> predictor;

  explicit Untrained(const VectorFieldOptions& options = {}, uint64_t seed = 1, const Exec& exec = {})
      : method(of_width_8(options)) {
    method.params().allocate(exec);
    method.params().init(exec, seed);
    predictor = method.predictor(exec);
  }
};

}  // namespace basin::test

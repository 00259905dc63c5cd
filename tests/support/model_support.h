#pragma once
#include "models/methods/vector_fields.h"

namespace basin::test {

inline VectorFieldOptions of_width_8(VectorFieldOptions options) {
  options.net.width = 8;
  return options;
}

/// A small model that was never trained: for tests where it does not matter what it finds.
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

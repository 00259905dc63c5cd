#pragma once
#include "models/methods/vector_fields.h"

namespace basin::test {

/// A small model that was never trained, ready to predict: for tests where it does not matter what it finds.
inline VectorFields untrained(VectorFieldOptions options = {}, uint64_t seed = 1) {
  const Exec cpu;
  options.net.width = 8;
  VectorFields method(options);
  method.params().allocate(cpu);
  method.params().init(cpu, seed);
  method.refresh(cpu);
  return method;
}

}  // namespace basin::test

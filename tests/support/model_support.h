#pragma once
#include <algorithm>
#include <cmath>
#include <set>

#include "models/inference/model_file.h"
#include "models/methods/vector_fields.h"
#include "tests/support/support.h"

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

/// Writes the file of a small untrained model.
inline void put_model(const std::filesystem::path& path) { save_model(path, {}, Untrained().method, Json::object()); }

/// Gives all batch norms of a network random parameters and running statistics, as those of a trained one.
inline void randomise_norms(const Exec& exec, const Params& params) {
  unsigned seed = 1;
  const auto set = [&](const Tensor& to, double low, double high) {
    to.copy_from_host(exec, uniform<float>(size_t(to.shape().size()), low, high, seed++).data());
  };
  std::set<std::string> norms;
  for (const Params::Named& n : params.statistics()) {
    n.name.ends_with("var") ? set(params.statistic_slice(n), 0.5, 2) : set(params.statistic_slice(n), -0.5, 0.5);
    norms.insert(n.name.substr(0, n.name.rfind('.')));
  }
  for (const Params::Named& n : params.learnt())
    if (norms.contains(n.name.substr(0, n.name.rfind('.'))))
      n.name.ends_with("weight") ? set(params.value_slice(n), 0.5, 1.5) : set(params.value_slice(n), -0.5, 0.5);
}

/// Checks that maps differ only by rounding: by less than `tolerance` of the largest value of `want`.
inline void check_same_maps(const std::vector<float>& got, const std::vector<float>& want, double tolerance) {
  float largest = 0;
  for (const float v : want)
    largest = std::max(largest, std::abs(v));
  CHECK(largest > 0.1f);
  check_close(got, want, tolerance * double(largest), 0);
}

}  // namespace basin::test

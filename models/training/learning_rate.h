#pragma once
#include <string>

#include "models/method.h"

namespace basin {

/// The learning rate of a step, 0 to steps - 1.
double learning_rate(const LearningRate&, int64_t step, int64_t steps);

/// Whether the learning rate of a step depends on the total number of steps.
bool depends_on_length(const LearningRate&);

/// "constant", "cosine", "polynomial" or "step"; throws one sentence for any other.
Schedule parse_schedule(const std::string&);
std::string to_string(Schedule);

}  // namespace basin

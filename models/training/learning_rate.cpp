#include "models/training/learning_rate.h"

#include <algorithm>
#include <cmath>

#include "kernels/runtime/enum_names.h"

namespace basin {
namespace {

constexpr std::pair<Schedule, const char*> schedules[] = {{Schedule::constant, "constant"},
                                                          {Schedule::cosine, "cosine"},
                                                          {Schedule::polynomial, "polynomial"},
                                                          {Schedule::step, "step"}};

double scheduled_rate(const LearningRate& r, int64_t step, int64_t steps) {
  switch (r.schedule) {
    case Schedule::constant:
      return r.rate;
    case Schedule::cosine:
      return r.rate * 0.5 * (1 + std::cos(3.14159265358979323846 * double(step) / double(steps)));
    case Schedule::polynomial:
      return r.rate * std::pow(std::max(0.0, 1 - double(step) / double(steps)), r.power);
    case Schedule::step:
      return r.rate * std::pow(r.factor, double(step / r.every));
  }
  return r.rate;
}

}  // namespace

double learning_rate(const LearningRate& r, int64_t step, int64_t steps) {
  const double rate = scheduled_rate(r, step, steps);
  return step < r.warm_up ? rate * double(step + 1) / double(r.warm_up) : rate;
}

bool depends_on_length(const LearningRate& r) {
  return r.schedule == Schedule::cosine || r.schedule == Schedule::polynomial;
}

Schedule parse_schedule(const std::string& text) { return value_in(schedules, "--schedule", text); }
std::string to_string(Schedule schedule) { return name_in(schedules, schedule); }

}  // namespace basin

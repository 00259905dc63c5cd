#include "models/training/learning_rate.h"
#include "tests/support/method_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

LearningRate default_rate(const std::string& method) { return method_with(method, {})->training_defaults().rate; }

void check_rates(const LearningRate& rate, int64_t steps, const std::vector<std::pair<int64_t, double>>& expected) {
  for (const auto& [step, want] : expected) {
    CAPTURE(step);
    CHECK(learning_rate(rate, step, steps) / want == doctest::Approx(1).epsilon(1e-6));
  }
}

}  // namespace

TEST_CASE("learning rate: the published polynomial of es") {
  // 5e-4 (1 - epoch / 200)^0.9 in the 200 epochs of Lalit et al. (2022), with one step in each.
  check_rates(default_rate("es"), 200,
              {{0, 5e-4}, {50, 3.8594475e-4}, {100, 2.6794337e-4}, {150, 1.4358729e-4}, {199, 4.2466162e-6}});
  CHECK(learning_rate(default_rate("es"), 200, 200) == 0);
  CHECK(learning_rate(default_rate("es"), 201, 200) == 0);
  CHECK(depends_on_length(default_rate("es")));
}

TEST_CASE("learning rate: the published steps of wn and fc, which do not depend on the length of the run") {
  // Times 0.9 after every 5,000 steps: exponential_decay(lr, global_step, 5000, 0.9, staircase=True) of wn's authors.
  // fc (Cao and Yan): times 0.9 after every 80 epochs, of 604 images in batches of 4.
  for (const int64_t steps : {200, 100000}) {
    check_rates(default_rate("wn"), steps,
                {{0, 1e-4}, {4999, 1e-4}, {5000, 9e-5}, {9999, 9e-5}, {10000, 8.1e-5}, {50000, 3.48678440e-5}});
    check_rates(default_rate("fc"), steps,
                {{0, 1e-4}, {12079, 1e-4}, {12080, 9e-5}, {24159, 9e-5}, {24160, 8.1e-5}, {90599, 4.782969e-5}});
  }
  CHECK(!depends_on_length(default_rate("wn")));
  CHECK(!depends_on_length(default_rate("fc")));
}

TEST_CASE("learning rate: it rises to the scheduled one during the warm-up") {
  check_rates({.rate = 1, .warm_up = 4}, 10, {{0, .25}, {1, .5}, {2, .75}, {3, 1}, {4, 1}, {9, 1}});
  check_rates({.rate = 1, .schedule = Schedule::polynomial, .warm_up = 2, .power = 2}, 10,
              {{0, .5}, {1, .81}, {2, .64}, {9, .01}});
}

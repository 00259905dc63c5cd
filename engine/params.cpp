#include "engine/params.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "kernels/runtime/philox.h"

namespace basin {
namespace {

double fan_in(const Shape& weight) { return double(weight.size()) / weight[0]; }

/// A standard normal number by the Box-Muller method, redrawn until it is within two standard deviations.
double truncated_normal(Random& random) {
  for (;;) {
    const double radius = std::sqrt(-2 * std::log(1 - double(random.uniform())));
    const double z = radius * std::cos(2 * std::numbers::pi * double(random.uniform()));
    if (std::abs(z) <= 2) return z;
  }
}

}  // namespace

double pytorch_bound(const Shape& weight) { return 1 / std::sqrt(fan_in(weight)); }

int Params::Table::add(Named named) {
  named.offset = size;
  size += (named.shape.size() + 15) / 16 * 16;
  names.push_back(std::move(named));
  return int(names.size()) - 1;
}

int Params::add(std::string name, Shape shape, double bound, double constant) {
  BASIN_CHECK(!values_, "parameters must be added before allocate()");
  return learnt_.add({std::move(name), shape, bound, constant, 0, 0});
}

int Params::add_he_normal(std::string name, Shape shape) {
  BASIN_CHECK(!values_, "parameters must be added before allocate()");
  constexpr double deviation_within_two =
      0.87962566103423978;  // standard deviation of the normal distribution truncated at 2
  const double deviation = std::sqrt(2 / fan_in(shape)) / deviation_within_two;
  return learnt_.add({std::move(name), shape, 0, 0, deviation, 0});
}

int Params::add_statistic(std::string name, Shape shape, double constant) {
  BASIN_CHECK(!values_, "statistics must be added before allocate()");
  return statistics_.add({std::move(name), shape, 0, constant, 0, 0});
}

void Params::allocate(const Exec& exec) {
  values_ = Tensor::zeros(exec, {learnt_.size}, dtype_);
  gradients_ = Tensor::zeros(exec, {learnt_.size}, dtype_);
  running_ = Tensor::zeros(exec, {statistics_.size}, dtype_);
}

void Params::init(const Exec& exec, uint64_t seed) {
  BASIN_CHECK(values_, "init() was called before allocate()");
  with_real(dtype_, [&]<class T>(T) {
    const auto fill = [&](const Table& table, const Tensor& flat) {
      std::vector<T> host(size_t(table.size));
      uint64_t index = 0;
      for (const Named& named : table.names) {
        Random random(seed, Purpose::init, 0, index++);
        for (int64_t i = 0; i < named.shape.size(); ++i)
          host[size_t(named.offset + i)] = T(named.deviation > 0 ? truncated_normal(random) * named.deviation
                                             : named.bound > 0   ? double(random.uniform(-1, 1)) * named.bound
                                                                 : named.constant);
      }
      flat.copy_from_host(exec, host.data());
    };
    fill(learnt_, values_);
    fill(statistics_, running_);
  });
}

void Params::copy_from(const Exec& exec, const Params& from) {
  const auto check = [](const std::vector<Named>& names, const std::vector<Named>& others) {
    for (size_t k = 0; k < std::max(names.size(), others.size()); ++k) {
      if (k >= names.size()) refuse("the network has no tensor ", others[k].name);
      if (k >= others.size()) refuse("the tensor ", names[k].name, " is missing");
      if (names[k].name != others[k].name) refuse("expected the tensor ", names[k].name, ", found ", others[k].name);
      if (names[k].shape != others[k].shape)
        refuse("the tensor ", names[k].name, " has the shape ", others[k].shape, ", expected ", names[k].shape);
    }
  };
  check(learnt(), from.learnt());
  check(statistics(), from.statistics());
  values_.copy_from(exec, from.values_);
  running_.copy_from(exec, from.running_);
}

std::unique_ptr<PreparedWeights> Params::prepared_weights() const {
  return std::make_unique<PreparedWeights>(values_.data<const float>(), values_.shape().size());
}

void Params::exchange(Tensor& values, Tensor& running) {
  BASIN_CHECK(values.shape() == values_.shape() && running.shape() == running_.shape(), "values ", values.shape(),
              ", statistics ", running.shape());
  std::swap(values_, values);
  std::swap(running_, running);
}

void Params::freeze(const std::string& prefix) {
  for (Named& named : learnt_.names)
    named.frozen |= named.name.starts_with(prefix);
}

std::vector<Params::Range> Params::trained() const {
  std::vector<Range> ranges;
  bool open = false;  // the last range reaches up to this tensor
  for (const Named& named : learnt_.names) {
    if (!named.frozen && !open) ranges.push_back({named.offset, learnt_.size});
    if (named.frozen && open) ranges.back().last = named.offset;
    open = !named.frozen;
  }
  return ranges;
}

Tensor Params::slice(const Tensor& flat, const Named& named) const {
  BASIN_CHECK(flat, "a slice was requested before allocate()");
  std::byte* begin = static_cast<std::byte*>(flat.raw()) + size_t(named.offset) * size_of(dtype_);
  return Tensor::borrow(flat.owner(), begin, flat.device(), named.shape, dtype_);
}

Tensor Params::value_slice(const Named& named) const { return slice(values_, named); }
Tensor Params::statistic_slice(const Named& named) const { return slice(running_, named); }

Parameter Params::parameter(int handle) const {
  if (watch_) watch_(handle);
  const Named& named = learnt_.names.at(size_t(handle));
  return {slice(values_, named), slice(gradients_, named)};
}

Tensor Params::statistic(int handle) const { return slice(running_, statistics_.names.at(size_t(handle))); }

int64_t Params::count() const {
  int64_t n = 0;
  for (const Named& named : learnt_.names)
    n += named.shape.size();
  return n;
}

}  // namespace basin

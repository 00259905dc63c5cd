#include "models/training/stepper.h"

#include <algorithm>
#include <functional>

#include "kernels/nn/training_step.h"

namespace basin {
namespace {

constexpr size_t max_recorded = 6;  // two alternating batches, times the parts of a step
constexpr int max_losses = 8;

bool same_memory(const Batch& a, const Batch& b) {
  return std::equal(
      a.tensors.begin(), a.tensors.end(), b.tensors.begin(), b.tensors.end(), [](const auto& x, const auto& y) {
        return x.first == y.first && x.second.raw() == y.second.raw() && x.second.shape() == y.second.shape() &&
               x.second.dtype() == y.second.dtype() && x.second.layout() == y.second.layout();
      });
}

}  // namespace

Stepper::Stepper(const Exec& exec, Method& method, const StepperOptions& options)
    : exec_(exec),
      method_(method),
      options_(options),
      pool_(exec.device),
      m_(Tensor::zeros(exec, method.params().values().shape())),
      v_(Tensor::zeros(exec, method.params().values().shape())),
      state_(Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8)),
      sums_(Tensor::zeros(exec, {max_losses}, DType::f64)),
      seed_(Tensor::from<float>(exec, {1}, {1.f / float(options.accumulate)})) {
  BASIN_CHECK(options.accumulate > 0, "accumulate ", options.accumulate);
  if (options.ranks) {
    BASIN_CHECK(exec.device == Device::cpu && options.accumulate % options.ranks->count() == 0, "accumulate ",
                options.accumulate, " on ", options.ranks->count(), " ranks");
    together_.emplace(*options.ranks, method.params(), options.join_batches, options.bucket);
  }
  options_.graph = options.graph && exec.device == Device::cuda && exec.stream && method.capturable();
  const StepState fresh;
  state_.copy_from_host(exec, &fresh);
  if (options.average > 0) {
    average_values_ = Tensor::zeros(exec, method.params().values().shape());
    average_running_ = Tensor::zeros(exec, method.params().running().shape());
  }
  if (exec.device != Device::cpu && !exec.scratch) exec_.scratch = &pool_;
  memory_ = exec_.scratch ? dynamic_cast<Pool*>(exec_.scratch) : &pool_of(exec.device);
}

void Stepper::start_average() {
  if (!average_values_) return;
  average_values_.copy_from(exec_, method_.params().values());
  average_running_.copy_from(exec_, method_.params().running());
}

void Stepper::step(const Batch& batch, int64_t step, double rate, double progress, int part) {
  const int ranks = options_.ranks ? options_.ranks->count() : 1, rank = options_.ranks ? options_.ranks->rank() : 0;
  const Part which{part == 0, (part + 1) * ranks == options_.accumulate};
  const StepState next{.step = step,
                       .batch = step * options_.accumulate + part * ranks + rank,
                       .rate = float(rate),
                       .scheduled = float(method_.scheduled(progress))};
  kernels::begin_step(exec_, next, static_cast<StepState*>(state_.raw()));
  if (const Graph* graph = graph_for(batch, which)) return graph->run(exec_);
  const size_t before = memory_ ? memory_->use().system_calls : 0;
  put_step(batch, which);
  const bool found_all = memory_ && memory_->use().system_calls == before;
  if (!found_all) settled_.clear(), recorded_.clear();  // the pool may have freed memory that the graphs use
  if (found_all && !is_settled(which)) settled_.push_back(which);
}

bool Stepper::is_settled(Part part) const {
  return std::find(settled_.begin(), settled_.end(), part) != settled_.end();
}

/// Null if the step is not or not yet captured. It is captured once it finds all its memory in the pool, because during
/// capture memory cannot be allocated from the system, and cuDNN cannot measure its algorithms.
const Graph* Stepper::graph_for(const Batch& batch, Part part) {
  if (!options_.graph || !is_settled(part)) return nullptr;
  const auto at = std::find_if(recorded_.begin(), recorded_.end(),
                               [&](const Recorded& r) { return r.part == part && same_memory(r.batch, batch); });
  if (at != recorded_.end()) return &at->graph;
  if (recorded_.size() == max_recorded) return nullptr;
  recorded_.push_back({batch, part, Graph::record(exec_, [&] { put_step(batch, part); })});
  return &recorded_.back().graph;
}

void Stepper::release() {
  recorded_.clear();
  settled_.clear();
  if (memory_) memory_->trim();
}

void Stepper::put_step(const Batch& batch, Part part) {
  auto* state = static_cast<StepState*>(state_.raw());
  Params& params = method_.params();
  Tape tape(exec_);
  std::function<void(int)> passed;
  if (together_) {
    together_->begin(tape, part.first);
    passed = [this](int node) { together_->passed(node); };
  } else if (part.first) {
    params.gradients().zero(exec_);
  }
  const LossTerms loss = method_.loss(tape, batch, state);
  add_losses(loss);
  tape.backward(loss.total, seed_, passed);
  if (together_) together_->combine();

  const auto note_bad = [&](const Tensor& t) {
    kernels::note_bad(exec_, t.data<const float>(), t.shape().size(), state);
  };
  note_bad(params.gradients());
  note_bad(params.running());
  if (!part.last) return;
  if (options_.clip > 0) kernels::clip_to_norm(exec_, options_.clip, params.gradients().view<float, 1>());
  for (const auto& [first, last] : params.trained()) {
    const auto part = [first = first, last = last]<class T>(View<T, 1> all) {
      return View<T, 1>{all.data + first, {int(last - first)}};
    };
    kernels::adam<float>(exec_, options_.adam, state, part(params.gradients().view<const float, 1>()),
                         part(params.values().view<float, 1>()), part(m_.view<float, 1>()), part(v_.view<float, 1>()));
  }
  note_bad(v_);  // squares of gradients may overflow, and then Adam's updates become zero
  if (!average_values_) return;
  kernels::moving_average(exec_, options_.average, params.values().view<const float, 1>(),
                          average_values_.view<float, 1>());
  kernels::moving_average(exec_, options_.average, params.running().view<const float, 1>(),
                          average_running_.view<float, 1>());
}

/// Adds the losses of a batch to the sums, and sets the bad-step flag if the total is NaN or infinite.
void Stepper::add_losses(const LossTerms& loss) {
  const int count = int(loss.terms.size()) + 1;
  BASIN_CHECK(count <= max_losses, "a method has ", loss.terms.size(), " losses; at most ", max_losses - 1,
              " are supported");
  if (names_.empty()) {
    for (const auto& term : loss.terms)
      names_.push_back(term.first);
    names_.push_back("loss");
  }
  const float* values[max_losses];
  for (int k = 0; k + 1 < count; ++k)
    values[k] = loss.terms[size_t(k)].second.value.data<const float>();
  values[count - 1] = loss.total.value.data<const float>();
  const auto add = [&](const float* const* all) {
    kernels::add_losses(exec_, all, count, sums_.data<double>());
    kernels::note_bad(exec_, all[count - 1], 1, static_cast<StepState*>(state_.raw()));
  };
  if (!together_) return add(values);
  for (const std::vector<float>& row : together_->losses(values, count)) {
    for (int k = 0; k < count; ++k)
      values[k] = &row[size_t(k)];
    add(values);
  }
}

std::vector<double> Stepper::take_sums() {
  std::vector<double> sums = sums_.to_host<double>(exec_);
  sums.resize(names_.size());
  sums_.zero(exec_);
  return sums;
}

int64_t Stepper::first_bad() const {
  StepState state;
  state_.copy_to_host(exec_, &state);
  return state.first_bad;
}

}  // namespace basin

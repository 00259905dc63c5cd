#include "models/training/data_parallel.h"

#include <algorithm>
#include <span>

#include "engine/fingerprint.h"
#include "engine/ops/norm.h"

namespace basin {

namespace {

class JoinedOverRanks : public kernels::JoinedBatches {
 public:
  explicit JoinedOverRanks(Ranks& ranks) : ranks_(ranks) {}
  int count() const override { return ranks_.count(); }
  void add(double* numbers, int64_t n) override {
    std::vector<double> all(size_t(n * ranks_.count()));
    ranks_.gather(numbers, size_t(n) * sizeof(double), all.data());
    std::fill_n(numbers, n, 0.0);
    for (int r = 0; r < ranks_.count(); ++r)
      for (int64_t i = 0; i < n; ++i)
        numbers[i] += all[size_t(r * n + i)];
  }

 private:
  Ranks& ranks_;
};

}  // namespace

std::unique_ptr<kernels::JoinedBatches> joined_batches(Ranks& ranks) {
  return std::make_unique<JoinedOverRanks>(ranks);
}

DataParallel::DataParallel(Ranks& ranks, Params& params, bool joins_batches, int64_t bucket)
    : ranks_(ranks), params_(params), sums_(ranks) {
  const Exec cpu;
  gradients_ = Tensor::zeros(cpu, params.gradients().shape());
  running_ = Tensor::zeros(cpu, params.running().shape());
  if (joins_batches) joined_ = joined_batches(ranks);
  const std::vector<Params::Named>& learnt = params.learnt();
  for (size_t k = 0; k < learnt.size(); ++k) {
    if (buckets_.empty() || learnt[k].offset - buckets_.back().begin >= bucket)
      buckets_.push_back({learnt[k].offset, 0, {}});
    buckets_.back().handles.push_back(int(k));
  }
  for (size_t k = 0; k < buckets_.size(); ++k)
    buckets_[k].end = k + 1 < buckets_.size() ? buckets_[k + 1].begin : gradients_.shape().size();
}

DataParallel::~DataParallel() { params_.watch(nullptr); }

void DataParallel::begin(Tape& tape, bool first) {
  const Exec cpu;
  if (first) gradients_.zero(cpu);
  params_.gradients().zero(cpu);
  running_.copy_from(cpu, params_.running());
  tape.keep_batch_statistics();
  tape.join_batches(joined_.get());
  for (Bucket& b : buckets_)
    b.started = false;
  // The bucket of a parameter that is never asked for waits until the end.
  first_nodes_.assign(params_.learnt().size(), -1);
  params_.watch([this, &tape](int handle) {
    int& node = first_nodes_[size_t(handle)];
    if (node < 0) node = tape.nodes();
  });
}

void DataParallel::start(Bucket& b) {
  b.started = true;
  sums_.start(params_.gradients().data<const float>() + b.begin, gradients_.data<float>() + b.begin, b.end - b.begin);
}

bool DataParallel::is_complete(const Bucket& b, int node) const {
  return std::all_of(b.handles.begin(), b.handles.end(),
                     [&](int handle) { return first_nodes_[size_t(handle)] >= node; });
}

void DataParallel::passed(int node) {
  // From the last bucket to the first, because all ranks must start the same sums in the same order.
  for (auto b = buckets_.rbegin(); b != buckets_.rend() && (b->started || is_complete(*b, node)); ++b)
    if (!b->started) start(*b);
  sums_.advance();
}

void DataParallel::combine() {
  params_.watch(nullptr);
  for (auto b = buckets_.rbegin(); b != buckets_.rend(); ++b)
    if (!b->started) start(*b);
  sums_.finish();
  const Exec cpu;
  params_.gradients().copy_from(cpu, gradients_);

  const int64_t n = running_.shape().size();
  if (n == 0) return;
  std::vector<float> all(size_t(n * ranks_.count()));
  ranks_.gather(params_.running().data<const float>(), size_t(n) * sizeof(float), all.data());
  const int batches = joined_ ? 1 : ranks_.count();  // joined batches have the same statistics on all ranks
  for (int r = 0; r < batches; ++r)
    kernels::update_running<float>(cpu, float(batch_norm_momentum), {all.data() + r * n, {int(n)}},
                                   running_.view<float, 1>());
  params_.running().copy_from(cpu, running_);
}

std::vector<std::vector<float>> DataParallel::losses(const float* const* values, int count) {
  std::vector<float> mine, all(size_t(count * ranks_.count()));
  for (int k = 0; k < count; ++k)
    mine.push_back(*values[k]);
  ranks_.gather(mine.data(), mine.size() * sizeof(float), all.data());
  std::vector<std::vector<float>> rows;
  for (auto row = all.begin(); row != all.end(); row += count)
    rows.emplace_back(row, row + count);
  return rows;
}

void check_equal(Ranks& ranks, const std::string& text) {
  Fingerprint hash;
  hash.add(std::as_bytes(std::span(text)));
  const std::string mine = hash.digits();
  std::string all(mine.size() * size_t(ranks.count()), ' ');
  ranks.gather(mine.data(), mine.size(), all.data());
  for (int r = 1; r < ranks.count(); ++r)
    if (all.compare(size_t(r) * mine.size(), mine.size(), all, 0, mine.size()) != 0)
      refuse("rank ", r, " has read other images, labels or settings than rank 0; give all ranks the same files");
}

}  // namespace basin

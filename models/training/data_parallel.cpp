#include "models/training/data_parallel.h"

#include <span>

#include "engine/fingerprint.h"
#include "engine/ops/norm.h"
#include "kernels/nn/batch_norm.h"

namespace basin {

DataParallel::DataParallel(Ranks& ranks, Params& params) : ranks_(ranks), params_(params) {
  const Exec cpu;
  gradients_ = Tensor::zeros(cpu, params.gradients().shape());
  running_ = Tensor::zeros(cpu, params.running().shape());
}

void DataParallel::begin(bool first) {
  const Exec cpu;
  if (first) gradients_.zero(cpu);
  params_.gradients().zero(cpu);
  running_.copy_from(cpu, params_.running());
}

void DataParallel::combine() {
  const Exec cpu;
  ranks_.add_in_order(params_.gradients().data<const float>(), gradients_.data<float>(), gradients_.shape().size());
  params_.gradients().copy_from(cpu, gradients_);

  const int64_t n = running_.shape().size();
  if (n == 0) return;
  std::vector<float> all(size_t(n * ranks_.count()));
  ranks_.gather(params_.running().data<const float>(), size_t(n) * sizeof(float), all.data());
  for (int r = 0; r < ranks_.count(); ++r)
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

#pragma once
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/tuned_sums.h"

namespace basin::kernels {

/// The order of the sums below: in each block of 4096 elements, each of 16 lanes sums every 16th element; the lanes of
/// a block are added in order, then the blocks. The order depends only on the number of elements, so a sum has the same
/// bits at any number of threads and with any instruction set. The GPU's order is that of tuned_sums.h.
namespace sums {
constexpr int lanes = 16;
constexpr int64_t block = 4096;

template <int K, class F>
struct Lane {  // index: block * lanes + lane
  F term;
  int64_t n;
  double* partial;  // [blocks * lanes, K]

  BASIN_HD void operator()(int64_t i) const {
    const int64_t begin = i / lanes * block, end = begin + block < n ? begin + block : n;
    double sum[K] = {};
    for (int64_t j = begin + i % lanes; j < end; j += lanes) {
      double t[K];
      term(j, t);
      for (int k = 0; k < K; ++k)
        sum[k] += t[k];
    }
    for (int k = 0; k < K; ++k)
      partial[i * K + k] = sum[k];
  }
};

/// All lanes of a block at once, so that they vectorise.
template <int K, class F>
struct Block {
  F term;
  int64_t n;
  double* partial;

  void operator()(int64_t b) const {
    const int64_t begin = b * block, end = begin + block < n ? begin + block : n;
    double sum[K][lanes] = {};
    int64_t j = begin;
    for (; j + lanes <= end; j += lanes) {
#pragma omp simd
      for (int l = 0; l < lanes; ++l) {
        double t[K];
        term(j + l, t);
        for (int k = 0; k < K; ++k)
          sum[k][l] += t[k];
      }
    }
    for (int l = 0; j < end; ++j, ++l) {
      double t[K];
      term(j, t);
      for (int k = 0; k < K; ++k)
        sum[k][l] += t[k];
    }
    for (int l = 0; l < lanes; ++l)
      for (int k = 0; k < K; ++k)
        partial[(b * lanes + l) * K + k] = sum[k][l];
  }
};

/// sum[i] = partial[i * count] + ... over `count` neighbours, in order.
template <int K>
struct Fold {
  const double* partial;
  int64_t count;
  double* sum;

  BASIN_HD void operator()(int64_t i) const {
    for (int k = 0; k < K; ++k) {
      double s = 0;
      for (int64_t j = 0; j < count; ++j)
        s += partial[(i * count + j) * K + k];
      sum[i * K + k] = s;
    }
  }
};
}  // namespace sums

/// total[k] = the sum over i in [0, n) of what term(i, double (&t)[K]) writes to t[k]. `total` is in device memory [K].
/// `term` is a struct of Views with a BASIN_HD operator() const.
template <int K, class F>
void sum(const Exec& exec, int64_t n, const F& term, double* total) {
#ifdef __CUDACC__
  if (exec.device == Device::cuda && exec.variant != Variant::plain && n > 0)
    return tuned::sum_elements<K>(exec, n, term, total);
#endif
  const int64_t blocks = (n + sums::block - 1) / sums::block;
  Temp<double> partial(exec, blocks * sums::lanes * K), of_block(exec, blocks * K);
  if (exec.device == Device::cpu && exec.variant != Variant::plain)
    for_each_task(blocks, sums::Block<K, F>{term, n, partial.data()});
  else
    for_each(exec, blocks * sums::lanes, sums::Lane<K, F>{term, n, partial.data()});
  for_each(exec, blocks, sums::Fold<K>{partial.data(), sums::lanes, of_block.data()});
  for_each(exec, 1, sums::Fold<K>{of_block.data(), blocks, total});
}

namespace {

/// value = total / n. In an anonymous namespace for the same reason as Fill.
template <class T>
struct Mean {
  const double* total;
  double n;
  T* value;
  BASIN_HD void operator()(int64_t) const { *value = T(*total / n); }
};

}  // namespace

}  // namespace basin::kernels

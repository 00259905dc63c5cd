#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <utility>

#include "kernels/conv/conv_geometry.h"

// The choice of cuDNN algorithm for each convolution, and a cache of these choices. Does not depend on cuDNN itself.

namespace basin::kernels {

enum class ConvPass { forward, backward_data, backward_weight };

/// One pass of one convolution as cuDNN sees it: x [n, in, h, w], out [n, out, geometry.out_h(h), geometry.out_w(w)],
/// weight [out, in, kernel_h, kernel_w], all dense and in one layout, nchw or nhwc: a weight in nhwc is [out, kernel_h,
/// kernel_w, in]. Padding is symmetric, because cuDNN supports no other.
struct ConvProblem {
  ConvPass pass;
  int n, in, out, h, w;
  ConvGeometry geometry;
  bool nhwc;
  bool bf16;  // element type of all three: bfloat16, otherwise float

  int out_h() const { return geometry.out_h(h); }
  int out_w() const { return geometry.out_w(w); }
  int64_t weight_size() const { return int64_t(out) * in * geometry.kernel_h * geometry.kernel_w; }
  auto operator<=>(const ConvProblem&) const = default;
};

/// The key by which an algorithm is chosen.
struct ConvKey {
  ConvProblem problem;
  bool tf32;           // products of floats may be rounded to TF32
  bool deterministic;  // the algorithm must give the same bits from run to run

  auto operator<=>(const ConvKey&) const = default;
};

/// An algorithm and its math type as cuDNN numbers them, the size of its workspace in bytes, and the version of cuDNN
/// that it was chosen with: 91002 is 9.10.2.
struct ConvAlgorithm {
  int algorithm, math;
  int64_t workspace;
  int cudnn;

  auto operator<=>(const ConvAlgorithm&) const = default;
};

using ConvAlgorithms = std::map<ConvKey, ConvAlgorithm>;

/// The choices for one GPU. Entries are small and never evicted. Not thread-safe.
class ConvAlgorithmCache {
 public:
  /// The choice for `key`, the same at every call: the restored one if there is one and `works(choice)`, otherwise the
  /// result of `measure()`. If that throws, nothing is stored.
  template <class Works, class Measure>
  ConvAlgorithm get(const ConvKey& key, const Works& works, const Measure& measure) {
    if (const auto at = made_.find(key); at != made_.end()) return at->second;
    const auto restored = restored_.find(key);
    const ConvAlgorithm choice = restored != restored_.end() && works(restored->second) ? restored->second : measure();
    return made_[key] = choice;
  }

  /// All choices, including restored ones that have not been used yet.
  ConvAlgorithms choices() const {
    ConvAlgorithms all = made_;
    all.insert(restored_.begin(), restored_.end());
    return all;
  }

  /// Replaces all choices by these, except those made with another version of cuDNN.
  void restore(ConvAlgorithms choices, int cudnn) {
    std::erase_if(choices, [&](const auto& c) { return c.second.cudnn != cudnn; });
    made_.clear();
    restored_ = std::move(choices);
  }

 private:
  ConvAlgorithms made_, restored_;
};

/// The process-wide cache, for the current GPU.
ConvAlgorithmCache& conv_algorithm_cache();

}  // namespace basin::kernels

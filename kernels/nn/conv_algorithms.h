#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <utility>

// Which of cuDNN's algorithms multiplies which problem: plain data, and a ledger of it. Knows nothing of cuDNN itself.

namespace basin::kernels {

enum class ConvPass { forward, backward_data, backward_weight };

/// One pass of one convolution as cuDNN sees it: x [n, in, h, w], out [n, out, h, w], weight [out, in, kernel, kernel],
/// each dense and in one layout, nchw or nhwc: a weight in nhwc is [out, kernel, kernel, in].
struct ConvProblem {
  ConvPass pass;
  int n, in, out, h, w, kernel;
  bool nhwc;
  bool bf16;  // the elements of all three: bfloat16, else float

  auto operator<=>(const ConvProblem&) const = default;
};

/// What an algorithm is chosen for.
struct ConvKey {
  ConvProblem problem;
  bool tf32;           // products of floats may be rounded to TF32
  bool deterministic;  // the algorithm must give the same bits from run to run

  auto operator<=>(const ConvKey&) const = default;
};

/// An algorithm and its math type as cuDNN numbers them, the bytes of its workspace, and which cuDNN it was chosen
/// from, 91002 being 9.10.2.
struct ConvAlgorithm {
  int algorithm, math;
  int64_t workspace;
  int cudnn;

  auto operator<=>(const ConvAlgorithm&) const = default;
};

using ConvAlgorithms = std::map<ConvKey, ConvAlgorithm>;

/// The choices for one GPU. None is ever dropped by itself: they are small. Not for several threads at once.
class ConvAlgorithmCache {
 public:
  /// What is chosen for `key`, the same whenever it is asked for: what was handed in, if `works(choice)`, else
  /// `measure()`. Where that throws, nothing is chosen.
  template <class Works, class Measure>
  ConvAlgorithm get(const ConvKey& key, const Works& works, const Measure& measure) {
    if (const auto at = made_.find(key); at != made_.end()) return at->second;
    const auto given = given_.find(key);
    const ConvAlgorithm choice = given != given_.end() && works(given->second) ? given->second : measure();
    return made_[key] = choice;
  }

  /// All, those included that were handed in and not asked for yet.
  ConvAlgorithms choices() const {
    ConvAlgorithms all = made_;
    all.insert(given_.begin(), given_.end());
    return all;
  }

  /// Forgets all choices and hands in others, except those from another cuDNN than this.
  void hand_in(ConvAlgorithms choices, int cudnn) {
    std::erase_if(choices, [&](const auto& c) { return c.second.cudnn != cudnn; });
    made_.clear();
    given_ = std::move(choices);
  }

 private:
  ConvAlgorithms made_, given_;
};

/// That of the current GPU, for the whole process.
ConvAlgorithmCache& conv_algorithm_cache();

}  // namespace basin::kernels

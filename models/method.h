#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset/normalise.h"
#include "data/dataset/sample.h"
#include "data/dataset/sampling.h"
#include "data/files/labels.h"
#include "engine/json_fwd.h"
#include "engine/params.h"
#include "engine/tape.h"
#include "kernels/nn/training_step.h"

namespace basin {

/// Values of varying length per sample: those of sample i are values[offsets[i]] to values[offsets[i + 1] - 1].
struct Ragged {
  std::vector<int64_t> offsets{0};
  std::vector<double> values;
};

/// Named tensors and ragged lists: a batch for a loss, or maps of a whole image.
struct NamedTensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, Ragged> lists;

  const Tensor& operator[](const std::string& name) const {
    const auto at = tensors.find(name);
    BASIN_CHECK(at != tensors.end(), "no tensor called ", name);
    return at->second;
  }
};
using Batch = NamedTensors;  // "image" [N,C,H,W] and what the method's targets are, on the device
using Maps = NamedTensors;   // each [C,H,W], on the device that segments

/// How training samples are cut.
struct SampleSpec {
  int channels = 1;
  int multiple = 1;            // of the sides of a crop
  int margin = 0;              // of labels around a crop that the targets need, in pixels
  bool whole_objects = false;  // targets depend on objects as a whole: the margin then covers the image
  Sampling sampling;
  Normalisation normalisation;
};

/// The losses of a step, each a number in device memory, and their weighted sum.
struct LossTerms {
  std::vector<std::pair<std::string, Var>> terms;
  Var total;
};

/// How a large image is cut for the network (methods.md 3.8).
enum class Tiling { dynamic, pad, resize, exact };
struct TilingOptions {
  Tiling tiling = Tiling::dynamic;
  int tile = 256, overlap = 50;
  int batch = 0;  // tiles that the network takes at once; 0: 2 on the CPU, 16 on a GPU. Halved where memory is short
};

/// One published method: its networks, targets, losses and decoding. Training and inference pipelines know this
/// interface alone.
class Method {
 public:
  virtual ~Method() = default;

  virtual SampleSpec sample_spec() const = 0;
  /// What the loss needs beside the image.
  virtual TargetSpec targets() const = 0;
  /// Writes the targets of one crop [H, W] from labels [H + 2 margin, W + 2 margin] with the margin of sample_spec() or
  /// a wider one: see MakeTargets. Called by several threads at once, and on a GPU where the loader leaves samples raw.
  virtual void make_targets(const Exec&, View<const int32_t, 2> labels, const SampleTargets& to) const = 0;
  /// Runs the networks on a training tape.
  virtual LossTerms loss(Tape&, const Batch&, const StepState*) const = 0;
  /// Maps of a whole image [C, H, W], normalised. The tape of the parameters is not needed: see refresh().
  virtual Maps predict(const Exec&, const Tensor& image, const TilingOptions&) const = 0;
  /// Maps that nobody else holds are let go as soon as they are done with: an image may fill the memory.
  virtual Labels decode(const Exec&, Maps) const = 0;
  /// The maps that a perfect network would give for these labels.
  virtual Maps oracle(const Exec&, const Labels&) const = 0;
  /// To be called after the parameters changed and before predict().
  virtual void refresh(const Exec&) = 0;
  /// False where shapes depend on the data, so that a step cannot be captured once and replayed.
  virtual bool capturable() const { return true; }
  virtual Params& params() = 0;
  virtual const Params& params() const = 0;
  /// Everything needed to make it again with make_method().
  virtual Json config() const = 0;
};

/// Throws one sentence for a method or a setting that this version does not know.
std::unique_ptr<Method> make_method(const Json& config);

}  // namespace basin

#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/dataset/augment.h"
#include "engine/batch.h"

namespace basin {

/// A dense target of a training sample: a map [channels, crop / down, crop / down] of float32 or int32.
struct TargetMap {
  std::string name;
  int channels = 1;
  DType type = DType::f32;
  int down = 1;  // the side of a crop is divided by this
};

/// A table [capacity, columns] of float32 or int32 with one row per object, edge or the like. The number of rows in use
/// is written to the target "<name>_count".
struct TargetTable {
  std::string name;
  int capacity = 1, columns = 1;
  DType type = DType::f32;
};

/// The targets of a training sample. Names are unique, and none is "image".
struct TargetSpec {
  std::vector<TargetMap> maps;
  std::vector<TargetTable> tables;
};

/// The targets of a batch by name: maps [N, channels, height / down, width / down], tables [N, capacity, columns], and
/// counts [N] of int32.
using TargetTensors = std::map<std::string, Tensor>;

/// Allocates uninitialised targets of N crops [height, width] on the device of exec. Throws if a name occurs twice, or
/// if a side is not a multiple of `down`.
TargetTensors make_target_tensors(const Exec&, const TargetSpec&, int64_t n, int64_t height, int64_t width);

/// Fills the tables and their counts with zeros, as MakeTargets expects.
void clear_tables(const Exec&, const TargetSpec&, const TargetTensors&);

/// The targets of sample n of a batch, by name, in device memory. Throws if there is no such target or its element type
/// is another. Refers to the tensors, which must outlive it.
class SampleTargets {
 public:
  SampleTargets(const TargetTensors& batch, int n) : batch_(batch), n_(n) {}

  /// [channels, height / down, width / down].
  template <class T>
  View<T, 3> map(const std::string& name) const {
    return image_of<T>(tensor(name), n_);
  }
  /// [capacity, columns].
  template <class T>
  View<T, 2> table(const std::string& name) const {
    const View<T, 3> all = tensor(name).view<T, 3>();
    return {&all(n_, 0, 0), {all.dim[1], all.dim[2]}};
  }
  /// The number of rows of a table that are in use.
  int32_t* count(const std::string& table) const { return tensor(table + "_count").data<int32_t>() + n_; }

 private:
  const Tensor& tensor(const std::string& name) const;

  const TargetTensors& batch_;
  int n_;
};

/// Computes the targets of a crop from labels [layers, h + 2 margin, w + 2 margin] on the device of exec. There is one
/// layer, unless the method's SampleSpec asks for more: then objects that share pixels are in different layers, and
/// each is in one. Pixels outside the image have the label that the method's SampleSpec says, usually 0, so that
/// objects end at the image's border, but not at a crop's: with a margin as wide as the targets reach, they equal those
/// of the whole image, cropped. Must write every element of every map; tables and counts are zero beforehand.
using MakeTargets = std::function<void(const Exec&, View<const int32_t, 3> labels, const SampleTargets& to)>;

/// The first layer of labels [layers, h, w].
inline View<const int32_t, 2> first_layer(View<const int32_t, 3> labels) {
  return {labels.data, {labels.dim[1], labels.dim[2]}};
}

/// A crop before rotation and flips.
struct RawSample {
  View<const float, 3> image;     // [C, crop, crop]
  View<const int32_t, 3> labels;  // [layers, crop + 2 margin, crop + 2 margin]
  Transform transform;
};

/// Rotates and flips image and labels, and computes the targets. All memory is on the device of exec.
void prepare(const Exec&, const RawSample&, const MakeTargets&, View<float, 3> image, const SampleTargets& targets);

}  // namespace basin

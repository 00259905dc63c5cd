#pragma once
#include "engine/tensor.h"

namespace basin {

/// Image n of a batch [N, C, H, W].
template <class T>
View<T, 3> image_of(const Tensor& batch, int n) {
  const View<T, 4> all = batch.view<T, 4>();
  return {&all(n, 0, 0, 0), {all.dim[1], all.dim[2], all.dim[3]}};
}

}  // namespace basin

#pragma once
#include "kernels/flow/bilinear.h"
#include "kernels/flow/integrate.h"

namespace basin::kernels {

/// integrate() on the CPU with the same bits: a chunk of points takes each step together, so that the steps vectorise.
template <class T>
void integrate_chunks(const BilinearField<T>& field, View<T, 2> points, const IntegrateOptions&);

}  // namespace basin::kernels

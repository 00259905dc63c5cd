#include "kernels/cluster/dbscan_steps.h"
#include "kernels/cluster/neighbours_batched.h"

namespace basin::kernels {

template <class T>
bool label_clusters_batched([[maybe_unused]] const Exec& exec, [[maybe_unused]] const GridView<T>& grid,
                            [[maybe_unused]] const DbscanOptions& options, [[maybe_unused]] int32_t* labels,
                            [[maybe_unused]] int32_t* clusters) {
#if BASIN_ISA_DISPATCH
  if (isa() == Isa::avx512) {
    label_clusters<T, Batched<T, Avx512Lanes<T>>>(exec, grid, options, labels, clusters);
    return true;
  }
  if (isa() == Isa::avx2) {
    label_clusters<T, Batched<T, Avx2Lanes<T>>>(exec, grid, options, labels, clusters);
    return true;
  }
#endif
  return false;
}

template bool label_clusters_batched<float>(const Exec&, const GridView<float>&, const DbscanOptions&, int32_t*,
                                            int32_t*);
template bool label_clusters_batched<double>(const Exec&, const GridView<double>&, const DbscanOptions&, int32_t*,
                                             int32_t*);

}  // namespace basin::kernels

#include "kernels/runtime/sort_cub.h"

#if BASIN_CUDA
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>

// A compiler may find the headers of another CUDA toolkit before those of the one whose libraries the program is linked
// with. Build scripts that use their own toolkit define its version; all files are compiled with the same options.
#if defined(BASIN_EXPECTED_CUDART) && CUDART_VERSION != BASIN_EXPECTED_CUDART
#error "the CUDA headers found first are not those of the toolkit version BASIN_EXPECTED_CUDART"
#endif

#include "kernels/runtime/reduce.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels::cub_backend {

template <class Key>
void sort_by_key(const Exec& exec, View<Key, 1> keys, View<int32_t, 1> values, int bits) {
  const int n = keys.dim[0];
  Temp<Key> other_keys(exec, n);
  Temp<int32_t> other_values(exec, n);
  cub::DoubleBuffer<Key> key(keys.data, other_keys.data());
  cub::DoubleBuffer<int32_t> value(values.data, other_values.data());
  size_t bytes = 0;
  BASIN_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(nullptr, bytes, key, value, n, 0, bits, exec.stream));
  Temp<char> work(exec, int64_t(bytes));
  BASIN_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(work.data(), bytes, key, value, n, 0, bits, exec.stream));
  if (key.Current() != keys.data)
    BASIN_CUDA_CHECK(
        cudaMemcpyAsync(keys.data, key.Current(), size_t(n) * sizeof(Key), cudaMemcpyDeviceToDevice, exec.stream));
  if (value.Current() != values.data)
    BASIN_CUDA_CHECK(cudaMemcpyAsync(values.data, value.Current(), size_t(n) * sizeof(int32_t),
                                     cudaMemcpyDeviceToDevice, exec.stream));
}
template void sort_by_key<uint32_t>(const Exec&, View<uint32_t, 1>, View<int32_t, 1>, int);
template void sort_by_key<uint64_t>(const Exec&, View<uint64_t, 1>, View<int32_t, 1>, int);

namespace {

struct Value {
  const int32_t* values;
  BASIN_HD void operator()(int64_t i, double (&t)[1]) const { t[0] = values[i]; }
};

}  // namespace

int64_t exclusive_sum(const Exec& exec, View<int32_t, 1> values) {
  const int n = values.dim[0];
  if (n == 0) return 0;
  Temp<double> sum_of_all(exec, 1);  // the double sum is exact and shows whether the int32 scan would overflow
  sum<1>(exec, n, Value{values.data}, sum_of_all.data());
  const double total = read_back(exec, sum_of_all.data());
  BASIN_CHECK(total <= INT32_MAX, "the sum is ", total);
  exclusive_scan(exec, values);
  return int64_t(total);
}

void exclusive_scan(const Exec& exec, View<int32_t, 1> values) {
  const int n = values.dim[0];
  if (n == 0) return;
  size_t bytes = 0;
  BASIN_CUDA_CHECK(cub::DeviceScan::ExclusiveSum(nullptr, bytes, values.data, values.data, n, exec.stream));
  Temp<char> work(exec, int64_t(bytes));
  BASIN_CUDA_CHECK(cub::DeviceScan::ExclusiveSum(work.data(), bytes, values.data, values.data, n, exec.stream));
}

}  // namespace basin::kernels::cub_backend
#endif

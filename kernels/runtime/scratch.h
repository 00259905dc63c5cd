#pragma once
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin {

/// Temporary memory that lives as long as a launcher runs: `Temp<int> parent(exec, n);`. Not initialised. Elements must
/// be plain data.
template <class T>
class Temp {
 public:
  Temp(const Exec& exec, int64_t n) : exec_(exec), bytes_(size_t(n > 0 ? n : 1) * sizeof(T)), size_(n) {
    BASIN_CHECK(n >= 0, "n = ", n);
    if (exec_.scratch) {
      data_ = static_cast<T*>(exec_.scratch->take(bytes_));
      return;
    }
#if BASIN_CUDA
    if (exec_.device == Device::cuda) {
      const cudaError_t e = cudaMallocAsync(reinterpret_cast<void**>(&data_), bytes_, exec_.stream);
      if (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();  // otherwise the next launch reports this error
        throw OutOfMemory("not enough free GPU memory for another " + std::to_string(bytes_ >> 20) + " MiB");
      }
      BASIN_CUDA_CHECK(e);
      return;
    }
#endif
    data_ = static_cast<T*>(std::aligned_alloc(64, (bytes_ + 63) / 64 * 64));
    if (!data_) throw std::bad_alloc();
  }
  ~Temp() {
    if (exec_.scratch) {
      exec_.scratch->give(data_, bytes_);
      return;
    }
#if BASIN_CUDA
    if (exec_.device == Device::cuda) {
      cudaFreeAsync(data_, exec_.stream);
      return;
    }
#endif
    std::free(data_);
  }
  Temp(const Temp&) = delete;
  Temp& operator=(const Temp&) = delete;

  T* data() const { return data_; }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) const { return data_[i]; }  // on the CPU only

 private:
  Exec exec_;
  size_t bytes_;
  int64_t size_;
  T* data_ = nullptr;
};

/// Copies n elements from the device of `exec` to the host. Waits for the work queued on that device.
template <class T>
void read_back(const Exec& exec, const T* from, int64_t n, T* to) {
  if (exec.device == Device::cpu) {
    std::memcpy(to, from, size_t(n) * sizeof(T));
    return;
  }
#if BASIN_CUDA
  BASIN_CUDA_CHECK(cudaMemcpyAsync(to, from, size_t(n) * sizeof(T), cudaMemcpyDeviceToHost, exec.stream));
  BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
#endif
}
template <class T>
T read_back(const Exec& exec, const T* from) {
  T value{};
  read_back(exec, from, 1, &value);
  return value;
}

}  // namespace basin

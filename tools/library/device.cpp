#include "tools/library/device.h"

#include <omp.h>

#include "tools/cli/machine.h"
#include "tools/library/calls.h"

namespace basin::library {

Threads::Threads(int count) : before_(omp_get_max_threads()) {
  if (count > 0) omp_set_num_threads(count);
}
Threads::~Threads() { omp_set_num_threads(before_); }

std::unique_lock<std::mutex> gpu_turn() {
  static std::mutex mutex;
  return tools::gpus().empty() ? std::unique_lock<std::mutex>() : std::unique_lock(mutex);
}

CallDevice::CallDevice(const tools::Common& common) {
  during(BASIN_ERROR_DEVICE, [&] {
    if (common.device != "cpu") turn_ = gpu_turn();
    exec_ = tools::make_exec(common, false);
    if (name_of(exec_.precision) != common.precision)
      refuse("precision: ", tools::describe(exec_), " does not support ", common.precision);
  });
}

CallDevice::CallDevice(const tools::Common& common, const Exec& exec) : exec_(exec) {
  if (exec.device == Device::cpu) return;
  turn_ = gpu_turn();
  tools::select_gpu(common.device);
}

}  // namespace basin::library

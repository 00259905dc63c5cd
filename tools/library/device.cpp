#include "tools/library/device.h"

#include <omp.h>

#include <map>

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
    if (!turn_) {
      exec_ = tools::make_exec(common, false);
      return;
    }
    static std::map<std::string, Exec> known;  // because streams are never destroyed
    const std::string key = common.device + ' ' + common.precision;
    if (const auto at = known.find(key); at != known.end()) {
      tools::select_gpu(common.device);
      exec_ = at->second;
    } else {
      exec_ = known[key] = tools::make_exec(common, false);
    }
  });
}

CallDevice::CallDevice(const tools::Common& common, const Exec& exec) : exec_(exec) {
  if (exec.device == Device::cpu) return;
  turn_ = gpu_turn();
  tools::select_gpu(common.device);
}

}  // namespace basin::library

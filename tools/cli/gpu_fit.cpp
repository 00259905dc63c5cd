#include "tools/cli/gpu_fit.h"

#include <algorithm>
#include <regex>
#include <sstream>

#include "engine/text.h"

namespace basin::tools {
namespace {

constexpr int first_of_later_cudnn = 91100, first_capability_of_later_cudnn = 75;

std::string digits_of(const Architecture& a) {
  return std::to_string(a.capability) + (a.suffix ? std::string(1, a.suffix) : std::string());
}

std::string dotted(int major, int minor) { return std::to_string(major) + '.' + std::to_string(minor); }

bool is_of(const Architecture& a, int major, int minor) { return a.capability == 10 * major + minor; }

std::string names_of(const std::vector<Architecture>& all, const char* prefix) {
  std::string names;
  for (const Architecture& a : all)
    add_to_list(names, prefix + digits_of(a));
  return names;
}

/// The newest architecture for which serves(architecture, major, minor) holds.
template <class Serves>
const Architecture* best(const std::vector<Architecture>& all, const Serves& serves, int major, int minor) {
  const Architecture* found = nullptr;
  for (const Architecture& a : all)
    if (serves(a, major, minor) && (!found || a.capability >= found->capability)) found = &a;
  return found;
}

}  // namespace

std::string cuda_version(int v) { return dotted(v / 1000, v % 1000 / 10); }
std::string cudnn_version(int v) { return dotted(v / 10000, v / 100 % 100) + '.' + std::to_string(v % 100); }

Architectures parse_architectures(const std::string& text) {
  static const std::regex form("([1-9][0-9]{1,2})([af]?)(-real|-virtual)?");
  Architectures all;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    std::smatch m;
    if (!std::regex_match(word, m, form)) continue;
    const Architecture a{std::stoi(m[1]), m[2].length() ? m[2].str()[0] : char(0)};
    if (m[3] != "-virtual") all.machine.push_back(a);
    if (m[3] != "-real") all.ptx.push_back(a);
  }
  return all;
}

std::string to_string(const Architectures& all) {
  std::string ptx;
  for (const Architecture& a : all.ptx)
    ptx += (ptx.empty() ? "PTX for " : ", ") + dotted(a.capability / 10, a.capability % 10) +
           (a.suffix ? std::string(1, a.suffix) : std::string());
  const std::string machine = names_of(all.machine, "sm_");
  if (machine.empty() && ptx.empty()) return "unknown";
  return machine + (machine.empty() || ptx.empty() ? "" : ", and ") + ptx;
}

bool runs_on(const Architecture& a, int major, int minor) {
  if (a.suffix == 'a') return is_of(a, major, minor);
  return a.capability / 10 == major && a.capability % 10 <= minor;
}

bool translates_for(const Architecture& a, int major, int minor) {
  if (a.suffix) return runs_on(a, major, minor);
  return a.capability <= 10 * major + minor;
}

Fit fit_of_gpu(int major, int minor, const Architectures& build, int driver, int toolkit) {
  const std::string remedy = "build with -DCMAKE_CUDA_ARCHITECTURES=" + std::to_string(10 * major + minor);
  if (build.machine.empty() && build.ptx.empty())
    return {true, "this build does not record which GPUs it was compiled for"};
  if (const Architecture* a = best(build.machine, runs_on, major, minor))
    return {true, "runs this build's machine code sm_" + digits_of(*a)};
  const Architecture* a = best(build.ptx, translates_for, major, minor);
  if (!a) return {false, "this build contains no code for it: " + remedy};
  const std::string ptx = "PTX compute_" + digits_of(*a);
  if (driver < toolkit)
    return {false, "this build has " + ptx + " for it, which needs a driver for CUDA " + cuda_version(toolkit) +
                       " or later: install one, or " + remedy};
  return {true, "the driver translates " + ptx + " for it at the first start"};
}

Fit fit_of_driver(int driver, int toolkit) {
  if (driver == 0) return {false, "no NVIDIA driver is installed"};
  if (driver / 1000 < toolkit / 1000)
    return {false, "the driver supports CUDA " + cuda_version(driver) + ", but this build needs CUDA " +
                       cuda_version(toolkit) + ": install a newer driver, or build with CUDA " +
                       std::to_string(driver / 1000)};
  return {true, "the driver supports CUDA " + cuda_version(driver)};
}

Fit fit_of_cudnn(int major, int minor, int found, int built_with) {
  if (found / 10000 != built_with / 10000 || found / 100 < built_with / 100)
    return {false, "cuDNN " + cudnn_version(found) + " is older than " + cudnn_version(built_with) +
                       ", with which this was built: install that version or a later one"};
  if (found >= first_of_later_cudnn && 10 * major + minor < first_capability_of_later_cudnn)
    return {false, "cuDNN " + cudnn_version(found) + " has no code for compute capability " + dotted(major, minor) +
                       ": install cuDNN 9.10, the last version that does"};
  return {true, "cuDNN " + cudnn_version(found)};
}

}  // namespace basin::tools

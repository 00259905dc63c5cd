#include <doctest/doctest.h>

#include "tests/support/file_support.h"
#include "tools/cli/gpu_fit.h"

using namespace basin;
using namespace basin::tools;

namespace {

const Architectures of_cuda_12 = parse_architectures("61-real 70-real 75-real 80-real 86-real 89-real 90");
const Architectures of_cuda_13 = parse_architectures("75-real 80-real 86-real 89-real 90-real 100-real 120");

std::string sentence(int major, int minor, const Architectures& build, int driver = 13000, int toolkit = 13000) {
  return fit_of_gpu(major, minor, build, driver, toolkit).sentence;
}

}  // namespace

TEST_CASE("fit: CMake's list of architectures is parsed and printed") {
  const Architectures all = parse_architectures("61-real 90 100a-virtual 120f-real");
  CHECK(all.machine == std::vector<Architecture>{{61, 0}, {90, 0}, {120, 'f'}});
  CHECK(all.ptx == std::vector<Architecture>{{90, 0}, {100, 'a'}});
  CHECK(to_string(all) == "sm_61, sm_90, sm_120f, and PTX for 9.0, 10.0a");
  CHECK(to_string(parse_architectures("80-real")) == "sm_80");
  CHECK(to_string(parse_architectures("61-virtual")) == "PTX for 6.1");
  CHECK(to_string(parse_architectures("")) == "unknown");
  CHECK(to_string(parse_architectures("native 8 90b x61 61-reall")) == "unknown");
}

TEST_CASE("fit: machine code runs on GPUs of its major version with the same or a later minor version") {
  CHECK(runs_on({80, 0}, 8, 0));
  CHECK(runs_on({80, 0}, 8, 6));
  CHECK(!runs_on({86, 0}, 8, 0));
  CHECK(!runs_on({80, 0}, 9, 0));
  CHECK(!runs_on({75, 0}, 8, 6));
  CHECK(!runs_on({120, 0}, 1, 20));
  CHECK(runs_on({100, 0}, 10, 3));
  CHECK(runs_on({90, 'a'}, 9, 0));
  CHECK(!runs_on({100, 'a'}, 10, 3));
  CHECK(runs_on({100, 'f'}, 10, 3));
  CHECK(!runs_on({100, 'f'}, 12, 0));
}

TEST_CASE("fit: PTX is translated for later GPUs, unless it is specific to one architecture") {
  CHECK(translates_for({61, 0}, 6, 1));
  CHECK(translates_for({61, 0}, 12, 0));
  CHECK(!translates_for({90, 0}, 8, 9));
  CHECK(translates_for({90, 'a'}, 9, 0));
  CHECK(!translates_for({90, 'a'}, 10, 0));
  CHECK(translates_for({100, 'f'}, 10, 3));
  CHECK(!translates_for({100, 'f'}, 11, 0));
}

TEST_CASE("fit: one sentence states whether a GPU can run the build") {
  CHECK(sentence(6, 1, of_cuda_12) == "runs this build's machine code sm_61");
  CHECK(sentence(8, 7, of_cuda_12) == "runs this build's machine code sm_86");
  CHECK(sentence(8, 0, of_cuda_13) == "runs this build's machine code sm_80");
  CHECK(sentence(10, 0, of_cuda_12, 12080, 12040) == "the driver translates PTX compute_90 for it at the first start");
  CHECK(sentence(12, 1, of_cuda_13) == "runs this build's machine code sm_120");
  CHECK(sentence(6, 1, of_cuda_13) == "this build contains no code for it: build with -DCMAKE_CUDA_ARCHITECTURES=61");
  CHECK(sentence(6, 0, of_cuda_12) == "this build contains no code for it: build with -DCMAKE_CUDA_ARCHITECTURES=60");
  CHECK(fit_of_gpu(6, 1, of_cuda_12, 12040, 12040).fits);
  CHECK(!fit_of_gpu(6, 1, of_cuda_13, 13000, 13000).fits);
  const Fit old = fit_of_gpu(10, 0, of_cuda_12, 12020, 12040);
  CHECK(!old.fits);
  CHECK_MESSAGE(test::contains(old.sentence, "a driver for CUDA 12.4 or later"), old.sentence);
  CHECK(fit_of_gpu(9, 0, of_cuda_12, 12020, 12040).fits);
  CHECK(sentence(9, 0, parse_architectures("all")) == "this build does not record which GPUs it was compiled for");
}

TEST_CASE("fit: versions of driver, toolkit and cuDNN are checked for compatibility") {
  CHECK(fit_of_driver(13000, 13000).sentence == "the driver supports CUDA 13.0");
  CHECK(fit_of_driver(13010, 12040).fits);
  CHECK(fit_of_driver(12020, 12090).fits);
  CHECK(fit_of_driver(12090, 13000).sentence ==
        "the driver supports CUDA 12.9, but this build needs CUDA 13.0: install a newer driver, or build with CUDA 12");
  CHECK(!fit_of_driver(12090, 13000).fits);
  CHECK(fit_of_driver(0, 13000).sentence == "no NVIDIA driver is installed");
  CHECK(fit_of_cudnn(6, 1, 91002, 91002).sentence == "cuDNN 9.10.2");
  CHECK(fit_of_cudnn(6, 1, 91100, 91002).sentence ==
        "cuDNN 9.11.0 has no code for compute capability 6.1: install cuDNN 9.10, the last version that does");
  CHECK(fit_of_cudnn(7, 5, 91900, 91002).fits);
  CHECK(fit_of_cudnn(9, 0, 91001, 91002).fits);
  CHECK(!fit_of_cudnn(9, 0, 90800, 91002).fits);
  CHECK(!fit_of_cudnn(9, 0, 100000, 91002).fits);
}

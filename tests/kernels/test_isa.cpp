#include <map>

#include "kernels/runtime/isa.h"
#include "tests/support/command_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("isa: every processing stage writes the same bytes with any instruction set") {
  const Folder folder;
  const auto run = [&](const std::string& words, const std::string& set) {
    const Ran ran = run_basin(folder, words + " --threads 2", "BASIN_ISA=" + set);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
  };
  const std::string mask = "made/nuclei_000_masks.png";
  run("synth --kind nuclei --count 1 --size 193 --seed 3 --out made", "baseline");
  const std::pair<std::string, std::string> stages[] = {
      {"field " + mask + " --out ", "sdf.npy"},
      {"field " + mask + " --kind affinity --out ", "affinity.npy"},
      {"field " + mask + " --kind omnipose --out ", "omnipose.npy"},
      {"field " + mask + " --kind centroid --out ", "centroid.npy"},
      {"integrate sdf.npy --mask " + mask + " --steps 40 --out ", "euler.npy"},
      {"integrate sdf.npy --mask " + mask + " --solver rk4 --out ", "rk4.npy"},
      {"integrate sdf.npy --mask " + mask + " --solver dopri5 --out ", "dopri5.npy"},
      {"integrate omnipose.npy --mask " + mask + " --rescale --suppress --out ", "rescaled.npy"},
      {"cluster euler.npy --eps 2.25 --min-samples 15 --snap-noise --out ", "clusters.npy"},
      {"components " + mask + " --out ", "components.npy"},
      {"loss ivp sdf.npy affinity.npy --out-grad ", "ivp.npy"},
      {"loss mse sdf.npy affinity.npy --out-grad ", "mse.npy"},
  };
  for (const auto& [words, file] : stages)
    run(words + file, "baseline");
  std::map<std::string, std::string> baseline;
  for (const auto& [words, file] : stages)
    baseline[file] = read_bytes(folder / file);
  for (const char* set : {"avx2", "avx512"})
    for (const auto& [words, file] : stages) {
      CAPTURE(set);
      CAPTURE(words);
      run(words + file, set);
      CHECK(read_bytes(folder / file) == baseline[file]);
    }
  MESSAGE("the best instruction set of this processor is ", std::string(name_of(isa())));
  const Ran unknown = run_basin(folder, "doctor", "BASIN_ISA=sse");
  CHECK(unknown.code == 1);
  CHECK_MESSAGE(contains(unknown.err, "basin: environment variable BASIN_ISA=sse: expected baseline, avx2 or avx512"),
                unknown.err);
  const Ran doctor = run_basin(folder, "doctor", "BASIN_ISA=baseline");
  CHECK_MESSAGE(contains(doctor.out, "baseline"), doctor.out);
}

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "data/arrays/npy.h"
#include "data/files/labels.h"
#include "kernels/field/affinity_field.h"
#include "kernels/field/centroid_field.h"
#include "kernels/field/distance_field.h"
#include "kernels/field/omnipose_field.h"
#include "tests/support/field_support.h"
#include "tests/support/paths.h"

using namespace basin;
using namespace basin::kernels;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

/// A folder for one test, removed at its end.
struct FieldFolder {
  fs::path path = fs::temp_directory_path() / ("basin-field-" + std::to_string(getpid()));
  FieldFolder() { fs::create_directories(path); }
  ~FieldFolder() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
};

int basin_field(const std::string& arguments) {
  return WEXITSTATUS(
      std::system((basin::basin_command() + " field " + arguments + " --device cpu >/dev/null 2>&1").c_str()));
}

}  // namespace

TEST_CASE("field: the command writes the results of the kernels") {
  const FieldFolder folder;
  const std::string labels = folder / "labels.png", out = folder / "field.npy";
  const Grid g = ellipses(60, 47, 12, 9, 31);
  const Labels compacted = compact(g.height, g.width, {g.ids.begin(), g.ids.end()});
  write_labels(labels, compacted);
  const auto check = [&](const std::string& options, const auto& launch) {
    CAPTURE(options);
    fs::remove(out);
    REQUIRE(basin_field(labels + " " + options + " --out " + out) == 0);
    const Array field = read_npy(out);
    CHECK(field.type == ElementType::f32);
    CHECK(field.shape == std::vector<int64_t>{2, g.height, g.width});
    CHECK(field.values<float>() == run({}, g, launch));
  };
  using In = View<const int32_t, 2>;
  using Out = View<float, 3>;
  check("", [](const Exec& e, In l, Out f) { sdf_field(e, l, {}, f); });
  check("--kind sdf --truncate 4 --kernel 7", [](const Exec& e, In l, Out f) { sdf_field(e, l, {4, 7}, f); });
  check("--kind affinity --kernel 19", [](const Exec& e, In l, Out f) { affinity_field(e, l, 19, f); });
  check("--kind omnipose", [](const Exec& e, In l, Out f) {  // beyond the image lies background
    const int height = l.dim[0] + 2, width = l.dim[1] + 2;
    std::vector<int32_t> framed(size_t(height) * size_t(width));
    for (int y = 0; y < l.dim[0]; ++y)
      for (int x = 0; x < l.dim[1]; ++x)
        framed[size_t(y + 1) * size_t(width) + size_t(x) + 1] = l(y, x);
    std::vector<float> whole(2 * framed.size());
    omnipose_field(e, {framed.data(), {height, width}}, {whole.data(), {2, height, width}});
    for (int c = 0; c < 2; ++c)
      for (int y = 0; y < l.dim[0]; ++y)
        for (int x = 0; x < l.dim[1]; ++x)
          f(c, y, x) = whole[(size_t(c) * size_t(height) + size_t(y) + 1) * size_t(width) + size_t(x) + 1];
  });
  check("--kind centroid", [](const Exec& e, In l, Out f) { centroid_field(e, l, CentroidMode::unit, f); });
  check("--kind centroid --mode displacement",
        [](const Exec& e, In l, Out f) { centroid_field(e, l, CentroidMode::displacement, f); });

  fs::remove(out);
  for (const char* wrong : {"--kernel 10", "--kernel 1", "--kernel 65", "--truncate 0", "--kind flow", "--mode far"}) {
    CAPTURE(wrong);
    CHECK(basin_field(labels + " " + wrong + " --out " + out) != 0);
  }
  CHECK(basin_field((folder / "missing.png") + " --out " + out) != 0);
  CHECK(!fs::exists(out));
}

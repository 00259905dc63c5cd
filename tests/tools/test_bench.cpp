#include "data/files/labels.h"
#include "engine/json.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;

namespace {

Json rows_of(const Folder& folder, const std::string& words, std::string* out = nullptr) {
  const Ran ran = run_basin(folder, "bench " + words + " --device cpu --json rows.json");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK_MESSAGE(ran.err.empty(), ran.err);
  if (out) *out = ran.out;
  return json_in(folder / "rows.json");
}

bool is_share(const Json& row, const char* key) { return row.contains(key) && row[key] > 0.0 && row[key] < 1e3; }

/// Two squares.
void write_squares(const std::filesystem::path& path) {
  Labels labels{72, 80, 2, std::vector<int32_t>(72 * 80)};
  for (int y = 10; y < 30; ++y)
    for (int x = 10; x < 30; ++x)
      labels.ids[size_t(y * 80 + x)] = 1, labels.ids[size_t(y * 80 + x + 35)] = 2;
  write_labels(path, labels);
}

}  // namespace

TEST_CASE("bench: the rate of a matrix product is the reference for networks") {
  const Folder folder;
  std::string out;
  const Json rows = rows_of(folder, "matrix --reps 1", &out);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["name"] == "matrix");
  CHECK(rows[0]["reps"] == 1);
  CHECK(rows[0]["calls"] == 1);
  CHECK(rows[0]["precision"] == "fp32");
  CHECK(contains(rows[0]["shape"].get<std::string>(), "fp32"));
  CHECK(rows[0]["gflop_per_s"] > 0.0);
  CHECK(rows[0]["of_matrix_rate"] == doctest::Approx(1));  // the median of one run is the best
  CHECK(!rows[0].contains("of_bandwidth"));
  CHECK(contains(out, "of peak"));
  CHECK(contains(out, "100.0 %"));
  CHECK(out.find("device: ") == 0);
  CHECK(out.find("device: ", 1) == std::string::npos);
}

TEST_CASE("bench: a benchmark first runs the reference that its rows are compared with") {
  const Folder folder;
  write_squares(folder / "l.png");
  const Json components = rows_of(folder, "components --input l.png --reps 1");
  REQUIRE(components.size() == 3);
  CHECK(components[0]["name"] == "memory");
  CHECK(components[0]["reps"] >= 5);
  for (const Json& row : components)
    CHECK(is_share(row, "of_bandwidth"));
  CHECK(components[1]["gb_per_s"].get<double>() * components[1]["median_ms"].get<double>() ==
        doctest::Approx(5e-6 * 72 * 80));
  const Json asked = rows_of(folder, "losses memory --reps 1");
  CHECK(asked[0]["name"] == "memory");
  CHECK(asked[0]["reps"] == 1);
  CHECK(asked.size() == 5);
}

TEST_CASE("bench: segment reports the time from image to labels, and of network and decoding separately") {
  const Folder folder;
  write_squares(folder / "l.png");
  std::string out;
  const Json rows = rows_of(folder, "segment --input l.png --reps 1", &out);
  REQUIRE(rows.size() == 4);
  CHECK(rows[0]["name"] == "matrix");
  CHECK(rows[1]["name"] == "segment");
  CHECK(rows[2]["name"] == "segment, network");
  CHECK(rows[3]["name"] == "segment, decode");
  CHECK(rows[1]["shape"] == "80x72, 2 objects");
  CHECK(is_share(rows[1], "of_matrix_rate"));
  CHECK(rows[1]["decode_share"] > 0.0);
  CHECK(rows[1]["decode_share"] < 1.0);
  CHECK(rows[2]["median_ms"] < rows[1]["median_ms"]);
  CHECK(contains(out, "  decode "));
}

TEST_CASE("bench: a training step reports its peak memory") {
  const Folder folder;
  std::string out;
  const Json rows = rows_of(folder, "train-step --side 64 --reps 1", &out);
  REQUIRE(rows.size() == 2);
  CHECK(rows[1]["name"] == "train-step");
  CHECK(rows[1]["shape"] == "H1, 2x1x64x64");
  CHECK(is_share(rows[1], "of_matrix_rate"));
  CHECK(rows[1]["peak_mib"] > 25.0);  // the weights, Adam's moments and the maps of two images
  CHECK(rows[1]["peak_mib"] < 200.0);
  CHECK(contains(out, "  peak "));
}

TEST_CASE("bench: every method's training step and segmentation are timed") {
  const Folder folder;
  for (const std::string model : {"vf-h2", "es", "wn", "fc", "og"}) {
    CAPTURE(model);
    const std::string set = model == "og" ? "width=2 --set crop=64" : "width=8";
    const Json rows = rows_of(
        folder, "method-train method-segment --model " + model + " --set " + set + " --side 64 --batch 1 --reps 1");
    REQUIRE(rows.size() == 5);  // the reference, then these
    CHECK(rows[1]["name"] == "method-train");
    CHECK(rows[2]["name"] == "method-segment");
    CHECK(rows[2]["median_ms"] >= rows[3]["median_ms"]);
    CHECK(rows[2]["median_ms"] >= rows[4]["median_ms"]);
  }
}

TEST_CASE("bench: a precision that the device lacks is reported, and fp32 is used") {
  const Folder folder;
  const Ran ran = run_basin(folder, "bench matrix --reps 1 --device cpu --precision tf32 --json rows.json");
  CHECK(ran.code == 0);
  CHECK_MESSAGE(contains(ran.err, "--precision tf32: this device does not support it"), ran.err);
  CHECK(json_in(folder / "rows.json")[0]["precision"] == "fp32");
  CHECK(json_in(folder / "rows.json.run.json")["precision"] == "fp32");
}

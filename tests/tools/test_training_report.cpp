#include "data/report/overlay.h"
#include "engine/json.h"
#include "tests/support/command_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// The scores in a column of metrics.csv, in the rows that have one.
std::vector<double> column_of(const std::string& csv, const std::string& name) {
  std::istringstream lines(csv);
  std::string line, cell;
  std::vector<double> values;
  std::getline(lines, line);
  size_t column = 0;
  for (std::istringstream cells(line); std::getline(cells, cell, ',') && cell != name;)
    ++column;
  while (std::getline(lines, line)) {
    std::istringstream cells(line);
    cell.clear();
    for (size_t k = 0; k <= column; ++k)
      if (!std::getline(cells, cell, ',')) cell.clear();
    if (!cell.empty()) values.push_back(std::stod(cell));
  }
  return values;
}

}  // namespace

TEST_CASE("overlay: matched, false and missed objects have different colours") {
  const Image image{4, 8, 1, PixelType::u8, std::vector<std::byte>(32)};
  Labels truth{4, 8, 2, std::vector<int32_t>(32)}, prediction = truth;
  for (const int y : {0, 1, 2, 3})
    for (const int x : {0, 1}) {
      truth.ids[size_t(8 * y + x)] = 1, prediction.ids[size_t(8 * y + x)] = 2;
      truth.ids[size_t(8 * y + x + 3)] = 2;       // missed
      prediction.ids[size_t(8 * y + x + 6)] = 1;  // false
    }
  const Image out = overlay_errors(image, truth, prediction, {{0, 2, 0}, {0, 0, 1}});
  const auto pixel = [&](int y, int x) {
    const uint8_t* p = out.as<uint8_t>() + 3 * (8 * y + x);
    return std::vector<int>{p[0], p[1], p[2]};
  };
  CHECK(pixel(1, 1) == std::vector<int>{0, 158, 115});  // on the outline: pure
  CHECK(pixel(1, 0) == std::vector<int>{0, 55, 40});    // inside: 90 / 256 of it
  CHECK(pixel(1, 3) == std::vector<int>{230, 159, 0});
  CHECK(pixel(1, 6) == std::vector<int>{204, 121, 167});
  CHECK(pixel(1, 7) == std::vector<int>{71, 42, 58});
  CHECK(pixel(1, 2) == std::vector<int>{0, 0, 0});
}

TEST_CASE("train: report.html shows curves, errors, counts, settings and the command, without external links") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --count 4 --size 64 --out data").code == 0);
  const std::string train =
      "train --data data --val-fraction 0.5 --width 8 --crop 32 --batch 1 --save-every 2 --device cpu --threads 1 "
      "--out run ";
  REQUIRE(run_basin(folder, train + "--steps 4 --report-images 1 --tensorboard").code == 0);
  std::string page = read_bytes(folder / "run/report.html");
  for (const char* part :
       {"Training of vf-h1", "Step 4 of 4, 2 images for training.", "Losses", "Validation scores", "Learning rate",
        "Average precision by IoU threshold", "Objects per image", "config.width", "--report-images 1"})
    CHECK_MESSAGE(contains(page, part), part);
  CHECK(occurrences(page, "<article>") == 1);  // of two validation images
  CHECK(occurrences(page, "data:image/png;base64,") == 3);
  CHECK(occurrences(page, "<svg") == 5);
  for (const char* link : {"http:", "https:", "src=\"./", "<script", "@import", "url("})
    CHECK_MESSAGE(!contains(page, link), link);
  // Resumed: no event twice.
  REQUIRE(run_basin(folder, train + "--steps 8 --report-images 0 --tensorboard --resume").code == 0);
  page = read_bytes(folder / "run/report.html");
  CHECK(contains(page, "Step 8 of 8"));
  CHECK(occurrences(page, "<article>") == 0);
  const std::string events = read_bytes(folder / "run/events.out.tfevents.basin");
  CHECK(occurrences(events, "loss/total") == 4);
  CHECK(occurrences(events, "validation/AP50_95") ==
        column_of(read_bytes(folder / "run/metrics.csv"), "val_AP50_95").size());

  // Without validation images.
  REQUIRE(run_basin(folder, "train --data data --val-fraction 0 --width 8 --crop 32 --steps 1 --device cpu --out none")
              .code == 0);
  page = read_bytes(folder / "none/report.html");
  CHECK(contains(page, "Losses"));
  CHECK(!contains(page, "<article>"));
  CHECK(!std::filesystem::exists(folder.path() / "none/events.out.tfevents.basin"));
}

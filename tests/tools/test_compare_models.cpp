#include "engine/json.h"
#include "kernels/image/components.h"
#include "models/inference/agreement.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "tests/support/command_support.h"
#include "tests/support/fake_method.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

const std::string sample = source_dir() + "/data/samples/nuclei_000";

/// The connected components of the bright pixels, or of those in the left half if `left`.
Instances bright(const Exec& exec, const Maps& maps, bool left) {
  const Tensor& map = maps["brightness"];
  const std::vector<float> values = map.to_host<float>(exec);
  const int height = map.dim(1), width = map.dim(2);
  std::vector<uint8_t> mask;
  for (size_t i = 0; i < values.size(); ++i)
    mask.push_back(values[i] > 0.5 && (!left || int(i % size_t(width)) < width / 2));
  Labels labels{height, width, 0, std::vector<int32_t>(values.size())};
  labels.count = int(kernels::components({}, {mask.data(), {height, width}}, 8, {labels.ids.data(), {height, width}}));
  return {labels, {}, {}};
}

Agreement agreement(bool left, bool empty = false) {
  const Exec cpu;
  const FakeMethod method(
      {{"brightness", 1}},
      [](const Exec&, const Tensor& image) {
        return Maps({{"brightness", image}});
      },
      [left](const Exec& exec, const Maps& maps) { return bright(exec, maps, left); });
  Image image{40, 60, 1, PixelType::u8, std::vector<std::byte>(2400)};
  for (int y = 4; y < 36 && !empty; ++y)
    for (int x = 4; x < 56; ++x)
      if (y % 16 < 10 && x % 18 < 10) image.pixels[size_t(y * 60 + x)] = std::byte(255);
  const Normalisation norm = parse_normalisation("divide");
  const Source source(image, 1, norm, "image");
  const auto predictor = method.predictor(cpu);
  const Labels labels = segment_source(cpu, method, *predictor, source, {}).instances.labels;
  return agreement_of(cpu, method, *predictor, source, norm, {}, labels);
}

}  // namespace

TEST_CASE("agreement: is 1 for an equivariant method, and lower for one that uses only the left half of the image") {
  const Agreement all = agreement(false), left = agreement(true), none = agreement(false, true);
  CHECK(all.flips == 1);
  CHECK(all.scales == 1);
  // Mirrored left to right other objects are found, and top to bottom the same ones.
  CHECK(left.flips.value() > 0.4);
  CHECK(left.flips.value() < 0.7);
  CHECK(!none.flips);
  CHECK(!none.scales);
  CHECK(mean_of_defined({1, std::nullopt, 2}) == 1.5);
}

TEST_CASE("compare-models: with labels, the table has the same scores as segment and evaluate") {
  const Folder folder;
  fs::copy_file(sample + "_img.png", folder / "in/a_img.png");
  fs::copy_file(sample + "_masks.png", folder / "in/a_masks.png");
  put_model(folder / "poor.safetensors");
  const Ran ran =
      run_basin(folder, "compare-models in --models nuclei-fluo,poor.safetensors --json t.json --device cpu");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK_MESSAGE(contains(ran.out, "1 image, with labels: AP by the rules of stardist"), ran.out);
  CHECK(contains(ran.out, "nuclei-fluo       vf-h1 "));
  const Json table = json_in(folder / "t.json");
  CHECK(table["labels"] == true);
  REQUIRE(table["models"].size() == 2);
  CHECK(table["models"][1]["model"] == "poor.safetensors");
  run_basin(folder, "segment in/a_img.png --model nuclei-fluo --device cpu --save labels --out out");
  run_basin(folder, "evaluate --pred out --truth in --json e.json");
  const Json scores = json_in(folder / "e.json");
  for (const auto& [key, name] : {std::pair("AP50", "AP50 (stardist, per-image mean, >=)"),
                                  {"AP75", "AP75 (stardist, per-image mean, >=)"},
                                  {"count_MAE", "count_MAE (per-image mean, objects)"}}) {
    REQUIRE(table["models"][0].contains(name));
    CHECK(table["models"][0][name] == scores["metrics"][key]["mean"]);
  }
  CHECK(table["models"][0]["AP50 (stardist, per-image mean, >=)"] >
        table["models"][1]["AP50 (stardist, per-image mean, >=)"]);
  CHECK(fs::exists(folder / "t.json.run.json"));
}

TEST_CASE("compare-models: a set of labelled images may begin with one without objects") {
  const Folder folder;
  fs::copy_file(sample + "_img.png", folder / "in/a/images/a.png");
  fs::create_directories(folder / "in/a/masks");
  fs::copy_file(sample + "_img.png", folder / "in/b/images/b.png");
  const Image image = read_image(sample + "_img.png");
  std::vector<std::byte> mask(size_t(image.height) * size_t(image.width));
  mask[0] = mask[1] = std::byte(255);
  write_png(folder / "in/b/masks/1.png", {image.height, image.width, 1, PixelType::u8, mask});
  put_model(folder / "poor.safetensors");
  const Ran ran = run_basin(folder, "compare-models in --models poor.safetensors --json t.json --device cpu");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK(json_in(folder / "t.json")["labels"] == true);
}

TEST_CASE("compare-models: the page shows the table, and what each model finds in each image") {
  const Folder folder;
  for (const char* name : {"a", "b"}) {
    fs::copy_file(sample + "_img.png", folder / ("in/" + std::string(name) + "_img.png"));
    fs::copy_file(sample + "_masks.png", folder / ("in/" + std::string(name) + "_masks.png"));
  }
  put_model(folder / "poor.safetensors");
  const std::string more = " --models nuclei-fluo,poor.safetensors --device cpu --report-images 1 --report ";
  const Ran ran = run_basin(folder, "compare-models in" + more + "page.html");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  const std::string page = read_bytes(folder / "page.html");
  CHECK(contains(page, "2 images, with labels: AP by the rules of stardist"));
  CHECK(contains(page, "<th scope=\"row\">poor.safetensors</th>"));
  CHECK(occurrences(page, "<article>") == 1);
  CHECK(occurrences(page, "<figure>") == 3);  // the truth, and one picture of each model
  CHECK(contains(page, "a_img.png: truth, "));
  CHECK(contains(page, "nuclei-fluo: "));
  CHECK(contains(page, "AP50 0."));
  CHECK(fs::exists(folder / "page.html.run.json"));
  const Ran alone = run_basin(folder, "compare-models in/a_img.png" + more + "alone.html");
  REQUIRE_MESSAGE(alone.code == 0, alone.err);
  CHECK(occurrences(read_bytes(folder / "alone.html"), "<figure>") == 2);
  const Ran refused = run_basin(folder, "compare-models in" + more + "in/a_img.png");
  CHECK(refused.code == 1);
  CHECK(
      contains(refused.err,
               "in/a_img.png: already exists, and no in/a_img.png.run.json says that `basin compare-models` wrote it"));
}

TEST_CASE("compare-models: the page and the JSON say which models were trained on the images") {
  const Folder folder;
  fs::copy_file(sample + "_img.png", folder / "in/a_img.png");
  fs::copy_file(sample + "_masks.png", folder / "in/a_masks.png");
  put_model(folder / "unknown.safetensors");
  Model model = load_model(folder / "unknown.safetensors", {});
  model.info["trained_on"] = image_fingerprints(read_examples(find_pairs(folder / "in"), 1, {}));
  save_model(folder / "seen.safetensors", {}, *model.method, model.info);
  model.info["trained_on"] = {"0123456789abcdef"};
  save_model(folder / "other.safetensors", {}, *model.method, model.info);
  const Ran ran = run_basin(folder,
                            "compare-models in --models unknown.safetensors,seen.safetensors,other.safetensors "
                            "--device cpu --json t.json --report page.html");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  const std::string sentence = "seen.safetensors was trained on 1 of these images, so its scores are too high";
  CHECK_MESSAGE(contains(ran.err, "basin: " + sentence), ran.err);
  CHECK(contains(read_bytes(folder / "page.html"), "<p class=\"note\">" + sentence + "</p>"));
  const Json rows = json_in(folder / "t.json")["models"];
  CHECK(rows[0]["trained_on"].is_null());
  CHECK(rows[1]["trained_on"] == 1);
  CHECK(rows[2]["trained_on"] == 0);
}

TEST_CASE("compare-models: images are processed at the scale that segment uses by default") {
  const Folder folder;
  fs::copy_file(sample + "_img.png", folder / "in/a_img.png");
  fs::copy_file(sample + "_masks.png", folder / "in/a_masks.png");
  Model model = load_model(fs::path(source_dir()) / "models/pretrained/nuclei-fluo.safetensors", {});
  model.info["appearance"] = to_json(Appearance{0, 0.1, 0.5, 1, 3, 4, 5});  // a fifth of the size of these nuclei
  model.info.erase("scale");
  save_model(folder / "one_scale.safetensors", {}, *model.method, model.info);
  model.info["scale"] = "auto";
  save_model(folder / "auto.safetensors", {}, *model.method, model.info);
  const Ran ran = run_basin(folder,
                            "compare-models in --models one_scale.safetensors,auto.safetensors --json t.json "
                            "--device cpu");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  const Json rows = json_in(folder / "t.json")["models"];
  const std::string ap75 = "AP75 (stardist, per-image mean, >=)";
  int k = 0;
  for (const char* name : {"one_scale", "auto"}) {
    const std::string out = std::string("out_") + name, json = out + ".json";
    run_basin(folder, "segment in/a_img.png --device cpu --save labels --model " + std::string(name) +
                          ".safetensors --out " + out);
    run_basin(folder, "evaluate --pred " + out + " --truth in --json " + json);
    CHECK(rows[size_t(k++)][ap75] == json_in(folder / json)["metrics"]["AP75"]["mean"]);
  }
  CHECK(rows[0][ap75] != rows[1][ap75]);
}

TEST_CASE("compare-models: without labels the agreement is reported; invalid arguments are refused") {
  const Folder folder;
  fs::copy_file(sample + "_img.png", folder / "in/a.png");
  const Ran ran = run_basin(folder, "compare-models in/a.png --models nuclei-fluo --json t.json --device cpu");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK_MESSAGE(contains(ran.out, "1 image, without labels"), ran.out);
  const Json row = json_in(folder / "t.json")["models"][0];
  CHECK(row["objects found again in mirrored images"] > 0.8);
  CHECK(row["objects found again at 0.8 and 1.25 times the scale"] > 0.6);
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran refusal = run_basin(folder, "compare-models " + words);
    CHECK(refusal.code == 1);
    CHECK_MESSAGE(contains(refusal.err, why), refusal.err);
  };
  refused("in --models nuclei-fluo,nothing", "basin: --models nothing: there is neither a file nor a shipped model");
  // Before any image is segmented.
  write_bytes(folder / "broken.safetensors", "no model");
  for (const char* unusable : {"nothing", "broken.safetensors"}) {
    const Ran late = run_basin(folder, "compare-models in/a.png --models nuclei-fluo," + std::string(unusable));
    CHECK(late.code == 1);
    CHECK_MESSAGE(!contains(late.err, "1 of 1"), late.err);
  }
  refused("none --models nuclei-fluo", "none: no such file or folder");
  for (const char* option : {"json", "report"})
    refused("in --models nuclei-fluo --" + std::string(option) + " in/a.png", "in/a.png: already exists");
  write_bytes(folder / "in/a.png.run.json", R"({"subcommand": "compare-models"})");
  refused("in --models nuclei-fluo --json in/a.png", "in/a.png: this input file would be overwritten");
  refused("in", "--models is required");
  fs::copy_file(sample + "_masks.png", folder / "in/b_masks.png");
  refused("in --models nuclei-fluo", "b_masks.png");
}

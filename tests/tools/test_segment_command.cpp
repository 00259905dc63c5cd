#include <algorithm>
#include <sstream>

#include "data/files/image.h"
#include "data/files/planes.h"
#include "engine/json.h"
#include "kernels/runtime/isa.h"
#include "models/inference/model_file.h"
#include "models/registry.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

void put_image(const fs::path& path) {
  Image image{32, 40, 1, PixelType::u8, std::vector<std::byte>(32 * 40)};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = std::byte(i * 7 % 251);
  write_png(path, image);
}

}  // namespace

TEST_CASE("segment: an unreadable image is reported and skipped, and the others are segmented") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (const char* name : {"in/a.png", "in/c_img.png", "in/e.png"})
    put_image(folder / name);
  write_bytes(folder / "in/b.png", read_bytes(folder / "in/a.png").substr(0, 200));
  write_bytes(folder / "in/d.tif", "no image");
  const Ran ran = run_basin(
      folder, "segment in missing.png --model m.safetensors --out out --save labels,overlay,field --device cpu");
  CHECK(ran.code == 1);
  CHECK(occurrences(ran.err, "\n") == 4);
  for (const char* bad : {"missing.png: ", "in/b.png: ", "in/d.tif: "})
    CHECK_MESSAGE(contains(ran.err, bad), ran.err);
  CHECK(contains(ran.err, "basin: 3 of 6 inputs could not be segmented: missing.png, in/b.png, in/d.tif\n"));
  CHECK(contains(ran.out, "in/e.png: "));
  CHECK(contains(ran.out, "3 images: "));
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder / "out"))
    files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  CHECK(files == std::vector<std::string>{"a_field.npy", "a_masks.png", "a_overlay.png", "c_field.npy", "c_masks.png",
                                          "c_overlay.png", "e_field.npy", "e_masks.png", "e_overlay.png", "run.json"});
  const Json run = json_in(folder / "out/run.json");
  CHECK(run["images"] == 3);
  CHECK(run["failed"] == Json{"missing.png", "in/b.png", "in/d.tif"});
  CHECK(run_basin(folder, "segment in/a.png in/e.png --model m.safetensors --out good --device cpu").code == 0);
}

TEST_CASE("segment: scores are written beside the labels if the method gives them, and outdated ones are removed") {
  const Folder folder;
  const Exec cpu;
  const std::unique_ptr<Method> og =
      make_method("og", {{"width", "4", "test"}, {"channels", "1", "test"}, {"crop", "32", "test"}});
  og->params().allocate(cpu);
  og->init(cpu, 1);
  // Every pixel of the heat map is likely to be a centre, of an object of 16 px.
  for (const auto& [name, value] : std::vector<std::pair<std::string, float>>{{"hm.2.bias", 2}, {"wh.2.bias", 4}})
    for (const Params::Named& n : og->params().learnt())
      if (n.name == name)
        og->params().value_slice(n).copy_from_host(cpu, std::vector<float>(size_t(n.shape.size()), value).data());
  save_model(folder / "og.safetensors", cpu, *og, Json::object());
  put_model(folder / "vf.safetensors");
  put_image(folder / "a.png");
  const std::string more = " --out out --save labels --device cpu --set ";
  const Ran some = run_basin(folder, "segment a.png --model og.safetensors" + more + "confidence=0.2");
  CHECK_MESSAGE(some.code == 0, some.err);
  const std::string scores = read_bytes(folder / "out/a_scores.csv");
  CHECK(scores.starts_with("label,score\n1,0."));
  CHECK(occurrences(scores, "\n") > 1);
  const Ran evaluated = run_basin(folder, "evaluate --pred out --truth out");
  CHECK_MESSAGE(evaluated.code == 0, evaluated.err);
  CHECK(contains(evaluated.out, "VOC_AP50"));
  // The whole masks, which share pixels, have the same numbers and scores.
  const Ran masks = run_basin(
      folder,
      "segment a.png --model og.safetensors --out whole --save instances,labels --device cpu --set confidence=0.2");
  CHECK_MESSAGE(masks.code == 0, masks.err);
  CHECK(read_bytes(folder / "whole/a_scores.csv") == scores);
  const std::optional<Planes> instances = read_stack(folder / "whole/a_instances.tif");
  REQUIRE(instances);
  CHECK(share_pixels(*instances));
  CHECK(flatten(*instances).ids == read_labels(folder / "whole/a_masks.png").ids);
  const std::string hint = "whole/a_masks.png: scored instead of *_instances.tif beside it";
  CHECK(contains(run_basin(folder, "evaluate --pred whole --truth out").err, hint));
  CHECK(!contains(run_basin(folder, "evaluate --pred whole/a_masks.png --truth out").err, hint));
  fs::remove(folder / "whole/a_masks.png");
  const Ran whole = run_basin(folder, "evaluate --pred whole --truth whole/a_instances.tif --json whole.json");
  CHECK_MESSAGE(whole.code == 0, whole.err);
  CHECK(json_in(folder / "whole.json")["metrics"]["VOC_AP95"]["pooled"] == 1);
  // If the numbers of masks and scores differ, one of the files was changed. A run that saves only labels removes the
  // masks.
  const std::string again =
      "segment a.png --model og.safetensors --out whole --skip-existing --device cpu --set confidence=0.2 --save ";
  CHECK(contains(run_basin(folder, again + "instances").out, "1 image skipped"));
  write_bytes(folder / "whole/a_scores.csv", "label,score\n1,0.5\n");
  const Ran contradiction = run_basin(folder, again + "instances");
  CHECK(contradiction.code == 1);
  CHECK_MESSAGE(contains(contradiction.err, "a_scores.csv: has 1 row, but a_instances.tif has"), contradiction.err);
  const Ran other = run_basin(folder, "segment a.png --model vf.safetensors --out whole --device cpu --save labels");
  CHECK(other.code == 0);
  CHECK_MESSAGE(contains(other.err, "whole/a_instances.tif and 1 more: removed, as results of an earlier run"),
                other.err);
  CHECK(!fs::exists(folder / "whole/a_instances.tif"));
  // Masks that Basin did not write are not overwritten.
  fs::create_directories(folder / "true");
  write_bytes(folder / "true/a_instances.tif", "true");
  const Ran kept = run_basin(folder, "segment a.png --model og.safetensors --out true --device cpu --save instances");
  CHECK(contains(kept.err, "a_instances.tif: already exists and may contain true labels"));
  CHECK(read_bytes(folder / "true/a_instances.tif") == "true");
  const Ran refused = run_basin(folder, "segment a.png --model vf.safetensors --out no --save instances --device cpu");
  CHECK(refused.code == 1);
  CHECK(contains(refused.err, "--save instances"));
  const Ran tiled = run_basin(folder, "segment a.png --tile 256 --model og.safetensors" + more + "confidence=1");
  CHECK(tiled.code == 0);
  CHECK_MESSAGE(contains(tiled.err, "basin: --tile is not used: the network of og sees whole images\n"), tiled.err);
  CHECK(read_bytes(folder / "out/a_scores.csv") == "label,score\n");
  CHECK(run_basin(folder, "segment a.png --model vf.safetensors" + more + "eps=2").code == 0);
  CHECK(!fs::exists(folder / "out/a_scores.csv"));
}

TEST_CASE("segment: --save scores of vector fields are the border flow in the table of objects") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png");
  const Ran ran =
      run_basin(folder, "segment a.png --model m.safetensors --out out --save labels,scores,csv --device cpu");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  std::istringstream scores(read_bytes(folder / "out/a_scores.csv")), objects(read_bytes(folder / "out/a_objects.csv"));
  std::string score, object;
  std::getline(scores, score), std::getline(objects, object);
  CHECK(score == "label,score");
  const auto fields = [](const std::string& line) {
    std::vector<std::string> all;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, ',');)
      all.push_back(field);
    return all;
  };
  const std::vector<std::string> names = fields(object);
  const auto column = size_t(std::find(names.begin(), names.end(), "border_flow") - names.begin());
  REQUIRE(column < names.size());
  int rows = 0;
  for (; std::getline(scores, score); ++rows) {
    REQUIRE(std::getline(objects, object));
    CHECK(fields(score)[0] == fields(object)[0]);
    CHECK(std::stod(fields(score)[1]) == doctest::Approx(std::stod(fields(object)[column])).epsilon(1e-5));
  }
  CHECK(rows > 0);
  // Scores without their labels could lie beside those of another run.
  const Ran alone = run_basin(folder, "segment a.png --model m.safetensors --out out --save scores --device cpu");
  CHECK(alone.code == 1);
  CHECK_MESSAGE(contains(alone.err, "save it too: --save labels,scores"), alone.err);
  CHECK(!std::getline(objects, object));
  const Ran evaluated = run_basin(folder, "evaluate --pred out --truth out");
  CHECK_MESSAGE(evaluated.code == 0, evaluated.err);
  CHECK(contains(evaluated.out, "VOC_AP50"));
}

TEST_CASE("segment: files listed on the command line, and files of the same name in two folders") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (const char* name : {"a/i.png", "a/i_masks.png", "b/i.png"})
    put_image(folder / name);
  const Ran listed =
      run_basin(folder, "segment a/i.png a/i_masks.png --model m.safetensors --out out --save labels --device cpu");
  CHECK_MESSAGE(listed.code == 0, listed.err);
  CHECK(contains(listed.err, "left out a/i_masks.png"));
  CHECK(!fs::exists(folder / "out/i_masks_masks.png"));
  CHECK(fs::exists(folder / "out/i_masks.png"));
  const Ran both = run_basin(folder, "segment a b --model m.safetensors --out both --save labels --device cpu");
  CHECK_MESSAGE(both.code == 0, both.err);
  CHECK(fs::exists(folder / "both/a/i_masks.png"));
  CHECK(fs::exists(folder / "both/b/i_masks.png"));
  const Ran alone = run_basin(folder, "segment a/i_masks.png --model m.safetensors --out never");
  CHECK(alone.code == 1);
  CHECK_MESSAGE(contains(alone.err, "a/i_masks.png: is taken for a label image because of its name"), alone.err);
  CHECK(!fs::exists(folder / "never"));
}

TEST_CASE("segment: options that have no effect are reported") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png");
  const auto said = [&](const std::string& words) {
    const Ran ran = run_basin(folder, "segment a.png --model m.safetensors --device cpu --out out " + words);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    return ran.err;
  };
  CHECK(said("--stitch 0.5") == "basin: a.png: --stitch is not used, because this is a single image\n");
  CHECK(said("--tiling fit --tile 64") == "basin: --tile is not used: --tiling fit chooses the tiles by itself\n");
  CHECK(contains(said("--tiling exact --overlap 64"), "basin: --overlap is not used: the tiles of --tiling exact "));
  CHECK(said("--tile 64 --overlap 16") == "");
  CHECK(said("--tiling exact --tile 32") == "");  // smaller than the default overlap, which it does not use
  CHECK(contains(run_basin(folder, "segment a.png --model m.safetensors --out out --tile 32").err,
                 "--overlap 50: expected less than --tile 32"));
  const std::unique_ptr<Method> og =
      make_method("og", {parse_assignment("width=2"), parse_assignment("channels=1"), parse_assignment("crop=64")});
  og->params().allocate({});
  og->init({}, 1);
  save_model(folder / "m.safetensors", {}, *og, Json::object());
  CHECK(contains(
      said("--scale 0.5 --norm none"),
      "basin: --scale is not used: the network of og sees every image at one size; give --set resize=false\n"));
  CHECK(!contains(said("--scale 0.5 --norm none --set resize=false"), "--scale is not used"));
  CHECK(contains(said("--norm none --precision bf16"),
                 multiplies_bfloat16() ? "--precision bf16 is not used: the network of og computes in fp32"
                                       : "--precision bf16: this device does not support it"));
}

TEST_CASE("segment: tiles of a resized image are refused where the maps contain lengths") {
  const Folder folder;
  put_image(folder / "a.png");
  for (const char* name : {"es", "fc"}) {
    const std::unique_ptr<Method> method =
        make_method(name, {parse_assignment("width=4"), parse_assignment("channels=1")});
    method->params().allocate({});
    method->init({}, 1);
    save_model(folder / "m.safetensors", {}, *method, Json::object());
    const Ran ran = run_basin(
        folder, "segment a.png --model m.safetensors --device cpu --tiling resize --out " + std::string(name));
    const bool fits = std::string(name) == "fc";
    CHECK(ran.code == (fits ? 0 : 1));
    if (!fits) CHECK_MESSAGE(contains(ran.err, "--tiling resize: the maps of es contain lengths"), ran.err);
  }
}

TEST_CASE("segment: an impossible number of threads is refused in one sentence") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png");
  const Ran ran = run_basin(folder, "segment a.png --model m.safetensors --out out --threads 100000");
  CHECK(ran.code != 0);
  CHECK(occurrences(ran.err, "\n") == 1);
  CHECK(contains(ran.err, "--threads"));
}

TEST_CASE("segment: no files remain of an image whose output fails halfway") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png"), put_image(folder / "b.png");
  fs::create_directories(folder / "out/a_overlay.png/x");  // its name is taken, so that it cannot be written
  const Ran ran = run_basin(folder, "segment a.png b.png --model m.safetensors --out out --device cpu");
  CHECK(ran.code == 1);
  CHECK(contains(ran.err, "a_overlay.png"));
  CHECK(contains(ran.err, "1 of 2 inputs"));
  CHECK(!fs::exists(folder / "out/a_masks.png"));
  CHECK(fs::exists(folder / "out/b_masks.png"));
  CHECK(fs::exists(folder / "out/b_overlay.png"));
}

TEST_CASE("segment: an error that concerns all images is reported once, and no folder is created") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png"), put_image(folder / "b.png"), put_image(folder / "more/a.png");
  const auto refused = [&](const std::string& words, const std::string& why, size_t lines) {
    const Ran ran = run_basin(folder, "segment --device cpu " +
                                          std::string(contains(words, "--model") ? "" : "--model m.safetensors ") +
                                          (contains(words, "--out") ? words : words + " --out never"));
    CHECK(ran.code == 1);
    CHECK(ran.out.empty());
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
    CHECK(occurrences(ran.err, "\n") == lines);
    CHECK(!fs::exists(folder / "never"));
  };
  refused("a.png b.png --tile 100", "--tile 100: expected a multiple of 8", 1);
  refused("a.png b.png --tile 64 --overlap 64", "--overlap 64: expected less than --tile 64", 1);
  refused("a.png b.png --norm loud", "--norm loud", 1);
  put_image(folder / "a.tif");  // a PNG despite its name
  refused("a.png a.tif", "its results would have the same names as those of", 1);
  write_bytes(folder / "file", "x");
  refused("a.png --out file", "file: is a file, not a folder", 1);
  refused("none.png", "none.png: no such file or folder", 2);
  refused("none.png", "1 of 1 inputs could not be segmented", 2);
  put_model(folder / "run/best.safetensors");
  refused("a.png --model run", "--model run: is a folder; give a model in it, such as run/best.safetensors", 1);
}

TEST_CASE("segment: options without a value do not consume the image argument, and run.json records their defaults") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png");
  const Ran ran =
      run_basin(folder,
                "segment --snap-noise --suppress --rescale a.png --model m.safetensors --out out --device cpu "
                "--precision bf16 --threads 1");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  const Json run = json_in(folder / "out/run.json");
  CHECK(run["precision"] == (multiplies_bfloat16() ? "bf16" : "fp32"));
  CHECK(contains(ran.err, "runs in fp32") == !multiplies_bfloat16());
  CHECK(run["out"] == "out");
  CHECK(run["threads"] == 1);
  CHECK(run["device"].get<std::string>().rfind("cpu, ", 0) == 0);
  CHECK(run["snap_noise"] == "majority");
  CHECK(run["suppress"] == "paper");
  CHECK(run["rescale"] == "0.01,99.99");
  // A value may follow them, too.
  const Ran named =
      run_basin(folder,
                "segment --snap-noise none --suppress omnipose --rescale 1,99 a.png --model m.safetensors "
                "--out out --device cpu");
  CHECK_MESSAGE(named.code == 0, named.err);
  const Json given = json_in(folder / "out/run.json");
  CHECK(given["images"] == 1);
  CHECK(given["snap_noise"] == "none");
  CHECK(given["suppress"] == "omnipose");
  CHECK(given["rescale"] == "1,99");
  CHECK(run_basin(folder, "segment a.png --rescale none --model m.safetensors --out out --device cpu").code == 0);
  CHECK(json_in(folder / "out/run.json")["rescale"] == "none");
  const Ran other = run_basin(folder, "segment a.png --suppress=omnipose --model m.safetensors --out o2 --device cpu");
  CHECK(other.code == 0);
  CHECK(json_in(folder / "o2/run.json")["config"]["decoding"]["suppression"] == "omnipose");
}

TEST_CASE("segment: views are averaged if requested, which is refused for maps that cannot be averaged") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png");
  for (const std::string& tta : {std::string(), std::string(" --tta")}) {
    const Ran ran =
        run_basin(folder, "segment a.png --model m.safetensors --device cpu --save field --out 'out" + tta + "'" + tta);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    CHECK(json_in(folder / ("out" + tta) / "run.json")["tta"] == !tta.empty());
  }
  CHECK(read_bytes(folder / "out/a_field.npy") != read_bytes(folder / "out --tta/a_field.npy"));
  const std::unique_ptr<Method> fc = make_method("fc", {});
  fc->params().allocate({});
  fc->params().init({}, 1);
  save_model(folder / "fc.safetensors", {}, *fc, Json::object());
  CHECK(run_basin(folder, "segment a.png --model fc.safetensors --device cpu --out fc --tta").err ==
        "basin: --tta: the maps of fc cannot be averaged over views\n");
}

TEST_CASE("segment: a setting that the maps depend on is applied, and tune refuses to try it") {
  const Folder folder;
  const std::unique_ptr<Method> method = make_method("es", {parse_assignment("width=4")});
  method->params().allocate({});
  method->init({}, 1);
  save_model(folder / "m.safetensors", {}, *method, Json::object());
  put_image(folder / "i.png");
  const auto segmented = [&](const std::string& views) {
    const Ran ran = run_basin(
        folder, "segment i.png --model m.safetensors --save raw --device cpu --out " + views + " --set views=" + views);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    return read_bytes(folder / (views + "/i_raw.npy"));
  };
  CHECK(segmented("true") != segmented("false"));
  const Ran tuned = run_basin(folder, "tune --model m.safetensors --val . --out t.safetensors --try views=true,false");
  CHECK(tuned.code == 1);
  CHECK_MESSAGE(contains(tuned.err, "--try views=...: the maps of the network depend on it"), tuned.err);
}

TEST_CASE("segment: masks beside their image are not overwritten") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "in/a_img.png");
  put_image(folder / "in/a_masks.png");
  const std::string before = read_bytes(folder / "in/a_masks.png");
  const Ran ran = run_basin(folder, "segment in --model m.safetensors --out in --device cpu");
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.err, "in/a_masks.png: already exists and may contain true labels"), ran.err);
  CHECK(run_basin(folder, "segment in --model m.safetensors --out in --save overlay --device cpu").code == 0);
  // A run.json is not enough if the image lies beside its masks, nor is that of another command.
  write_bytes(folder / "in/run.json", "{\"subcommand\": \"segment\"}");
  CHECK(run_basin(folder, "segment in/a_img.png --model m.safetensors --out ./in/ --device cpu").code == 1);
  CHECK(read_bytes(folder / "in/a_masks.png") == before);
  fs::create_directories(folder / "masks");
  fs::rename(folder / "in/a_masks.png", folder / "masks/a_masks.png");  // someone's, as no run of Basin lies there
  const Ran elsewhere = run_basin(folder, "segment in --model m.safetensors --out masks --device cpu");
  CHECK(elsewhere.code == 1);
  CHECK_MESSAGE(contains(elsewhere.err, "masks/a_masks.png: already exists"), elsewhere.err);
  for (const char* other : {"{\"subcommand\": \"synth\"}", "no JSON"}) {
    write_bytes(folder / "masks/run.json", other);
    CHECK(run_basin(folder, "segment in --model m.safetensors --out masks --device cpu").code == 1);
  }
  CHECK(read_bytes(folder / "masks/a_masks.png") == before);
  for (int times = 0; times < 2; ++times)
    CHECK(run_basin(folder, "segment in --model m.safetensors --out out --device cpu").code == 0);
  // No second label image remains of an earlier run with more objects.
  fs::rename(folder / "out/a_masks.png", folder / "out/a_masks.tif");
  CHECK(run_basin(folder, "segment in --model m.safetensors --out out --device cpu").code == 0);
  CHECK(fs::exists(folder / "out/a_masks.png"));
  CHECK(!fs::exists(folder / "out/a_masks.tif"));
}

TEST_CASE("segment: labels are not written beside those of a data set in folders images and masks") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "set/images/a.png"), put_image(folder / "set/masks/a.png");
  const std::string words = "segment set/images --model m.safetensors --device cpu --out set/masks --save ";
  const Ran ran = run_basin(folder, words + "labels");
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.err, "set/masks/a.png: this label image belongs to a data set"), ran.err);
  CHECK(!fs::exists(folder / "set/masks/a_masks.png"));
  CHECK(run_basin(folder, words + "overlay").code == 0);
  fs::remove(folder / "set/masks/a.png");
  CHECK(run_basin(folder, words + "labels").code == 0);
}

TEST_CASE("segment: images in DSB folders are named after their folders") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (const char* id : {"c1", "c2"}) {
    put_image(folder / (std::string("in/") + id + "/images/image.png"));
    write_labels(folder / (std::string("in/") + id + "/masks/1.png").c_str(),
                 Labels{32, 40, 1, std::vector<int32_t>(1280, 1)});
  }
  const Ran ran = run_basin(folder, "segment in --model m.safetensors --out out --save labels --device cpu");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK(fs::exists(folder / "out/c1_masks.png"));
  const Ran scores = run_basin(folder, "evaluate --pred out --truth in");
  CHECK_MESSAGE(scores.code == 0, scores.err);
}

TEST_CASE("segment: RGB images are converted for a model with one channel, which is reported") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "in/a.png");
  CHECK(run_basin(folder, "segment in --model m.safetensors --out grey --device cpu").err.empty());
  Image rgb{32, 40, 3, PixelType::u8, std::vector<std::byte>(3 * 32 * 40)};
  for (size_t i = 0; i < rgb.pixels.size(); ++i)
    rgb.pixels[i] = std::byte(i / 3 * 7 % 251);
  write_png(folder / "in/a.png", rgb);
  const Ran ran = run_basin(folder, "segment in --model m.safetensors --out rgb --device cpu");
  CHECK(ran.code == 0);
  CHECK(ran.err == "1 image converted from RGB to grey by Rec. 601, because the model takes 1 channel\n");
  CHECK(read_bytes(folder / "rgb/a_masks.png") == read_bytes(folder / "grey/a_masks.png"));
}

TEST_CASE("segment: an empty or damaged run.json, as after a full disk, does not prevent a run") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_image(folder / "a.png");
  fs::create_directories(folder / "out");
  for (const std::string& damaged : {std::string(), std::string("{\"subcommand\": \"seg"), std::string("[]")}) {
    write_bytes(folder / "out/run.json", damaged);
    fs::remove(folder / "out/a_masks.png");
    const Ran ran = run_basin(folder, "segment a.png --model m.safetensors --out out");
    CHECK_MESSAGE(ran.code == 0, ran.err);
    CHECK(fs::exists(folder / "out/a_masks.png"));
  }
}

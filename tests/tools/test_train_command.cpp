#include "data/files/encoders.h"
#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/synth/synth.h"
#include "engine/json.h"
#include "models/inference/model_file.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// A TIFF of 32 x 32 pixels of this size (um), as ImageJ writes it, with labels of one object.
void put_sized(const Folder& folder, const std::string& stem, double pixel_size) {
  std::vector<uint8_t> pixels(32 * 32);
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = uint8_t(i * (stem.back() % 7 + 1));
  raster::TiffWriter writer(folder / (stem + ".tif"), false);
  writer.add({32, 32, 1, 8, [&](int y) { return pixels.data() + 32 * y; }}, "ImageJ=1.53t\nunit=um\n",
             {1 / pixel_size, 1 / pixel_size});
  writer.commit();
  Labels labels{32, 32, 1, std::vector<int32_t>(32 * 32)};
  for (int y = 8; y < 20; ++y)
    for (int x = 8; x < 20; ++x)
      labels.ids[size_t(y * 32 + x)] = 1;
  write_labels(folder / (stem + "_masks.png"), labels);
}

}  // namespace

TEST_CASE("train: invalid numbers, unsuitable labels and a run whose state is missing are refused") {
  const Folder folder;
  for (const char* words : {"--lr nan", "--lr inf", "--weights 1,nan,1", "--weights 1,1,-1", "--tversky -1,0.5"}) {
    const Ran ran = run_basin(folder, std::string("train --data . --out run ") + words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, std::string(words).substr(0, 4)), ran.err);
  }
  const Ran bf16 = run_basin(folder, "train --data . --out run --device cpu --precision bf16");
  CHECK(bf16.code == 1);
  CHECK_MESSAGE(contains(bf16.err, "--precision bf16: the CPU trains only in fp32"), bf16.err);
  CHECK(run_basin(folder, "synth --count 2 --size 64 --out data").code == 0);
  // Black-and-white masks, and none at all.
  const Labels one{64, 64, 1, [] {
                     std::vector<int32_t> ids(64 * 64);
                     ids[70] = ids[2000] = 1;
                     return ids;
                   }()};
  for (const char* name : {"a", "b"}) {
    write_png(folder / (std::string("binary/") + name + ".png"),
              {64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64)});
    write_labels(folder / (std::string("binary/") + name + "_masks.png"), one);
    write_png(folder / (std::string("none/") + name + ".png"),
              {64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64)});
    write_labels(folder / (std::string("none/") + name + "_masks.png"), {64, 64, 0, std::vector<int32_t>(64 * 64)});
  }
  const std::string few = " --width 8 --crop 32 --steps 1 --device cpu --out ";
  CHECK(contains(run_basin(folder, "train --data binary" + few + "r1").err,
                 "a single object in 2 pieces; if each piece is an object, number them"));
  CHECK(contains(run_basin(folder, "train --data data --val-fraction 0 --patience 2" + few + "r5").err,
                 "--patience 2: there are no validation images whose score could improve"));
  const std::string og = "train --data data --model og --width 2 --steps 1 --device cpu --out r6 ";
  CHECK(contains(run_basin(folder, og + "--crop 48").err, "--crop 48: expected a multiple of 32"));
  CHECK(contains(run_basin(folder, og + "--crop 64 --set crop=96").err,
                 "--set crop=96: this setting is given twice, also by --crop 64"));
  const Ran empty = run_basin(folder, "train --data none" + few + "r2");
  CHECK_MESSAGE(empty.code == 0, empty.err);
  CHECK(contains(empty.err, "none: no training image contains an object: the model learns nothing but background"));
  for (const char* needs_objects : {"--model es", "--sampling objects"}) {
    const Ran refused = run_basin(folder, std::string("train --data none ") + needs_objects + few + "r4");
    CHECK(refused.code == 1);
    CHECK_MESSAGE(contains(refused.err, "none: no training image contains an object\n"), refused.err);
    CHECK(!std::filesystem::exists(folder.path() / "r4"));
  }
  write_bytes(folder / "copy/a.png", read_bytes(folder / "data/bacteria_000_img.png"));
  write_bytes(folder / "copy/a_masks.png", read_bytes(folder / "data/bacteria_000_img.png"));
  const Ran copy = run_basin(folder, "train --data copy" + few + "r3");
  CHECK(copy.code == 1);
  CHECK_MESSAGE(contains(copy.err, "copy/a_masks.png: is a copy of the image, not its labels"), copy.err);
  const std::string train = "train --data data --out run --width 8 --crop 32 --steps 2 --device cpu";
  const Ran first = run_basin(folder, train);
  REQUIRE_MESSAGE(first.code == 0, first.err);
  CHECK(contains(first.err, "validation: 1 image with labels:"));
  std::filesystem::remove(folder / "run/last.state.safetensors");
  const std::string model = read_bytes(folder / "run/last.safetensors");
  const Ran gone = run_basin(folder, train + " --resume");
  CHECK(gone.code == 1);
  CHECK_MESSAGE(contains(gone.err, "contains models, but --resume also needs the training state"), gone.err);
  CHECK(read_bytes(folder / "run/last.safetensors") == model);
  const Ran again =
      run_basin(folder, "train --data data --val data --out other --width 8 --crop 32 --steps 1 --device cpu");
  CHECK(contains(again.err, "2 validation images also used for training"));
}

TEST_CASE("train: an interrupted run says how it is continued") {
  const Folder folder;
  put_sized(folder, "data/a", 1);
  const std::string train = "train --data data --width 4 --crop 32 --batch 1 --device cpu --out run --save-every 1 ";
  const Ran stopped = run_basin(folder, train + "--steps 10000000", "timeout -s INT 3");
  CHECK(stopped.code == 124);
  CHECK_MESSAGE(
      contains(stopped.err, "\nbasin: interrupted; the same command with --resume continues after the last save\n"),
      stopped.err);
}

TEST_CASE(
    "train: settings that an option or the images give are refused with --set, and so is one that is given twice") {
  const Folder folder;
  put_sized(folder, "data/a", 1);
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, "train --data data --steps 1 --device cpu --out run " + words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
  };
  refused("--set channels=3", "--set channels=3: the number of channels is that of the images, or of --channels");
  refused("--width 8 --set width=16", "--set width=16: this setting is given twice, also by --width 8");
  refused("--set truncate=5 --set truncate=6",
          "--set truncate=6: this setting is given twice, also by --set truncate=5");
}

TEST_CASE("segment: an interrupted run says how it is continued") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  write_png(folder / "x.png", make_synthetic({.size = 512, .seed = 1}, 0).image);
  // The run is stopped later and later, because at first it only loads the model.
  Ran stopped{0, "", ""};
  for (const char* seconds : {"0.5", "1", "2", "4", "8", "16"}) {
    stopped = run_basin(folder, "segment x.png --model m.safetensors --out out --device cpu --threads 1 --scale 16",
                        "timeout -s INT " + std::string(seconds));
    CHECK(stopped.code == 124);
    if (contains(stopped.err, "interrupted")) break;
  }
  CHECK_MESSAGE(contains(stopped.err,
                         "\nbasin: interrupted; the results of finished images are complete; the same "
                         "command with --skip-existing --resume does the others\n"),
                stopped.err);
}

TEST_CASE("train: an --ignore-label that only validation labels contain is reported as such") {
  const Folder folder;
  put_sized(folder, "data/a", 1), put_sized(folder, "val/b", 1);
  const std::string words =
      "train --data data --val val --ignore-label 255 --width 4 --crop 32 --steps 1 --device cpu ";
  const Ran none = run_basin(folder, words + "--out none");
  REQUIRE_MESSAGE(none.code == 0, none.err);
  CHECK_MESSAGE(contains(none.err, "--ignore-label 255: no label image contains this value\n"), none.err);
  Image labels{32, 32, 1, PixelType::u8, std::vector<std::byte>(32 * 32)};
  for (size_t i = 0; i < 8 * 32; ++i)
    labels.pixels[i] = std::byte(i < 4 * 32 ? 255 : 1);
  write_png(folder / "val/b_masks.png", labels);
  const Ran one = run_basin(folder, words + "--out one");
  REQUIRE_MESSAGE(one.code == 0, one.err);
  CHECK_MESSAGE(
      contains(one.err,
               "--ignore-label 255: no training label image contains this value, only those of validation do\n"),
      one.err);
}

TEST_CASE("train: --finetune takes method, settings and weights from a model") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --count 3 --size 64 --out data").code == 0);
  const std::string few = "train --data data --crop 32 --batch 1 --steps 1 --device cpu ";
  REQUIRE(run_basin(folder, few + "--model fc --set colours=4 --width 8 --norm divide --out first").code == 0);
  const Ran tuned = run_basin(folder, few + "--finetune first/last.safetensors --out tuned");
  REQUIRE_MESSAGE(tuned.code == 0, tuned.err);
  const std::string info = run_basin(folder, "info tuned/last.safetensors").out;
  CHECK_MESSAGE(contains(info, "fc"), info);
  const std::string run = read_bytes(folder / "tuned/run.json");
  CHECK(contains(run, "\"model\": \"fc\""));
  CHECK(contains(run, "\"colours\": 4"));
  CHECK(contains(run, "\"normalisation\": \"divide\""));

  // These are refused before the data are read.
  for (const auto& [words, why] :
       {std::pair("--width 16",
                  "--width 16: width cannot be changed with --finetune; it is 8 in first/last.safetensors"),
        {"--set colours=6", "--set colours=6: colours cannot be changed with --finetune; it is 4 in "}}) {
    const Ran wider = run_basin(folder, few + "--finetune first/last.safetensors --out wider " + words);
    CHECK(wider.code == 1);
    CHECK_MESSAGE(contains(wider.err, why), wider.err);
    CHECK(!contains(wider.err, "training: "));
  }
  CHECK(!std::filesystem::exists(folder / "wider"));
  for (const char* excluded : {"--model fc", "--channels 3"})
    CHECK(run_basin(folder, few + "--finetune first/last.safetensors --out other " + excluded).code != 0);
}

TEST_CASE("train: --scale resizes images for the network, and segment applies the same scale") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --kind nuclei --count 3 --size 128 --out data").code == 0);
  const std::string few = "train --data data --crop 32 --batch 1 --width 4 --device cpu ";
  const Ran half = run_basin(folder, few + "--scale 0.5 --steps 1 --out half");
  REQUIRE_MESSAGE(half.code == 0, half.err);
  REQUIRE(run_basin(folder, few + "--steps 1 --out whole").code == 0);
  const auto info_of = [&](const std::string& model) { return load_model(folder / model, {}).info; };
  const Json scaled = info_of("half/last.safetensors"), unscaled = info_of("whole/last.safetensors");
  CHECK(scaled["scale"] == 0.5);
  CHECK(!unscaled.contains("scale"));
  // The sizes that a model records are those that its network sees.
  const double median = scaled["appearance"]["diameter"][1], before = unscaled["appearance"]["diameter"][1];
  CHECK(median == doctest::Approx(before / 2).epsilon(0.1));
  // Images are recorded by the fingerprints of their files, which do not depend on the scale.
  CHECK(scaled["trained_on"] == unscaled["trained_on"]);

  const auto scale_of = [&](const std::string& words) {
    const Ran ran = run_basin(folder, "segment data --device cpu --out out " + words);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    return json_in(folder / "out/run.json")["scale"].get<double>();
  };
  CHECK(scale_of("--model half/last.safetensors") == 0.5);
  CHECK(scale_of("--model half/last.safetensors --scale 1") == 1);
  CHECK(scale_of("--model whole/last.safetensors") == 1);
  // Pixel sizes: the network saw pixels of 0.4 um, so images with pixels of 0.1 um are reduced to a quarter.
  const Ran sized = run_basin(folder, few + "--scale 0.5 --pixel-size 0.2 --steps 1 --out sized");
  REQUIRE_MESSAGE(sized.code == 0, sized.err);
  CHECK(info_of("sized/last.safetensors")["appearance"]["pixel_size"] == 0.4);
  CHECK(!scaled["appearance"].contains("pixel_size"));
  CHECK(scale_of("--model sized/last.safetensors --pixel-size 0.1") == 0.25);
  const Ran unknown = run_basin(folder, "segment data --out out --model half/last.safetensors --pixel-size 0.1");
  CHECK(unknown.code == 1);
  CHECK(contains(unknown.err, "half/last.safetensors does not record the pixel size"));
  CHECK(contains(unknown.err, "because their files give none or different ones"));
  // A pixel size that the files contradict is reported.
  put_sized(folder, "um/a", 0.25), put_sized(folder, "um/b", 0.25);
  const std::string um = " --val-fraction 0 --crop 32 --batch 1 --width 4 --device cpu --steps 1 ";
  const Ran agrees = run_basin(folder, "train --data um --pixel-size 0.25 --out agrees" + um);
  REQUIRE_MESSAGE(agrees.code == 0, agrees.err);
  CHECK_MESSAGE(!contains(agrees.err, "um per pixel"), agrees.err);
  const Ran contradicts = run_basin(folder, "train --data um --pixel-size 0.5 --out contradicts" + um);
  REQUIRE_MESSAGE(contradicts.code == 0, contradicts.err);
  CHECK_MESSAGE(
      contains(contradicts.err, "the files give 0.25 um per pixel; the model records 0.5 um, as --pixel-size says"),
      contradicts.err);
  CHECK(info_of("contradicts/last.safetensors")["appearance"]["pixel_size"] == 0.5);
  put_sized(folder, "um/c", 0.5);
  for (const std::string& words :
       {"train --data um --out differ" + um, std::string("check-data um --val-fraction 0")}) {
    const Ran differ = run_basin(folder, words);
    CHECK(differ.code == 0);
    const std::string said = differ.err + differ.out;
    CHECK_MESSAGE(contains(said, "the files give from 0.25 ("), said);
    CHECK_MESSAGE(contains(said, "; the model records none, so that `segment --pixel-size` cannot"), said);
  }
  // Further training and tuning keep it.
  REQUIRE(run_basin(folder,
                    "train --data data --crop 32 --steps 1 --device cpu --finetune half/last.safetensors --out more")
              .code == 0);
  CHECK(info_of("more/last.safetensors")["scale"] == 0.5);
  const Ran other = run_basin(folder, few + "--scale 0.4 --steps 2 --out half --resume");
  CHECK(other.code == 1);
  CHECK_MESSAGE(contains(other.err, "scale is 0.4, was 0.5"), other.err);
  const Ran resized = run_basin(folder, few + "--scale 0.5 --pixel-size 0.3 --steps 2 --out sized --resume");
  CHECK(resized.code == 1);
  CHECK_MESSAGE(contains(resized.err, "pixel-size is 0.3, was 0.2"), resized.err);
  const Ran forgotten = run_basin(folder, few + "--scale 0.5 --steps 2 --out sized --resume");
  CHECK(forgotten.code == 1);
  CHECK_MESSAGE(contains(forgotten.err, "pixel-size is unset, was 0.2"), forgotten.err);
  const Ran boxes = run_basin(folder, "train --data data --model og --scale 0.5 --steps 1 --device cpu --out boxes");
  CHECK(boxes.code == 1);
  CHECK_MESSAGE(contains(boxes.err, "--scale 0.5: the method og resizes whole images to --crop"), boxes.err);
}

TEST_CASE("train: --set layers learns objects that share pixels whole, and images that need more layers are named") {
  const Folder folder;
  const auto put = [&](const std::string& path, int y0, int y1, int x0, int x1) {
    Image mask{64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64)};
    for (int y = y0; y < y1; ++y)
      for (int x = x0; x < x1; ++x)
        mask.pixels[size_t(64 * y + x)] = std::byte(200);
    write_png(folder / path, mask);
  };
  for (const std::string id : {"a", "b"}) {
    put("data/" + id + "/images/" + id + ".png", 0, 30, 0, id == "a" ? 30 : 40);
    put("data/" + id + "/masks/1.png", 20, 32, 4, 60), put("data/" + id + "/masks/2.png", 4, 60, 20, 32);
  }
  const std::string common = "train --data data --val-fraction 0 --crop 64 --steps 1 --accumulate 1 --device cpu ";
  const std::string overlap = "masks and 1 more: its objects overlap";
  for (const std::string model : {"es --width 4", "og --width 2"}) {
    const Ran flat = run_basin(folder, common + "--model " + model + " --out flat");
    REQUIRE_MESSAGE(flat.code == 0, flat.err);
    CHECK_MESSAGE(contains(flat.err, overlap), flat.err);
    CHECK_MESSAGE(contains(flat.err, "(a method with the setting layers can learn them whole: --set layers=2)"),
                  flat.err);
    const Ran whole = run_basin(folder, common + "--model " + model + " --set layers=2 --out whole");
    REQUIRE_MESSAGE(whole.code == 0, whole.err);
    CHECK_MESSAGE(!contains(whole.err, "overlap"), whole.err);
    CHECK(!load_model(folder / "flat/last.safetensors", {}).method->config().contains("layers"));
    CHECK(load_model(folder / "whole/last.safetensors", {}).method->config()["layers"] == 2);
    CHECK(read_bytes(folder / "flat/metrics.csv") != read_bytes(folder / "whole/metrics.csv"));
    const Ran again = run_basin(folder, common + "--finetune whole/last.safetensors --out again");
    REQUIRE_MESSAGE(again.code == 0, again.err);
    CHECK(!contains(again.err, "overlap"));
    for (const char* run : {"flat", "whole", "again"})
      std::filesystem::remove_all(folder / run);
  }
  const Ran none = run_basin(folder, common + "--model vf-h1 --set layers=2 --out none");
  CHECK(none.code == 1);
  CHECK_MESSAGE(contains(none.err, "has no setting \"layers\""), none.err);
  CHECK(contains(run_basin(folder, "check-data data").out, "its objects overlap"));
}

TEST_CASE("train: a run that fails before it saves a model leaves nothing, so that its folder can be used again") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --count 3 --size 64 --out data").code == 0);
  const std::string words =
      "train --data data --model vf-h1 --width 4 --crop 32 --batch 1 --steps 3 --device cpu --out out";
  const Ran failed = run_basin(folder, words + " --lr 1e30");
  REQUIRE(failed.code == 1);
  CHECK_MESSAGE(contains(failed.err, "step"), failed.err);
  CHECK(std::filesystem::is_empty(folder / "out"));
  const Ran again = run_basin(folder, words);
  CHECK_MESSAGE(again.code == 0, again.err);
}

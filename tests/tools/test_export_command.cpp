#include "data/objects/write_stack.h"
#include "engine/json.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("export: writes files from labels, records filters in run.json, and refuses in one sentence") {
  const Folder folder;
  write_labels(folder / "a_masks.png", labels_of(3, 4, {1, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0}));
  const Ran ran = run_basin(folder, "export a_masks.png --save csv,rois,geojson --out out --exclude-edges");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  CHECK(contains(ran.out, "1 object (dropped 1 at the edge)"));
  for (const char* file : {"a_objects.csv", "a_rois.zip", "a.geojson"})
    CHECK_MESSAGE(std::filesystem::exists(folder / "out" / file), file);
  CHECK(json_in(folder / "out/run.json")["dropped"][0]["at_edge"] == 1);
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran bad = run_basin(folder, "export a_masks.png --out bad " + words);
    CHECK(bad.code == 1);
    CHECK_MESSAGE(contains(bad.err, why), bad.err);
  };
  refused("--save overlay", "--save overlay: without --image, labels can be saved as labels, zarr, ome, rois");
  refused("--min-size 5 --max-size 4", "--max-size 4: expected at least --min-size 5");
  refused("--save npy", "--save npy: without --image, labels can be saved as labels, zarr, ome, rois");
  CHECK(run_basin(folder, "export a_masks.png --out . --save labels").code == 1);
}

TEST_CASE("export: --plane chooses a plane of labels that are a stack, and of their image") {
  const Folder folder;
  StackPlanes planes;
  planes.stack.axes = {{'T', 2}, {'Z', 3}};
  complete(planes.stack);
  planes.frames = 2, planes.slices = 3;
  LabelStack stack(planes);
  PictureStack pictures(folder / "a.tif", planes);
  for (int k = 0; k < 6; ++k) {  // plane k has k objects
    std::vector<int64_t> ids(4 * 6);
    for (int i = 0; i < k; ++i)
      ids[size_t(i)] = i + 1;
    std::vector<int32_t> numbers;
    for (int i = 0; i < k; ++i)
      numbers.push_back(i + 1);
    stack.add(labels_of(4, 6, ids), numbers);
    pictures.add({4, 6, 1, PixelType::u8, std::vector<std::byte>(4 * 6, std::byte(k))});
  }
  stack.write(folder / "a_masks.tif");
  pictures.commit();
  const std::string words = "export a_masks.tif --save csv,labels --out out ";
  const Ran open = run_basin(folder, words);
  CHECK(open.code == 1);
  CHECK_MESSAGE(contains(open.err,
                         "a_masks.tif: contains 6 images (a stack of T=2 Z=3 Y X); choose one with --plane "
                         "T=N,Z=N"),
                open.err);
  const Ran chosen = run_basin(folder, words + "--plane T=1,Z=2 --image a.tif");
  REQUIRE_MESSAGE(chosen.code == 0, chosen.err);
  CHECK(occurrences(read_bytes(folder / "out/a_objects.csv"), "\n") == 1 + 5);
  CHECK(read_labels(folder / "out/a_masks.png").count == 5);
  // Labels of the plane alone belong to the same image.
  const Ran again = run_basin(folder, "export out/a_masks.png --save csv --image a.tif --plane T=1,Z=2 --out again");
  CHECK_MESSAGE(again.code == 0, again.err);
  CHECK(read_bytes(folder / "again/a_objects.csv") == read_bytes(folder / "out/a_objects.csv"));
  // check-data names the planes, and info describes the stack.
  const Ran checked = run_basin(folder, "check-data . --val-fraction 0");
  CHECK_MESSAGE(contains(checked.out, "training    6 images with labels, 15 objects\n"), checked.out);
  CHECK_MESSAGE(contains(checked.out, "./a.tif (T=1,Z=2): all pixels have the value 5"), checked.out);
  const Ran info = run_basin(folder, "info a_masks.tif");
  REQUIRE_MESSAGE(info.code == 0, info.err);
  CHECK_MESSAGE(contains(info.out, "image       6 x 4 px (width x height), 6 planes of 1 channel, 16-bit\n"), info.out);
  CHECK_MESSAGE(contains(info.out, "axes        T=2 Z=3 Y X\n"), info.out);
  CHECK_MESSAGE(contains(info.out, "plane       the first one follows; --plane chooses another"), info.out);
  CHECK(contains(run_basin(folder, "info a_masks.tif --plane T=1,Z=2").out, "values      0 to 5, mean"));
  std::filesystem::copy(samples / "stack.tif", folder / "unnamed.tif");
  CHECK(contains(run_basin(folder, "info unnamed.tif --axes TYX").out, "axes        T="));
}

TEST_CASE("segment and export: labels of another format that may be a person's are not removed") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  const Labels drawn = labels_of(64, 64, std::vector<int64_t>(64 * 64, 1));
  const auto put = [&](const std::string& into, const std::string& suffix) {
    write_png(folder / (into + "/a.png"), {64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64, std::byte(7))});
    LabelStack stack{StackPlanes()};
    stack.add(drawn, {1});
    const std::filesystem::path path = folder / (into + "/a" + suffix);
    if (suffix == "_masks.png") write_labels(path, drawn);
    if (suffix == "_masks.tif") stack.write(path);
    if (suffix == "_masks.ome.tif") stack.write(path, TiffForm::ome);
    if (suffix == "_masks.ome.zarr") stack.write_zarr(path);
    if (suffix == "_scores.csv") write_bytes(path, "label,score\n1,0.5\n");
  };
  const std::vector<std::string> suffixes{"_masks.png", "_masks.tif", "_masks.ome.tif", "_masks.ome.zarr",
                                          "_scores.csv"};
  for (const std::string& suffix : suffixes)
    for (const std::string kind : {"labels", "labels --tiff", "ome", "zarr"}) {
      CAPTURE(suffix);
      CAPTURE(kind);
      const std::string into = "d" + suffix + kind.substr(0, 3) + std::to_string(kind.size());
      put(into, suffix);
      const Ran ran = run_basin(
          folder, "segment " + into + "/a.png --model m.safetensors --device cpu --out " + into + " --save " + kind);
      CHECK(ran.code == 1);
      CHECK_MESSAGE(contains(ran.err, "a" + suffix + ": already exists and may contain true labels"), ran.err);
      CHECK(std::filesystem::exists(folder / (into + "/a" + suffix)));
    }
  // An input of export is not removed, in its own folder and again after an earlier export.
  put("e", "_masks.ome.zarr");
  std::filesystem::remove(folder / "e/a.png");  // labels beside their image would be refused
  CHECK(run_basin(folder, "export e/a_masks.ome.zarr --save labels --out e").code == 1);
  for (int k = 0; k < 2; ++k)
    CHECK(run_basin(folder, "export e/a_masks.ome.zarr --save ome,rois --out e").code == 0);
  CHECK(read_labels(folder / "e/a_masks.ome.zarr").count == 1);
  // Labels of an earlier export in another format would be taken for the new ones.
  CHECK(run_basin(folder, "export e/a_masks.ome.zarr --save labels --out f").code == 0);
  CHECK(run_basin(folder, "export e/a_masks.ome.zarr --save ome --out f").code == 0);
  CHECK(!std::filesystem::exists(folder / "f/a_masks.png"));
  CHECK(std::filesystem::exists(folder / "f/a_masks.ome.tif"));
}

TEST_CASE("export and segment --tiff: label images are TIFF with the pixel size of the image") {
  const Folder folder;
  StackPlanes one;
  one.stack.pixel = PixelSides{0.25, 0.25};
  PictureStack picture(folder / "a.tif", one);
  picture.add({64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64, std::byte(7))});
  picture.commit();
  put_model(folder / "m.safetensors");
  write_labels(folder / "a_masks.png", labels_of(64, 64, std::vector<int64_t>(64 * 64, 1)));
  const auto size_in = [&](const std::string& file) {
    return read_image(folder / file).stack.pixel_size().value_or(0);
  };
  REQUIRE(run_basin(folder, "export a_masks.png --image a.tif --save labels --tiff --out e").code == 0);
  CHECK(size_in("e/a_masks.tif") == doctest::Approx(0.25));
  CHECK(!std::filesystem::exists(folder / "e/a_masks.png"));
  const std::string words = "segment a.tif --model m.safetensors --device cpu --save labels --skip-existing --out s";
  REQUIRE(run_basin(folder, words).code == 0);
  CHECK(std::filesystem::exists(folder / "s/a_masks.png"));
  // The PNG of the earlier run does not count, and is replaced.
  const Ran tiff = run_basin(folder, words + " --tiff");
  REQUIRE_MESSAGE(tiff.code == 0, tiff.err);
  CHECK(size_in("s/a_masks.tif") == doctest::Approx(0.25));
  CHECK(!std::filesystem::exists(folder / "s/a_masks.png"));
  CHECK(contains(run_basin(folder, words + " --tiff").out, "1 image skipped"));
}

TEST_CASE("export and segment: labels and Cellpose files that Basin did not write are never overwritten") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  write_png(folder / "a.png", {3, 4, 1, PixelType::u8, std::vector<std::byte>(12)});
  write_labels(folder / "a_masks.png", labels_of(3, 4, {1, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0}));
  write_bytes(folder / "out/a_seg.npy", "corrected by hand");
  for (const std::string words :
       {"export a_masks.png --image a.png", "segment a.png --device cpu --model m.safetensors"}) {
    const Ran ran = run_basin(folder, words + " --save npy --out out");
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, "out/a_seg.npy: already exists and may contain true labels; give another --out"),
                  ran.err);
    CHECK(read_bytes(folder / "out/a_seg.npy") == "corrected by hand");
  }
  // Its own files are replaced, and no second label image of an object remains.
  const std::string again = "export a_masks.png --image a.png --save npy,labels --out own";
  REQUIRE(run_basin(folder, again).code == 0);
  write_bytes(folder / "own/a_masks.tif", "of an earlier run with more objects");
  const Ran second = run_basin(folder, again);
  CHECK_MESSAGE(second.code == 0, second.err);
  CHECK(std::filesystem::exists(folder / "own/a_masks.png"));
  CHECK(!std::filesystem::exists(folder / "own/a_masks.tif"));
  // An input is kept, whatever the type of the new label image.
  write_bytes(folder / "own/a_masks.tif", read_bytes(folder / "own/a_masks.png"));
  const Ran input = run_basin(folder, "export own/a_masks.tif --save labels --out own");
  CHECK(input.code == 1);
  CHECK_MESSAGE(contains(input.err, "a_masks.tif: this input file would be overwritten"), input.err);
  CHECK(std::filesystem::exists(folder / "own/a_masks.tif"));
}

TEST_CASE("segment: writes every kind of file, and applies filters") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  Image image{32, 40, 1, PixelType::u8, std::vector<std::byte>(32 * 40)};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = std::byte(i * 7 % 251);
  write_png(folder / "a.png", image);
  const Ran ran = run_basin(folder,
                            "segment a.png --model m.safetensors --out out --device cpu --min-size 3 --save "
                            "labels,outlines,rois,geojson,csv,npy,probability");
  CHECK_MESSAGE(ran.code == 0, ran.err);
  for (const char* file :
       {"a_masks.png", "a_outlines.png", "a_rois.zip", "a.geojson", "a_objects.csv", "a_seg.npy", "a_probability.png"})
    CHECK_MESSAGE(std::filesystem::exists(folder / "out" / file), file);
  CHECK(contains(read_bytes(folder / "out/a_objects.csv"), ",foreground_mean"));
  CHECK(json_in(folder / "out/run.json")["dropped"].size() == 1);
}

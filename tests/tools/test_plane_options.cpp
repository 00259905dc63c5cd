// The options that choose one image in files with several: in all commands that read images or labels.
#include <regex>
#include <set>

#include "data/arrays/npy.h"
#include "data/objects/write_stack.h"
#include "engine/json.h"
#include "tests/support/command_support.h"
#include "tests/support/image_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

constexpr int side = 64;

/// Labels of squares; other ones for another `plane`.
Labels squares(int plane) {
  std::vector<int64_t> ids(side * side);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      if (y % 16 < 9 + plane && x % 16 < 9 + plane) ids[size_t(y * side + x)] = 1 + y / 16 * 4 + x / 16;
  return labels_of(side, side, std::move(ids));
}

Image picture_of(const Labels& labels) {
  Image image{side, side, 1, PixelType::u8, std::vector<std::byte>(side * side)};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = std::byte(labels.ids[i] ? 150 + i % 40 : 20 + i % 7);
  return image;
}

StackPlanes along_z(int slices) {
  StackPlanes planes;
  planes.slices = slices;
  return planes;
}

/// NAME.tif and NAME_masks.tif, stacks of Z=2, and the same planes as single files in a folder of their own.
void put_pair(const Folder& folder, const std::string& name) {
  fs::create_directories(folder / "stacks");
  PictureStack pictures(folder / ("stacks/" + name + ".tif"), along_z(2));
  LabelStack labels(along_z(2));
  for (int plane = 0; plane < 2; ++plane) {
    const Labels of_plane = squares(plane);
    std::vector<int32_t> numbers(size_t(of_plane.count));
    for (size_t k = 0; k < numbers.size(); ++k)
      numbers[k] = int32_t(k) + 1;
    pictures.add(picture_of(of_plane));
    labels.add(of_plane, numbers);
  }
  pictures.commit();
  labels.write(folder / ("stacks/" + name + "_masks.tif"));
  write_png(folder / ("single/" + name + ".png"), picture_of(squares(1)));
  write_labels(folder / ("single/" + name + "_masks.png"), squares(1));
}

/// A store of two images, of which the second has the labels of `plane`.
void put_series(const fs::path& store, const Labels& second) {
  fs::create_directories(store);
  write_bytes(store / ".zattrs", R"({"bioformats2raw.layout": 3})");
  for (int k = 0; k < 2; ++k) {
    const fs::path group = store / std::to_string(k);
    fs::create_directories(group / "0/0");
    write_bytes(group / ".zattrs", R"({"multiscales": [{"version": "0.4", "axes": [{"name": "y", "type": "space"},
        {"name": "x", "type": "space"}], "datasets": [{"path": "0"}]}]})");
    write_bytes(group / "0/.zarray", R"({"zarr_format": 2, "dtype": "|u1", "compressor": null, "filters": null,
        "order": "C", "fill_value": 0, "dimension_separator": "/", "shape": [64, 64], "chunks": [64, 64]})");
    std::string bytes;
    for (const int32_t id : second.ids)
      bytes += char(k == 0 ? id > 0 : id);
    write_bytes(group / "0/0/0", bytes);
  }
}

/// What a command is run with on some files, apart from the choice of a plane.
struct Case {
  std::string command, words;
};

/// Fails the test if a message advises an option that the command does not have.
void check_advice(const Folder& folder, const Case& c, const std::string& text) {
  const std::string help = run_basin(folder, c.command + " --help").out;
  const std::regex option("--[a-z][a-z-]*");
  for (std::sregex_iterator it(text.begin(), text.end(), option), end; it != end; ++it)
    CHECK_MESSAGE(contains(help, it->str()), c.command << " advises " << it->str() << ": " << text);
}

}  // namespace

TEST_CASE("planes: every command that reads images or labels takes a plane of a stack, and suggests only its options") {
  const Folder folder;
  put_pair(folder, "a"), put_pair(folder, "b");
  put_model(folder / "m.safetensors");
  put_series(folder / "series.zarr", squares(1));
  write_npy(folder / "field.npy", {2, side, side}, std::vector<float>(2 * side * side).data());
  write_npy(folder / "logit.npy", {side, side}, std::vector<float>(side * side).data());
  write_npy(folder / "points.npy", {100, 2}, std::vector<float>(200).data());
  const std::vector<Case> cases = {
      {"segment", "IN/a --model m.safetensors --device cpu --save npy --out o1"},
      {"train", "--data IN --width 8 --crop 32 --steps 1 --device cpu --report-images 0 --out o2"},
      {"check-data", "IN"},
      {"tune", "--model m.safetensors --val IN --steps 2 --device cpu --out o3.safetensors"},
      {"compare-models", "IN --models m.safetensors --device cpu"},
      {"report", "IN --pred IN --truth IN --out o4.html"},
      {"evaluate", "--pred IN/a_masks --truth IN/a_masks"},
      {"oracle", "IN/a_masks --device cpu --out o5"},
      {"export", "IN/a_masks --out o6"},
      {"field", "IN/a_masks --device cpu --out o7.npy"},
      {"components", "IN/a_masks --device cpu --out o8.npy"},
      {"integrate", "field.npy --mask IN/a_masks --device cpu --out o9.npy"},
      {"cluster", "points.npy --eps 1 --min-samples 2 --mask IN/a_masks --device cpu --out o10.npy"},
      {"loss", "bce logit.npy IN/a_masks --device cpu"},
  };
  const auto words = [](const Case& c, const std::string& in, const std::string& extension) {
    std::string text = std::regex_replace(c.words, std::regex("IN/(a_masks|a)"), in + "/$1" + extension);
    return c.command + " " + std::regex_replace(text, std::regex("IN"), in);
  };
  const auto remove_outputs = [&] {
    for (const auto& entry : fs::directory_iterator(folder.path()))
      if (entry.path().filename().string().starts_with("o")) fs::remove_all(entry.path());
  };
  const std::set<std::string> takes_planes{"train",    "check-data", "tune",  "compare-models",
                                           "evaluate", "report",     "oracle"};
  for (const Case& c : cases) {
    CAPTURE(c.command);
    const Ran open = run_basin(folder, words(c, "stacks", ".tif"));
    if (takes_planes.contains(c.command)) {
      CHECK_MESSAGE(open.code == 0, open.err);
      remove_outputs();
    } else {
      CHECK(open.code == 1);
      const std::string advice = c.command == "segment" ? "choose one with --plane" : "choose one with --plane Z=N";
      CHECK_MESSAGE(contains(open.err, advice), open.err);
    }
    check_advice(folder, c, open.err + open.out);
    const Ran chosen = run_basin(folder, words(c, "stacks", ".tif") + " --plane Z=1");
    remove_outputs();
    const Ran single = run_basin(folder, words(c, "single", ".png"));
    if (c.command == "cluster") {  // which has another number of points than the mask
      CHECK(contains(chosen.err, "has 1600 foreground pixels"));
      continue;
    }
    CHECK_MESSAGE(chosen.code == 0, chosen.err);
    CHECK_MESSAGE(single.code == 0, single.err);
  }
  // The values are those of the plane.
  const auto equal = [&](const std::string& command, const std::string& file, const std::string& in_stack,
                         const std::string& alone) {
    CAPTURE(command);
    REQUIRE(run_basin(folder, command + " " + alone).code == 0);
    const std::string expected = read_bytes(folder / file);
    fs::remove_all(folder / file);
    const Ran ran = run_basin(folder, command + " " + in_stack + " --plane Z=1");
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    CHECK(read_bytes(folder / file) == expected);
  };
  equal("field --device cpu --out f.npy", "f.npy", "stacks/a_masks.tif", "single/a_masks.png");
  equal("components --device cpu --out c.npy", "c.npy", "stacks/a_masks.tif", "single/a_masks.png");
  equal("oracle --device cpu --out or", "or/a_masks.png", "stacks/a_masks.tif", "single/a_masks.png");
  const Ran other = run_basin(folder, "evaluate --pred single/a_masks.png --truth stacks/a_masks.tif --plane Z=0");
  REQUIRE_MESSAGE(other.code == 0, other.err);
  const Ran same = run_basin(folder, "evaluate --pred single/a_masks.png --truth stacks/a_masks.tif --plane Z=1");
  CHECK(contains(same.out, "1.0000"));
  CHECK(other.out != same.out);
  // Training on planes is training on the same images: the run on single files is continued on the planes.
  const std::string train = "train --width 8 --crop 32 --device cpu --report-images 0 --out t ";
  REQUIRE(run_basin(folder, train + "--data single --steps 1").code == 0);
  const Ran resumed = run_basin(folder, train + "--data stacks --plane Z=1 --steps 2 --resume");
  CHECK_MESSAGE(resumed.code == 0, resumed.err);
  const Ran differs = run_basin(folder, train + "--data stacks --plane Z=0 --steps 3 --resume");
  CHECK_MESSAGE(contains(differs.err, "the training images, labels or weights differ"), differs.err);
}

TEST_CASE("planes: training on stacks is training on their planes, and planes of one file are not divided") {
  const Folder folder;
  for (const char* name : {"a", "b", "c"}) {
    put_pair(folder, name);
    for (int plane = 0; plane < 2; ++plane) {
      const fs::path path = folder / ("files/" + (name + (" (Z=" + std::to_string(plane))) + ")");
      write_png(path.string() + ".png", picture_of(squares(plane)));
      write_labels(path.string() + "_masks.png", squares(plane));
    }
  }
  const std::string train = "train --width 8 --crop 32 --device cpu --report-images 0 ";
  REQUIRE(run_basin(folder, train + "--data files --val-fraction 0 --steps 1 --out t").code == 0);
  const Ran resumed = run_basin(folder, train + "--data stacks --val-fraction 0 --steps 2 --out t --resume");
  REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
  CHECK_MESSAGE(contains(resumed.err, "training: 6 images with labels:\n  a.tif + a_masks.tif (Z=0)\n"), resumed.err);
  const Ran divided = run_basin(folder, train + "--data stacks --val-fraction 0.34 --steps 1 --out d");
  CHECK_MESSAGE(contains(divided.err, "training: 4 images with labels:"), divided.err);
  CHECK_MESSAGE(contains(divided.err, "validation: 2 images with labels:"), divided.err);
  // Without true labels of every plane, a plane has to be chosen.
  write_labels(folder / "stacks/a_masks.png", squares(1));
  fs::remove(folder / "stacks/a_masks.tif");
  const Ran open = run_basin(folder, train + "--data stacks --val-fraction 0 --steps 1 --out e");
  CHECK(open.code == 1);
  CHECK_MESSAGE(contains(open.err, "a.tif: contains 2 images (a stack of Z=2 Y X); choose one with --plane Z=N"),
                open.err);
}

TEST_CASE("planes: stacks of labels are scored plane by plane, with the scores of each plane's objects") {
  const Folder folder;
  put_pair(folder, "a");
  fs::create_directories(folder / "found");
  LabelStack found(along_z(2));
  std::string scores = "plane,label,score\n";
  for (int plane = 0; plane < 2; ++plane) {
    Labels labels = squares(0);
    if (plane == 1)
      for (int32_t& id : labels.ids)
        id = id == 1;
    labels.count = plane == 0 ? 16 : 1;
    std::vector<int32_t> numbers(size_t(labels.count));
    for (size_t k = 0; k < numbers.size(); ++k) {
      numbers[k] = int32_t(10 * k) + 3;
      scores += std::to_string(plane) + "," + std::to_string(numbers[k]) + ",0.5\n";
    }
    found.add(labels, numbers);
  }
  found.write(folder / "found/a_masks.tif");
  write_bytes(folder / "found/a_scores.csv", scores);
  const std::string words = "evaluate --pred found --truth stacks --csv e.csv";
  const Ran both = run_basin(folder, words);
  REQUIRE_MESSAGE(both.code == 0, both.err);
  CHECK_MESSAGE(contains(both.out, "2 images, 32 true and 17 predicted objects"), both.out);
  const std::string rows = read_bytes(folder / "e.csv");
  CHECK_MESSAGE(contains(rows, "\na (Z=0),16,16,1,"), rows);
  CHECK_MESSAGE(contains(rows, "\na (Z=1),16,1,0.0625,"), rows);
  CHECK(contains(run_basin(folder, words + " --plane Z=1").out, "1 image, 16 true and 1 predicted object"));
  write_bytes(folder / "found/a_scores.csv", scores + "1,900,0.5\n");
  const Ran wrong = run_basin(folder, words);
  CHECK(wrong.code == 1);
  CHECK_MESSAGE(contains(wrong.err, "2 labels of plane 1 have scores, but the label image has 1 objects"), wrong.err);
  LabelStack longer(along_z(3));
  for (int plane = 0; plane < 3; ++plane)
    longer.add(squares(0), std::vector<int32_t>(16, 1));
  longer.write(folder / "found/a_masks.tif");
  const Ran other = run_basin(folder, words);
  CHECK(other.code == 1);
  CHECK_MESSAGE(contains(other.err, "a_masks.tif: has 3 planes, the last of them Z=2, but stacks/a_masks.tif has 2"),
                other.err);
}

TEST_CASE("planes: one image of a store with several is chosen by --series, and labels are those of that image") {
  const Folder folder;
  put_series(folder / "x.zarr", squares(1));
  write_labels(folder / "x.png", squares(1));
  for (const std::string command : {"field", "components"}) {
    CAPTURE(command);
    fs::remove(folder / "a.npy"), fs::remove(folder / "b.npy");
    const Ran open = run_basin(folder, command + " x.zarr --device cpu --out a.npy");
    CHECK(open.code == 1);
    CHECK_MESSAGE(contains(open.err, "choose one with --series, such as --series 0"), open.err);
    const Ran ran = run_basin(folder, command + " x.zarr --series 1 --device cpu --out a.npy");
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    REQUIRE(run_basin(folder, command + " x.png --device cpu --out b.npy").code == 0);
    CHECK(read_bytes(folder / "a.npy") == read_bytes(folder / "b.npy"));
  }
  const Ran scored = run_basin(folder, "evaluate --pred x.png --truth x.zarr --series 1");
  CHECK_MESSAGE(contains(scored.out, "1.0000"), scored.err);
  // A command without the option does not advise it.
  const Ran bench = run_basin(folder, "bench field --input x.zarr --device cpu");
  CHECK(bench.code == 1);
  CHECK_MESSAGE(contains(bench.err, "contains 2 images (0, 1), but one image is expected here"), bench.err);
}

TEST_CASE("planes: view shows the image that segment --series chose") {
  const Folder folder;
  put_series(folder / "x.zarr", squares(1));
  put_model(folder / "m.safetensors");
  const Ran ran = run_basin(
      folder,
      "segment x.zarr --series 1 --model m.safetensors --device cpu --norm percentile:1,99 --save labels --out o");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  REQUIRE(run_basin(folder, "view o").code == 0);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "o/view")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    CHECK(!contains(read_bytes(entry.path()), "its labels are shown alone"));
  }
  CHECK(files > 2);
}

TEST_CASE("planes: the labels of a stack with channels have its axes without them") {
  const Folder folder;
  put_pair(folder, "a");
  PlaneChoice choice{"ZC", {}, "Z=1"};
  CHECK(read_labels(folder / "stacks/a_masks.tif", choice).ids == squares(1).ids);
  choice.axes = "C=3,Z=2";
  CHECK(read_labels(folder / "stacks/a_masks.tif", choice).ids == squares(1).ids);
  CHECK(read_labels(folder / "stacks/a_masks.tif", {"C", {}, "C=1"}).ids == squares(1).ids);
  choice.axes = "T";
  CHECK(contains(refusal([&] { read_labels(folder / "stacks/a_masks.tif", choice); }),
                 "--plane Z=1 names an axis that the file does not have"));
}

TEST_CASE("planes: too many channels are refused with --channel only where the command has it") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (const char* name : {"in/a.ome.tif", "in/b.ome.tif"})
    fs::copy_file(samples / "channels.ome.tif", folder / name);
  const Ran one = run_basin(folder, "segment in --model m.safetensors --device cpu --out o");
  CHECK_MESSAGE(contains(one.err,
                         "has 2 channels, but the model takes 1; only grey and RGB are converted to each "
                         "other; choose 1 of them with --channel"),
                one.err);
  CHECK(contains(refusal([&] { Source(read_image(folder / "in/a.ome.tif"), 1, {}, "a.tif"); }),
                 "to each other; give it an image of 1 of them"));
  // compare-models refuses this before it runs the first model.
  VectorFieldOptions two;
  two.net.in_channels = 2;
  save_model(folder / "two.safetensors", {}, Untrained(two).method, Json::object());
  const Ran compared = run_basin(folder, "compare-models in --models two.safetensors,m.safetensors --device cpu");
  CHECK(compared.code == 1);
  CHECK_MESSAGE(contains(compared.err, "m.safetensors: in/a.ome.tif has 2 channels, but the model takes 1"),
                compared.err);
  CHECK_MESSAGE(!contains(compared.err, "1 of 2"), compared.err);
}

TEST_CASE("planes: values of --axes and --plane that no file could have are refused, also where no file needs them") {
  const Folder folder;
  write_labels(folder / "a_masks.png", squares(0));
  for (const char* command : {"export a_masks.png --out o", "components a_masks.png --out c.png", "check-data ."}) {
    CAPTURE(command);
    for (const char* plane : {"abc", "Z=", "Z=1,", "Q=1"})
      CHECK(contains(run_basin(folder, std::string(command) + " --plane " + plane).err,
                     ": expected an index from 0 along each axis, such as Z=3,T=0"));
    for (const char* axes : {",", "abc", "T=x"})
      CHECK(contains(run_basin(folder, std::string(command) + " --axes " + axes).err,
                     ": expected axes, such as ZYX or T=10,C=2"));
  }
  CHECK(run_basin(folder, "export a_masks.png --out o --plane z=0 --axes zyx").code == 0);
}

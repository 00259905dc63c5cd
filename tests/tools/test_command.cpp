#include <algorithm>
#include <map>
#include <sstream>

#include "data/arrays/npy.h"
#include "data/files/image.h"
#include "data/metrics/label_statistics.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "models/inference/model_file.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"
#include "tests/support/paths.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("command: version, help, and the refusal of unknown commands and arguments") {
  const Folder folder;
  const Ran version = run_basin(folder, "--version");
  CHECK(version.code == 0);
  CHECK(version.out.rfind("basin ", 0) == 0);
  CHECK(run_basin(folder, "bench --help").code == 0);
  const Ran none = run_basin(folder, "");
  CHECK(none.code != 0);
  CHECK(none.out.empty());
  CHECK(!none.err.empty());
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(ran.err.rfind("basin: ", 0) == 0, ran.err);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
  };
  refused("segmnt a.png", "segmnt: no such command; the commands are bench, check-data, cluster, ");
  refused("doctor --nonsense", "--nonsense");
  refused("doctor --nonsense", "(basin doctor --help lists the options)");
  refused("synth --out o --kind cats", "cats");
  refused("synth", "--out is required");
  refused("synth --otu x --count 3 --sead 4", "--otu x --sead 4: unknown argument");
  refused("synth --out o --count 3 extra", "extra: unknown argument");
  refused("segment a.png --out o --model m --tile 0", "0: expected a number above 0");
  refused("train --data . --out o --lr abc", "abc");
}

TEST_CASE("command: the help of every option is a sentence in plain English, in lines of 100 characters") {
  const Folder folder;
  std::istringstream program(run_basin(folder, "--help").out);
  std::string line;
  while (line != "Commands:" && std::getline(program, line)) {
  }
  std::map<std::string, std::string> help;  // by command, with single blanks
  for (std::string name; std::getline(program, line) && std::istringstream(line) >> name;) {
    if (line.starts_with("   ")) continue;  // the rest of a description
    std::istringstream lines(run_basin(folder, name + " --help").out);
    for (std::string row; std::getline(lines, row);) {
      if (!row.starts_with("Usage:")) CHECK_MESSAGE(row.size() <= 100, name << ": " << row);
      std::istringstream words(row);
      for (std::string word; words >> word;)
        help[name] += word + ' ';
    }
    for (const char* jargon : {" in [", "REQUIRED", "Excludes", "FLOAT", "UINT", ":{", " x 2"})
      CHECK_MESSAGE(!contains(help[name], jargon), name << ": " << help[name]);
  }
  CHECK(help.size() == 24);
  CHECK(help["train"].starts_with("Train a model on labelled images. Usage: basin train [OPTIONS] Options: "));
  for (const char* option : {"--batch INT Crops per batch, of all ranks together; default: the method's (1 to 4096) ",
                             "--data TEXT Folder of images with masks, or a CSV list, with :WEIGHT after the path for "
                             "its share of the samples "
                             "(may be repeated; required) ",
                             "--val-fraction NUMBER Fraction of --data held out for validation, chosen by file name (0 "
                             "to 0.9; default: 0.1; "
                             "not with --val) ",
                             "--steps INT Total number of steps, instead of epochs (1 or more; not with --epochs) ",
                             "--sampling TEXT images: each image once per epoch; "})
    CHECK_MESSAGE(contains(help["train"], option), help["train"]);
  CHECK(contains(help["loss"],
                 "--tversky A,B Weights of false positives and of false negatives (0 or more; default: "
                 "0.5,0.5) "));
  CHECK(contains(help["loss"],
                 "KIND ivp and mse compare two fields; tversky and bce compare logits with a mask (one of: "
                 "ivp, mse, tversky, bce; required) "));
  CHECK(contains(help["check-data"], "Arguments: FOLDER ... Folders of images with masks"));
}

TEST_CASE("command: an option that is given twice, or has a word that it does not know, is refused in plain English") {
  const Folder folder;
  const auto err = [&](const std::string& words) { return run_basin(folder, words).err; };
  CHECK(contains(err("train --data d --out o --crop 64 --crop 32"),
                 "--crop: is given more than once, but has one value"));
  const std::string model = err("train --data d --out o --model foo");
  CHECK_MESSAGE(contains(model, "--model: foo: expected one of vf-h1, vf-h2"), model);
  CHECK(!contains(run_basin(folder, "segment --help").out, "above 0:"));
}

TEST_CASE("command: whole numbers are decimal, and those that do not fit are refused") {
  const Folder folder;
  write_png(folder / "a.png", {16, 16, 1, PixelType::u8, std::vector<std::byte>(256, std::byte{9})});
  put_model(folder / "m.safetensors");
  const std::string segment = "segment a.png --model m.safetensors --save labels --device cpu --out ";
  const Ran octal = run_basin(folder, segment + "o --max-size 0200 --min-size -00 --tile 0256 --threads +01");
  REQUIRE_MESSAGE(octal.code == 0, octal.err);
  const Json run = json_in(folder / "o/run.json");
  CHECK(run["max_size"] == 200);
  CHECK(run["min_size"] == 0);
  CHECK(run["tile"] == 256);
  CHECK(run["threads"] == 1);
  CHECK(contains(read_bytes(folder / "o/run.json"), "--max-size 0200"));  // the command as given
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
  };
  const auto number = [&](const std::string& words, const std::string& why) {
    refused(segment + "r " + words, words.substr(words.find_first_of(" =") + 1) + ": " + why);
  };
  for (const char* words :
       {"--max-size 0x10", "--max-size 1e3", "--tile 0b11", "--tile 5x", "--min-size ' 5'", "--tile 1_0"})
    refused(segment + "r " + words, "expected a whole number");
  number("--min-size 99999999999999999999", "expected a whole number from -9223372036854775808 to 9223372036854775807");
  number("--tile 2147483648", "expected a whole number from -2147483648 to 2147483647");
  const std::string train = "train --data . --out r --device cpu ";
  refused(train + "--seed -1", "-1: expected a whole number from 0 to 18446744073709551615");
  refused(train + "--seed 18446744073709551616", "expected a whole number from 0 to 18446744073709551615");
  for (const char* option :
       {"--accumulate", "--warm-up", "--draws", "--save-every", "--steps", "--epochs", "--patience"})
    for (const char* value : {"2147483647", "99999999999999999999", "-1"})
      refused(train + option + ' ' + value, std::string(option) + ": ");
  CHECK(!std::filesystem::exists(folder.path() / "r"));
}

TEST_CASE("command: threads do not spin for long while waiting, unless environment variables say otherwise") {
  const Folder folder;
  const std::string clean = "env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=VERBOSE ";
  const Ran by_itself = run_basin(folder, "--version", clean);
  CHECK(by_itself.code == 0);
  CHECK(contains(by_itself.out, "basin "));
  CHECK_MESSAGE(contains(by_itself.err, "GOMP_SPINCOUNT = '3000'"), by_itself.err);
  CHECK(contains(run_basin(folder, "--version", clean + "GOMP_SPINCOUNT=7").err, "GOMP_SPINCOUNT = '7'"));
  CHECK(!contains(run_basin(folder, "--version", clean + "OMP_WAIT_POLICY=active").err, "GOMP_SPINCOUNT = '3000'"));
}

TEST_CASE("command: doctor describes the build and the machine") {
  const Folder folder;
  const Ran doctor = run_basin(folder, "doctor");
  REQUIRE(doctor.code == 0);
  for (const char* key :
       {"basin ", "compiler ", "processor ", "instructions ", "cores ", "memory ", "convolution ", "CUDA "})
    CHECK_MESSAGE(contains("\n" + doctor.out, std::string("\n") + key), key, " is missing in ", doctor.out);
}

TEST_CASE("command: bench prints a table and writes it as JSON") {
  const Folder folder;
  const Ran bench = run_basin(folder, "bench matrix --reps 2 --device cpu --threads 1 --json times.json");
  REQUIRE_MESSAGE(bench.code == 0, bench.err);
  CHECK(contains(bench.out, "1 thread\n"));
  const Json times = json_in(folder / "times.json");
  REQUIRE(times.size() == 1);
  CHECK(times[0]["name"] == "matrix");
  CHECK(times[0]["reps"] == 2);
  CHECK(times[0]["median_ms"] >= times[0]["min_ms"]);
  CHECK(contains(times[0]["device"].get<std::string>(), "cpu"));
  CHECK(json_in(folder / "times.json.run.json")["threads"] == 1);

  const Ran unknown = run_basin(folder, "bench memory speed");
  CHECK(unknown.code == 1);
  CHECK(contains(unknown.err, "bench speed"));
  CHECK(contains(unknown.err, "memory"));
  CHECK(unknown.out.empty());
  for (const char* names : {"", "memory", "integrate dbscan"})
    CHECK(contains(run_basin(folder, std::string("bench --reps 1 --input nope ") + names).err,
                   "--input nope: can be used only"));
  CHECK(run_basin(folder, "bench memory --reps 1 --json no/such/folder.json").code == 1);
}

TEST_CASE("command: each output file has a run.json whose command reproduces it") {
  const Folder folder;
  write_labels(folder / "x_masks.png", labels_of(4, 5, {1, 1, 0, 0, 2,  //
                                                        1, 1, 0, 2, 2,  //
                                                        0, 0, 0, 2, 2,  //
                                                        3, 3, 0, 0, 0}));
  write_png(folder / "an image.png", {4, 5, 1, PixelType::u8, std::vector<std::byte>(20, std::byte{9})});
  const auto check = [&](const std::string& words, const std::string& file) {
    CAPTURE(words);
    const Ran ran = run_basin(folder, words);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    const std::string bytes = read_bytes(folder / file);
    REQUIRE(!bytes.empty());
    const Json run = json_in(folder / (file + ".run.json"));
    CHECK(contains(run["command"].get<std::string>(), basin::basin_command()));
    CHECK(run.contains("version"));
    std::filesystem::remove(folder / file);
    const std::string again = "cd '" + run["folder"].get<std::string>() + "' && " + run["command"].get<std::string>();
    CHECK(std::system((again + " >/dev/null 2>&1").c_str()) == 0);
    CHECK(read_bytes(folder / file) == bytes);
    return run;
  };
  const Json components = check("components x_masks.png --out c.png --threads 1 --device cpu", "c.png");
  CHECK(components["image"] == "x_masks.png");
  CHECK(components["out"] == "c.png");
  CHECK(components["connectivity"] == 8);
  CHECK(components["threads"] == 1);
  CHECK(components["device"].get<std::string>().rfind("cpu, ", 0) == 0);
  const Json field = check("field c.png --kernel 5 --out f.npy", "f.npy");
  CHECK(field["kernel"] == 5);
  CHECK(field["truncate"] == 10);
  CHECK(field["threads"].get<int>() > 0);
  const Json moved = check("integrate f.npy --mask c.png --rescale --out p.npy", "p.npy");
  CHECK(moved["rescale"] == "0.01,99.99");
  CHECK(moved["points"].is_null());
  CHECK(moved["step"] == 0.1);
  CHECK(check("cluster --eps 1.5 --min-samples 2 --snap-noise p.npy --out l.npy", "l.npy")["snap_noise"] == "majority");
  CHECK(check("loss mse f.npy f.npy --out-grad g.npy", "g.npy")["tversky"] == Json{0.5, 0.5});
  CHECK(check("evaluate --pred c.png --truth x_masks.png --csv s.csv", "s.csv")["dialect"] == "stardist");
  check("evaluate --pred c.png --truth x_masks.png --json s.json --csv s.csv", "s.json");
  std::filesystem::copy_file(folder / "x_masks.png", folder / "an image_masks.png");
  CHECK(check("report 'an image.png' --pred 'an image_masks.png' --out r.html", "r.html")["limit"] == 24);

  const Ran nowhere = run_basin(folder, "evaluate --pred c.png --truth c.png --csv /dev/null");
  CHECK(nowhere.code == 0);
  CHECK(!std::filesystem::exists("/dev/null.run.json"));
  run_basin(folder, "loss mse f.npy f.npy");
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    CHECK(entry.path().filename() != "run.json");
}

TEST_CASE("command: invalid and missing devices are refused") {
  const Folder folder;
  const std::string train = "train --data . --out run --device ";  // has no GPU path
  for (const char* device : {"gpu", "cuda:x", "cudafoo", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "cpu:0"})
    for (const std::string& command : {std::string("bench memory --device "), train}) {
      const Ran ran = run_basin(folder, command + "'" + device + "'");
      CHECK(ran.code == 1);
      CHECK_MESSAGE(ran.err == "basin: --device " + std::string(device) + ": expected auto, cpu, cuda or cuda:INDEX\n",
                    ran.err);
    }
  const Ran cuda = run_basin(folder, "bench memory --device cuda:99");
  CHECK(cuda.code == 1);
  CHECK(contains(cuda.err, "--device cuda:99"));
}

TEST_CASE("command: components takes masks with soft borders, and refuses a photograph") {
  const Folder folder;
  const std::string sample = source_dir() + "/data/samples/nuclei_000_img.png";
  const Ran photograph = run_basin(folder, "components " + sample + " --out c.png --device cpu");
  CHECK(photograph.code == 1);
  CHECK_MESSAGE(contains(photograph.err, "nuclei_000_img.png: is not a mask: neighbouring pixels differ as in a "),
                photograph.err);
  CHECK(!std::filesystem::exists(folder / "c.png"));
  Image soft{64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64)};
  for (int y = 0; y < 48; ++y)
    for (int x = 0; x < 48; ++x)
      soft.pixels[size_t(y * 64 + x)] = std::byte(y == 47 || x == 47 ? 60 + (x + y) % 100 : 255);
  write_png(folder / "soft.png", soft);
  const Ran mask = run_basin(folder, "components soft.png --out c.png --device cpu");
  REQUIRE_MESSAGE(mask.code == 0, mask.err);
  CHECK(mask.out == "1 component\n");
  CHECK(contains(run_basin(folder, "evaluate --pred c.png --truth c.png").out,
                 "1 image, 1 true and 1 predicted object\n"));
}

TEST_CASE("command: report names the files that do not belong together") {
  const Folder folder;
  write_labels(folder / "c.png", labels_of(2, 2, {1, 0, 0, 0}));
  write_labels(folder / "labels/d_masks.png", labels_of(2, 2, {1, 0, 0, 0}));
  write_png(folder / "a.png", {2, 2, 1, PixelType::u8, std::vector<std::byte>(4)});
  const auto refused = [&](const std::string& words, const std::string& why) {
    const Ran ran = run_basin(folder, "report a.png --out r.html " + words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
  };
  refused("--pred c.png --pred c.png --truth c.png", "report: 1 input, 2 --pred and 1 --truth; give the same number");
  refused("--pred c.png",
          "a.png: c.png is not the label image of the same stem, which would be named a_masks.* or a.*\n");
  refused("--pred labels",
          "a.png: labels has no label image of the same stem, which would be named a_masks.* or a.*\n");
}

TEST_CASE("command: info describes images, label images and arrays, and refuses other files") {
  const Folder folder;
  Image rgb{2, 3, 3, PixelType::u8, std::vector<std::byte>(18)};
  for (int i = 0; i < 18; ++i)
    rgb.as<uint8_t>()[i] = uint8_t(10 * i);
  write_png(folder / "rgb.png", rgb);
  const Ran image = run_basin(folder, "info rgb.png");
  REQUIRE_MESSAGE(image.code == 0, image.err);
  CHECK(contains(image.out, "3 x 2 px (width x height), 3 channels, 8-bit"));
  CHECK(contains(image.out, "0 to 170, mean 85"));
  CHECK(!contains(image.out, "labels"));

  write_labels(folder / "x_masks.tif", labels_of(4, 4,
                                                 {1, 1, 0, 0,  //
                                                  1, 1, 0, 0,  //
                                                  0, 0, 2, 2,  //
                                                  0, 0, 2, 2}));
  const Ran labels = run_basin(folder, "info x_masks.tif");
  CHECK(contains(labels.out, "1 channel, 16-bit"));
  CHECK(contains(labels.out, "2 objects, 50.0 % background"));
  CHECK(contains(labels.out, "4 to 4 px, median 4 px"));

  const float field[] = {-1, 0, 0.5f, 2, 3, 4};
  write_npy(folder / "f.npy", {3, 1, 2}, field);
  const Ran array = run_basin(folder, "info f.npy x_masks.tif");
  CHECK(contains(array.out, "[3, 1, 2] float32"));
  CHECK(contains(array.out, "-1 to 4"));
  CHECK(contains(array.out, "x_masks.tif"));

  const Ran missing = run_basin(folder, "info none.png rgb.png");
  CHECK(missing.code == 1);
  CHECK(contains(missing.err, "basin: none.png: "));
  CHECK(contains(missing.err, "basin: 1 of 2 files could not be read\n"));
  CHECK(contains(missing.out, "3 x 2 px"));
}

TEST_CASE("command: info describes models with and without Basin's metadata, and refuses other files") {
  const Exec cpu;
  const Folder folder;
  VectorFieldOptions o;
  o.net.in_channels = 3;
  o.decoding.dbscan.eps = 1.75;
  const Untrained untrained(o);
  const VectorFields& method = untrained.method;
  save_model(folder / "m.safetensors", cpu, method,
             {{"training", {{"lr", 0.002}, {"data", "00ff"}, {"model width", 8}}},
              {"trained_on", {"0f", "1e"}},
              {"validation", {{"AP50", 0.75}}}});
  const Ran model = run_basin(folder, "info m.safetensors");
  REQUIRE_MESSAGE(model.code == 0, model.err);
  for (const char* text : {"vf-h1, ", " parameters\n", "eps 1.75", "channels 3, width 8", "normalisation divide",
                           "lr 0.002, data 00ff\n", "trained_on  2 values\n", "AP50 0.75"})
    CHECK_MESSAGE(contains(model.out, text), text, " is missing in ", model.out);
  CHECK(contains(model.out, std::to_string(method.params().count()) + " parameters"));

  SafeTensors content;
  add_parameters(content, cpu, method.params());
  const auto write = [&](const char* name) {
    const std::vector<std::byte> bytes = encode_safetensors(content);
    write_bytes(folder / name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  write("torchvf.safetensors");
  const Ran torchvf = run_basin(folder, "info torchvf.safetensors");
  REQUIRE_MESSAGE(torchvf.code == 0, torchvf.err);
  for (const char* text : {"public checkpoint", "eps 2.25", "min_samples 15", "solver euler", "steps 25", "width 8"})
    CHECK_MESSAGE(contains(torchvf.out, text), text, " is missing in ", torchvf.out);

  const auto refused = [&](const std::string& name) {
    const Ran ran = run_basin(folder, "info " + name);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, name), ran.err);
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
    return ran.err;
  };
  Json basin{{"format", 1}, {"config", method.config()}};
  const auto with = [&](const char* key, const Json& value) {
    Json changed = basin;
    changed["config"][key] = value;
    content.metadata["basin"] = to_text(changed);
    write("bad.safetensors");
    return refused("bad.safetensors");
  };
  CHECK(contains(with("width", 1024), "different shape"));  // refused before there is memory for it
  CHECK(contains(with("width", 4294967304), "width"));
  CHECK(contains(with("width", 8.5), "width"));
  CHECK(contains(with("kernel", -1), "kernel"));
  CHECK(contains(with("method", "vf-h9"), "vf-h9"));
  CHECK(contains(with("decoding", Json::array()), "contain no valid decoding"));
  CHECK(contains(with("decoding", Json::object()), "contain no valid threshold"));
  content.metadata["basin"] = std::string(100000, '[');
  write("bad.safetensors");
  CHECK(contains(refused("bad.safetensors"), "damaged"));
  content.metadata["basin"] = "{\"settings\":{},\"best\":0}";
  write("last.state.safetensors");
  CHECK(contains(refused("last.state.safetensors"), "state of a training run"));
  write_bytes(folder / "text.safetensors", "nothing of the kind");
  refused("text.safetensors");
  refused("none.safetensors");
}

TEST_CASE("label statistics: areas, gaps in the ids, and recognition of images that are not labels") {
  const LabelStatistics s = label_statistics({0, 7, 7,  //
                                              0, 7, 0,  //
                                              3, 3, 0},
                                             3, 3);
  CHECK(s.areas == std::vector<int64_t>{2, 3});
  CHECK(s.largest_label == 7);
  CHECK(s.background == 4);
  CHECK(!s.looks_like_labels);                                          // 4 of the 6 pairs of neighbours within objects
  CHECK(label_statistics({5, 5, 5, 5, 5, 4}, 1, 6).looks_like_labels);  // 4 of 5
  CHECK(!label_statistics({5, 5, 6, 6}, 4, 1).looks_like_labels);       // 2 of 3
  CHECK(!label_statistics({0, 0, 0, 0}, 2, 2).looks_like_labels);
  CHECK(label_statistics({0, 0.5, 1, 1}, 2, 2).areas.empty());
  CHECK(label_statistics({0, -1, 1, 1}, 2, 2).areas.empty());
}

TEST_CASE("command: input files are never overwritten") {
  const Folder folder;
  write_labels(folder / "l.png", {2, 3, 1, {1, 1, 0, 0, 0, 0}});
  const std::string before = read_bytes(folder / "l.png");
  write_npy(folder / "f.npy", {2, 3, 4}, std::vector<float>(24).data());
  const std::string array = read_bytes(folder / "f.npy");
  const auto pretend = [&](const std::string& words,
                           const std::string& file) {  // that the command has written the file
    write_bytes(folder / (file + ".run.json"), R"({"subcommand": ")" + words.substr(0, words.find(' ')) + R"("})");
  };
  for (const char* command : {"integrate f.npy --mask l.png --out ./f.npy", "loss mse f.npy f.npy --out-grad f.npy"}) {
    CHECK_MESSAGE(contains(run_basin(folder, command).err, "f.npy: already exists"), command);
    pretend(command, "f.npy");
    CHECK(contains(run_basin(folder, command).err, "f.npy: this input file would be overwritten"));
  }
  CHECK(read_bytes(folder / "f.npy") == array);
  for (const char* command : {"components l.png --out l.png", "components l.png --out ./l.png"}) {
    pretend(command, "l.png");
    const Ran ran = run_basin(folder, command);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, "l.png: this input file would be overwritten"), ran.err);
  }
  CHECK(read_bytes(folder / "l.png") == before);
  std::filesystem::copy_file(folder / "l.png", folder / "p.png");
  write_bytes(folder / "list.csv", "l.png,p.png\n");
  for (const char* words :
       {"evaluate --pred p.png --truth l.png --json l.png", "evaluate --pred p.png --truth l.png --csv p.png",
        "evaluate --pred list.csv --truth list.csv --csv list.csv", "report l.png --pred p.png --out p.png",
        "report l.png --pred p.png --out l.png", "bench components --input l.png --json l.png"}) {
    for (const char* file : {"l.png", "p.png", "list.csv"})
      pretend(words, file);
    const Ran ran = run_basin(folder, words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, ": this input file would be overwritten"), ran.err);
  }
  CHECK(read_bytes(folder / "l.png") == before);
  CHECK(read_bytes(folder / "p.png") == before);
}

TEST_CASE("command: files that the same command has not written are kept, and its own are replaced") {
  const Folder folder;
  write_labels(folder / "l.png", {2, 3, 1, {1, 1, 0, 0, 0, 0}});
  std::filesystem::copy_file(folder / "l.png", folder / "p.png");
  write_npy(folder / "field.npy", {2, 2, 3}, std::vector<float>(12).data());
  write_npy(folder / "points.npy", {2, 2}, std::vector<float>(4).data());
  write_png(folder / "set/a_img.png", {2, 3, 1, PixelType::u8, std::vector<std::byte>(6)});
  std::filesystem::copy_file(folder / "l.png", folder / "set/a_masks.png");
  const std::vector<std::string> commands = {
      "components l.png --device cpu --out FILE.png",
      "field l.png --device cpu --out FILE.npy",
      "integrate field.npy --mask l.png --steps 1 --device cpu --out FILE.npy",
      "cluster points.npy --eps 1 --min-samples 1 --device cpu --out FILE.npy",
      "loss mse field.npy field.npy --device cpu --out-grad FILE.npy",
      "evaluate --pred p.png --truth l.png --json FILE.json",
      "evaluate --pred p.png --truth l.png --csv FILE.csv",
      "evaluate --pred p.png --truth l.png --json other.json --csv FILE.csv",
      "report l.png --pred l.png --out FILE.html",
      "check-data set --json FILE.json",
      "bench memory --reps 1 --device cpu --json FILE.json",
  };
  for (std::string words : commands) {
    CAPTURE(words);
    const size_t at = words.find("FILE");
    const std::string file = "out" + words.substr(at + 4);
    words.replace(at, std::string::npos, file);
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      if (entry.path().filename().string().starts_with("out")) std::filesystem::remove(entry.path());
    write_bytes(folder / file, "not Basin's");
    const Ran kept = run_basin(folder, words);
    CHECK(kept.code == 1);
    CHECK_MESSAGE(contains(kept.err, file + ": already exists"), kept.err);
    CHECK(read_bytes(folder / file) == "not Basin's");
    write_bytes(folder / file, "");  // such as mktemp makes
    const Ran first = run_basin(folder, words);
    CHECK_MESSAGE(first.code == 0, first.err);
    const Ran again = run_basin(folder, words);
    CHECK_MESSAGE(again.code == 0, again.err);
  }
}

#include <set>

#include "data/synth/synth.h"
#include "engine/json.h"
#include "models/inference/model_file.h"
#include "models/inference/tuning.h"
#include "models/methods/vector_fields.h"
#include "models/registry.h"
#include "tests/support/command_support.h"
#include "tests/support/paths.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

const fs::path nuclei = fs::path(basin::source_dir()) / "models/pretrained/nuclei-fluo.safetensors";

/// The two sample images of nuclei with their masks.
void copy_samples(const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto& entry : fs::directory_iterator(fs::path(basin::source_dir()) / "data/samples"))
    if (entry.path().filename().string().rfind("nuclei_", 0) == 0)
      fs::copy_file(entry.path(), folder / entry.path().filename());
}

Json info_of(const fs::path& model) { return load_model(model, {}).info; }

/// The mean over images of AP50:95 according to segment and evaluate.
double evaluated(const Folder& folder, const std::string& model) {
  const Ran segment = run_basin(folder, "segment val --model " + model + " --out " + model + ".out --save labels");
  REQUIRE_MESSAGE(segment.code == 0, segment.err);
  const Ran evaluate = run_basin(folder, "evaluate --pred " + model + ".out --truth val --json scores.json");
  REQUIRE_MESSAGE(evaluate.code == 0, evaluate.err);
  return parse_json(read_bytes(folder / "scores.json"))["metrics"]["AP50:95"]["mean"].get<double>();
}

const char* const ap = "AP50:95 (stardist, per-image mean, mean of .50:.05:.95, >=)";

}  // namespace

TEST_CASE("tune: the current decoding comes first, then every other combination of the grid") {
  VectorFields method{VectorFieldOptions{}};
  Settings& settings = method.settings();
  method.decoding().integrate.steps = 50, method.decoding().dbscan.eps = 2;
  method.decoding().noise = kernels::NoiseRule::majority;
  const Json present = settings.decoding();
  DecodingGrid grid{{"threshold", {"0.5", "0.25"}},
                    {"steps", {"50"}},
                    {"eps", {"2", "3"}},
                    {"min_samples", {"15"}},
                    {"snap_noise", {"majority"}}};
  const std::vector<Json> all = decodings_to_try(settings, grid);
  CHECK(settings.decoding() == present);
  REQUIRE(all.size() == 4);
  const auto is = [&](size_t k, double threshold, double eps) {
    return all[k]["threshold"] == threshold && all[k]["eps"] == eps && all[k]["steps"] == 50 &&
           all[k]["min_samples"] == 15 && all[k]["snap_noise"] == true && all[k]["solver"] == "euler";
  };
  CHECK(is(0, 0.5, 2));
  CHECK(is(1, 0.5, 3));
  CHECK(is(2, 0.25, 2));
  CHECK(is(3, 0.25, 3));
  grid[2] = {"eps", {"1", "-1"}, "--eps"};
  CHECK(contains(refusal([&] { decodings_to_try(settings, grid); }), "--eps -1"));
  grid[2] = {"eps", {}, "--eps"};
  CHECK(contains(refusal([&] { decodings_to_try(settings, grid); }), "--eps"));
  grid[2] = {"width", {"8"}};
  CHECK(contains(refusal([&] { decodings_to_try(settings, grid); }), "--try width=8"));

  // Settings that the maps depend on cannot be tried, because maps are computed only once.
  const std::unique_ptr<Method> es = make_method("es", {}), og = make_method("og", {});
  CHECK(contains(refusal([&] { decodings_to_try(es->settings(), {{"views", {"true", "false"}}}); }), "views"));
  CHECK(contains(refusal([&] { decodings_to_try(og->settings(), {{"resize", {"true", "false"}}}); }), "resize"));
}

TEST_CASE("tune: a combination that the method refuses is named before any image is read, with what matters of it") {
  VectorFields method{VectorFieldOptions{}};
  const Json present = method.settings().decoding();
  const DecodingGrid grid{{"eps", {"1", "3"}}, {"solver", {"euler", "rk4"}}, {"suppression", {"none", "paper"}}};
  const std::vector<Json> all = decodings_to_try(method.settings(), grid);
  CHECK(refusal([&] { check_decodings(method, grid, all); }) ==
        "tune cannot try solver=rk4, suppression=paper: suppression paper works only with the solver euler, not with "
        "rk4");
  CHECK(method.settings().decoding() == present);
  const DecodingGrid usable{{"eps", {"1", "3"}}, {"suppression", {"none", "paper"}}};
  check_decodings(method, usable, decodings_to_try(method.settings(), usable));
  CHECK(method.settings().decoding() == present);

  const Folder folder;
  fs::copy_file(nuclei, folder / "m.safetensors");
  const Ran ran = run_basin(
      folder, "tune --model m.safetensors --val nowhere --out o.safetensors --try solver=rk4 --try suppression=paper");
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.err, "tune cannot try solver=rk4, suppression=paper: "), ran.err);
  CHECK(!fs::exists(folder / "o.safetensors"));
}

TEST_CASE("tune: --try may be repeated for a setting, and a value that contains commas is one value") {
  const Folder folder;
  copy_samples(folder.path() / "val");
  fs::copy_file(nuclei, folder / "m.safetensors");
  const std::string tune =
      "tune --model m.safetensors --val val --out o.safetensors --device cpu --thresholds .5 --steps 25 "
      "--min-samples 15 --snap-noise none ";
  const Ran ran = run_basin(
      folder, tune + "--try rescale=none --try rescale=0.01,99.99 --try rescale=1,99 --try eps=1,2 --try eps=3");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  std::set<std::string> tried;
  const Json run = json_in(folder / "o.safetensors.run.json");
  for (const Json& j : run["decodings"])
    tried.insert(to_text(j["rescale"]) + " " + to_text(j["eps"]));
  for (const char* eps : {"1.0", "2.0", "3.0"})
    for (const char* rescale : {"none", "0.01,99.99", "1.0,99.0"})
      CHECK_MESSAGE(tried.contains("\"" + std::string(rescale) + "\" " + eps), rescale, " ", eps);
  const Ran twice = run_basin(folder, tune + "--try steps=50");
  CHECK(twice.code == 1);
  CHECK_MESSAGE(contains(twice.err, "--try steps=50: the values of this setting are also given by --steps"), twice.err);
}

TEST_CASE("tune: a decoding gets the same score as when it is run on its own") {
  const Exec cpu;
  VectorFieldOptions o;
  o.net.width = 8;
  VectorFields method(o);
  const Labels truth = make_synthetic({.kind = SynthKind::nuclei, .size = 128, .seed = 3}, 0).labels;
  const Maps maps = method.oracle(cpu, truth);
  const DecodingGrid grid{
      {"threshold", {"0.5"}}, {"steps", {"0", "25"}}, {"eps", {"1", "2.25"}}, {"min_samples", {"5", "9"}}};
  const std::vector<Json> decodings = decodings_to_try(method.settings(), grid);
  const std::vector<ImageScore> scores = score_decodings(cpu, method, maps, {truth}, decodings);
  REQUIRE(scores.size() == decodings.size());
  std::vector<ValidationScores> by_itself;
  for (size_t k = 0; k < decodings.size(); ++k) {
    CAPTURE(k);
    method.settings().set_decoding(decodings[k]);
    const ImageScore s = score(truth, method.decode(cpu, maps).labels);
    CHECK(scores[k].prediction == s.prediction);
    CHECK(scores[k].matched == s.matched);
    by_itself.push_back(validation_scores({&s, 1}));
  }
  const std::vector<size_t> order = ranking(by_itself, "AP50:95");
  CHECK(by_itself[order.front()].ap > by_itself[order.back()].ap);
}

TEST_CASE("tune: the best decoding is ranked first, and ties keep their order") {
  std::vector<ValidationScores> s(4);
  s[0].ap50 = 0.5, s[1].ap50 = 0.75, s[2].ap50 = 0.5, s[3].ap50 = 0.75;
  s[2].ap = 1;
  CHECK(ranking(s, "AP50") == std::vector<size_t>{1, 3, 0, 2});
  CHECK(ranking(s, "AP50:95") == std::vector<size_t>{2, 0, 1, 3});
  CHECK(ranking(s, "AP90") == std::vector<size_t>{0, 1, 2, 3});
}

TEST_CASE("tune: the command stores the best decoding, and segment and evaluate confirm its score") {
  const Folder folder;
  copy_samples(folder.path() / "val");
  {
    Model model = load_model(nuclei, {});
    model.method->settings().set({"eps", "0.5", "eps"}, {Setting::Use::decoding});
    model.info["config"] = model.method->config();
    save_model(folder / "bad.safetensors", {}, *model.method, model.info);
  }
  const std::string grid = " --thresholds .5 --steps 0,75 --eps 2.25 --min-samples 15 --snap-noise none --device cpu";
  const Ran tune = run_basin(folder, "tune --model bad.safetensors --val val --out good.safetensors" + grid);
  REQUIRE_MESSAGE(tune.code == 0, tune.err);
  CHECK_MESSAGE(contains(tune.out, "2 images, 3 decodings"), tune.out);
  CHECK(contains(tune.out, "present"));

  const Json good = info_of(folder / "good.safetensors"), bad = info_of(folder / "bad.safetensors");
  CHECK(good["config"]["decoding"]["eps"] == 2.25);
  CHECK(good["config"]["decoding"]["steps"] == 75);
  CHECK(good["training"] == bad["training"]);
  CHECK(good["tuning"]["images"] == 2);
  const double before = good["tuning"]["before"][ap].get<double>(), after = good["validation"][ap].get<double>();
  CHECK(after > before + 0.1);
  CHECK(evaluated(folder, "bad.safetensors") == doctest::Approx(before).epsilon(1e-12));
  CHECK(evaluated(folder, "good.safetensors") == doctest::Approx(after).epsilon(1e-12));

  const Json run = parse_json(read_bytes(folder / "good.safetensors.run.json"));
  REQUIRE(run["decodings"].size() == 3);
  CHECK(run["decodings"][0]["eps"] == 2.25);
  CHECK(run["decodings"][0][ap] == after);
  CHECK(run["present"]["eps"] == 0.5);

  // The held-out part of a folder, by the rule of training; on a tie the model's own decoding is kept.
  const Ran part = run_basin(folder,
                             "tune --model good.safetensors --data val --val-fraction 0.5 --out same.safetensors "
                             "--thresholds .4999999999,.5 --steps 75 --eps 2.25 --min-samples 15 --snap-noise none");
  REQUIRE_MESSAGE(part.code == 0, part.err);
  CHECK_MESSAGE(contains(part.out, "same.safetensors: keeps the model's decoding, the best of those tried"), part.out);
  const Json same = info_of(folder / "same.safetensors");
  CHECK(same["config"] == good["config"]);
  CHECK(same["tuning"]["images"] == 1);
  // Values given for a setting take the place of the method's own, here of the thresholds; the present one, 0.5, stays.
  const Ran tried = run_basin(folder,
                              "tune --model good.safetensors --data val --val-fraction 0.5 --out tried.safetensors "
                              "--try threshold=.3,.4 --steps 75 --eps 2.25 --min-samples 15 --snap-noise none");
  REQUIRE_MESSAGE(tried.code == 0, tried.err);
  CHECK_MESSAGE(contains(tried.out, "1 image, 3 decodings"), tried.out);
  CHECK(contains(run_basin(folder, "manual tune").out, "in place of its default values"));
  const std::vector<Pair> held = split_for_validation(find_pairs(folder / "val"), 0.5).held_out;
  REQUIRE(held.size() == 1);
  CHECK_MESSAGE(contains(part.err, "1 of 1: " + held[0].stem), part.err);
}

TEST_CASE("tune: the command refuses in one sentence and writes nothing") {
  const Folder folder;
  copy_samples(folder.path() / "val");
  fs::copy_file(nuclei, folder / "m.safetensors");
  const std::string bytes = read_bytes(folder / "m.safetensors");
  const auto refused = [&](const std::string& words, const std::string& named) {
    const Ran ran = run_basin(folder, "tune --model m.safetensors " + words);
    CAPTURE(words);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, named), ran.err);
    CHECK(!fs::exists(folder / "out.safetensors"));
  };
  refused("--val val --out m.safetensors", "m.safetensors: already exists");
  write_bytes(folder / "m.safetensors.run.json", R"({"subcommand": "tune"})");
  refused("--val val --out m.safetensors", "m.safetensors: this input file would be overwritten");
  refused("--val val --out ./val/../m.safetensors", "this input file would be overwritten");
  CHECK(read_bytes(folder / "m.safetensors") == bytes);
  refused("--val nowhere --out missing/out.safetensors", "missing/out.safetensors: cannot be written");
  fs::create_directories(folder / "taken.safetensors");
  refused("--val nowhere --out taken.safetensors", "taken.safetensors: is a folder");
  refused("--out out.safetensors", "--val, or --data");
  refused("--val nowhere --out out.safetensors", "nowhere");
  refused("--data val --val-fraction 0 --out out.safetensors", "--val-fraction 0 holds out no image");
  refused("--val val --out out.safetensors --eps 0", "--eps 0");
  refused("--val val --out out.safetensors --steps -1", "--steps -1");
  CHECK(run_basin(folder, "tune --model m.safetensors --val val --data val --out out.safetensors").code != 0);
  CHECK(run_basin(folder, "tune --model m.safetensors --val val --out out.safetensors --by AP99").code != 0);
  {
    Model model = load_model(nuclei, {});
    const std::vector<Example> seen = read_examples(find_pairs(folder / "val"), 1, {});
    model.info["trained_on"] = {"0123456789abcdef", image_fingerprints(seen).back()};
    save_model(folder / "m.safetensors", {}, *model.method, model.info);
  }
  // Recognised whatever its name.
  fs::rename(folder / "val/nuclei_001_img.png", folder / "val/renamed_img.png");
  fs::rename(folder / "val/nuclei_001_masks.png", folder / "val/renamed_masks.png");
  fs::rename(folder / "val/nuclei_000_img.png", folder / "other_img.png");
  fs::rename(folder / "val/nuclei_000_masks.png", folder / "other_masks.png");
  refused("--val val --out out.safetensors", "renamed: left out, because m.safetensors was trained on it");
  refused("--val val --out out.safetensors", "was trained on all of these images; give others");
  refused("--val val --out val/renamed_masks.png", "val/renamed_masks.png: already exists");
  fs::rename(folder / "other_img.png", folder / "val/other_img.png");
  fs::rename(folder / "other_masks.png", folder / "val/other_masks.png");
  const Ran other = run_basin(folder,
                              "tune --model m.safetensors --val val --steps 25 --eps 2.25 --min-samples 15 "
                              "--thresholds .5 --snap-noise none --out out.safetensors");
  CHECK_MESSAGE(other.code == 0, other.err);
  CHECK(contains(other.err, "1 of 1: other"));
}

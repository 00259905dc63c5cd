#include <algorithm>
#include <map>

#include "data/files/image.h"
#include "engine/json.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

void put_scaled_image(const fs::path& path, int factor, int channels = 1) {
  Image image{32, 40, channels, PixelType::u8, std::vector<std::byte>(size_t(32 * 40 * channels))};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = std::byte(i * size_t(factor) % 251);
  write_png(path, image);
}

/// A tree of images, one of them damaged, and some that are not to be segmented.
void put_tree(const Folder& folder) {
  put_scaled_image(folder / "in/a.png", 7), put_scaled_image(folder / "in/sub/a.png", 11),
      put_scaled_image(folder / "in/sub/b_img.png", 13);
  put_scaled_image(folder / "in/sub/deep/c.png", 17, 3), put_scaled_image(folder / "in/x/images/d.png", 19);
  put_scaled_image(folder / "in/x/masks/d.png", 1), put_scaled_image(folder / "in/sub/b_masks.png", 1);
  write_bytes(folder / "in/sub/bad.png", "no image");
  put_scaled_image(folder / "in/z.png", 23);
}

const std::string common = " --model m.safetensors --device cpu --threads 1 ";

/// The contents of all files of a folder by their relative paths, without the records of runs and shards.
std::map<std::string, std::string> results_in(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name != "run.json" && name.find(".shard-") == std::string::npos)
      files[entry.path().lexically_relative(folder).string()] = read_bytes(entry.path());
  }
  return files;
}

}  // namespace

TEST_CASE("segment --recursive: results keep the folder structure of the images") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_tree(folder);
  fs::create_directory_symlink(folder / "in", folder / "in/sub/circle");
  const Ran ran = run_basin(folder, "segment in --recursive --out out --save labels,table" + common);
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.err, "basin: 1 of 7 inputs could not be segmented: in/sub/bad.png\n"), ran.err);
  std::vector<std::string> names;
  for (const auto& [name, text] : results_in(folder / "out"))
    if (name.ends_with("_masks.png")) names.push_back(name);
  CHECK(names == std::vector<std::string>{"a_masks.png", "sub/a_masks.png", "sub/b_masks.png", "sub/deep/c_masks.png",
                                          "x/images/d_masks.png", "z_masks.png"});
  // One table of all objects: those of an RGB image have more columns than those of a grey one.
  const std::string table = read_bytes(folder / "out/objects.csv");
  CHECK(table.starts_with("image,label,"));
  CHECK(contains(table, "\nsub/deep/c,1,"));
  CHECK(contains(table, ",intensity_mean,"));
  CHECK(contains(table, ",intensity_mean_2,"));
  const std::string own = read_bytes(folder / "out/sub/a_objects.csv");
  CHECK(contains(table,
                 "\nsub/a," + own.substr(own.find('\n') + 1, own.find('\n', own.find('\n') + 1) - own.find('\n') - 1)));
  // Without it, folders below are not searched, as before.
  CHECK(run_basin(folder, "segment in/sub/deep --out flat --save labels" + common).code == 0);
  CHECK(fs::exists(folder / "flat/c_masks.png"));
  CHECK(run_basin(folder, "segment in --out never" + common).code == 1);
  put_scaled_image(folder / "in/sub/deep/c.bmp", 3);
  const Ran twice = run_basin(folder, "segment in --recursive --out never" + common);
  CHECK(twice.code == 1);
  CHECK_MESSAGE(contains(twice.err, "its results would have the same names as those of"), twice.err);
  CHECK(!fs::exists(folder / "never"));
}

TEST_CASE("segment --shard: shards together write the same files as one run, and merge joins their records") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_tree(folder);
  const std::string words = "segment missing in --recursive --min-size 2 --save labels,overlay,table" + common;
  CHECK(run_basin(folder, words + "--out one").code == 1);
  const auto shard = [&](const std::string& which) { return run_basin(folder, words + "--out many --shard " + which); };
  for (int i = 3; i >= 1; --i)
    CHECK(shard(std::to_string(i) + "/3").code == 1);  // all report that `missing` is missing
  CHECK(!fs::exists(folder / "many/run.json"));
  CHECK(fs::exists(folder / "many/objects.shard-2-of-3.csv"));
  const Ran merged = run_basin(folder, "merge many");
  CHECK(merged.code == 1);
  CHECK_MESSAGE(contains(merged.err, "2 of 8 inputs could not be segmented: missing, in/sub/bad.png\n"), merged.err);
  CHECK(results_in(folder / "one") == results_in(folder / "many"));
  CHECK(results_in(folder / "one").size() == 6 * 3 + 1);
  Json one = json_in(folder / "one/run.json"), many = json_in(folder / "many/run.json");
  CHECK((many["command"].get<std::string>() + " ").ends_with(" " + words + "--out many "));
  for (Json* run : {&one, &many})
    for (const char* key : {"command", "out", "seconds", "results_since_ns"}) {
      CHECK(run->contains(key));
      run->erase(key);
    }
  CHECK(to_text(one, 2) == to_text(many, 2));
  CHECK(one["dropped"].size() == 6);
  // What cannot be merged.
  const auto refused = [&](const std::string& why) {
    const Ran ran = run_basin(folder, "merge many");
    CHECK(ran.code == 1);
    CHECK_MESSAGE(contains(ran.err, why), ran.err);
  };
  fs::rename(folder / "many/run.shard-2-of-3.json", folder / "kept.json");
  refused("of its 3 shards these are missing: 2");
  write_bytes(folder / "many/run.shard-2-of-3.json", "{");
  refused("run.shard-2-of-3.json: is damaged");
  Json other = json_in(folder / "kept.json");
  other["norm"] = "none";
  write_bytes(folder / "many/run.shard-2-of-3.json", to_text(other));
  refused("this shard was run with a different norm than shard 1");
  put_scaled_image(folder / "in/y.png", 29);
  CHECK(shard("2/3").code == 1);
  refused("this shard was run with different inputs than shard 1");
  shard("1/2");
  refused("contains shards of several runs, one of 2 and one of 3");
  CHECK(contains(run_basin(folder, "merge in").err, "in: contains no run.shard-I-of-N.json"));
  for (const char* bad : {"0/3", "4/3", "1", "1/x", "-1/2", "1/2/3"})
    CHECK(contains(shard(bad).err, std::string("--shard ") + bad + ": expected I/N"));
  // More shards than images: some have nothing to do.
  CHECK(run_basin(folder, "segment in/a.png --out few --shard 2/2" + common).code == 0);
  CHECK(run_basin(folder, "segment in/a.png --out few --shard 1/2" + common).code == 0);
  CHECK(run_basin(folder, "merge few").code == 0);
  CHECK(json_in(folder / "few/run.json")["images"] == 1);
}

TEST_CASE("merge: a table that a spreadsheet has saved again is joined like the original") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_scaled_image(folder / "in/a.png", 7);
  const auto joined = [&](const std::string& out, bool saved_again) {
    for (const char* shard : {"1/2", "2/2"})
      CHECK(run_basin(folder, "segment in/a.png --save table --out " + out + " --shard " + shard + common).code == 0);
    const std::string table = read_bytes(folder / (out + "/a_objects.csv"));
    CHECK(occurrences(table, "\n") > 1);
    std::string with_returns = "\xef\xbb\xbf";
    for (const char c : table)
      with_returns += c == '\n' ? "\r\n" : std::string(1, c);
    if (saved_again) write_bytes(folder / (out + "/a_objects.csv"), with_returns);
    const Ran merged = run_basin(folder, "merge " + out);
    CHECK_MESSAGE(merged.code == 0, merged.err);
    return read_bytes(folder / (out + "/objects.csv"));
  };
  CHECK(joined("one", false) == joined("two", true));
}

TEST_CASE("segment --skip-existing: an interrupted run is continued, and results of other runs are not reused") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (const char* name : {"in/a.png", "in/b.png", "in/c.png"})
    put_scaled_image(folder / name, 7);
  const std::string words = "segment in --out out --save labels,csv,field --skip-existing" + common;
  const auto lines = [&](const std::string& more = "") {
    const Ran ran = run_basin(folder, words + more);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    std::string done;
    for (const char* name : {"a", "b", "c"})
      if (contains(ran.out, std::string("in/") + name + ".png: ")) done += name;
    return done;
  };
  CHECK(lines() == "abc");
  const auto all = results_in(folder / "out");
  CHECK(lines() == "");
  CHECK(json_in(folder / "out/run.json")["skipped"] == 3);
  fs::remove(folder / "out/b_field.npy");
  CHECK(lines() == "b");
  CHECK(all == results_in(folder / "out"));
  put_scaled_image(folder / "in/a.png", 9);  // another image of this name
  CHECK(lines() == "a");
  CHECK(lines() == "");
  // A run that was killed leaves its record, and label images that are its own.
  Json killed = json_in(folder / "out/run.json");
  killed["finished"] = false;
  write_bytes(folder / "out/run.json", to_text(killed));
  fs::remove(folder / "out/c_masks.png");
  CHECK(lines() == "c");
  CHECK(lines("--recursive") == "");
  // An image of the same name in another folder is another image, even if it is older; a moved one is not.
  fs::create_directories(folder / "else");
  put_scaled_image(folder / "else/a.png", 11);
  fs::last_write_time(folder / "else/a.png", fs::last_write_time(folder / "in/a.png") - std::chrono::hours(1));
  const std::string elsewhere = "segment else --out out --save labels,csv,field --skip-existing" + common;
  const Ran other = run_basin(folder, elsewhere);
  CHECK_MESSAGE(contains(other.err, "else/a.png: the results with this name in out are those of "), other.err);
  CHECK_MESSAGE(contains(other.out, "else/a.png: "), other.out);
  fs::rename(folder / "else", folder / "moved");
  CHECK(contains(run_basin(folder, "segment moved --out out --save labels,csv,field --skip-existing" + common).out,
                 "1 image skipped"));
  CHECK(contains(lines(), "a"));
  CHECK(lines() == "");
  // The inputs of all runs whose results are kept are known, not only those of the last one.
  put_scaled_image(folder / "more/z.png", 5);
  const std::string kept_results = " --out out --save labels,csv,field --skip-existing" + common;
  REQUIRE(run_basin(folder, "segment more/z.png" + kept_results).code == 0);
  CHECK(json_in(folder / "out/run.json")["earlier_inputs"].size() == 1);
  const Ran after = run_basin(folder, "segment moved" + kept_results);
  CHECK_MESSAGE(contains(after.err, "moved/a.png: the results with this name in out are those of "), after.err);
  CHECK(!json_in(folder / "out/run.json").contains("earlier_inputs"));
  CHECK(contains(lines(), "a"));
  // Files of an earlier run with other settings are not taken for results of this one.
  const Ran refused = run_basin(folder, words + "--min-size 5");
  CHECK(refused.code == 1);
  CHECK_MESSAGE(contains(refused.err, "out were made with a different min_size; give another --out"), refused.err);
  save_model(folder / "other.safetensors", {}, Untrained({}, 2).method, Json::object());
  const Ran model = run_basin(folder, "segment in --out out --skip-existing --model other.safetensors");
  CHECK_MESSAGE(contains(model.err, "out were made with a different model; give another --out"), model.err);
  CHECK(run_basin(folder, "segment in/a.png --out out --save labels,csv,field --min-size 5" + common).code == 0);
  CHECK(lines("--min-size 5") == "bc");
  CHECK(lines("--min-size 5") == "");
  // Label images beside their images, and those that Basin did not write, are never taken for results.
  write_bytes(folder / "others/a_masks.png", read_bytes(folder / "out/a_masks.png"));
  const Ran kept = run_basin(folder, "segment in --out others --save labels --skip-existing" + common);
  CHECK_MESSAGE(contains(kept.err, "others/a_masks.png: already exists and may contain true labels"), kept.err);
  // A damaged record is reported, because without it labels cannot be recognised as results.
  write_bytes(folder / "out/run.json", "{\"command\": ");
  const Ran damaged = run_basin(folder, words);
  CHECK(damaged.code == 1);
  CHECK_MESSAGE(contains(damaged.err, "out/run.json: is damaged: it is not JSON in UTF-8"), damaged.err);
}

TEST_CASE("segment --shard: shards run concurrently from a shell loop, as in docs/cluster.md") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  put_tree(folder);
  fs::remove(folder / "in/sub/bad.png");
  const std::string words = "segment in --recursive --save labels,overlay,table --skip-existing" + common;
  const std::string basin = "'" + std::string(basin::basin_command()) + "' ";
  const std::string loop =
      "for i in 1 2 3 4; do " + basin + words + "--out OUT --shard $i/4 >/dev/null 2>&1 & done; wait; ";
  const Ran merged = run_basin(folder, "merge OUT", loop);
  CHECK_MESSAGE(merged.code == 0, merged.err);
  CHECK(run_basin(folder, words + "--out one").code == 0);
  CHECK(results_in(folder / "OUT") == results_in(folder / "one"));
  CHECK(results_in(folder / "OUT").size() == 6 * 3 + 1);
  CHECK(json_in(folder / "OUT/run.json")["images"] == 6);
}

TEST_CASE("segment --skip-existing: a killed run is continued") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (int i = 0; i < 30; ++i)
    put_scaled_image(folder / ("in/" + std::to_string(i) + ".png"), 7 + i);
  const std::string words = "segment in --save labels,overlay,csv" + common;
  const std::string basin = "'" + std::string(basin::basin_command()) + "' ";
  const std::string killed = "{ " + basin + words + "--out out >/dev/null & for n in $(seq 1000); do " +
                             "[ -e out/13_masks.png ] && break; sleep 0.01; done; kill -9 $!; wait $!; }; ";
  const Ran ran = run_basin(folder, words + "--out out --skip-existing", killed);
  CHECK_MESSAGE(ran.code == 0, ran.err);
  const size_t skipped = json_in(folder / "out/run.json")["skipped"].get<size_t>();
  CHECK(skipped >= 1);
  CHECK(skipped < 30);
  CHECK(run_basin(folder, words + "--out one").code == 0);
  auto all = results_in(folder / "out");
  std::erase_if(all, [](const auto& file) { return file.first.starts_with(".basin-"); });  // the file that was cut off
  CHECK(all == results_in(folder / "one"));
}

TEST_CASE("segment --skip-existing and merge: damaged results are named and made again") {
  const Folder folder;
  put_model(folder / "m.safetensors");
  for (const char* name : {"in/a.png", "in/b.png"})
    put_scaled_image(folder / name, 7);
  const std::string save = " --save labels,table,rois,geojson,npy,overlay,zarr,field";
  const std::string words = "segment in --out out" + save + common;
  REQUIRE(run_basin(folder, words + "--shard 1/1").code == 0);
  REQUIRE(run_basin(folder, "merge out").code == 0);
  const auto whole = results_in(folder / "out");
  const auto half = [](const std::string& text) { return text.substr(0, text.size() / 2); };
  const auto bit = [](std::string text) {
    text[text.size() / 2] = char(text[text.size() / 2] ^ 16);
    return text;
  };
  const std::string chunk = [&] {
    for (const auto& [name, text] : whole)
      if (name.starts_with("b_masks.ome.zarr/") && name.ends_with("/0")) return name;
    return std::string();
  }();
  REQUIRE(!chunk.empty());
  for (const std::string& name : {std::string("b_masks.png"), std::string("b_objects.csv"), std::string("b_rois.zip"),
                                  std::string("b.geojson"), std::string("b_seg.npy"), std::string("b_overlay.png"),
                                  std::string("b_field.npy"), chunk, std::string("b_masks.ome.zarr/.zgroup")})
    for (const std::string& bytes : {std::string(), half(whole.at(name)), bit(whole.at(name))}) {
      const bool flipped = bytes.size() == whole.at(name).size();
      if (flipped && !name.ends_with(".png") && !name.ends_with(".zip"))
        continue;  // only these are covered by a checksum
      CAPTURE(name);
      CAPTURE(bytes.size());
      write_bytes(folder / "out" / name, bytes);
      const Ran merged = run_basin(folder, "merge out");
      CHECK(merged.code == 1);
      CHECK_MESSAGE(contains(merged.err, "out/" + name.substr(0, name.find('/'))), merged.err);
      CHECK(std::count(merged.err.begin(), merged.err.end(), '\n') == 1);
      const Ran again = run_basin(folder, words + "--shard 1/1 --skip-existing");
      CHECK_MESSAGE(again.code == 0, again.err);
      CHECK_MESSAGE(contains(again.err, "out/" + name.substr(0, name.find('/'))), again.err);
      CHECK(contains(again.err, "; in/b.png is segmented again"));
      CHECK(contains(again.out, "1 image skipped"));
      CHECK(results_in(folder / "out") == whole);
    }
  // A table that lost its last row may also have been edited: nothing is overwritten.
  const std::string& table = whole.at("b_objects.csv");
  write_bytes(folder / "out/b_objects.csv", table.substr(0, table.rfind('\n', table.size() - 2) + 1));
  const Ran merged = run_basin(folder, "merge out");
  CHECK(merged.code == 1);
  CHECK_MESSAGE(contains(merged.err, "out/b_objects.csv: has "), merged.err);
  CHECK_MESSAGE(contains(merged.err, ", but b_masks."), merged.err);
  const Ran again = run_basin(folder, words + "--shard 1/1 --skip-existing");
  CHECK(again.code == 1);
  CHECK_MESSAGE(contains(again.err, "out/b_objects.csv: has "), again.err);
  CHECK(contains(again.err, "remove the one that is wrong"));
  CHECK(contains(again.err, "1 of 2 inputs could not be segmented: in/b.png"));
  fs::remove(folder / "out/b_objects.csv");
  CHECK(run_basin(folder, words + "--shard 1/1 --skip-existing").code == 0);
  CHECK(run_basin(folder, "merge out").code == 0);
  CHECK(results_in(folder / "out") == whole);
  // An archive of another program may have been corrected by hand.
  std::string foreign = whole.at("b_rois.zip");
  foreign[6] = 8;
  write_bytes(folder / "out/b_rois.zip", foreign);
  const Ran corrected = run_basin(folder, words + "--shard 1/1 --skip-existing");
  CHECK(corrected.code == 1);
  CHECK_MESSAGE(contains(corrected.err, "out/b_rois.zip: was written by another program"), corrected.err);
  CHECK(read_bytes(folder / "out/b_rois.zip") == foreign);
}

// run.json as an input: whatever is in it, commands that read it succeed or say in one sentence what is wrong.
#include "engine/json.h"
#include "tests/support/command_support.h"
#include "tests/support/image_support.h"
#include "tests/support/model_support.h"
#include "tools/results/run_record.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

std::string utf16(const std::string& text) {
  std::string wide = "\xff\xfe";
  for (const char c : text)
    (wide += c) += '\0';
  return wide;
}

/// A folder with a whole run and one with two shards.
void put_runs(const Folder& folder) {
  put_model(folder / "m.safetensors");
  for (const char* name : {"in/a.png", "in/b.png", "in/c.png"})
    write_png(folder / name, {16, 16, 1, PixelType::u8, std::vector<std::byte>(256, std::byte(9))});
  const std::string words = "segment in --model m.safetensors --device cpu --min-size 2 --save labels ";
  REQUIRE(run_basin(folder, words + "--out one").code == 0);
  for (const char* shard : {"1/2", "2/2"})
    REQUIRE(run_basin(folder, words + "--out many --shard " + shard).code == 0);
}

/// One line that names the file, without the words of a library.
void check_sentence(const Ran& ran, const std::string& file) {
  CHECK(ran.code == 1);
  CHECK_MESSAGE(contains(ran.err, file), ran.err);
  CHECK_MESSAGE(occurrences(ran.err, "\n") == 1, ran.err);
  for (const char* foreign : {"exception", "filesystem", "bad_alloc", "vector", "out of memory"})
    CHECK_MESSAGE(!contains(ran.err, foreign), ran.err);
}

}  // namespace

TEST_CASE("run.json: each damaged file is refused in one sentence that names it") {
  const Folder folder;
  put_runs(folder);
  const fs::path one = folder / "one/run.json", shard = folder / "many/run.shard-2-of-2.json";
  const std::string whole = read_bytes(one), part = read_bytes(shard);
  const auto damages = [](const std::string& text) {
    return std::vector<std::string>{"",
                                    " ",
                                    text.substr(0, text.size() / 2),
                                    text.substr(0, text.size() - 2),
                                    text + text,
                                    std::string(100, '\0'),
                                    text.substr(0, 20) + std::string(1, '\0') + text.substr(20),
                                    utf16(text),
                                    "[" + text + "]",
                                    "[]",
                                    "null",
                                    "17",
                                    "\"text\"",
                                    "{\"a\": \xff}",
                                    std::string(100000, '['),
                                    std::string(100000, '{')};
  };
  for (const std::string& damaged : damages(whole)) {
    CAPTURE(damaged.substr(0, 40));
    write_bytes(one, damaged);
    check_sentence(run_basin(folder, "view one"), "one/run.json: ");
  }
  for (const std::string& damaged : damages(part)) {
    CAPTURE(damaged.substr(0, 40));
    write_bytes(shard, damaged);
    const Ran ran = run_basin(folder, "merge many");
    check_sentence(ran, "many/run.shard-2-of-2.json: ");
    CHECK_MESSAGE(contains(ran.err, "; run this shard again"), ran.err);
  }
  // A byte order mark of UTF-8, as editors add it, does no harm, nor does a NUL at the end.
  write_bytes(one, "\xef\xbb\xbf" + whole);
  CHECK(run_basin(folder, "view one").code == 0);
  write_bytes(one, whole + std::string(1, '\0'));
  CHECK(run_basin(folder, "view one").code == 0);
  write_bytes(shard, part);
  CHECK(run_basin(folder, "merge many").code == 0);
}

TEST_CASE("run.json: members of another type, missing ones and huge numbers are refused by name") {
  const Folder folder;
  put_runs(folder);
  const fs::path one = folder / "one/run.json", shard = folder / "many/run.shard-2-of-2.json";
  const Json whole = json_in(one), part = json_in(shard);
  const auto with = [](Json run, const char* key, const Json& value) {
    run[key] = value;
    return run;
  };
  const auto without = [](Json run, const char* key) {
    run.erase(key);
    return run;
  };
  const auto view = [&](const Json& run, const std::string& why) {
    write_bytes(one, to_text(run));
    check_sentence(run_basin(folder, "view one"), "one/run.json: is damaged: " + why);
  };
  view(with(whole, "save", "labels"), "its member save is not a list of texts");
  view(with(whole, "save", Json{{"labels", 1}}), "its member save is not a list of texts");
  view(with(whole, "input", Json{1, 2}), "its member input is not a list of texts");
  view(without(whole, "input"), "it has no member input");
  view(with(whole, "folder", 7), "its member folder is not a text");
  view(with(whole, "recursive", "yes"), "its member recursive is not true or false");
  view(with(whole, "failed", Json{{"a", "b"}}), "its member failed is not a list of texts");
  view(with(whole, "remarks", Json{{{"image", 1}, {"remark", "x"}}}), "its member remarks is not a list of objects");
  view(with(whole, "dropped", Json{{{"image", "a"}, {"too_small", 1e300}}}), "its member dropped is not a list of");
  write_bytes(one, to_text(with(whole, "input", Json{std::string(6000, 'x')})));
  CHECK(run_basin(folder, "view one").code == 0);  // an input that is no longer there, whatever its name

  const auto merge = [&](const Json& run, const std::string& why) {
    write_bytes(shard, to_text(run));
    check_sentence(run_basin(folder, "merge many"), "many/run.shard-2-of-2.json: " + why);
  };
  const auto shard_with = [&](const char* key, const Json& value) {
    Json run = part;
    run["shard_of"][key] = value;
    return run;
  };
  for (const char* key :
       {"save", "remarks", "scales", "dropped", "failed", "seconds", tools::since_key, "shard", "command"})
    merge(without(part, key), std::string("is damaged: it has no member ") + key);
  merge(without(part, "shard_of"), "says that this shard has not finished");
  merge(with(part, "shard_of", 3), "is damaged: its member shard_of is not an object");
  merge(with(part, "seconds", Json{{"read", "fast"}}), "is damaged: its member seconds is not an object of numbers");
  merge(with(part, "images", uint64_t(-1)), "is damaged: its member images is not a whole number of 0 or more");
  merge(with(part, tools::since_key, -1),
        std::string("is damaged: its member ") + tools::since_key + " is not a whole number");
  merge(with(part, "shard", nullptr), "is damaged: its member shard is null");
  merge(shard_with("images", Json{"a.png"}), "is damaged: its member images is not a list of pairs of texts");
  write_bytes(shard, to_text(shard_with("images", Json::array())));
  check_sentence(run_basin(folder, "merge many"),
                 "many/run.shard-1-of-2.json: is damaged: it says that it has 2 of 3 images");
  merge(shard_with("images_of_all_shards", int64_t(1) << 60),
        "is damaged: it says that it has 1 of 1152921504606846976");

  // The results of a damaged run are not skipped.
  write_bytes(one, to_text(with(whole, tools::since_key, "soon")));
  const Ran skipping = run_basin(
      folder, "segment in --model m.safetensors --device cpu --min-size 2 --save labels --out one --skip-existing");
  CHECK_MESSAGE(contains(skipping.err, "one/run.json: is damaged: its member results_since_ns is not"), skipping.err);
}

TEST_CASE("run.json: a record with any value for any member is read or refused by its name") {
  const Folder folder;
  put_runs(folder);
  const Json whole = json_in(folder / "one/run.json"), part = json_in(folder / "many/run.shard-1-of-2.json");
  const std::vector<Json> values{nullptr,
                                 true,
                                 0,
                                 -1,
                                 1e300,
                                 uint64_t(-1),
                                 "",
                                 "x",
                                 Json::array(),
                                 Json::object(),
                                 Json{1},
                                 Json{"x"},
                                 Json{{"x", 1}},
                                 Json{Json{"a", "b"}},
                                 Json{{{"image", "x"}, {"remark", 1}}}};
  int refused = 0, read = 0;
  const auto check = [&](const Json& run) {
    for (const bool is_shard : {false, true})
      try {
        is_shard ? void(tools::shard_record_of(run, "r.json")) : void(tools::segment_record_of(run, "r.json"));
        ++read;
      } catch (const Error& e) {
        CHECK_MESSAGE(std::string(e.what()).starts_with("r.json: "), e.what());
        ++refused;
      }
  };
  for (const Json& run : {whole, part})
    for (const auto& [key, old] : run.items())
      for (const Json& value : values) {
        Json changed = run;
        changed[key] = value;
        check(changed);
      }
  for (const auto& [key, old] : part["shard_of"].items())
    for (const Json& value : values) {
      Json changed = part;
      changed["shard_of"][key] = value;
      check(changed);
    }
  CHECK(refused > 300);
  CHECK(read > 300);
}

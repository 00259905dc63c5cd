#include <cmath>
#include <cstring>

#include "models/inference/model_file.h"
#include "tests/support/gpu_support.h"
#include "tests/support/training_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("training: a state with a damaged list of algorithms is refused by its file name") {
  const Folder folder;
  run(folder.path(), few_steps(1), false);
  SafeTensors state = read_state(folder);
  for (const char* text : {"", "[", "{}", "[{\"pass\":\"forward\"}]"}) {
    state.metadata["cudnn"] = text;
    state.metadata["checksum"] = checksum_of(state);
    const std::vector<std::byte> bytes = encode_safetensors(state);
    write_atomically(folder / "last.state.safetensors", bytes.data(), bytes.size());
    CHECK(refusal([&] { run(folder.path(), few_steps(2), true); }) ==
          (folder / "last.state.safetensors").string() + " is damaged: its list of cuDNN algorithms cannot be parsed");
  }
}

TEST_CASE("training: a state with one changed byte is refused, one without a checksum is read") {
  const Folder folder;
  run(folder.path(), few_steps(1), false);
  const std::filesystem::path path = folder / "last.state.safetensors";
  const std::string whole = read_bytes(path);
  const SafeTensors state = read_state(folder);
  for (const StoredTensor& t : state.tensors) {
    CAPTURE(t.name);
    std::string bytes = whole;
    const size_t at = bytes.find(std::string_view(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()));
    REQUIRE(at != std::string::npos);
    bytes[at + t.bytes.size() / 2] ^= 1;
    write_bytes(path, bytes);
    CHECK(refusal([&] { run(folder.path(), few_steps(2), true); }) ==
          path.string() + " is damaged: its content does not match its checksum");
  }
  std::string header = whole;
  header.replace(header.find("best_AP50_95"), 12, "best_AP50_96");
  write_bytes(path, header);
  CHECK(contains(refusal([&] { run(folder.path(), few_steps(2), true); }), "does not match its checksum"));

  SafeTensors old = state;
  old.metadata.erase("checksum"), old.metadata.erase("checksum_kind");
  const std::vector<std::byte> bytes = encode_safetensors(old);
  write_atomically(path, bytes.data(), bytes.size());
  run(folder.path(), few_steps(2), true);
}

TEST_CASE("training: a NaN loss stops the run, reports step and images, and saves nothing") {
  TrainOptions o = few_steps(8);
  o.rate.rate = 1e30;
  for (const Exec& exec : execs()) {
    const Folder none;
    CHECK(contains(refusal([&] { run(none.path(), o, false, exec); }), "NaN or infinite at step 1 (images image"));
    CHECK(!std::filesystem::exists(none / "last.safetensors"));
  }
  const Folder folder;
  const std::string why = refusal([&] { run(folder.path(), o, false); });
  CHECK(contains(why, "NaN or infinite at step"));
  CHECK(contains(why, "image"));
  CHECK(!std::filesystem::exists(folder / "last.safetensors"));
  CHECK(!std::filesystem::exists(folder / "best.safetensors"));

  // Previously saved files are unchanged.
  const Folder later;
  o = few_steps(3);
  o.rate.schedule = Schedule::step, o.rate.factor = 1e34, o.rate.every = 1;  // from the second step on
  o.save_every = 1;
  CHECK(contains(refusal([&] { run(later.path(), o, false); }), "training diverged: after step 2 the network's map"));
  CHECK(load_model(later / "last.safetensors", {}).info["step"] == 1);
  const std::string saved = read_bytes(later / "last.safetensors"),
                    state = read_bytes(later / "last.state.safetensors");
  CHECK(contains(refusal([&] { run(later.path(), o, true); }), "training diverged: after step 2 the network's map"));
  CHECK(read_bytes(later / "last.safetensors") == saved);
  CHECK(read_bytes(later / "last.state.safetensors") == state);
}

TEST_CASE("training: a lost best model is reported on --resume, and the next best is kept") {
  const Folder base;
  run(base.path(), few_steps(4), false);
  const std::string best = read_bytes(base / "best.safetensors"), last = read_bytes(base / "last.safetensors");
  std::string changed = best;
  changed[changed.size() / 2] = char(changed[changed.size() / 2] ^ 4);
  for (const char* name : {"best.safetensors", "last.safetensors"}) {
    const std::string& whole = name == std::string("best.safetensors") ? best : last;
    for (const std::string& bytes : {std::string(), whole.substr(0, whole.size() / 2), changed}) {
      const Folder folder;
      std::filesystem::copy(base.path(), folder.path());
      write_bytes(folder / name, bytes);
      const std::string why = refusal([&] { run(folder.path(), few_steps(4), true); });
      CHECK_MESSAGE(contains(why, (folder / name).string()), why);
      CHECK_MESSAGE(contains(why, "give more --steps"), why);
      run(folder.path(), few_steps(8), true);
      CHECK(load_model(folder / name, {}).info["step"] == 8);
    }
  }
  const Folder folder;
  std::filesystem::copy(base.path(), folder.path());
  std::filesystem::remove(folder / "best.safetensors");
  run(folder.path(), few_steps(8), true);
  CHECK(load_model(folder / "best.safetensors", {}).info["step"] == 8);
}

TEST_CASE("training: a step that diverged names the images of all its batches") {
  TrainOptions o = few_steps(8);
  o.rate.rate = 1e30, o.step.accumulate = 5, o.batch = 1;
  const Folder folder;
  const std::string why = refusal([&] { run(folder.path(), o, false); });
  const size_t begin = why.find("(images "), end = why.find(';', begin);
  REQUIRE(end != std::string::npos);
  CHECK_MESSAGE(occurrences(why.substr(begin, end - begin), "image") == 6, why);  // five and "images"
}

TEST_CASE("training: moments of Adam that overflow stop the run, and a state with them is refused") {
  for (const Exec& exec : execs()) {
    const Folder folder;
    VectorFieldOptions options = small_options();
    options.weights = {1e25, 1e25, 1e25};  // finite gradients whose squares are not
    VectorFields method(options);
    method.params().allocate(exec);
    const std::vector<Example> examples = synthetic(2, 64);
    const std::string why = refusal([&] { train(exec, method, examples, {}, few_steps(4), {folder.path()}, false); });
    CHECK_MESSAGE(contains(why, "NaN or infinite at step 0 (images image"), why);
    CHECK(!std::filesystem::exists(folder / "last.safetensors"));
  }
  const Folder folder;
  run(folder.path(), few_steps(1), false);
  SafeTensors state = read_state(folder);
  for (StoredTensor& t : state.tensors)
    if (t.name == "adam.v") {
      const float infinite = INFINITY;
      std::memcpy(t.bytes.data() + 8, &infinite, sizeof infinite);
    }
  add_checksum(state);
  const std::vector<std::byte> bytes = encode_safetensors(state);
  write_atomically(folder / "last.state.safetensors", bytes.data(), bytes.size());
  CHECK(contains(refusal([&] { run(folder.path(), few_steps(2), true); }), "adam.v contains NaN or infinity"));
}

TEST_CASE("training: a network whose maps cannot be decoded stops the run with the advice of a lower --lr") {
  const Folder folder;
  TrainOptions o = few_steps(1);
  o.rate.rate = 2147483647;
  const std::string why = refusal([&] { run(folder.path(), o, false); });
  CHECK_MESSAGE(contains(why, "image0: training diverged: after step 1 the network's map "), why);
  CHECK(contains(why, "try a lower --lr"));
  CHECK(!std::filesystem::exists(folder / "last.safetensors"));
  for (const Exec& exec : execs()) {  // without validation images
    const Folder unscored;
    VectorFields method(small_options());
    method.params().allocate(exec);
    const std::vector<Example> examples = synthetic(2, 64);
    CHECK(refusal([&] { train(exec, method, examples, {}, o, {unscored.path()}, false); }) == why);
    CHECK(!std::filesystem::exists(unscored / "last.safetensors"));
  }
}

#include <cstring>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "models/inference/model_file.h"
#include "models/methods/vector_fields.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

SafeTensors example() {
  SafeTensors s;
  const float values[6] = {1, 2, 3, 4, 5, 6};
  const int64_t step = 7;
  s.metadata["basin"] = "{}";
  s.add("a", {2, 3}, values);
  s.add("step", {1}, &step);
  return s;
}

std::vector<std::byte> file_of(const std::string& header, size_t data) {
  std::vector<std::byte> bytes(8 + header.size() + data);
  const uint64_t n = header.size();
  std::memcpy(bytes.data(), &n, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

std::string refused(const std::string& header, size_t data) {
  return refusal([&] { decode_safetensors(file_of(header, data), "m.safetensors"); });
}

}  // namespace

TEST_CASE("safetensors: reading gives back what was written, and encoding twice gives the same bytes") {
  const std::vector<std::byte> bytes = encode_safetensors(example());
  CHECK(bytes == encode_safetensors(example()));
  const SafeTensors back = decode_safetensors(bytes, "m");
  CHECK(back.metadata == example().metadata);
  REQUIRE(back.tensors.size() == 2);
  CHECK(back.floats("a", {2, 3}, "m")[5] == 6);
  CHECK(contains(refusal([&] { back.floats("a", {3, 2}, "m"); }), "different shape"));
  CHECK(contains(refusal([&] { back.floats("b", {1}, "m"); }), "m contains no tensor b"));
  CHECK(contains(refusal([&] { back.floats("step", {1}, "m"); }), "expected F32"));
}

TEST_CASE("safetensors: a truncated file is refused at any length, and no changed byte causes a crash") {
  const std::vector<std::byte> whole = encode_safetensors(example());
  for (size_t n = 0; n < whole.size(); ++n)
    CHECK_THROWS_AS(decode_safetensors(std::span(whole).first(n), "m"), Error);
  for (size_t at = 0; at < whole.size(); ++at)
    for (const int change : {1, 0x20, 0x80, 0xff}) {
      std::vector<std::byte> bytes = whole;
      bytes[at] ^= std::byte(change);
      try {
        decode_safetensors(bytes, "m");
      } catch (const Error&) {
      }
    }
}

TEST_CASE("safetensors: malicious headers are refused with a sentence that names the file") {
  for (const char* header :
       {"[]", "{\"a\":1}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1099511627776,1099511627776],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[8388608,8388608,65536],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[8,24]}}", "{\"__metadata__\":{\"basin\":3}}"})
    CHECK(contains(refused(header, contains(header, "[0,0]") ? 0 : 16), "m.safetensors"));
  std::string deep(200000, '[');
  CHECK(contains(refused("{\"a\":" + deep, 0), "m.safetensors"));
}

TEST_CASE("model file: saving and loading keeps settings and weights; a torchvf state_dict needs no metadata") {
  const Exec cpu;
  const Folder folder;
  VectorFieldOptions o;
  o.net.width = 8, o.net.decoders = 2;
  o.normalisation = parse_normalisation("percentile:1,99.8");
  o.decoding.dbscan.eps = 1.75;
  VectorFields method(o);
  method.params().allocate(cpu);
  method.params().init(cpu, 5);
  save_model(folder / "m.safetensors", cpu, method, {{"note", "x"}});
  const Model back = load_model(folder / "m.safetensors", cpu);
  CHECK(back.method->config() == method.config());
  CHECK(back.info["note"] == "x");
  CHECK(back.method->params().values().to_host<float>(cpu) == method.params().values().to_host<float>(cpu));
  CHECK(back.method->params().running().to_host<float>(cpu) == method.params().running().to_host<float>(cpu));

  SafeTensors bare;
  add_parameters(bare, cpu, method.params());
  const std::vector<std::byte> bytes = encode_safetensors(bare);
  write_bytes(folder / "torchvf.safetensors", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const Model converted = load_model(folder / "torchvf.safetensors", cpu);
  const Json config = converted.method->config();
  CHECK(config["method"] == "vf-h2");
  CHECK(config["width"] == 8);
  CHECK(config["normalisation"] == "divide");
  CHECK(config["decoding"]["eps"] == 2.25);
  CHECK(contains(refusal([&] { load_model(folder / "none.safetensors", cpu); }), "none.safetensors"));
}

TEST_CASE("model file: a model in which a bit has changed is refused, one without a checksum is read") {
  const Exec cpu;
  const Folder folder;
  const std::filesystem::path path = folder / "m.safetensors";
  VectorFieldOptions o;
  o.net.width = 1;
  VectorFields method(o);
  method.params().allocate(cpu);
  method.params().init(cpu, 5);
  save_model(path, cpu, method, {{"scale", "auto"}});
  const std::string whole = read_bytes(path);
  uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  // One bit of each byte of the header's length, of each eleventh byte of the header, and of a number in each 100 of the
  // tensors.
  for (size_t at = 0; at < whole.size(); at += at < 8 ? 1 : at < 8 + header ? 11 : 403) {
    std::string bytes = whole;
    bytes[at] = char(bytes[at] ^ 1 << at * 5 % 8);
    write_bytes(path, bytes);
    const std::string why = refusal([&] { load_model(path, cpu); });
    CHECK_MESSAGE(contains(why, path.string()), at, ": ", why);
  }
  std::string bytes = whole;
  bytes.replace(bytes.find("\\\"eps\\\":2"), 9, "\\\"eps\\\":0");
  write_bytes(path, bytes);
  CHECK(refusal([&] { load_model(path, cpu); }) ==
        path.string() + " is damaged: its content does not match its checksum");

  SafeTensors content = decode_safetensors(std::as_bytes(std::span(whole)), "m");
  for (const char* key : {"checksum", "checksum_kind"})
    content.metadata.erase(key);
  const auto write = [&] {
    const std::vector<std::byte> encoded = encode_safetensors(content);
    write_bytes(path, {reinterpret_cast<const char*>(encoded.data()), encoded.size()});
  };
  write();
  CHECK(load_model(path, cpu).info["scale"] == "auto");
  // Another program's metadata may have a key of this name.
  content.metadata = {{"checksum", "of another kind"}};
  write();
  CHECK(load_model(path, cpu).info.contains("source"));
}

TEST_CASE("model file: the models of the source tree have a checksum") {
  const std::filesystem::path models = std::filesystem::path(source_dir()) / "models/pretrained";
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafeTensors content = decode_safetensors(read_file(entry.path()), entry.path().string());
    CHECK_MESSAGE(content.metadata.contains("checksum_kind"), entry.path());
    verify_checksum(content, entry.path().string());
    ++found;
  }
  CHECK(found == 4);
}

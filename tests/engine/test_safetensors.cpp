#include <cstring>

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

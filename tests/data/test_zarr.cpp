#include <blosc.h>
#include <doctest/doctest.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <functional>
#include <numeric>

#include "data/arrays/zarr.h"
#include "data/dataset/dataset.h"
#include "data/files/labels.h"
#include "data/files/planes.h"
#include "data/files/stack_planes.h"
#include "data/objects/write_stack.h"
#include "engine/crc.h"
#include "engine/json.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

using Pack = std::function<std::string(const std::string&)>;

std::string plain(const std::string& bytes) { return bytes; }

/// window: as for deflateInit2: 15 for zlib, 31 for gzip.
std::string deflated(const std::string& bytes, int window) {
  z_stream stream = {};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(bytes.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data())), stream.avail_in = uInt(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data()), stream.avail_out = uInt(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
std::string gzipped(const std::string& bytes) { return deflated(bytes, 31); }
std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}
std::string blosc(const std::string& bytes, const char* codec, size_t element = 2) {
  std::string out(bytes.size() + BLOSC_MAX_OVERHEAD, '\0');
  const int n =
      blosc_compress_ctx(5, BLOSC_SHUFFLE, element, bytes.size(), bytes.data(), out.data(), out.size(), codec, 0, 1);
  REQUIRE(n > 0);
  out.resize(size_t(n));
  return out;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// The attributes of an image with these axes, a letter each, and a scale for each.
Json multiscales(const std::string& axes, const std::vector<double>& scale, const std::string& unit = "micrometer") {
  Json list = Json::array();
  for (const char a : axes) {
    Json axis{{"name", std::string(1, a)}, {"type", a == 't' ? "time" : a == 'c' ? "channel" : "space"}};
    if (axis["type"] == "space" && !unit.empty()) axis["unit"] = unit;
    list.push_back(axis);
  }
  const Json transformations = Json::array({{{"type", "scale"}, {"scale", scale}}});
  const Json datasets = Json::array({{{"path", "0"}, {"coordinateTransformations", transformations}}});
  return Json::array({{{"version", "0.4"}, {"axes", list}, {"datasets", datasets}}});
}

void put_group(const fs::path& folder, const Json& attributes) {
  fs::create_directories(folder);
  write_bytes(folder / ".zgroup", R"({"zarr_format": 2})");
  write_bytes(folder / ".zattrs", to_text(attributes));
}

Json zarray(const std::vector<int64_t>& shape, const std::vector<int64_t>& chunks, const std::string& type,
            const Json& compressor = nullptr) {
  return {{"zarr_format", 2},          {"shape", shape},  {"chunks", chunks},   {"dtype", type},
          {"compressor", compressor},  {"fill_value", 7}, {"filters", nullptr}, {"order", "C"},
          {"dimension_separator", "/"}};
}

void put(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  write_bytes(path, bytes);
}

/// The 16-bit pixels 100 y + x of an image of 3 rows and 5 columns in chunks of 2 x 3, as one string for each chunk;
/// the parts of chunks behind the edge are 9999.
std::vector<std::string> chunks_of_ramp() {
  std::vector<std::string> chunks;
  for (int y0 = 0; y0 < 3; y0 += 2)
    for (int x0 = 0; x0 < 5; x0 += 3) {
      std::vector<uint16_t> chunk;
      for (int y = y0; y < y0 + 2; ++y)
        for (int x = x0; x < x0 + 3; ++x)
          chunk.push_back(uint16_t(y < 3 && x < 5 ? 100 * y + x : 9999));
      chunks.push_back(bytes_of(chunk));
    }
  return chunks;
}
const std::vector<uint16_t> ramp{0, 1, 2, 3, 4, 100, 101, 102, 103, 104, 200, 201, 202, 203, 204};

void put_ramp(const fs::path& store, const Json& compressor, const Pack& pack, const std::string& separator = "/") {
  put_group(store, {{"multiscales", multiscales("yx", {0.5, 0.5})}});
  Json array = zarray({3, 5}, {2, 3}, "<u2", compressor);
  array["dimension_separator"] = separator;
  put(store / "0/.zarray", to_text(array));
  const std::vector<std::string> chunks = chunks_of_ramp();
  for (size_t k = 0; k < 4; ++k)
    put(store / "0" / (std::to_string(k / 2) + separator + std::to_string(k % 2)), pack(chunks[k]));
}

template <class T>
std::vector<T> pixels_of(const Image& image) {
  REQUIRE(image.pixels.size() == sizeof(T) * size_t(image.height) * size_t(image.width) * size_t(image.channels));
  return {image.as<T>(), image.as<T>() + image.pixels.size() / sizeof(T)};
}

/// zarr.json of the ramp with these codecs.
void put_ramp_3(const fs::path& store, const std::vector<int64_t>& chunk, const Json& codecs) {
  put(store / "zarr.json",
      to_text({{"zarr_format", 3},
               {"node_type", "group"},
               {"attributes", {{"ome", {{"version", "0.5"}, {"multiscales", multiscales("yx", {1, 1})}}}}}}));
  put(store / "0/zarr.json",
      to_text({{"zarr_format", 3},
               {"node_type", "array"},
               {"shape", {3, 5}},
               {"data_type", "uint16"},
               {"chunk_grid", {{"name", "regular"}, {"configuration", {{"chunk_shape", chunk}}}}},
               {"chunk_key_encoding", {{"name", "default"}, {"configuration", {{"separator", "/"}}}}},
               {"fill_value", 7},
               {"codecs", codecs}}));
}

Json codec(const char* name, const Json& configuration = Json::object()) {
  return {{"name", name}, {"configuration", configuration}};
}
const Json little = codec("bytes", {{"endian", "little"}});

std::string checksummed(const std::string& bytes) { return bytes + bytes_of<uint32_t>({crc32c(bytes)}); }

}  // namespace

TEST_CASE("zarr: version 2 with every codec, both separators and partial chunks at the edges") {
  const Folder folder;
  struct Case {
    const char* name;
    Json compressor;
    Pack pack;
  };
  std::vector<Case> cases{{"none", nullptr, plain},
                          {"zlib", {{"id", "zlib"}}, [](const std::string& b) { return deflated(b, 15); }},
                          {"gzip", {{"id", "gzip"}}, gzipped},
                          {"zstd", {{"id", "zstd"}}, zstd}};
  for (const char* codec : {"blosclz", "lz4", "lz4hc", "zlib", "zstd"})
    cases.push_back({codec, {{"id", "blosc"}}, [codec](const std::string& b) { return blosc(b, codec); }});
  for (const Case& c : cases)
    for (const char* separator : {"/", "."}) {
      CAPTURE(c.name);
      const fs::path store = folder / (std::string(c.name) + (*separator == '.' ? "_dots.zarr" : ".ome.zarr"));
      put_ramp(store, c.compressor, c.pack, separator);
      const Image image = read_image(store);
      CHECK(pixels_of<uint16_t>(image) == ramp);
      CHECK(image.width == 5);
      CHECK(image.stack.pixel_size() == doctest::Approx(0.5));
    }
  CHECK(pixels_of<uint16_t>(read_image((folder / "zstd.ome.zarr").string() + "/")) == ramp);  // as shells complete it
}

TEST_CASE("zarr: version 3 with every codec, checksums, a transposed array and shards") {
  const Folder folder;
  const std::vector<std::string> chunks = chunks_of_ramp();
  const auto check = [&](const char* name, const Json& codecs, const Pack& pack) {
    CAPTURE(name);
    const fs::path store = folder / (std::string(name) + ".ome.zarr");
    put_ramp_3(store, {2, 3}, codecs);
    for (size_t k = 0; k < 4; ++k)
      put(store / "0/c" / std::to_string(k / 2) / std::to_string(k % 2), pack(chunks[k]));
    CHECK(pixels_of<uint16_t>(read_image(store)) == ramp);
  };
  check("bytes", Json::array({little}), plain);
  check("gzip", Json::array({little, codec("gzip")}), gzipped);
  check("zstd", Json::array({little, codec("zstd")}), zstd);
  check("blosc", Json::array({little, codec("blosc")}), [](const std::string& b) { return blosc(b, "lz4"); });
  check("crc", Json::array({little, codec("crc32c"), codec("zstd"), codec("crc32c")}),
        [](const std::string& b) { return checksummed(zstd(checksummed(b))); });
  check("big", Json::array({codec("transpose", {{"order", {0, 1}}}), codec("bytes", {{"endian", "big"}})}),
        [](std::string b) {
          for (size_t i = 0; i < b.size(); i += 2)
            std::swap(b[i], b[i + 1]);
          return b;
        });
  check("transposed", Json::array({codec("transpose", {{"order", {1, 0}}}), little}), [](const std::string& b) {
    std::string turned;
    for (size_t x = 0; x < 3; ++x)
      for (size_t y = 0; y < 2; ++y)
        turned += b.substr(2 * (3 * y + x), 2);
    return turned;
  });
  for (const bool first : {false, true}) {
    const fs::path store = folder / (first ? "start.ome.zarr" : "end.ome.zarr");
    const Json configuration{{"chunk_shape", {2, 3}},
                             {"codecs", Json::array({little, codec("gzip")})},
                             {"index_codecs", Json::array({little, codec("crc32c")})},
                             {"index_location", first ? "start" : "end"}};
    put_ramp_3(store, {4, 6}, Json::array({codec("sharding_indexed", configuration)}));
    std::string content;
    std::vector<uint64_t> index;
    for (size_t k = 0; k < 4; ++k) {
      const std::string packed = gzipped(chunks[k]);
      const bool stored = k != 1;
      index.push_back(stored ? content.size() + (first ? 4 * 16 + 4 : 0) : UINT64_MAX);
      index.push_back(stored ? packed.size() : UINT64_MAX);
      if (stored) content += packed;
    }
    const std::string table = checksummed(bytes_of(index));
    put(store / "0/c/0/0", first ? table + content : content + table);
    std::vector<uint16_t> want = ramp;
    want[3] = want[4] = want[8] = want[9] = 7;  // the chunk that is not stored
    CHECK(pixels_of<uint16_t>(read_image(store)) == want);
    std::string damaged = table;
    damaged[3] = char(damaged[3] + 1);
    put(store / "0/c/0/0", first ? damaged + content : content + damaged);
    CHECK(contains(image_refusal(store), "c/0/0: is damaged: its checksum does not match"));
  }
}

TEST_CASE("zarr: element types of both byte orders, and the order of Fortran") {
  const Folder folder;
  int number = 0;
  const auto check = [&](const std::string& code, auto type, bool swapped, const std::string& order = "C") {
    using T = decltype(type);
    CAPTURE(code);
    const fs::path store = folder / (std::to_string(number++) + ".zarr");
    put_group(store, {{"multiscales", multiscales("yx", {1, 1})}});
    Json array = zarray({2, 3}, {2, 3}, code);
    array["order"] = order;
    put(store / "0/.zarray", to_text(array));
    std::vector<T> values{1, 2, 3, 100, 101, 102};
    if (order == "F") values = {1, 100, 2, 101, 3, 102};
    std::string bytes = bytes_of(values);
    for (size_t i = 0; swapped && i < bytes.size(); i += sizeof(T))
      std::reverse(bytes.begin() + ptrdiff_t(i), bytes.begin() + ptrdiff_t(i + sizeof(T)));
    put(store / "0/0/0", bytes);
    const Image image = read_image(store);
    std::vector<double> read;
    with_pixels(image.type, [&](auto zero) {
      for (const auto v : pixels_of<decltype(zero)>(image))
        read.push_back(double(v));
    });
    CHECK(read == std::vector<double>{1, 2, 3, 100, 101, 102});
  };
  check("|u1", uint8_t{}, false), check("|i1", int8_t{}, false);
  check("<u2", uint16_t{}, false), check(">u2", uint16_t{}, true), check("<i2", int16_t{}, false);
  check(">i2", int16_t{}, true), check("<u4", uint32_t{}, false), check(">u4", uint32_t{}, true);
  check("<i4", int32_t{}, false), check(">i4", int32_t{}, true), check("<f4", float{}, false);
  check(">f4", float{}, true), check("<f8", double{}, false), check(">f8", double{}, true);
  check("<u2", uint16_t{}, false, "F");
  const std::vector<uint16_t> halves{0x3c00, 0x4000, 0x3800, 0, 0, 0};  // 1, 2, 0.5
  const fs::path store = folder / "half.zarr";
  put_group(store, {{"multiscales", multiscales("yx", {1, 1})}});
  put(store / "0/.zarray", to_text(zarray({2, 3}, {2, 3}, "<f2")));
  put(store / "0/0/0", bytes_of(halves));
  CHECK(pixels_of<float>(read_image(store)) == std::vector<float>{1, 2, 0.5f, 0, 0, 0});
}

TEST_CASE("zarr: axes, channel names, pixel size and the planes of chunks that hold several") {
  const Folder folder;
  const fs::path store = folder / "s.ome.zarr";
  Json attributes{{"multiscales", multiscales("tczyx", {1, 1, 300, 250, 250}, "nanometer")},
                  {"omero", {{"channels", Json::array({{{"label", "DAPI"}}, {{"label", "GFP"}}})}}}};
  put_group(store, attributes);
  put(store / "0/.zarray", to_text(zarray({2, 2, 3, 1, 2}, {1, 2, 2, 1, 2}, "|u1")));
  for (int t = 0; t < 2; ++t)
    for (int z0 = 0; z0 < 4; z0 += 2) {
      std::vector<uint8_t> chunk;  // 100 t + 20 c + 2 z + x
      for (int c = 0; c < 2; ++c)
        for (int z = z0; z < z0 + 2; ++z)
          for (int x = 0; x < 2; ++x)
            chunk.push_back(uint8_t(100 * t + 20 * c + 2 * z + x));
      put(store / "0" / std::to_string(t) / "0" / std::to_string(z0 / 2) / "0/0", bytes_of(chunk));
    }
  const StackPlanes planes = planes_in(store, {});
  CHECK(to_text(planes.stack) == "T=2 C=2 Z=3 Y X, 0.25 um/px");
  CHECK(planes.stack.spacing == doctest::Approx(0.3));
  CHECK(planes.stack.channel_names == std::vector<std::string>{"DAPI", "GFP"});
  std::vector<std::vector<uint8_t>> read;
  read_image_planes(store, planes, {}, [&](int64_t, Image image) {
    CHECK(image.channels == 2);
    read.push_back(pixels_of<uint8_t>(image));
  });
  REQUIRE(read.size() == 6);
  for (int k = 0; k < 6; ++k) {
    const int first = 100 * (k / 3) + 2 * (k % 3);
    CHECK(read[size_t(k)] ==
          std::vector<uint8_t>{uint8_t(first), uint8_t(first + 20), uint8_t(first + 1), uint8_t(first + 21)});
  }
  PlaneChoice choice;
  choice.plane = "T=1,Z=2", choice.channels = {"GFP"};
  CHECK(pixels_of<uint8_t>(read_image(store, choice)) == std::vector<uint8_t>{124, 125});
  CHECK(contains(image_refusal(store), "save the one that you want as a separate file"));
  choice = {};
  choice.offered = true;
  CHECK(contains(refusal([&] { read_image(store, choice); }), "; choose one with --plane T=N,Z=N"));
  choice.plane = "T=1";
  CHECK(contains(refusal([&] { read_image(store, choice); }), "; choose one with --plane Z=N"));
  choice.axes = "TCZ", choice.plane = "T=1,Z=0", choice.channels = {"9"};
  CHECK(contains(refusal([&] { read_image(store, choice); }), "--axes TCZ does not match"));

  fs::remove_all(store / "0/0");
  const Image blank = read_image(store, {"", {"0"}, "T=0,Z=0", ""});
  CHECK(pixels_of<uint8_t>(blank) == std::vector<uint8_t>{7, 7});
  CHECK(contains(blank.notes.back(), "no pixel of the plane is stored"));
}

TEST_CASE("zarr: the full resolution is read, wherever it is in the list") {
  const Folder folder;
  const fs::path store = folder / "a.zarr";
  const auto list = [&](const std::vector<std::pair<const char*, double>>& datasets) {
    Json attributes = multiscales("yx", {1, 1});
    Json& all = attributes[0]["datasets"] = Json::array();
    for (const auto& [path, scale] : datasets)
      all.push_back({{"path", path},
                     {"coordinateTransformations", Json::array({{{"type", "scale"}, {"scale", {scale, scale}}}})}});
    write_bytes(store / ".zattrs", to_text({{"multiscales", attributes}}));
  };
  put_ramp(store, nullptr, plain);
  put(store / "1/.zarray", to_text(zarray({1, 2}, {1, 2}, "<u2")));
  for (const double scale : {0.5, 1.}) {  // of "1"; some writers give every image the same scale
    CAPTURE(scale);
    list({{"1", scale}, {"0", 0.5}, {"2", scale}});
    CHECK(pixels_of<uint16_t>(read_image(store)) == ramp);
    CHECK(read_image(store).stack.pixel_size() == doctest::Approx(0.5));
    list({{"0", 0.5}, {"1", scale}, {"2", scale}});  // "2" is listed but missing
    CHECK(pixels_of<uint16_t>(read_image(store)) == ramp);
  }
  list({{"1", 1}, {"2", 0.25}});
  CHECK(contains(image_refusal(store), "a.zarr/2"));
}

TEST_CASE("zarr: of several images in a plate or a series, one must be chosen") {
  const Folder folder;
  const fs::path plate = folder / "plate.zarr", raw = folder / "raw.zarr";
  put_group(plate, {{"plate", {{"wells", Json::array({{{"path", "A/1"}}, {{"path", "B/2"}}})}}}});
  put_group(plate / "A/1", {{"well", {{"images", Json::array({{{"path", "0"}}})}}}});
  put_group(plate / "B/2", {{"well", {{"images", Json::array({{{"path", "0"}}, {{"path", "1"}}})}}}});
  put_ramp(plate / "A/1/0", nullptr, plain);
  put_ramp(plate / "B/2/1", nullptr, plain);
  CHECK(contains(image_refusal(plate),
                 "plate.zarr: contains 3 images (A/1/0, B/2/0, B/2/1), but one image is expected here"));
  PlaneChoice offered;
  offered.offered = true;
  CHECK(contains(refusal([&] { read_image(plate, offered); }), "; choose one with --series, such as --series A/1/0"));
  const auto at = [](const std::string& series) { return PlaneChoice{"", {}, "", series}; };
  CHECK(pixels_of<uint16_t>(read_image(plate, at("B/2/1"))) == ramp);
  CHECK(pixels_of<uint16_t>(read_image(plate, at("2"))) == ramp);
  CHECK(contains(refusal([&] { read_image(plate, at("C/1/0")); }), "--series C/1/0 is not an image of this store"));
  CHECK(contains(refusal([&] { read_image(plate, at("../raw.zarr")); }), "is not in this store"));
  put_group(raw, {{"bioformats2raw.layout", 3}});
  put_ramp(raw / "0", nullptr, plain);
  CHECK(pixels_of<uint16_t>(read_image(raw)) == ramp);
  put_ramp(raw / "1", nullptr, plain);
  CHECK(contains(image_refusal(raw), "contains 2 images (0, 1)"));
  CHECK(contains(refusal([&] { read_image(samples / "u8.png", at("1")); }), "--series 1 is for OME-Zarr"));
}

TEST_CASE("zarr: bad stores are refused with a sentence that names the file") {
  const Folder folder;
  const fs::path store = folder / "a.ome.zarr";
  const auto remade = [&](const std::function<void()>& spoil) {
    fs::remove_all(store);
    put_ramp(store, {{"id", "zstd"}}, zstd);
    spoil();
    return image_refusal(store);
  };
  const auto with = [&](const char* key, const Json& value) {
    return remade([&] {
      Json array = zarray({3, 5}, {2, 3}, "<u2", {{"id", "zstd"}});
      array[key] = value;
      put(store / "0/.zarray", to_text(array));
    });
  };
  const auto attributes = [&](const Json& json) { return remade([&] { put_group(store, json); }); };
  CHECK(contains(remade([&] { put(store / "0/.zarray", "{"); }), "0/.zarray: is damaged: it is not a JSON object"));
  CHECK(contains(remade([&] { fs::remove(store / "0/.zarray"); }), "a.ome.zarr/0: is missing or not a Zarr array"));
  CHECK(contains(remade([&] { fs::remove(store / ".zattrs"); }), "a.ome.zarr: is not a complete Zarr store"));
  CHECK(contains(remade([&] { put(store / "0/1/1", "x"); }),
                 "0/1/1: is damaged: this chunk does not unpack to 12 bytes"));
  CHECK(contains(with("shape", "3"), "0/.zarray: is damaged: its shape is"));
  CHECK(contains(with("shape", {3}), "has 1 dimensions"));
  CHECK(contains(with("shape", {3, -5}), "is damaged: its shape is"));
  CHECK(contains(with("shape", {0, 5}), "has a size of zero"));
  CHECK(contains(with("shape", {int64_t(1) << 30, int64_t(1) << 30}), "the limit is"));
  CHECK(contains(with("chunks", {2, 0}), "its chunks have a side of 0"));
  CHECK(contains(with("chunks", {1 << 20, 1 << 20}), "has chunks of more than 2 GB"));
  CHECK(contains(with("chunks", {2, 3, 1}), "is damaged: its chunks is"));
  CHECK(contains(with("dtype", "<c8"), "has elements of the unsupported type c8"));
  CHECK(contains(with("dtype", 3), "has elements of the unsupported type 3"));
  CHECK(contains(with("fill_value", 70000), "its fill_value is 70000"));
  CHECK(contains(with("compressor", {{"id", "lzma"}}), "is compressed with lzma; Basin reads none, gzip"));
  CHECK(contains(with("filters", Json::array({{{"id", "delta"}}})), "has the filter \"delta\""));
  CHECK(contains(with("zarr_format", 4), "is not of Zarr version 2 or 3"));
  CHECK(contains(attributes({{"a", 1}}), "has no OME-Zarr image"));
  CHECK(contains(attributes({{"multiscales", Json::array()}}), "its multiscales name no dataset"));
  CHECK(contains(attributes({{"multiscales", multiscales("zyx", {1, 1, 1})}}), "name 3 axes, but its array has 2"));
  CHECK(contains(attributes({{"multiscales", multiscales("xy", {1, 1})}}), "its last axes are x and y"));
  CHECK(contains(attributes({{"multiscales", multiscales("yx", {1})}}), "a scale has 1 factors for 2 axes"));
  Json outside = multiscales("yx", {1, 1});
  outside[0]["datasets"][0]["path"] = "../../b";
  CHECK(contains(attributes({{"multiscales", outside}}), "is not in this store"));
  CHECK(contains(refusal([] { find_images("https://a.org/x.zarr"); }), "https://a.org/x.zarr: is an address"));
  CHECK(contains(refusal([] { read_image("http://a.org/x.zarr"); }), "is an address on the network"));
  put_ramp_3(folder / "b.zarr", {2, 3}, Json::array({little, codec("vlen-utf8")}));
  CHECK(contains(image_refusal(folder / "b.zarr"), "b.zarr/0/zarr.json: has the codec vlen-utf8"));
  put_ramp_3(folder / "c.zarr", {2, 3}, Json::array());
  CHECK(contains(image_refusal(folder / "c.zarr"), "its codecs do not say how numbers become bytes"));
}

TEST_CASE("zarr: label stores that are written are read as labels, with pixel size, axes and lower resolutions") {
  const Folder folder;
  const int height = 1030, width = 2050;
  std::vector<int64_t> ids(size_t(height) * size_t(width));
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      ids[size_t(y * width + x)] = x < 1500 || y < 4 ? 0 : 1 + (x - 1500) / 60;
  const Labels labels = labels_of(height, width, ids);
  std::vector<int32_t> numbers(size_t(labels.count));
  std::iota(numbers.begin(), numbers.end(), 1);
  StackPlanes planes;
  planes.stack.pixel = PixelSides{0.25, 0.5};
  LabelStack one(planes);
  one.add(labels, numbers);
  const fs::path store = folder / "x_masks.ome.zarr";
  one.write_zarr(store);
  one.write_zarr(store);  // replaces the first
  CHECK(read_labels(store).ids == labels.ids);
  CHECK(planes_in(store, {}).stack.pixel == PixelSides{0.25, 0.5});
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
  CHECK(!fs::exists(store / "0/0/0"));  // background only
  CHECK(fs::exists(store / "0/0/1"));
  const Json attributes = parse_json(read_bytes(store / ".zattrs"));
  CHECK(attributes["image-label"]["version"] == "0.4");
  const Json& datasets = attributes["multiscales"][0]["datasets"];
  REQUIRE(datasets.size() == 3);
  CHECK(datasets[2]["coordinateTransformations"][0]["scale"] == Json({2., 1.}));
  ZarrArray smallest(store / "2");
  CHECK(smallest.shape() == std::vector<int64_t>{258, 513});
  CHECK(smallest.type() == ElementType::u16);
  std::vector<uint16_t> plane(258 * 513);
  CHECK(smallest.read_plane({}, reinterpret_cast<std::byte*>(plane.data())));
  CHECK(plane[100 * 513 + 400] == labels(400, 1600));

  planes.frames = 2, planes.slices = 2, planes.stack.spacing = 0.5, planes.stack.interval = 60;
  LabelStack stack(planes);
  for (int k = 0; k < 4; ++k)
    stack.add(labels_of(1, 2, {0, 1}), {70000 + k});
  stack.write_zarr(folder / "s_masks.ome.zarr");
  const StackPlanes read = planes_in(folder / "s_masks.ome.zarr", {});
  CHECK(to_text(read.stack) == "T=2 Z=2 Y X");
  CHECK(read.stack.spacing == doctest::Approx(0.5));
  CHECK(read.stack.interval == doctest::Approx(60));
  PlaneChoice choice;
  choice.plane = "T=1,Z=0";
  CHECK(pixels_of<uint32_t>(read_image(folder / "s_masks.ome.zarr", choice)) == std::vector<uint32_t>{0, 70002});
}

TEST_CASE("zarr: a store is one image or one label image of a folder, and is not searched") {
  const Folder folder;
  put_ramp(folder / "a.ome.zarr", nullptr, plain);
  put_ramp(folder / "b.zarr", nullptr, plain);
  LabelStack labels{StackPlanes()};
  labels.add(labels_of(3, 5, {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), {1});
  labels.write_zarr(folder / "a_masks.ome.zarr");
  labels.write(folder / "b_masks.tif");
  labels.write_zarr(folder / "b_masks.ome.zarr");  // passed over, because there is b_masks.tif
  std::vector<std::string> left_out;
  const std::vector<Pair> pairs = find_pairs(folder.path(), &left_out);
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[0].image.filename() == "a.ome.zarr");
  CHECK(pairs[0].masks[0].filename() == "a_masks.ome.zarr");
  CHECK(pairs[1].masks[0].filename() == "b_masks.tif");
  CHECK(left_out.empty());
  CHECK(read_pair(pairs[0]).labels.count == 1);
  const std::vector<ImageFile> images = find_images_below(folder.path());
  REQUIRE(images.size() == 2);
  CHECK(images[0].stem == "a");
  const fs::path slashed = (folder / "a.ome.zarr").string() + "/";
  std::vector<std::string> notes;
  const std::vector<ImageFile> merged = merge_images({{slashed, find_images(slashed)}, {folder.path(), images}}, notes);
  CHECK(merged.size() == 2);
  CHECK(find_labels(folder / "a_masks.ome.zarr").begin()->first == "a");
}

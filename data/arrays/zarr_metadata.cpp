// What the metadata of a Zarr array say: .zarray of version 2, zarr.json of version 3.
#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <cstring>
#include <numeric>

#include "data/arrays/zarr.h"
#include "engine/files.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

constexpr size_t max_rank = 16;
constexpr int64_t max_side = int64_t(1) << 40;
constexpr int64_t max_chunks_in_shard = int64_t(1) << 24;

Json read_json(const fs::path& path) {
  Json json = parse_json(read_text(path));
  if (!json.is_object()) refuse(path.string(), ": is damaged: it is not a JSON object");
  return json;
}

bool is_file(const fs::path& path) {
  std::error_code none;
  return fs::is_regular_file(path, none);
}

std::optional<ElementType> type_named(const std::string& name) {
  if (name == "bool") return ElementType::u8;
  if (name == "float16") return ElementType::f32;
  for (const ElementType type :
       {ElementType::u8, ElementType::i8, ElementType::u16, ElementType::i16, ElementType::u32, ElementType::i32,
        ElementType::u64, ElementType::i64, ElementType::f32, ElementType::f64})
    if (name == name_of(type)) return type;
  return std::nullopt;
}

/// The name of NumPy's type code without its byte order: "u2" is uint16.
std::string name_of_code(const std::string& code) {
  if (code == "b1") return "bool";
  const std::string bits = code.size() == 2 ? std::to_string(8 * (code[1] - '0')) : "";
  switch (code.empty() ? ' ' : code[0]) {
    case 'u':
      return "uint" + bits;
    case 'i':
      return "int" + bits;
    case 'f':
      return "float" + bits;
    default:
      return code;
  }
}

}  // namespace

bool is_zarr(const fs::path& path) {
  std::error_code none;
  return lower_extension(without_slash(path)) == ".zarr" && fs::is_directory(path, none);
}

bool is_folder(const fs::path& path) {
  std::error_code none;
  return fs::is_directory(path, none) && !is_zarr(path);
}

fs::path without_slash(const fs::path& path) {
  return path.has_filename() || !path.has_relative_path() ? path : path.parent_path();
}

Json zarr_attributes(const fs::path& group) {
  if (is_file(group / "zarr.json")) return member(read_json(group / "zarr.json"), "attributes");
  if (is_file(group / ".zattrs")) return read_json(group / ".zattrs");
  return nullptr;
}

ZarrArray::ZarrArray(fs::path folder) : folder_(std::move(folder)) {
  const bool version_3 = is_file(folder_ / "zarr.json");
  metadata_ = folder_ / (version_3 ? "zarr.json" : ".zarray");
  if (!version_3 && !is_file(metadata_))
    refuse(folder_.string(), ": is missing or not a Zarr array: it has neither zarr.json nor .zarray");
  const Json json = read_json(metadata_);
  const Json& format = member(json, "zarr_format");
  if (format != (version_3 ? 3 : 2)) refuse(metadata_.string(), ": is not of Zarr version 2 or 3");
  shape_ = sizes_of(member(json, "shape"), "shape");
  if (shape_.size() < 2)
    refuse(metadata_.string(), ": has ", shape_.size(), " dimensions; an image has at least height and width");
  codecs_.order.resize(shape_.size());
  std::iota(codecs_.order.begin(), codecs_.order.end(), size_t(0));
  version_3 ? read_version_3(json) : read_version_2(json);
  check_chunks();
}

void ZarrArray::read_version_2(const Json& json) {
  chunk_ = sizes_of(member(json, "chunks"), "chunks");
  const std::string type = text_of(member(json, "dtype"));
  if (type.size() < 2 || !std::strchr("<>|", type[0]))
    refuse(metadata_.string(), ": has elements of the unsupported type ", to_text(member(json, "dtype")));
  codecs_.big_endian = type[0] == '>';
  set_type(name_of_code(type.substr(1)));
  set_fill(member(json, "fill_value"));
  separator_ = member(json, "dimension_separator") == "/" ? "/" : ".";
  if (member(json, "order") == "F") std::reverse(codecs_.order.begin(), codecs_.order.end());
  if (const Json& filters = member(json, "filters"); filters.is_array() && !filters.empty())
    refuse(metadata_.string(), ": has the filter ", to_text(member(filters[0], "id")), ", which is not supported");
  const Json& compressor = member(json, "compressor");
  if (compressor.is_null()) return;
  const std::string id = text_of(member(compressor, "id"));
  if (id == "zlib" || id == "gzip")
    codecs_.compression = ZarrCompression::zlib;
  else if (id == "zstd")
    codecs_.compression = ZarrCompression::zstd;
  else if (id == "blosc")
    codecs_.compression = ZarrCompression::blosc;
  else
    refuse(metadata_.string(), ": is compressed with ", id, "; Basin reads none, gzip, zlib, zstd and blosc");
}

void ZarrArray::read_version_3(const Json& json) {
  if (member(json, "node_type") != "array") refuse(metadata_.string(), ": is not the metadata of an array");
  const Json& grid = member(json, "chunk_grid");
  if (member(grid, "name") != "regular") refuse(metadata_.string(), ": has chunks of several sizes");
  chunk_ = sizes_of(member(member(grid, "configuration"), "chunk_shape"), "chunk_shape");
  set_type(text_of(member(json, "data_type")));
  set_fill(member(json, "fill_value"));
  const Json& keys = member(json, "chunk_key_encoding");
  const bool is_default = member(keys, "name") != "v2";
  if (is_default && member(keys, "name") != "default")
    refuse(metadata_.string(), ": names its chunks in an unknown way (chunk_key_encoding)");
  separator_ = text_of(member(member(keys, "configuration"), "separator"));
  if (separator_.empty()) separator_ = is_default ? "/" : ".";
  if (separator_ != "/" && separator_ != ".") refuse(metadata_.string(), ": has the unknown separator ", separator_);
  if (is_default) prefix_ = "c";
  if (const Json& more = member(json, "storage_transformers"); more.is_array() && !more.empty())
    refuse(metadata_.string(), ": has storage transformers, which are not supported");
  const Json& list = member(json, "codecs");
  const bool sharded = list.is_array() && !list.empty() && member(list[0], "name") == "sharding_indexed";
  if (!sharded) {
    codecs_ = codecs_of(list);
    return;
  }
  if (list.size() > 1) refuse(metadata_.string(), ": has codecs for whole shards, which are not supported");
  read_shards(member(list[0], "configuration"));
}

void ZarrArray::read_shards(const Json& configuration) {
  const std::vector<int64_t> sides = chunk_;
  chunk_ = sizes_of(member(configuration, "chunk_shape"), "chunk_shape");
  int64_t chunks = 1;
  for (size_t d = 0; d < chunk_.size() && d < sides.size(); ++d) {
    if (chunk_[d] == 0 || sides[d] == 0 || sides[d] % chunk_[d] != 0)
      refuse(metadata_.string(), ": is damaged: its shards are not whole numbers of chunks");
    shard_.push_back(sides[d] / chunk_[d]);
    if (shard_[d] > max_chunks_in_shard / chunks) refuse(metadata_.string(), ": has too many chunks in a shard");
    chunks *= shard_[d];
  }
  codecs_ = codecs_of(member(configuration, "codecs"));
  const Codecs index = codecs_of(member(configuration, "index_codecs"));
  if (index.big_endian || index.compression != ZarrCompression::none || index.outer_checksum ||
      !std::is_sorted(index.order.begin(), index.order.end()))
    refuse(metadata_.string(), ": packs the index of its shards in a way that is not supported");
  index_checksum_ = index.inner_checksum;
  index_first_ = member(configuration, "index_location") == "start";
}

ZarrArray::Codecs ZarrArray::codecs_of(const Json& list) const {
  Codecs codecs;
  codecs.order.resize(shape_.size());
  std::iota(codecs.order.begin(), codecs.order.end(), size_t(0));
  bool bytes = false;
  if (!list.is_array()) refuse(metadata_.string(), ": is damaged: it has no list of codecs");
  for (const Json& codec : list) {
    const std::string name = codec.is_string() ? codec.get<std::string>() : text_of(member(codec, "name"));
    const Json& configuration = member(codec, "configuration");
    const bool packed = codecs.compression != ZarrCompression::none;
    const auto compress = [&](ZarrCompression compression) {
      if (!bytes || packed || codecs.outer_checksum)
        refuse(metadata_.string(), ": has codecs in an order that is not supported, at ", name);
      codecs.compression = compression;
    };
    if (name == "transpose" && !bytes) {
      const Json& order = member(configuration, "order");
      if (order == "C") continue;
      std::vector<size_t> found;
      if (order.is_array())
        for (const Json& d : order)
          if (d.is_number_unsigned()) found.push_back(d.get<size_t>());
      if (order == "F") found.assign(codecs.order.rbegin(), codecs.order.rend());
      if (!std::is_permutation(found.begin(), found.end(), codecs.order.begin(), codecs.order.end()) ||
          !std::is_sorted(codecs.order.begin(), codecs.order.end()))
        refuse(metadata_.string(), ": has an unsupported order of dimensions: ", to_text(order));
      codecs.order = found;
    } else if (name == "bytes" && !bytes) {
      bytes = true;
      codecs.big_endian = member(configuration, "endian") == "big";
    } else if (name == "gzip" || name == "zlib" || name == "numcodecs.zlib") {
      compress(ZarrCompression::zlib);
    } else if (name == "zstd") {
      compress(ZarrCompression::zstd);
    } else if (name == "blosc") {
      compress(ZarrCompression::blosc);
    } else if (name == "crc32c" && bytes && !(packed ? codecs.outer_checksum : codecs.inner_checksum)) {
      (packed ? codecs.outer_checksum : codecs.inner_checksum) = true;
    } else {
      refuse(metadata_.string(), ": has the codec ", name.empty() ? to_text(codec) : name,
             ", which is not supported here");
    }
  }
  if (!bytes) refuse(metadata_.string(), ": is damaged: its codecs do not say how numbers become bytes");
  return codecs;
}

std::vector<int64_t> ZarrArray::sizes_of(const Json& json, const char* what) const {
  std::vector<int64_t> sizes;
  if (json.is_array() && json.size() <= max_rank)
    for (const Json& side : json)
      if (side.is_number_integer() && side >= 0 && side <= max_side) sizes.push_back(side.get<int64_t>());
  if (sizes.empty() || sizes.size() != json.size() || (!shape_.empty() && sizes.size() != shape_.size()))
    refuse(metadata_.string(), ": is damaged: its ", what, " is ", to_text(json));
  return sizes;
}

void ZarrArray::set_type(const std::string& name) {
  const std::optional<ElementType> type = type_named(name);
  if (!type) refuse(metadata_.string(), ": has elements of the unsupported type ", name);
  type_ = *type;
  half_ = name == "float16";
}

void ZarrArray::set_fill(const Json& json) {
  const auto wrong = [&] { refuse(metadata_.string(), ": is damaged: its fill_value is ", to_text(json)); };
  fill_.assign(size_of(type_), std::byte(0));
  if (json.is_null()) return;
  with_element(type_, [&](auto zero) {
    using T = decltype(zero);
    T value = 0;
    if constexpr (std::is_floating_point_v<T>) {
      const std::string text = text_of(json);
      if (text == "NaN")
        value = std::numeric_limits<T>::quiet_NaN();
      else if (text == "Infinity" || text == "-Infinity")
        value = text[0] == '-' ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
      else if (json.is_number())
        value = T(json.get<double>());
      else
        wrong();
    } else if (json.is_boolean()) {
      value = T(json.get<bool>());
    } else if (json.is_number_unsigned() && json.get<uint64_t>() <= uint64_t(std::numeric_limits<T>::max())) {
      value = T(json.get<uint64_t>());
    } else if (json.is_number_integer() && !json.is_number_unsigned() && json.get<int64_t>() < 0 &&
               json.get<int64_t>() >= int64_t(std::numeric_limits<T>::min())) {
      value = T(json.get<int64_t>());
    } else if (json.is_number_float() && json.get<double>() == std::floor(json.get<double>()) &&
               std::abs(json.get<double>()) <= std::min(0x1p53, double(std::numeric_limits<T>::max()))) {
      value = T(json.get<double>());
    } else {
      wrong();
    }
    std::memcpy(fill_.data(), &value, sizeof value);
  });
}

void ZarrArray::check_chunks() const {
  __int128 bytes = int64_t(size_of(type_));
  for (const int64_t side : chunk_) {
    if (side == 0) refuse(metadata_.string(), ": is damaged: its chunks have a side of 0");
    bytes *= side;
    if (bytes > INT_MAX - 1024) refuse(metadata_.string(), ": has chunks of more than 2 GB, which are not supported");
  }
}

}  // namespace basin

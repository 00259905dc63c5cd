#include "engine/safetensors.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "engine/crc.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr size_t longest_header = 100'000'000;  // the format's own limit
constexpr const char *checksum_key = "checksum", *kind_key = "checksum_kind";

int64_t width_of(const std::string& dtype) {
  static const std::map<std::string, int64_t> widths{{"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"I16", 2}, {"U16", 2},
                                                     {"F16", 2},  {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},
                                                     {"I64", 8},  {"U64", 8},  {"F64", 8}};
  const auto at = widths.find(dtype);
  return at == widths.end() ? 0 : at->second;
}

Json parse_header(std::span<const std::byte> text, const std::string& file) {
  Json header = parse_json({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!header.is_object())
    refuse(file, " is not a .safetensors file: its header is not a JSON object, or is nested too deeply");
  return header;
}

/// The data offsets of one tensor.
struct Extent {
  uint64_t begin, end;
};

Extent read_entry(const std::string& name, const Json& entry, StoredTensor& tensor, const std::string& file) {
  const auto damaged = [&](const char* what) { refuse(file, " is damaged: tensor ", name, ' ', what); };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
    damaged("has no dtype, shape or data offsets");
  const Json &dtype = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
  if (!dtype.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2)
    damaged("has an invalid dtype, shape or data offsets");
  tensor.name = name;
  tensor.dtype = dtype.get<std::string>();
  uint64_t size = uint64_t(width_of(tensor.dtype));
  if (size == 0) damaged("has an unknown dtype");
  if (shape.size() > 16) damaged("has too many dimensions");
  for (const Json& d : shape) {
    if (!d.is_number_unsigned() || d.get<uint64_t>() > (uint64_t(1) << 40)) damaged("has an impossible size");
    tensor.shape.push_back(d.get<int64_t>());
    if (__builtin_mul_overflow(size, d.get<uint64_t>(), &size) || size > (uint64_t(1) << 48))
      damaged("has an impossible size");
  }
  if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) damaged("has invalid data offsets");
  const Extent e{offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
  if (e.end < e.begin || e.end - e.begin != size) damaged("has data offsets that do not match its shape");
  return e;
}

}  // namespace

const StoredTensor* SafeTensors::find(const std::string& name) const {
  const auto at = std::find_if(tensors.begin(), tensors.end(), [&](const StoredTensor& t) { return t.name == name; });
  return at == tensors.end() ? nullptr : &*at;
}

const float* SafeTensors::floats(const std::string& name, const std::vector<int64_t>& shape,
                                 const std::string& file) const {
  const StoredTensor* t = find(name);
  if (!t) refuse(file, " contains no tensor ", name);
  if (t->dtype != "F32") refuse(file, ": tensor ", name, " is ", t->dtype, "; expected F32");
  if (t->shape != shape) refuse(file, ": tensor ", name, " has a different shape in the network");
  return reinterpret_cast<const float*>(t->bytes.data());
}

void SafeTensors::add(std::string name, std::vector<int64_t> shape, const float* values) {
  int64_t n = 1;
  for (const int64_t d : shape)
    n *= d;
  const auto* bytes = reinterpret_cast<const std::byte*>(values);
  tensors.push_back({std::move(name), "F32", std::move(shape), {bytes, bytes + n * 4}});
}

void SafeTensors::add(std::string name, std::vector<int64_t> shape, const int64_t* values) {
  int64_t n = 1;
  for (const int64_t d : shape)
    n *= d;
  const auto* bytes = reinterpret_cast<const std::byte*>(values);
  tensors.push_back({std::move(name), "I64", std::move(shape), {bytes, bytes + n * 8}});
}

std::string checksum_of(const SafeTensors& content) {
  Json header = Json::array();
  for (const auto& [key, value] : content.metadata)
    if (key != checksum_key) header.push_back({key, value});
  for (const StoredTensor& t : content.tensors)
    header.push_back({t.name, t.dtype, t.shape});
  uint32_t sum = crc32(to_text(header));
  for (const StoredTensor& t : content.tensors)
    sum = crc32({reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()}, sum);
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", unsigned(sum));
  return digits;
}

void add_checksum(SafeTensors& content) {
  content.metadata[kind_key] = "crc32";
  content.metadata[checksum_key] = checksum_of(content);
}

void verify_checksum(const SafeTensors& content, const std::string& file) {
  const auto checksum = content.metadata.find(checksum_key);
  const bool has_checksum = checksum != content.metadata.end();
  // Training states of earlier versions have no kind; other programs may use the key for something else.
  const bool expected = content.metadata.contains(kind_key) || (has_checksum && content.metadata.contains("basin"));
  if (expected && !(has_checksum && checksum->second == checksum_of(content)))
    refuse(file, " is damaged: its content does not match its checksum");
}

std::vector<std::byte> encode_safetensors(const SafeTensors& content) {
  Json header = Json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  uint64_t offset = 0;
  for (const StoredTensor& t : content.tensors) {
    header[t.name] = {{"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {offset, offset + t.bytes.size()}}};
    offset += t.bytes.size();
  }
  std::string text = to_text(header);
  text.append((8 - text.size() % 8) % 8, ' ');  // tensors start at a multiple of 8
  std::vector<std::byte> file(8 + text.size() + offset);
  const uint64_t length = text.size();
  std::memcpy(file.data(), &length, 8);
  std::memcpy(file.data() + 8, text.data(), text.size());
  std::byte* to = file.data() + 8 + text.size();
  for (const StoredTensor& t : content.tensors) {
    if (!t.bytes.empty()) std::memcpy(to, t.bytes.data(), t.bytes.size());
    to += t.bytes.size();
  }
  return file;
}

SafeTensors decode_safetensors(std::span<const std::byte> bytes, const std::string& file) {
  uint64_t length = 0;
  if (bytes.size() < 8) refuse(file, " is not a .safetensors file: it has only ", bytes.size(), " bytes");
  std::memcpy(&length, bytes.data(), 8);
  if (length > longest_header) refuse(file, " is not a .safetensors file");
  if (length > bytes.size() - 8)
    refuse(file, " is truncated, or not a .safetensors file: its header should have ", length, " bytes");
  const Json header = parse_header(bytes.subspan(8, length), file);
  const std::span<const std::byte> data = bytes.subspan(8 + length);
  SafeTensors content;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) refuse(file, " is damaged: its metadata is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) refuse(file, " is damaged: its metadata contains values that are not strings");
        content.metadata[key] = value.get<std::string>();
      }
      continue;
    }
    StoredTensor tensor;
    const Extent e = read_entry(name, entry, tensor, file);
    if (e.end > data.size()) refuse(file, " is truncated: tensor ", name, " extends beyond its end");
    extents.push_back(e);
    tensor.bytes.assign(data.begin() + int64_t(e.begin), data.begin() + int64_t(e.end));
    content.tensors.push_back(std::move(tensor));
  }
  std::sort(extents.begin(), extents.end(), [](Extent a, Extent b) { return a.begin < b.begin; });
  for (size_t i = 1; i < extents.size(); ++i)
    if (extents[i].begin < extents[i - 1].end) refuse(file, " is damaged: two tensors overlap");
  return content;
}

}  // namespace basin

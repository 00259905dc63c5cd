#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace basin {

/// One tensor of a .safetensors file: little-endian, row-major.
struct StoredTensor {
  std::string name;
  std::string dtype;  // "F32", "I64", ...
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

/// The content of a .safetensors file: 8-byte length, JSON header, raw tensors.
struct SafeTensors {
  std::map<std::string, std::string> metadata;
  std::vector<StoredTensor> tensors;

  const StoredTensor* find(const std::string& name) const;  // null if there is none
  /// The float32 values of a tensor with exactly this shape. Throws one sentence that begins with `file` if there is
  /// none.
  const float* floats(const std::string& name, const std::vector<int64_t>& shape, const std::string& file) const;
  void add(std::string name, std::vector<int64_t> shape, const float* values);
  void add(std::string name, std::vector<int64_t> shape, const int64_t* values);
};

/// Eight hexadecimal digits, a CRC-32 of the metadata, but for the key `checksum`, and of the tensors in order: their
/// names, types, shapes and values.
std::string checksum_of(const SafeTensors&);
/// Adds the checksum to the metadata, and its kind, by which its absence shows if the key of the checksum is damaged.
void add_checksum(SafeTensors&);
/// Throws one sentence that begins with `file` if the content has a checksum that it does not match. Files of other
/// programs and of earlier versions have none.
void verify_checksum(const SafeTensors&, const std::string& file);

/// The same content gives the same bytes; tensors keep their order.
std::vector<std::byte> encode_safetensors(const SafeTensors&);

/// Throws one sentence that begins with `file` for damaged or hostile input: wrong lengths, overlaps, impossible
/// counts, deep JSON, truncation.
SafeTensors decode_safetensors(std::span<const std::byte>, const std::string& file);

}  // namespace basin

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

/// The CRC-32, as eight hexadecimal digits, of the metadata except for the key `checksum`, and of the names, types,
/// shapes and values of the tensors in order.
std::string checksum_of(const SafeTensors&);
/// Adds the checksum to the metadata, and in another key its kind, so that a damaged key of the checksum is noticed.
void add_checksum(SafeTensors&);
/// Throws one sentence that begins with `file` if the content does not match its checksum. Files of other programs and
/// of earlier versions have no checksum.
void verify_checksum(const SafeTensors&, const std::string& file);

/// The same content gives the same bytes; tensors keep their order.
std::vector<std::byte> encode_safetensors(const SafeTensors&);

/// Throws one sentence that begins with `file` for damaged or hostile input: wrong lengths, overlaps, impossible
/// counts, deep JSON, truncation.
SafeTensors decode_safetensors(std::span<const std::byte>, const std::string& file);

}  // namespace basin

#pragma once
#include <filesystem>

#include "data/arrays/array.h"
#include "engine/files.h"

namespace basin {

/// Reads a NumPy .npy file, version 1 to 3, in C or Fortran order and either byte order: booleans, integers of 8 to 64
/// bits, floats of 16 (which become float32), 32 and 64 bits. Throws one sentence with the file's name for any other
/// element type, and if the file is shorter or longer than its header says.
Array read_npy(const std::filesystem::path&);

/// A .npy file, version 1, that is written part by part: its elements row-major, under a temporary name until commit()
/// renames it.
class NpyFile {
 public:
  NpyFile(const std::filesystem::path&, ElementType, const std::vector<int64_t>& shape);
  /// The next `bytes` of the elements.
  void write(const void* elements, uint64_t bytes);
  /// To be called when all elements have been written.
  void commit();

 private:
  OutputFile file_;
  uint64_t missing_;  // bytes
};

/// Writes such a file at once. `elements` has as many elements as the product of `shape`,
/// row-major.
void write_npy(const std::filesystem::path&, ElementType, const std::vector<int64_t>& shape, const void* elements);
template <class T>
void write_npy(const std::filesystem::path& path, const std::vector<int64_t>& shape, const T* elements) {
  static_assert(std::is_arithmetic_v<T>);
  write_npy(path, element_type_of<T>, shape, static_cast<const void*>(elements));
}
inline void write_npy(const std::filesystem::path& path, const Array& array) {
  write_npy(path, array.type, array.shape, array.bytes.data());
}

}  // namespace basin

#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/arrays/array.h"
#include "engine/files.h"
#include "engine/json_fwd.h"
#include "engine/plane_file.h"

namespace basin {

/// Writes an array of Zarr version 2 plane by plane. Its chunks are parts of a plane of up to 1024 x 1024 elements,
/// packed by Blosc, in little-endian order, with / in their names. Chunks of zeros are left out: they are the fill
/// value.
class ZarrWriter {
 public:
  /// `name`: of the array in the folder. shape: height and width are the last two dimensions.
  ZarrWriter(OutputFolder&, const std::string& name, ElementType, const std::vector<int64_t>& shape);
  /// Writes the plane [height][width] at an index of the dimensions before.
  void write_plane(const std::vector<int64_t>& index, const std::byte* plane);
  /// The same for a plane that may be larger than memory: read(part, to) fills `to` [part.height][part.width] with a
  /// part of it.
  void write_plane(const std::vector<int64_t>& index, const std::function<void(const PixelRect&, std::byte*)>& read);

 private:
  OutputFolder& folder_;
  std::string name_;
  ElementType type_;
  std::vector<int64_t> shape_;
};

/// Marks a folder in the output as a Zarr group of version 2, with these attributes.
void write_zarr_group(OutputFolder&, const std::string& name, const Json& attributes);

}  // namespace basin

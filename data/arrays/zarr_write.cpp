#include "data/arrays/zarr_write.h"

#include <algorithm>
#include <cstring>

#include "data/arrays/zarr_codecs.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr int64_t max_chunk_side = 1024;

std::string path_in(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + '/' + name;
}

/// NumPy's code of an unsigned type.
std::string code_of(ElementType type) {
  return type == ElementType::u8 ? "|u1" : type == ElementType::u16 ? "<u2" : "<u4";
}

}  // namespace

ZarrWriter::ZarrWriter(OutputFolder& folder, const std::string& name, ElementType type,
                       const std::vector<int64_t>& shape)
    : folder_(folder), name_(name), type_(type), shape_(shape) {
  BASIN_CHECK(type == ElementType::u8 || type == ElementType::u16 || type == ElementType::u32, name_of(type));
  std::vector<int64_t> chunks(shape.size(), 1);
  for (size_t d = shape.size() - 2; d < shape.size(); ++d)
    chunks[d] = std::min(max_chunk_side, shape[d]);
  folder.write(
      path_in(name, ".zarray"),
      to_text({{"zarr_format", 2},
               {"shape", shape},
               {"chunks", chunks},
               {"dtype", code_of(type)},
               {"compressor", {{"id", "blosc"}, {"cname", "zstd"}, {"clevel", 5}, {"shuffle", 1}, {"blocksize", 0}}},
               {"fill_value", 0},
               {"order", "C"},
               {"filters", nullptr},
               {"dimension_separator", "/"}},
              2) +
          '\n');
}

void ZarrWriter::write_plane(const std::vector<int64_t>& index, const std::byte* plane) {
  const size_t element = size_of(type_), width = size_t(shape_.back());
  write_plane(index, [&](const PixelRect& part, std::byte* to) {
    const size_t line = size_t(part.width) * element;
    for (int y = 0; y < part.height; ++y, to += line)
      std::memcpy(to, plane + (size_t(part.y + y) * width + size_t(part.x)) * element, line);
  });
}

void ZarrWriter::write_plane(const std::vector<int64_t>& index,
                             const std::function<void(const PixelRect&, std::byte*)>& read) {
  const size_t element = size_of(type_);
  const int64_t height = shape_[shape_.size() - 2], width = shape_.back();
  const int64_t rows = std::min(max_chunk_side, height), columns = std::min(max_chunk_side, width);
  std::string prefix;
  for (const int64_t k : index)
    prefix += std::to_string(k) + '/';
  std::vector<std::byte> chunk(size_t(rows * columns) * element), part;
  for (int64_t y0 = 0; y0 < height; y0 += rows)
    for (int64_t x0 = 0; x0 < width; x0 += columns) {
      const PixelRect r{int(y0), int(x0), int(std::min(rows, height - y0)), int(std::min(columns, width - x0))};
      const size_t line = size_t(r.width) * element;
      part.resize(size_t(r.height) * line);
      read(r, part.data());
      std::fill(chunk.begin(), chunk.end(), std::byte(0));
      for (int y = 0; y < r.height; ++y)
        std::memcpy(chunk.data() + size_t(y * columns) * element, part.data() + size_t(y) * line, line);
      if (std::all_of(chunk.begin(), chunk.end(), [](std::byte b) { return b == std::byte(0); })) continue;
      const std::vector<std::byte> packed = compress_blosc(chunk, element);
      folder_.write(path_in(name_, prefix + std::to_string(y0 / rows) + '/' + std::to_string(x0 / columns)),
                    {reinterpret_cast<const char*>(packed.data()), packed.size()});
    }
}

void write_zarr_group(OutputFolder& folder, const std::string& name, const Json& attributes) {
  folder.write(path_in(name, ".zgroup"), "{\n  \"zarr_format\": 2\n}\n");
  folder.write(path_in(name, ".zattrs"), to_text(attributes, 2) + '\n');
}

}  // namespace basin

#include "data/arrays/zarr.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/crc.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

constexpr size_t max_kept = size_t(1) << 30;
constexpr uint64_t not_stored = UINT64_MAX;
constexpr size_t checksum_bytes = 4;

/// The index of an element or a chunk at a place in a box of these sides, row-major.
size_t flat(const std::vector<int64_t>& place, const std::vector<int64_t>& sides) {
  size_t k = 0;
  for (size_t d = 0; d < sides.size(); ++d)
    k = k * size_t(sides[d]) + size_t(place[d]);
  return k;
}

/// A part of a file; without a number of bytes all of it.
std::vector<std::byte> read_part(const fs::path& path, uint64_t offset, uint64_t bytes) {
  const File file = open_file(path);
  const uint64_t size = fs::file_size(path);
  if (offset > size || bytes > size - offset) refuse(path.string(), ": is truncated: its index points behind its end");
  std::vector<std::byte> part(static_cast<size_t>(bytes));
  if (std::fseek(file.get(), long(offset), SEEK_SET) != 0 ||
      std::fread(part.data(), 1, part.size(), file.get()) != part.size())
    refuse(path.string(), ": could only be read in part");
  return part;
}

/// Checks and removes the CRC-32C at the end.
void strip_checksum(std::vector<std::byte>& bytes, const std::string& where) {
  uint32_t stored = 0;
  bool good = bytes.size() >= checksum_bytes;
  if (good) {
    std::memcpy(&stored, bytes.data() + bytes.size() - checksum_bytes, checksum_bytes);
    bytes.resize(bytes.size() - checksum_bytes);
    good = crc32c({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) == stored;
  }
  if (!good) refuse(where, ": is damaged: its checksum does not match");
}

bool is_there(const fs::path& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  if (error) refuse(path.string(), ": cannot be read (", error.message(), ")");
  return found;
}

}  // namespace

fs::path ZarrArray::file_of(const Place& place) const {
  std::string name = prefix_;
  for (const int64_t k : place)
    name += (name.empty() ? "" : separator_) + std::to_string(k);
  return folder_ / name;
}

const std::vector<ZarrArray::Span>& ZarrArray::index_of_shard(const Place& shard) {
  const auto [at, is_new] = indices_.try_emplace(shard);
  std::vector<Span>& index = at->second;
  const fs::path path = file_of(shard);
  if (!is_new || !is_there(path)) return index;
  const size_t count = std::accumulate(shard_.begin(), shard_.end(), size_t(1), std::multiplies<>());
  const uint64_t bytes = count * sizeof(Span) + (index_checksum_ ? checksum_bytes : 0), size = fs::file_size(path);
  if (size < bytes) refuse(path.string(), ": is truncated: it has no room for the index of its chunks");
  std::vector<std::byte> part = read_part(path, index_first_ ? 0 : size - bytes, bytes);
  if (index_checksum_) strip_checksum(part, path.string());
  index.resize(count);
  std::memcpy(index.data(), part.data(), part.size());
  return index;
}

std::optional<std::vector<std::byte>> ZarrArray::stored(const Place& place, std::string& where) {
  if (shard_.empty()) {
    const fs::path path = file_of(place);
    where = path.string();
    if (!is_there(path)) return std::nullopt;
    return read_file(path);
  }
  Place shard = place, inside = place;
  for (size_t d = 0; d < place.size(); ++d)
    shard[d] = place[d] / shard_[d], inside[d] = place[d] % shard_[d];
  const std::vector<Span>& index = index_of_shard(shard);
  const fs::path path = file_of(shard);
  where = path.string();
  if (index.empty()) return std::nullopt;
  const Span span = index[flat(inside, shard_)];
  if (span.offset == not_stored && span.bytes == not_stored) return std::nullopt;
  return read_part(path, span.offset, span.bytes);
}

std::vector<std::byte> ZarrArray::elements_of(std::vector<std::byte> bytes, const std::string& where) const {
  const size_t element = half_ ? 2 : size_of(type_);
  const size_t count = std::accumulate(chunk_.begin(), chunk_.end(), size_t(1), std::multiplies<>());
  if (codecs_.outer_checksum) strip_checksum(bytes, where);
  std::vector<std::byte> elements(count * element + (codecs_.inner_checksum ? checksum_bytes : 0));
  decompress(codecs_.compression, bytes, elements, where);
  if (codecs_.inner_checksum) strip_checksum(elements, where);
  if (codecs_.big_endian) swap_bytes(elements, element);
  if (!half_) return elements;
  std::vector<std::byte> wide(count * sizeof(float));
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, elements.data() + i * element, element);
    const float value = half_value(bits);
    std::memcpy(wide.data() + i * sizeof value, &value, sizeof value);
  }
  return wide;
}

const ZarrArray::Chunk& ZarrArray::chunk_at(const Place& place) {
  const auto [at, is_new] = chunks_.try_emplace(place);
  Chunk& chunk = at->second;
  chunk.used = true;
  if (!is_new) return chunk;
  std::string where;
  if (std::optional<std::vector<std::byte>> bytes = stored(place, where))
    chunk.elements = elements_of(std::move(*bytes), where);
  kept_bytes_ += chunk.elements.size();
  return chunk;
}

bool ZarrArray::read_plane(const std::vector<int64_t>& index, std::byte* to) {
  const size_t leading = shape_.size() - 2;
  return read_window(index, {0, 0, int(shape_[leading]), int(shape_[leading + 1])}, to);
}

bool ZarrArray::read_window(const std::vector<int64_t>& index, const PixelRect& part, std::byte* to) {
  const size_t rank = shape_.size(), leading = rank - 2, element = size_of(type_);
  BASIN_CHECK(index.size() == leading, index.size(), " indices");
  const int64_t bottom = int64_t(part.y) + part.height, right = int64_t(part.x) + part.width;
  BASIN_CHECK(part.y >= 0 && part.x >= 0 && bottom <= shape_[leading] && right <= shape_[leading + 1], "part ", part.y,
              ", ", part.x, " of ", part.height, " x ", part.width);
  Place place(rank);
  bool other_planes = false;  // whether chunks contain other planes too; ignored if only a part of a plane is read
  const bool whole = part.height == shape_[leading] && part.width == shape_[leading + 1];
  for (size_t d = 0; d < leading; ++d) {
    BASIN_CHECK(index[d] >= 0 && index[d] < shape_[d], "index ", index[d]);
    place[d] = index[d] / chunk_[d];
    other_planes = other_planes || (whole && chunk_[d] > 1);
  }
  std::vector<size_t> step(rank);  // from one element of a chunk to the next along each dimension
  size_t volume = 1;
  for (size_t k = rank; k-- > 0;)
    step[codecs_.order[k]] = volume, volume *= size_t(chunk_[codecs_.order[k]]);
  size_t first = 0;  // of the plane in each of its chunks
  for (size_t d = 0; d < leading; ++d)
    first += size_t(index[d] % chunk_[d]) * step[d];
  const size_t step_y = step[leading], step_x = step[leading + 1];

  bool any = false;
  for (auto& [at, chunk] : chunks_)
    chunk.used = false;
  const int64_t tall = chunk_[leading], wide = chunk_[leading + 1];
  for (int64_t cy = part.y / tall; cy * tall < bottom; ++cy)
    for (int64_t cx = part.x / wide; cx * wide < right; ++cx) {
      place[leading] = cy, place[leading + 1] = cx;
      const Chunk& chunk = chunk_at(place);
      any = any || !chunk.elements.empty();
      const int64_t y0 = std::max<int64_t>(cy * tall, part.y), x0 = std::max<int64_t>(cx * wide, part.x);
      const int64_t columns = std::min(cx * wide + wide, right) - x0;
      for (int64_t y = y0; y < std::min(cy * tall + tall, bottom); ++y) {
        std::byte* row = to + size_t((y - part.y) * part.width + x0 - part.x) * element;
        if (chunk.elements.empty()) {
          for (int64_t x = 0; x < columns; ++x)
            std::memcpy(row + size_t(x) * element, fill_.data(), element);
          continue;
        }
        const size_t start = first + size_t(y - cy * tall) * step_y + size_t(x0 - cx * wide) * step_x;
        const std::byte* from = chunk.elements.data() + start * element;
        if (step_x == 1) {
          std::memcpy(row, from, size_t(columns) * element);
          continue;
        }
        for (int64_t x = 0; x < columns; ++x)
          std::memcpy(row + size_t(x) * element, from + size_t(x) * step_x * element, element);
      }
      if (!other_planes || kept_bytes_ > max_kept) {
        kept_bytes_ -= chunk.elements.size();
        chunks_.erase(place);
      }
    }
  std::erase_if(chunks_, [&](const auto& entry) {
    if (!entry.second.used) kept_bytes_ -= entry.second.elements.size();
    return !entry.second.used;
  });
  return any;
}

}  // namespace basin

#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/arrays/array.h"
#include "data/arrays/zarr_codecs.h"
#include "engine/json_fwd.h"
#include "engine/plane_file.h"

namespace basin {

/// Whether this is a Zarr store: a folder whose name ends in .zarr, with or without a slash after it. Stores are
/// treated like files everywhere.
bool is_zarr(const std::filesystem::path&);
/// Whether this is a folder of files: any folder that is not a Zarr store.
bool is_folder(const std::filesystem::path&);
/// A path without a slash at its end, so that it has a file name.
std::filesystem::path without_slash(const std::filesystem::path&);

/// The attributes of a Zarr group: of version 3 (zarr.json), else of version 2 (.zattrs); null if the folder has
/// neither. Throws one sentence with the file's name if it is not JSON.
Json zarr_attributes(const std::filesystem::path& group);

/// An array of a Zarr store, version 2 or 3, that is read plane by plane: the last two dimensions are height and width.
/// Element types: booleans (as uint8), integers of 8 to 64 bits, floats of 16 (which become float32), 32 and 64 bits,
/// of both byte orders. Codecs: none, gzip, zlib, zstd and blosc, checksums, any order of dimensions and shards. Every
/// error is one sentence with the name of the file that causes it.
class ZarrArray {
 public:
  /// Reads the metadata: .zarray or zarr.json in this folder.
  explicit ZarrArray(std::filesystem::path folder);

  const std::vector<int64_t>& shape() const { return shape_; }
  ElementType type() const { return type_; }

  /// Reads the plane at an index of the dimensions before the last two into `to` [height][width]. Chunks that are not
  /// stored have the fill value; returns whether any chunk of the plane is stored. Chunks that contain other planes too
  /// are kept for the next call, up to a gigabyte.
  bool read_plane(const std::vector<int64_t>& index, std::byte* to);
  /// The same for a part of the plane, into `to` [part.height][part.width].
  bool read_window(const std::vector<int64_t>& index, const PixelRect& part, std::byte* to);

 private:
  using Place = std::vector<int64_t>;  // of a chunk or shard, counted in these

  /// How the elements of a chunk became bytes.
  struct Codecs {
    std::vector<size_t> order;  // the dimensions, slowest first
    bool big_endian = false;
    bool inner_checksum = false, outer_checksum = false;  // before and after compression
    ZarrCompression compression = ZarrCompression::none;
  };
  struct Span {
    uint64_t offset = 0, bytes = 0;
  };
  struct Chunk {
    std::vector<std::byte> elements;  // in the chunk's order; empty: not stored
    bool used = false;
  };

  void read_version_2(const Json&);
  void read_version_3(const Json&);
  void read_shards(const Json& configuration);
  Codecs codecs_of(const Json& list) const;
  std::vector<int64_t> sizes_of(const Json&, const char* what) const;
  void set_type(const std::string& name);
  void set_fill(const Json&);
  void check_chunks() const;
  std::filesystem::path file_of(const Place&) const;
  const std::vector<Span>& index_of_shard(const Place&);
  std::optional<std::vector<std::byte>> stored(const Place&, std::string& where);
  std::vector<std::byte> elements_of(std::vector<std::byte> bytes, const std::string& where) const;
  const Chunk& chunk_at(const Place&);

  std::filesystem::path folder_, metadata_;
  std::vector<int64_t> shape_, chunk_;
  std::vector<int64_t> shard_;  // in chunks; empty: no shards
  bool index_first_ = false, index_checksum_ = false;
  ElementType type_ = ElementType::u8;
  bool half_ = false;  // stored as 16-bit floats
  std::vector<std::byte> fill_;
  std::string prefix_, separator_;
  Codecs codecs_;
  std::map<Place, Chunk> chunks_;
  std::map<Place, std::vector<Span>> indices_;
  size_t kept_bytes_ = 0;
};

}  // namespace basin

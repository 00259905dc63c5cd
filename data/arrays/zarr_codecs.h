#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace basin {

/// How the chunks of a Zarr array are compressed. zlib: with a header of zlib or of gzip.
enum class ZarrCompression { none, zlib, zstd, blosc };

/// Decompresses a chunk into `to`, which has the size of its content. Throws one sentence that begins with `where` if
/// the chunk is damaged or has another size.
void decompress(ZarrCompression, std::span<const std::byte> chunk, std::span<std::byte> to, const std::string& where);

/// Compresses elements of this size with Blosc: Zstandard after a byte shuffle. The same input gives the same bytes.
std::vector<std::byte> compress_blosc(std::span<const std::byte>, size_t element);

}  // namespace basin

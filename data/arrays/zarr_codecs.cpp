// The only file that includes zlib, Zstandard and Blosc.
#include "data/arrays/zarr_codecs.h"

#include <blosc.h>
#include <zlib.h>
#include <zstd.h>

#include <climits>
#include <cstring>

#include "data/arrays/library_versions.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// Whether a stream of zlib or gzip is complete and fills `to` exactly.
bool inflate_all(std::span<const std::byte> from, std::span<std::byte> to) {
  z_stream stream = {};
  constexpr int either_header = 15 + 32;
  if (inflateInit2(&stream, either_header) != Z_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
  stream.avail_in = uInt(from.size());
  stream.next_out = reinterpret_cast<Bytef*>(to.data());
  stream.avail_out = uInt(to.size());
  const int result = inflate(&stream, Z_FINISH);
  const bool complete = result == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  return complete;
}

bool unpack_blosc(std::span<const std::byte> from, std::span<std::byte> to) {
  size_t bytes = 0;
  if (blosc_cbuffer_validate(from.data(), from.size(), &bytes) != 0 || bytes != to.size()) return false;
  constexpr int threads = 1;
  return blosc_decompress_ctx(from.data(), to.data(), to.size(), threads) == int(to.size());
}

}  // namespace

void decompress(ZarrCompression compression, std::span<const std::byte> chunk, std::span<std::byte> to,
                const std::string& where) {
  BASIN_CHECK(to.size() <= size_t(INT_MAX), to.size(), " bytes");
  bool good = chunk.size() <= size_t(INT_MAX);
  if (good) switch (compression) {
      case ZarrCompression::none:
        good = chunk.size() == to.size();
        if (good && !to.empty()) std::memcpy(to.data(), chunk.data(), to.size());
        break;
      case ZarrCompression::zlib:
        good = inflate_all(chunk, to);
        break;
      case ZarrCompression::zstd:
        good = ZSTD_decompress(to.data(), to.size(), chunk.data(), chunk.size()) == to.size();
        break;
      case ZarrCompression::blosc:
        good = unpack_blosc(chunk, to);
        break;
    }
  if (!good) refuse(where, ": is damaged: this chunk does not unpack to ", to.size(), " bytes");
}

std::vector<std::byte> compress_blosc(std::span<const std::byte> from, size_t element) {
  constexpr int level = 5, threads = 1;
  std::vector<std::byte> to(from.size() + BLOSC_MAX_OVERHEAD);
  const int bytes = blosc_compress_ctx(level, BLOSC_SHUFFLE, element, from.size(), from.data(), to.data(), to.size(),
                                       "zstd", 0, threads);
  if (bytes <= 0) refuse("this system's Blosc library cannot compress with Zstandard");
  to.resize(size_t(bytes));
  return to;
}

std::string compression_versions() {
  return std::string("zlib ") + zlibVersion() + ", zstd " + ZSTD_versionString() + ", blosc " +
         blosc_get_version_string();
}

}  // namespace basin

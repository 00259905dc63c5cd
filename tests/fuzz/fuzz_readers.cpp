// Feeds damaged files to the readers: any bytes must either be read or be refused in one sentence that begins with the
// name of the file. Built by run.sh with libFuzzer, which changes the files of a corpus; BASIN_FUZZ names the reader.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/arrays/npy.h"
#include "data/arrays/zarr.h"
#include "data/files/csv.h"
#include "data/files/foreign.h"
#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/files/planes.h"
#include "data/files/raster.h"
#include "data/files/stack.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "kernels/runtime/platform.h"
#include "tools/results/run_record.h"

namespace fs = std::filesystem;
using namespace basin;

namespace {

/// A folder in memory for the damaged file.
const fs::path& folder() {
  static const fs::path made = [] {
    std::string name = "/dev/shm/basin-fuzz-XXXXXX";
    if (!mkdtemp(name.data())) std::abort();
    return fs::path(name);
  }();
  return made;
}

void write(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

/// Runs f, which may throw only Error, and that with a sentence that begins with `name`.
template <class F>
void read_or_refuse(const std::string& name, F f) {
  try {
    f();
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with(name)) return;
    std::fprintf(stderr, "this error does not begin with %s: %s\n", name.c_str(), error.what());
    std::abort();
  }
}

template <class F>
void with_file(const char* extension, std::string_view bytes, F read) {
  const fs::path path = folder() / (std::string("a") + extension);
  write(path, bytes);
  read_or_refuse(path.string(), [&] { read(path); });
}

void pixels(const char* extension, std::string_view bytes) {
  with_file(extension, bytes, [](const fs::path& path) { read_image(path); });
  with_file(extension, bytes, [](const fs::path& path) { read_labels(path); });
}

void tiff(std::string_view bytes) {
  pixels(".tif", bytes);
  with_file(".tif", bytes, [](const fs::path& path) { read_stack(path); });
  with_file(".tif", bytes, [](const fs::path& path) {
    raster::read_planes(path, raster::planes_in(path, {}), {}, [](const raster::Picture&) {});
  });
}

void npy(std::string_view bytes) {
  with_file(".npy", bytes, [](const fs::path& path) { read_npy(path); });
  with_file(".npy", bytes, [](const fs::path& path) { read_labels(path); });
  with_file(".npy", bytes, [](const fs::path& path) { read_stack(path); });
}

void safetensors(std::string_view bytes) {
  read_or_refuse("a.safetensors",
                 [&] { decode_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "a.safetensors"); });
}

void csv(std::string_view bytes) {
  read_or_refuse("a.csv", [&] { split_csv(std::string(bytes), "a.csv"); });
}

/// The description of a TIFF, as ImageJ, tifffile and OME write it.
void description(std::string_view bytes) {
  const std::string text(bytes);
  read_or_refuse("a.tif", [&] {
    stack_of_imagej(text, 1, 1);
    stack_of_tifffile(text, {7, 9});
    stack_of_tifffile(text, {7, 9, 3, true});
    stack_of_ome(text, "a.tif");
  });
}

void json(std::string_view bytes) {
  const Json parsed = parse_json(bytes);
  if (!parsed.is_discarded()) to_text(parsed);
}

/// The run.json of a run, and that of a shard.
void run(std::string_view bytes) {
  with_file(".json", bytes,
            [](const fs::path& path) { tools::segment_record_of(tools::read_record(path), path.string()); });
  with_file(".json", bytes,
            [](const fs::path& path) { tools::shard_record_of(tools::read_record(path), path.string()); });
}

/// The files of an OME-Zarr store, one after another: a line with the name of the file and its length, then its bytes.
void zarr(std::string_view bytes) {
  const fs::path store = folder() / "a.zarr";
  fs::remove_all(store);
  fs::create_directories(store);
  for (int files = 0; files < 16; ++files) {
    const size_t line = bytes.find('\n');
    if (line == std::string_view::npos) break;
    const std::string head(bytes.substr(0, line));
    bytes.remove_prefix(line + 1);
    const size_t space = head.find(' ');
    if (space == std::string::npos) break;
    const fs::path name = fs::path("/" + head.substr(0, space)).lexically_normal().relative_path();
    const size_t length = std::min<size_t>(bytes.size(), size_t(std::atoll(head.c_str() + space)));
    std::error_code none;
    fs::create_directories((store / name).parent_path(), none);
    write(store / name, bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  read_or_refuse(store.string(), [&] { read_image(store); });
  read_or_refuse(store.string(), [&] { read_labels(store); });
}

void foreign(std::string_view bytes) {
  with_file(".czi", bytes, [](const fs::path& path) { raster::foreign_kind(path); });
}

using Reader = void (*)(std::string_view);
const std::map<std::string, Reader> readers = {
    {"tiff", tiff},
    {"png", [](std::string_view bytes) { pixels(".png", bytes); }},
    {"jpeg", [](std::string_view bytes) { pixels(".jpg", bytes); }},
    {"bmp", [](std::string_view bytes) { pixels(".bmp", bytes); }},
    {"npy", npy},
    {"safetensors", safetensors},
    {"csv", csv},
    {"description", description},
    {"json", json},
    {"run", run},
    {"zarr", zarr},
    {"foreign", foreign},
};

Reader chosen() {
  const char* name = std::getenv("BASIN_FUZZ");
  const auto found = readers.find(name ? name : "");
  if (found != readers.end()) return found->second;
  std::fprintf(stderr, "set BASIN_FUZZ to one of:");
  for (const auto& [known, reader] : readers)
    std::fprintf(stderr, " %s", known.c_str());
  std::fprintf(stderr, "\n");
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const Reader reader = chosen();
  reader({reinterpret_cast<const char*>(bytes), size});
  return 0;
}

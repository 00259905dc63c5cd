#pragma once
// One decoder per format. Each gives what the file stores; decoded.h says what it means. Every refusal is one sentence
// with the file's name.
#include <filesystem>
#include <functional>

#include "data/files/decoded.h"
#include "data/files/stack.h"

namespace basin::raster {

Decoded read_png(const std::filesystem::path&);
Decoded read_jpeg(const std::filesystem::path&);
Decoded read_bmp(const std::filesystem::path&);

/// How the full-resolution images of a TIFF lie in their stack.
Stack tiff_stack(const std::filesystem::path&);
/// Those of them that `planes` numbers, in that order, each a call of f.
void read_tiff_planes(const std::filesystem::path&, const std::vector<int64_t>& planes,
                      const std::function<void(Decoded)>& f);

}  // namespace basin::raster

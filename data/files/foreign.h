#pragma once
#include <filesystem>
#include <string>

namespace basin::raster {

/// What a file is that Basin does not read, and what to do about it, by its first bytes and its name: "is a Zeiss CZI
/// file; open it in Fiji and save it as TIFF".
std::string foreign_kind(const std::filesystem::path&);

/// Whether a file by this name holds an image or a label image of a kind that Basin does not read, by its extension.
bool has_foreign_extension(const std::filesystem::path&);

}  // namespace basin::raster

#pragma once
#include <filesystem>
#include <string>

namespace basin::raster {

/// Describes the unsupported format of a file, recognised by its first bytes and its name, and what the user can do:
/// "is a Zeiss CZI file; open it in Fiji and save it as TIFF".
std::string foreign_kind(const std::filesystem::path&);

/// Whether the extension is that of an image or label image in a format that Basin does not support.
bool has_foreign_extension(const std::filesystem::path&);

}  // namespace basin::raster

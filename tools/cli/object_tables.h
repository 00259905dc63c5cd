#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace basin::tools {

/// The end of the name of an image's table of objects.
inline constexpr const char* table_suffix = "_objects.csv";

/// Joins the tables STEM_objects.csv in a folder into one file, in the order of the stems, with the stem as the first
/// column, `image`. Where the columns of the tables differ, the joined table has all of them, in the order in which
/// they first occur, and cells stay empty where an image has no such column. Throws one sentence with the file's name
/// if a table is missing. Written under a temporary name and renamed.
void join_object_tables(const std::filesystem::path& folder, const std::vector<std::string>& stems,
                        const std::filesystem::path& joined);

}  // namespace basin::tools

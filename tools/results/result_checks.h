#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace basin::tools {

/// The endings of the files of one image, kind by kind: of each entry one file exists when the image is done.
using Endings = std::vector<std::vector<std::string>>;
/// Those of what --save names: the kinds of savers(), `table`, which joins those of `csv`, and maps of the network.
Endings result_endings(const std::set<std::string>& save);

/// What is wrong with the files of an image that is done. Both are one sentence with the name of a file, or empty.
struct ResultFault {
  std::string damage;         // a file that cannot be read to its end
  std::string contradiction;  // a table with another number of rows than the label image has objects
};

/// Reads the files at `base` back: pictures, labels and arrays to their last value, which their formats' checksums
/// cover, the structure of the others, and the number of rows of tables.
ResultFault fault_of_results(const std::filesystem::path& base, const Endings&);

}  // namespace basin::tools

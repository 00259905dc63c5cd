#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace basin::tools {

/// The possible endings of the files of one image, for each kind of file. The image is done when one file of each kind
/// exists.
using Endings = std::vector<std::vector<std::string>>;
/// The endings for --save, which names kinds of savers(), `table` (the joined tables of `csv`), and maps of the
/// network. `tiff`: label images must be TIFF.
Endings result_endings(const std::set<std::string>& save, bool tiff = false);

/// What is wrong with the files of an image that is done. Both are one sentence with the name of a file, or empty.
struct ResultFault {
  std::string damage;         // a file that cannot be read to its end
  std::string contradiction;  // a table with another number of rows than the label image has objects
};

/// Reads the files at `base` back: all values of pictures, labels and arrays, so that the checksums of their formats
/// are checked, the structure of other files, and the number of rows of tables.
ResultFault fault_of_results(const std::filesystem::path& base, const Endings&);

}  // namespace basin::tools

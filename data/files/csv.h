#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace basin {

/// The lines of a text file, which may end in LF, CR or both, in UTF-8: a byte-order mark is left out, and UTF-16 with
/// such a mark, as spreadsheets write it, is converted. Throws like read_file, and one sentence with the file's name if
/// it is not a text file.
std::vector<std::string> csv_lines(const std::filesystem::path&);

/// Splits one line into fields; text in quotation marks is taken literally, with "" for ". Throws one sentence that
/// begins with `where` if a quotation mark is never closed.
std::vector<std::string> split_csv(const std::string& line, const std::string& where);

/// A field in the form that split_csv reads back.
std::string csv_field(const std::string&);

}  // namespace basin

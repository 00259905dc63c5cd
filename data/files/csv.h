#pragma once
#include <string>
#include <vector>

namespace basin {

/// Splits one line into fields; text in quotation marks is taken literally, with "" for ". Throws one sentence that
/// begins with `where` if a quotation mark is never closed.
std::vector<std::string> split_csv(const std::string& line, const std::string& where);

/// A field in the form that split_csv reads back.
std::string csv_field(const std::string&);

}  // namespace basin

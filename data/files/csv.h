#pragma once
#include <string>
#include <vector>

namespace basin {

/// The fields of one line, what quotation marks enclose as it is, "" in it as ". Throws one sentence that begins with
/// `where` if a quotation mark is never closed.
std::vector<std::string> split_csv(const std::string& line, const std::string& where);

/// A field as split_csv reads it back.
std::string csv_field(const std::string&);

}  // namespace basin

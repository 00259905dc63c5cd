#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace basin {

/// A picture on the page: `png` is put into the page itself; where it is empty, `file` is linked, relative to the page.
struct ReportPicture {
  std::string caption;  // shown below and read out, such as "prediction, 41 objects"
  std::string file;
  std::vector<std::byte> png;
};

/// One image: input, prediction, truth where there is one.
struct ReportItem {
  std::string name;     // file name
  std::string summary;  // one line, such as "41 objects, 40 true; AP50 0.95"; may be empty
  std::vector<ReportPicture> pictures;
};

/// The first column heads its rows; other columns whose cells all read as numbers are set flush right.
struct ReportTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as columns
  std::string note;                            // one line below; may be empty
};

struct Report {
  std::string title, summary;
  std::vector<ReportTable> tables;
  std::vector<ReportItem> items;
};

/// One HTML page in UTF-8 that needs nothing but itself and the linked pictures: no script, no network. Follows the
/// reader's light or dark setting; all text is escaped. Throws where a row and its columns differ in number.
std::string report_html(const Report&);

/// Writes that page under a temporary name and renames it.
void write_report(const std::filesystem::path&, const Report&);

}  // namespace basin

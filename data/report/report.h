#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace basin {

/// A picture on the page: `png` is embedded; if it is empty, `file` is linked, relative to the page.
struct ReportPicture {
  std::string caption;  // shown below and read by screen readers, such as "prediction, 41 objects"
  std::string file;
  std::vector<std::byte> png;
};

/// One image: input, prediction, and truth if given.
struct ReportItem {
  std::string name;     // file name
  std::string summary;  // one line, such as "41 objects, 40 true; AP50 0.95"; may be empty
  std::vector<ReportPicture> pictures;
};

/// The first column is the heading of its row; other columns whose cells are all numbers are right-aligned.
struct ReportTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // each has as many cells as there are columns
  std::string note;                            // one line below the table; may be empty
};

/// A chart, such as chart_svg() draws it.
struct ReportFigure {
  std::string title;
  std::string svg;   // written as it is
  std::string note;  // one line below the chart; may be empty
};

struct Report {
  std::string title, summary;
  std::vector<ReportTable> tables;
  std::vector<ReportItem> items;
  std::vector<ReportFigure> figures = {};     // before the tables
  std::vector<ReportTable> last_tables = {};  // after the items
  std::string command = {};                   // at the end; may be empty
};

/// A self-contained HTML page in UTF-8, except for linked pictures: no scripts, no network. Follows the reader's light
/// or dark setting; all text is escaped. Throws if a row has the wrong number of cells.
std::string report_html(const Report&);

/// Writes the page under a temporary name and renames it.
void write_report(const std::filesystem::path&, const Report&);

}  // namespace basin

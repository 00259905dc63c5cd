#include "data/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "data/report/html.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr std::string_view style = R"(
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 3rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { margin: 0 0 .4rem; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 2.6rem 0 .8rem; font-size: 1.15rem; }
h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: 0; }
.lead { max-width: 44rem; font-size: 1.08rem; color: var(--soft); }
.note, .summary, figcaption { color: var(--soft); font-size: .875rem; }
.note { margin-top: .5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem 1.6rem .38rem 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
thead th { color: var(--soft); font-size: .8125rem; font-weight: 600; }
tbody th { font-weight: 400; }
th.number, td.number { text-align: right; padding: .38rem 0 .38rem 1.6rem; }
.tables { display: flex; flex-wrap: wrap; gap: 0 4rem; }
.tables section { min-width: 0; max-width: 100%; }
article { margin-top: 1.2rem; padding: 1.1rem 1.2rem 1.2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
article header { display: flex; flex-wrap: wrap; gap: .1rem 1rem; align-items: baseline; margin-bottom: .8rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; max-width: 36rem; }
img { display: block; width: 100%; height: auto; border-radius: 5px; background: #000; image-rendering: pixelated; }
figcaption { margin-top: .35rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 0 2.5rem; }
.chart { display: block; width: 100%; max-width: 34rem; font-size: 11px; }
.chart text { fill: var(--soft); }
.chart .grid { stroke: var(--line); }
.chart .axis { stroke: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; font-size: .8125rem; color: var(--soft); }
.legend i { display: inline-block; width: .8rem; height: .25rem; margin: 0 .4rem .2rem 0; border-radius: 2px; }
pre { margin: 0; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  font-size: .8125rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { article { break-inside: avoid; } }
)";

/// A relative file name as a URL: everything but letters, digits and -._~/ as %XX; with "./" in front, so that a colon
/// in the first component is not taken for a scheme.
std::string url_of(std::string_view file) {
  std::string out = "./";
  for (unsigned char c : file) {
    if (std::isalnum(c) || std::string_view("-._~/").find(char(c)) != std::string_view::npos)
      out += char(c);
    else
      out += fmt::format("%{:02X}", c);
  }
  return out;
}

/// Whether a text is a number: digits with at most signs, point, exponent and one trailing unit such as "%" or "ms"; or
/// a dash for "none".
bool is_number(std::string_view text) {
  if (text == "-" || text == "\u2013" || text == "null") return true;
  const size_t start = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == '.') ? 1 : 0;
  return text.size() > start && std::isdigit(static_cast<unsigned char>(text[start]));
}

std::string table_html(const ReportTable& table) {
  std::vector<bool> numeric(table.columns.size(), !table.rows.empty());
  for (const std::vector<std::string>& row : table.rows) {
    BASIN_CHECK(row.size() == table.columns.size(), row.size(), " cells for ", table.columns.size(),
                " columns in table ", table.title);
    for (size_t c = 0; c < row.size(); ++c)
      if (c == 0 || !is_number(row[c])) numeric[c] = false;
  }
  std::string out =
      fmt::format("<section>\n<h2>{}</h2>\n<div class=\"scroll\"><table>\n<thead><tr>", html_escaped(table.title));
  for (size_t c = 0; c < table.columns.size(); ++c)
    out += fmt::format("<th scope=\"col\"{}>{}</th>", numeric[c] ? " class=\"number\"" : "",
                       html_escaped(table.columns[c]));
  out += "</tr></thead>\n<tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    out += "<tr>";
    for (size_t c = 0; c < row.size(); ++c)
      out += c == 0 ? fmt::format("<th scope=\"row\">{}</th>", html_escaped(row[c]))
                    : fmt::format("<td{}>{}</td>", numeric[c] ? " class=\"number\"" : "", html_escaped(row[c]));
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (!table.note.empty()) out += fmt::format("<p class=\"note\">{}</p>\n", html_escaped(table.note));
  return out + "</section>\n";
}

std::string tables_html(const std::vector<ReportTable>& tables) {
  if (tables.empty()) return "";
  std::string out = "<div class=\"tables\">\n";
  for (const ReportTable& table : tables)
    out += table_html(table);
  return out + "</div>\n";
}

std::string item_html(const ReportItem& item) {
  std::string out = fmt::format("<article>\n<header><h3>{}</h3>", html_escaped(item.name));
  if (!item.summary.empty()) out += fmt::format("<p class=\"summary\">{}</p>", html_escaped(item.summary));
  out += "</header>\n<div class=\"pictures\">\n";
  for (const ReportPicture& picture : item.pictures) {
    const std::string source =
        picture.png.empty() ? url_of(picture.file) : "data:image/png;base64," + base64(picture.png);
    out += fmt::format("<figure><img src=\"{}\" alt=\"{}\" loading=\"lazy\"><figcaption>{}</figcaption></figure>\n",
                       source, html_escaped(item.name + ": " + picture.caption), html_escaped(picture.caption));
  }
  return out + "</div>\n</article>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n",
      html_escaped(report.title), page_colours, style);
  if (!report.summary.empty()) out += fmt::format("<p class=\"lead\">{}</p>\n", html_escaped(report.summary));
  if (!report.figures.empty()) out += "<div class=\"figures\">\n";
  for (const ReportFigure& figure : report.figures) {
    out += fmt::format("<section>\n<h2>{}</h2>\n{}", html_escaped(figure.title), figure.svg);
    if (!figure.note.empty()) out += fmt::format("<p class=\"note\">{}</p>\n", html_escaped(figure.note));
    out += "</section>\n";
  }
  if (!report.figures.empty()) out += "</div>\n";
  out += tables_html(report.tables);
  if (!report.items.empty()) out += "<h2>Images</h2>\n";
  for (const ReportItem& item : report.items)
    out += item_html(item);
  out += tables_html(report.last_tables);
  if (!report.command.empty()) out += fmt::format("<h2>Command</h2>\n<pre>{}</pre>\n", html_escaped(report.command));
  return out + "</main>\n</body>\n</html>\n";
}

void write_report(const std::filesystem::path& path, const Report& report) {
  write_atomically(path, report_html(report));
}

}  // namespace basin

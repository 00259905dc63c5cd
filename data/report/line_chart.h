#pragma once
#include <string>
#include <vector>

namespace basin {

/// A line of a chart.
struct ChartLine {
  std::string name;
  std::vector<double> x, y;  // of equal length; points that are not finite are left out
  bool dots = false;         // draw the points alone
};

struct LineChart {
  std::string title, x_label;
  std::vector<ChartLine> lines;  // at most six, so that their colours differ
  bool from_zero = false;        // the vertical axis includes 0
  double top = 0;                // end of the vertical axis; 0: chosen
};

/// Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], ascending, with at most `max_intervals`
/// intervals between them.
std::vector<double> round_ticks(double low, double high, int max_intervals);

/// The chart as an SVG element to be embedded in a page of write_report(), whose colours and fonts it uses. Needs no
/// scripts and no network. A line of a single point is drawn as a dot. Several lines get a
/// legend. A function of its input alone.
std::string chart_svg(const LineChart&);

}  // namespace basin

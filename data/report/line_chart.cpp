#include "data/report/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "data/report/html.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr double width = 460, height = 250, left = 52, right = 32, top = 12, bottom = 40;  // px; the plot lies between
// Okabe and Ito (2008), without yellow, which is hard to see on white.
constexpr std::array<const char*, 6> curve_colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void include(double v) { low = std::min(low, v), high = std::max(high, v); }
  /// At least a little wide, and [0, 1] if nothing was included.
  void widen() {
    if (!(low <= high)) low = 0, high = 1;
    if (low == high) {
      const double half = low == 0 ? 0.5 : std::abs(low) / 2;
      low -= half, high += half;
    }
  }
  double share(double v) const { return (v - low) / (high - low); }
};

bool is_point(const ChartLine& line, size_t i) { return std::isfinite(line.x[i]) && std::isfinite(line.y[i]); }

std::string drawn(const ChartLine& line, const char* colour, const Range& x, const Range& y) {
  std::string points, dots;
  int count = 0;
  for (size_t i = 0; i < line.x.size(); ++i) {
    if (!is_point(line, i)) continue;
    const double px = left + x.share(line.x[i]) * (width - left - right);
    const double py = height - bottom - y.share(line.y[i]) * (height - top - bottom);
    points += fmt::format("{}{:.1f},{:.1f}", count++ ? " " : "", px, py);
    dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\" fill-opacity=\"0.75\"/>\n", px, py,
                        colour);
  }
  if (count < 2 || line.dots) return dots;
  return fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>\n", points, colour);
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int max_intervals) {
  const double raw = (high - low) / max_intervals, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5., 2., 1.})
    if (factor * power >= raw * (1 - 1e-9)) step = factor * power;
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k)
    ticks.push_back(k * step + 0.0);  // no -0
  return ticks;
}

std::string chart_svg(const LineChart& chart) {
  BASIN_CHECK(chart.lines.size() <= curve_colours.size(), chart.lines.size(), " lines in the chart ", chart.title);
  Range x, y;
  if (chart.from_zero) y.include(0);
  if (chart.top > 0) y.include(chart.top);
  for (const ChartLine& line : chart.lines) {
    BASIN_CHECK(line.x.size() == line.y.size(), line.name, " has ", line.x.size(), " and ", line.y.size(), " numbers");
    for (size_t i = 0; i < line.x.size(); ++i)
      if (is_point(line, i)) x.include(line.x[i]), y.include(line.y[i]);
  }
  x.widen(), y.widen();
  const double end_x = width - right, end_y = height - bottom;
  std::string out = fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", width,
                                height, html_escaped(chart.title));
  for (const double tick : round_ticks(y.low, y.high, 5)) {
    const double at = end_y - y.share(tick) * (end_y - top);
    out += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", left, end_x, at, at);
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n", left - 7, at + 4, tick);
  }
  for (const double tick : round_ticks(x.low, x.high, 6)) {
    const double at = left + x.share(tick) * (end_x - left);
    out +=
        fmt::format("<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>", at, end_y, end_y + 4);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.6g}</text>\n", at, end_y + 17, tick);
  }
  out += fmt::format("<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>\n", left, end_x, end_y, end_y);
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (left + end_x) / 2, height - 6,
                     html_escaped(chart.x_label));
  for (size_t k = 0; k < chart.lines.size(); ++k)
    out += drawn(chart.lines[k], curve_colours[k], x, y);
  out += "</svg>\n";
  if (chart.lines.size() < 2) return out;
  out += "<p class=\"legend\">";
  for (size_t k = 0; k < chart.lines.size(); ++k)
    out += fmt::format("<span><i style=\"background:{}\"></i>{}</span>", curve_colours[k],
                       html_escaped(chart.lines[k].name));
  return out + "</p>\n";
}

}  // namespace basin

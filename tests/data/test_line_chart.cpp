#include <cmath>

#include "data/report/line_chart.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("chart: ticks are 1, 2 or 5 times a power of ten apart") {
  CHECK(round_ticks(0, 10, 5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(round_ticks(0, 300, 6) == std::vector<double>{0, 50, 100, 150, 200, 250, 300});
  CHECK(round_ticks(-1, 1.2, 3) == std::vector<double>{-1, 0, 1});
  const std::vector<double> small = round_ticks(0, 3e-4, 5);
  REQUIRE(small.size() == 4);
  CHECK(small[1] == doctest::Approx(1e-4));
}

TEST_CASE("chart: points are placed according to the axes, and non-finite ones are left out") {
  // The plot covers 52..428 by 12..210.
  const std::string svg = chart_svg({"A & B", "step", {{"<loss>", {0, 5, 7, 10}, {0, 2, NAN, 4}}}, true});
  CHECK(contains(svg, "points=\"52.0,210.0 240.0,111.0 428.0,12.0\""));
  CHECK(contains(svg, "aria-label=\"A &amp; B\""));
  CHECK(!contains(svg, "legend"));
  CHECK(contains(chart_svg({"", "", {{"<loss>", {}, {}}, {"b", {}, {}}}}), "&lt;loss&gt;"));
  CHECK(!contains(svg, "nan"));
  CHECK(contains(svg, ">0</text>"));
  CHECK(!contains(svg, ">-0</text>"));
  CHECK(contains(svg, "viewBox=\"0 0 460 250\""));  // the label at 428 may be ten figures wide
  // An axis that includes 0 and 1, whatever the values.
  CHECK(contains(chart_svg({"", "", {{"", {0, 10}, {0.5, 0.5}}}, true, 1}), "points=\"52.0,111.0 428.0,111.0\""));
}

TEST_CASE("chart: single points and dots are drawn as circles, and empty series are not drawn") {
  CHECK(occurrences(chart_svg({"", "", {{"", {3}, {4}}}}), "<circle") == 1);
  const std::string dots = chart_svg({"", "", {{"", {1, 2, 3}, {4, 4, 5}, true}}});
  CHECK(occurrences(dots, "<circle") == 3);
  CHECK(!contains(dots, "<polyline"));
  const std::string empty = chart_svg({"", "", {{"none", {}, {}}, {"nan", {1}, {NAN}}}});
  CHECK(!contains(empty, "<circle"));
  CHECK(!contains(empty, "<polyline"));
  CHECK(!contains(empty, "inf"));
  CHECK_THROWS_AS(chart_svg({"", "", {{"", {1, 2}, {3}}}}), Error);
  CHECK_THROWS_AS(chart_svg({"", "", std::vector<ChartLine>(7)}), Error);
}

#include <doctest/doctest.h>

#include "data/files/stack.h"

using namespace basin;

TEST_CASE("stack: pixels that are not square have no single pixel size, which is reported") {
  const std::string start = "ImageJ=1.53t\nunit=um\n";
  CHECK(stack_of_imagej(start, 4, 4)->pixel_size == 0.25);
  CHECK(stack_of_imagej(start, 4, 0)->pixel_size == 0.25);
  const Stack flat = *stack_of_imagej(start, 4, 2);
  CHECK(!flat.pixel_size);
  CHECK(flat.notes ==
        std::vector<std::string>{"its pixels are not square (0.25 x 0.5 um), so all sizes are in pixels"});
  const auto ome = [](const std::string& sizes) {
    return *stack_of_ome(
        "<OME><Image><Pixels SizeX=\"2\" SizeY=\"2\" SizeZ=\"1\" SizeC=\"1\" SizeT=\"1\" " + sizes + "/></Image></OME>",
        "a.tif");
  };
  CHECK(ome("PhysicalSizeX=\"0.2\" PhysicalSizeY=\"200\" PhysicalSizeYUnit=\"nm\"").pixel_size == doctest::Approx(0.2));
  CHECK(ome("PhysicalSizeX=\"0.2\"").pixel_size == doctest::Approx(0.2));
  CHECK(!ome("PhysicalSizeX=\"0.2\" PhysicalSizeY=\"2\" PhysicalSizeYUnit=\"pixel\"").pixel_size);
  CHECK(!ome("PhysicalSizeX=\"0.2\" PhysicalSizeY=\"0.3\"").pixel_size);
}

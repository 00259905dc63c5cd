#include <doctest/doctest.h>

#include "data/files/encoders.h"
#include "data/files/image.h"
#include "data/files/stack.h"
#include "data/files/stack_planes.h"
#include "data/objects/write_stack.h"
#include "tests/support/file_support.h"
#include "tests/support/tiff_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("stack: a TIFF's resolution in centimetres is its pixel size, unless it is that of a print") {
  const Folder folder;
  const auto size_of = [&](double pixels_per_unit, char unit) {
    const uint8_t pixels[4] = {1, 2, 3, 4};
    raster::TiffWriter writer(folder / "a.tif", false);
    writer.add({2, 2, 1, 8, [&](int y) { return pixels + 2 * y; }}, "", {pixels_per_unit, pixels_per_unit});
    writer.commit();
    std::string bytes = read_bytes(folder / "a.tif");
    const std::string tag("\x28\x01\x03\x00\x01\x00\x00\x00", 8);  // ResolutionUnit, one 16-bit number
    const size_t at = bytes.find(tag);
    REQUIRE(at != std::string::npos);
    bytes[at + tag.size()] = unit;
    write_bytes(folder / "a.tif", bytes);
    return read_image(folder / "a.tif").stack.pixel_size();
  };
  constexpr char none = 1, inch = 2, centimetre = 3;
  REQUIRE(size_of(40000, centimetre));
  CHECK(*size_of(40000, centimetre) == doctest::Approx(0.25));
  CHECK(!size_of(118.11, centimetre));  // 300 pixels per inch
  CHECK(!size_of(40000, inch));
  CHECK(!size_of(40000, none));
}

TEST_CASE("stack: a resolution that ImageJ copied from the tags for printing is not a pixel size") {
  const auto size_of = [](const std::string& unit, double pixels_per_unit) {
    return stack_of_imagej("ImageJ=1.54f\nunit=" + unit + "\n", pixels_per_unit, pixels_per_unit)->pixel_size();
  };
  CHECK(!size_of("inch", 72));
  CHECK(!size_of("inch", 100000));  // as in other TIFFs
  CHECK(!size_of("cm", 28.35));     // 72 pixels per inch
  CHECK(!size_of("centimeter", 118.11));
  CHECK(size_of("cm", 40000) == doctest::Approx(0.25));
  CHECK(size_of("mm", 20) == doctest::Approx(50));  // which no tag for printing gives
}

TEST_CASE("stack: the shape that tifffile writes names the samples of a page too") {
  const auto axes_of = [](const std::string& shape, const PageShape& page, const std::string& axes = "") {
    const std::optional<Stack> s = stack_of_tifffile(
        "{\"shape\": [" + shape + "]" + (axes.empty() ? "" : ", \"axes\": \"" + axes + "\"") + "}", page);
    REQUIRE(s);
    return to_text(*s);
  };
  const PageShape planar{6, 8, 3, true}, mixed{6, 8, 3, false}, grey{6, 8, 1, false};
  CHECK(axes_of("3, 6, 8", planar) == "Y X");
  CHECK(axes_of("3, 6, 8", planar, "CYX") == "Y X");
  CHECK(axes_of("5, 3, 6, 8", planar) == "unnamed=5 Y X");
  CHECK(axes_of("2, 5, 3, 6, 8", planar, "TZSYX") == "T=2 Z=5 Y X");
  CHECK(axes_of("6, 8, 3", mixed) == "Y X");
  CHECK(axes_of("5, 6, 8, 3", mixed, "ZYXS") == "Z=5 Y X");
  CHECK(axes_of("3, 3, 3", {3, 3, 3, false}) == "Y X");  // whichever dimension is meant, it is one image
  CHECK(axes_of("3, 3, 3", {3, 3, 3, true}) == "Y X");
  CHECK(axes_of("3, 6, 8", grey) == "unnamed=3 Y X");
  CHECK(axes_of("3, 6, 8, 1", grey, "ZYXC") == "Z=3 Y X");
  CHECK(!stack_of_tifffile("{\"shape\": [3, 6, 9]}", planar));
  // The file as a whole.
  const Folder folder;
  std::string pixels;
  for (int i = 0; i < 3 * 6 * 8; ++i)
    pixels += char(i);
  TiffFile file{{{256, {8}}, {257, {6}}, {258, {8}}, {262, {2}}, {277, {3}}, {278, {6}}, {284, {2}}}, pixels};
  file.tags[273] = {0, 48, 96}, file.tags[279] = {48, 48, 48};
  file.texts[270] = "{\"shape\": [3, 6, 8]}";
  const Image image = read_image(write_bytes(folder / "a.tif", file.bytes()));
  CHECK(image.channels == 3);
  CHECK(image.stack.images == 1);
  for (int c = 0; c < 3; ++c)
    CHECK(image.as<uint8_t>()[3 * 11 + c] == 11 + 48 * c);
}

TEST_CASE("stack: channels along C, grey planes of a pixel, and three of more samples are not colours") {
  const Folder folder;
  const auto separate = [&](uint32_t photometric, uint32_t samples, bool planes, const std::vector<std::string>& some) {
    std::vector<uint32_t> strips, sizes;
    for (uint32_t k = 0; k < (planes ? samples : 1); ++k)
      strips.push_back(12 * k), sizes.push_back(planes ? 12 : 12 * samples);
    const TiffFile file{{{256, {4}},
                         {257, {3}},
                         {258, {8}},
                         {262, {photometric}},
                         {273, strips},
                         {277, {samples}},
                         {278, {3}},
                         {279, sizes},
                         {284, {planes ? 2u : 1u}}},
                        std::string(12 * samples, 'a')};
    PlaneChoice choice;
    choice.channels = some;
    return read_image(write_bytes(folder / "a.tif", file.bytes()), choice).separate_channels;
  };
  CHECK(separate(1, 3, true, {}));   // grey planes
  CHECK(!separate(2, 3, true, {}));  // RGB in planes
  CHECK(!separate(2, 3, false, {}));
  CHECK(separate(1, 5, false, {"0", "1", "2"}));
  CHECK(!separate(1, 3, true, {"1"}));

  PictureStack pictures(folder / "c.tif", [] {
    StackPlanes planes;
    planes.slices = 3;
    return planes;
  }());
  for (int k = 0; k < 3; ++k)
    pictures.add(Image{3, 4, 1, PixelType::u8, std::vector<std::byte>(12, std::byte(k))});
  pictures.commit();
  PlaneChoice choice;
  choice.axes = "CYX";
  const Image image = read_image(folder / "c.tif", choice);
  CHECK(image.channels == 3);
  CHECK(image.separate_channels);
}

TEST_CASE("stack: pixels that are not square have no single pixel size, which is reported") {
  const std::string start = "ImageJ=1.53t\nunit=um\n";
  CHECK(stack_of_imagej(start, 4, 4)->pixel_size() == 0.25);
  CHECK(stack_of_imagej(start, 4, 0)->pixel_size() == 0.25);
  const Stack flat = *stack_of_imagej(start, 4, 2);
  CHECK(!flat.pixel_size());
  CHECK(flat.pixel == PixelSides{0.25, 0.5});
  CHECK(flat.notes ==
        std::vector<std::string>{"its pixels are not square (0.25 x 0.5 um), so all sizes are in pixels"});
  const auto ome = [](const std::string& sizes) {
    return *stack_of_ome(
        "<OME><Image><Pixels SizeX=\"2\" SizeY=\"2\" SizeZ=\"1\" SizeC=\"1\" SizeT=\"1\" " + sizes + "/></Image></OME>",
        "a.tif");
  };
  CHECK(ome("PhysicalSizeX=\"0.2\" PhysicalSizeY=\"200\" PhysicalSizeYUnit=\"nm\"").pixel_size() ==
        doctest::Approx(0.2));
  CHECK(ome("PhysicalSizeX=\"0.2\"").pixel_size() == doctest::Approx(0.2));
  CHECK(!ome("PhysicalSizeX=\"0.2\" PhysicalSizeY=\"2\" PhysicalSizeYUnit=\"pixel\"").pixel_size());
  CHECK(!ome("PhysicalSizeX=\"0.2\" PhysicalSizeY=\"0.3\"").pixel_size());
  CHECK(ome("PhysicalSizeZ=\"300\" PhysicalSizeZUnit=\"nm\"").spacing == doctest::Approx(0.3));
  CHECK(stack_of_imagej("ImageJ=1.53t\nunit=nm\nspacing=250\n", 4, 4)->spacing == doctest::Approx(0.25));
  CHECK(!stack_of_imagej("ImageJ=1.53t\nspacing=250\n", 4, 4)->spacing);
  CHECK(ome("TimeIncrement=\"2.5\"").interval == doctest::Approx(2.5));
  CHECK(ome("TimeIncrement=\"2\" TimeIncrementUnit=\"min\"").interval == doctest::Approx(120));
  CHECK(!ome("TimeIncrement=\"2\" TimeIncrementUnit=\"frames\"").interval);
  CHECK(!ome("TimeIncrement=\"-1\"").interval);
  CHECK(stack_of_imagej("ImageJ=1.53t\nframes=2\nfinterval=30.5\n", 0, 0)->interval == doctest::Approx(30.5));
  CHECK(stack_of_imagej("ImageJ=1.53t\nfinterval=250\ntunit=ms\n", 0, 0)->interval == doctest::Approx(0.25));
  CHECK(!stack_of_imagej("ImageJ=1.53t\nfinterval=0\n", 0, 0)->interval);
  for (const char* unit : {"milliseconds", "ms"})
    CHECK(seconds_per(unit) == 1e-3);
  for (const char* unit : {"\xce\xbcs", "\xc2\xb5s", "\xb5s", "\\u00B5s", "microseconds"})
    CHECK(seconds_per(unit) == 1e-6);
  CHECK(seconds_per("hrs") == 3600);
}

namespace {

Stack stack_with(std::vector<StackAxis> axes) {
  Stack s;
  s.axes = std::move(axes);
  complete(s);
  return s;
}

}  // namespace

TEST_CASE("stack: the planes are those along T and Z that the choice leaves open") {
  const Stack s = stack_with({{'Z', 2}, {'C', 4}, {'T', 3}});  // slowest first
  const StackPlanes all = planes_of(s, {}, "a.tif");
  CHECK(all.frames == 3);
  CHECK(all.slices == 2);
  CHECK(all.has_channels);
  CHECK(all.name_of(3) == "T=1,Z=1");
  // Along Z for each T, whatever the order in the file: image 12 z + 3 c + t.
  CHECK(images_of_plane(all, 3, {}, "a.tif") == std::vector<int64_t>{13, 16, 19, 22});
  CHECK(images_of_plane(all, 4, {"", {"1", "3"}, ""}, "a.tif") == std::vector<int64_t>{5, 11});
  const PlaneChoice at_t{"", {"2"}, "T=2"};
  const StackPlanes slices = planes_of(s, at_t, "a.tif");
  CHECK(slices.frames == 1);
  CHECK(slices.count() == 2);
  CHECK(slices.name_of(1) == "Z=1");
  CHECK(images_of_plane(slices, 1, at_t, "a.tif") == std::vector<int64_t>{20});
  CHECK(planes_of(s, {"", {}, "T=2,Z=0"}, "a.tif").count() == 1);
  CHECK(planes_of(stack_with({{'C', 3}}), {}, "a.tif").count() == 1);
  CHECK(planes_of(Stack(), {"ZYX", {}, ""}, "a.tif").count() == 1);
  // Unknown axes are settled by the user, and never cut to the first image.
  const Stack unknown = stack_with({{'I', 6}});
  PlaneChoice offered;
  offered.offered = true;
  CHECK(
      contains(refusal([&] { planes_of(unknown, offered, "a.tif"); }),
               "a.tif: contains 6 images (a stack) without named axes; name them with --axes, such as ZYX for slices"));
  CHECK(refusal([&] { planes_of(unknown, {}, "a.tif"); }) == "a.tif: contains 6 images (a stack) without named axes");
  CHECK(planes_of(unknown, {"", {}, "5"}, "a.tif").count() == 1);
  const PlaneChoice named{"T=3,C=2", {}, ""};
  const StackPlanes times = planes_of(unknown, named, "a.tif");
  CHECK(times.frames == 3);
  CHECK(images_of_plane(times, 2, named, "a.tif") == std::vector<int64_t>{4, 5});
  CHECK(contains(refusal([&] { planes_of(unknown, {"Z=3,Z=2", {}, ""}, "a.tif"); }), "--axes Z=3,Z=2 does not match"));
  for (const char* turned : {"ZXY", "YXZ", "XYZ", "YZX", "ZYXY"})
    CHECK(contains(refusal([&] {
                     planes_of(unknown, {turned, {}, ""}, "a.tif");
                   }),
                   "the axes within an image, Y and X, come last and in this order"));
}

TEST_CASE("stack: the label images of all planes are written as one TIFF with axes and pixel size") {
  const Folder folder;
  Stack s = stack_with({{'T', 2}, {'Z', 3}});
  SUBCASE("of square pixels") { s.pixel = PixelSides{0.25, 0.25}; }
  SUBCASE("of other pixels") { s.pixel = PixelSides{0.25, 0.5}; }
  s.spacing = 1.5, s.interval = 30;
  const StackPlanes planes = planes_of(s, {}, "a.tif");
  for (const int32_t highest : {65535, 65536}) {
    LabelStack stack(planes);
    for (int32_t k = 0; k < 6; ++k)
      stack.add(labels_of(2, 3, {0, 1, 1, 2, 0, 0}), {k + 1, k == 4 ? highest : 9});
    CHECK(stack.highest() == highest);
    stack.write(folder / "a_masks.ome.tif", TiffForm::ome);
    stack.write(folder / "a_masks.tif");
    for (const char* name : {"a_masks.tif", "a_masks.ome.tif"}) {
      CAPTURE(name);
      const Stack found = planes_in(folder / name, {}).stack;
      CHECK(found.axes == s.axes);
      REQUIRE(found.pixel);
      CHECK(found.pixel->width == doctest::Approx(s.pixel->width));
      CHECK(found.pixel->height == doctest::Approx(s.pixel->height));
      CHECK(found.spacing == doctest::Approx(1.5));
      CHECK(found.interval == doctest::Approx(30));
    }
    const StackPlanes back = planes_in(folder / "a_masks.tif", {});
    std::vector<std::vector<double>> values;
    read_image_planes(folder / "a_masks.tif", back, {}, [&](int64_t plane, Image image) {
      CHECK(plane == int64_t(values.size()));
      CHECK(image.type == (highest > 65535 ? PixelType::u32 : PixelType::u16));
      with_pixels(image.type, [&](auto zero) {
        const auto* p = image.as<decltype(zero)>();
        values.emplace_back(p, p + 6);
      });
    });
    REQUIRE(values.size() == 6);
    CHECK(values[2] == std::vector<double>{0, 3, 3, 9, 0, 0});
    CHECK(values[4] == std::vector<double>{0, 5, 5, double(highest), 0, 0});
    CHECK(contains(image_refusal(folder / "a_masks.tif"), "a stack of T=2 Z=3 Y X"));
    CHECK(contains(image_refusal(folder / "a_masks.tif"), "Y X, 0.25 um/px") == s.pixel_size().has_value());
  }
  LabelStack uneven(planes);
  uneven.add(labels_of(1, 2, {0, 1}), {1});
  CHECK_THROWS_AS(uneven.add(labels_of(2, 1, {0, 1}), {1}), Error);
}

TEST_CASE("stack: a label image that is cut anywhere is refused, and so is one whose description is lost") {
  const Folder folder;
  StackPlanes planes;
  planes.stack.pixel = PixelSides{0.25, 0.25};
  LabelStack stack(planes);
  stack.add(labels_of(2, 3, {0, 1, 1, 2, 0, 0}), {1, 2});
  for (const TiffForm form : {TiffForm::imagej, TiffForm::ome}) {
    stack.write(folder / "a_masks.tif", form);
    const std::string whole = read_bytes(folder / "a_masks.tif");
    CHECK(read_labels(folder / "a_masks.tif").count == 2);
    for (size_t n = 1; n < whole.size(); ++n) {
      CAPTURE(n);
      write_bytes(folder / "a_masks.tif", whole.substr(0, n));
      CHECK(
          refusal([&] { read_labels(folder / "a_masks.tif"); }).starts_with((folder / "a_masks.tif").string() + ": "));
    }
  }
}

TEST_CASE("stack: what was chosen is reported with what was read") {
  const PlaneChoice choice{"", {"DAPI", "2"}, "T=1", "1"};
  CHECK(describe_choice(choice) == "; series 1; channels DAPI, 2; plane T=1");
  CHECK(describe_choice(PlaneChoice{}).empty());
  const Image image = read_image(samples / "channels.ome.tif", {"", {"1"}, ""});
  CHECK(image.notes.front() == "read as C=2 Y X, 0.108 um/px; channel 1");
}

namespace {

/// A file with two images of an OME data set, of different sizes: one of two channels, and one of two slices, of which
/// the first in the file is the second. Their pixels are the number of their page.
void put_series(const std::filesystem::path& path, const std::string& data_of_second) {
  const std::string text =
      "<OME><Image ID=\"Image:0\" Name=\"overview\"><Pixels SizeX=\"5\" SizeY=\"4\" SizeC=\"2\" SizeZ=\"1\" "
      "SizeT=\"1\" "
      "DimensionOrder=\"XYCZT\"/></Image><Image ID=\"Image:1\" Name=\"detail\"><Pixels SizeX=\"7\" SizeY=\"3\" "
      "SizeC=\"1\" SizeZ=\"2\" SizeT=\"1\" DimensionOrder=\"XYCZT\" PhysicalSizeX=\"0.5\">" +
      data_of_second + "</Pixels></Image></OME>";
  raster::TiffWriter writer(path, false);
  for (int page = 0; page < 4; ++page) {
    const int height = page < 2 ? 4 : 3, width = page < 2 ? 5 : 7;
    const std::vector<uint8_t> row(static_cast<size_t>(width), static_cast<uint8_t>(page));
    writer.add({height, width, 1, 8, [&](int) { return row.data(); }}, page == 0 ? text : "");
  }
  writer.commit();
}

PlaneChoice series(const std::string& name, const std::string& plane = "") {
  PlaneChoice choice;
  choice.series = name, choice.plane = plane, choice.offered = true;
  return choice;
}

}  // namespace

TEST_CASE("stack: of several images in an OME-TIFF one is chosen by its index, its name or its ID") {
  const Folder folder;
  const auto path = folder / "a.ome.tif";
  for (const bool has_order : {false, true}) {
    put_series(path, has_order ? "<TiffData FirstZ=\"1\" IFD=\"2\"/><TiffData FirstZ=\"0\" IFD=\"3\"/>" : "");
    for (const char* name : {"0", "overview", "Image:0"}) {
      const Image image = read_image(path, series(name));
      CHECK(image.height == 4);
      REQUIRE(image.channels == 2);
      CHECK(image.as<uint8_t>()[0] == 0);
      CHECK(image.as<uint8_t>()[1] == 1);
    }
    for (const int z : {0, 1}) {
      const Image image = read_image(path, series("detail", "Z=" + std::to_string(z)));
      CHECK(image.width == 7);
      CHECK(image.stack.pixel_size() == 0.5);
      CHECK(image.as<uint8_t>()[20] == (has_order ? 3 - z : 2 + z));
    }
    CHECK(planes_in(path, series("1")).count() == 2);
    CHECK(read_labels(path, series("1", "Z=0")).count == 1);
  }
  const std::string open = refusal([&] { read_image(path, series("")); });
  CHECK_MESSAGE(contains(open,
                         "a.ome.tif: contains 2 images of an OME data set (0 \"overview\", 1 \"detail\"); choose one "
                         "with --series, such as --series 0"),
                open);
  CHECK(contains(refusal([&] { read_image(path); }), "but one image is expected here"));
  CHECK(
      contains(refusal([&] { read_image(path, series("2")); }), "--series 2 is not one of its images; it contains 2"));
  put_series(path, "<TiffData IFD=\"4\" PlaneCount=\"2\"/>");
  CHECK(contains(refusal([&] { read_image(path, series("1", "Z=0")); }), "has fewer images than its OME description"));
  // A label image beside such a file has no series.
  write_labels(folder / "a_masks.png", Labels{3, 7, 1, std::vector<int32_t>(21, 1)});
  CHECK(read_labels(folder / "a_masks.png", series("1")).count == 1);
}

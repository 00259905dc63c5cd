#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "data/objects/drop_objects.h"
#include "data/objects/geojson.h"
#include "data/objects/measure.h"
#include "data/objects/objects_csv.h"
#include "data/objects/outlines.h"
#include "data/objects/rois.h"
#include "data/objects/seg_npy.h"
#include "engine/json.h"
#include "tests/support/file_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
using doctest::Approx;

namespace {

/// A ring of 3 x 3 pixels with a hole, starting at (1, 1), and a pixel that touches the ring at a corner.
Labels ring() {
  return labels_of(6, 6, {0, 0, 0, 0, 0, 0,  //
                          0, 1, 1, 1, 0, 0,  //
                          0, 1, 0, 1, 0, 0,  //
                          0, 1, 1, 1, 0, 0,  //
                          0, 0, 0, 0, 1, 0,  //
                          0, 0, 0, 0, 0, 2});
}

}  // namespace

TEST_CASE("objects: outlines of a ring with a hole, of two pieces and of a single pixel by hand") {
  const Outlines o = outlines_of(ring());
  REQUIRE(o.size() == 2);
  REQUIRE(o[0].size() == 2);
  CHECK(o[0][0].outer == Ring{{1, 1}, {4, 1}, {4, 4}, {1, 4}});
  REQUIRE(o[0][0].holes.size() == 1);
  CHECK(o[0][0].holes[0] == Ring{{2, 3}, {3, 3}, {3, 2}, {2, 2}});
  CHECK(o[0][1].outer == Ring{{4, 4}, {5, 4}, {5, 5}, {4, 5}});
  CHECK(o[1][0].outer == Ring{{5, 5}, {6, 5}, {6, 6}, {5, 6}});
  CHECK(outlines_of(Labels{2, 2, 0, {0, 0, 0, 0}}).empty());
}

TEST_CASE("objects: a hole that touches the outer border at a corner gets an outline of its own") {
  const Outlines o = outlines_of(labels_of(3, 3, {1, 1, 1, 1, 0, 1, 1, 1, 0}));
  REQUIRE(o[0].size() == 1);
  CHECK(o[0][0].outer == Ring{{0, 0}, {3, 0}, {3, 2}, {2, 2}, {2, 3}, {0, 3}});
  CHECK(o[0][0].holes.size() == 1);
}

TEST_CASE("objects: measurements of a rectangle by hand, also with large and nearly equal intensities") {
  Labels labels{6, 8, 1, std::vector<int32_t>(48)};
  Image image{6, 8, 1, PixelType::f32, std::vector<std::byte>(48 * 4)};
  for (int y = 1; y < 4; ++y)
    for (int x = 2; x < 7; ++x) {
      labels.ids[size_t(8 * y + x)] = 1;
      image.as<float>()[8 * y + x] = float(1e6 + (x % 2));
    }
  const Measurements m = measure(labels, {.image = &image});
  const ObjectShape& s = m.shapes.at(0);
  CHECK(s.area == 15);
  CHECK(s.centroid_y == 2);
  CHECK(s.centroid_x == 4);
  CHECK(s.y0 == 1);
  CHECK(s.x1 == 7);
  CHECK(s.perimeter == 12);  // through the centres of the border pixels
  CHECK(s.major_axis == Approx(4 * std::sqrt(2.0)));
  CHECK(s.minor_axis == Approx(4 * std::sqrt(2.0 / 3)));
  CHECK(std::abs(s.orientation) == Approx(std::acos(0.0)));
  CHECK(s.solidity == 1);
  CHECK(!s.touches_edge);
  CHECK(m.values.at(0).mean == Approx(1e6 + 0.4).epsilon(1e-12));
  CHECK(m.values.at(0).std == Approx(std::sqrt(0.24)).epsilon(1e-6));
  const ObjectTable table = table_of(m, std::vector{0.5f}, 0.5);
  CHECK(table.names.back() == "axis_minor_length_um");
  CHECK(table.row(0)[3] == 15);
  CHECK(table.numbers.size() == table.names.size());
  // The hull of ring and corner pixel contains three more pixels: the hole, and one on either side of the corner pixel.
  CHECK(measure(ring()).shapes[0].solidity == Approx(9 / 12.0));
  CHECK(measure(ring()).shapes[1].touches_edge);
}

TEST_CASE("objects: diagonal border pixels, as of a plus sign, add sqrt 2 each to the perimeter") {
  const Measurements m = measure(labels_of(3, 3, {0, 1, 0, 1, 1, 1, 0, 1, 0}));
  CHECK(m.shapes.at(0).perimeter == Approx(4 * std::sqrt(2.0)));
  CHECK(m.shapes[0].solidity == 1);
  CHECK(m.shapes[0].eccentricity == 0);
  const Measurements single = measure(labels_of(1, 1, {1}));
  CHECK(single.shapes.at(0).perimeter == 0);
  CHECK(single.shapes[0].solidity == 1);
  CHECK(single.shapes[0].major_axis == 0);
}

TEST_CASE("objects: the border flow is the mean inward component of the field near the border") {
  constexpr int height = 4, width = 10;
  Labels labels{height, width, 1, std::vector<int32_t>(height * width)};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < 5; ++x)
      labels.ids[size_t(y * width + x)] = 1;
  std::vector<float> left(2 * labels.ids.size()), nowhere(left.size()), right(left.size());
  std::fill_n(left.begin(), labels.ids.size(), -1.f), std::fill_n(right.begin(), labels.ids.size(), 1.f);
  const auto flow = [](const Labels& l, const std::vector<float>& field) {
    const Measurements m = measure(l, {nullptr, {}, field});
    return m.border_flow->at(0);
  };
  // Columns 3 and 4 are near the border. In the corners of column 4, the normal is tilted: (-1, -4) and (1, -4).
  const double expected = (6 + 2 * 4 / std::sqrt(17.0)) / 8;
  CHECK(flow(labels, left) == Approx(expected));
  CHECK(flow(labels, right) == Approx(-expected));
  CHECK(flow(labels, nowhere) == 0);
  std::vector<float> half = left;
  for (float& v : half)
    v /= 2;
  CHECK(flow(labels, half) == Approx(expected / 2));
  std::vector<float> down(left.size());  // along the border
  std::fill(down.begin() + height * width, down.end(), 1.f);
  CHECK(flow(labels, down) == Approx(0));
  // The same object, transposed.
  Labels top = labels;
  top.height = width, top.width = height;
  for (int y = 0; y < width; ++y)
    for (int x = 0; x < height; ++x)
      top.ids[size_t(y * height + x)] = labels.ids[size_t(x * width + y)];
  std::vector<float> up(left.size());
  std::fill(up.begin() + height * width, up.end(), -1.f);
  CHECK(flow(top, up) == Approx(expected));
  CHECK(flow(top, left) == Approx(0));
  CHECK(flow(labels_of(2, 3, {1, 1, 1, 1, 1, 1}), std::vector<float>(12, 1.f)) == 0);  // no border in the image
  // Another object is as much outside as the background.
  Labels two = labels;
  two.count = 2;
  for (int32_t& id : two.ids)
    id = id == 0 ? 2 : id;
  CHECK(measure(two, {nullptr, {}, left}).border_flow->at(0) == Approx(expected));
  CHECK(measure(two, {nullptr, {}, left}).border_flow->at(1) == Approx(-expected));
}

TEST_CASE("objects: scores are the border flow, or without a field the mean foreground probability") {
  const Labels labels = labels_of(1, 4, {1, 0, 2, 2});
  const std::vector<float> foreground{0.25f, 0, 0.5f, 1}, field{-1.5f, 0, -0.5f, 0.5f, 0, 0, 0, 0};
  CHECK(scores_of(measure(labels)).empty());
  const auto columns = [&](const Labels& of) {
    const std::vector<float> values(of.ids.size()), vectors(2 * of.ids.size());
    return table_of(measure(of, {nullptr, values, vectors}), std::vector<float>(size_t(of.count)), 0).names;
  };
  CHECK(columns(labels_of(1, 4, {0, 0, 0, 0})) == columns(labels));  // also without objects
  CHECK(columns(labels).back() == "score");
  CHECK(scores_of(measure(labels, {nullptr, foreground})) == std::vector{0.25f, 0.75f});
  CHECK(scores_of(measure(labels, {nullptr, foreground, field})) == std::vector{1.5f, 0.f});
  CHECK(measure(labels, {nullptr, foreground, field}).border_flow == std::vector{1.5, 0.0});
}

TEST_CASE("objects: a Cellpose file is a pickled array of one object") {
  const Folder folder;
  write_seg_npy(folder / "x_seg.npy", ring(), "x.tif");
  const std::string bytes = read_bytes(folder / "x_seg.npy");
  CHECK(bytes.starts_with("\x93NUMPY"));
  CHECK(bytes.substr(127, 3) == "\n\x80\x04");
  CHECK(bytes.back() == '.');
  const size_t masks = bytes.find("masks");
  REQUIRE(masks != std::string::npos);
  CHECK(contains(bytes.substr(masks), std::string("\x8e\x48\0\0\0\0\0\0\0", 9)));  // 36 pixels of 2 bytes
  // Disks in all corners and at all sides: masks and their pixels beside another label or the edge, by definition.
  Labels disks{13, 17, 5, std::vector<int32_t>(13 * 17)};
  const int centres[5][2] = {{0, 0}, {3, 16}, {12, 15}, {9, 2}, {6, 8}};
  for (int y = 0; y < 13; ++y)
    for (int x = 0; x < 17; ++x)
      for (int k = 0; k < 5; ++k)
        if (std::hypot(y - centres[k][0], x - centres[k][1]) < 4.2) disks.ids[size_t(y * 17 + x)] = k + 1;
  write_seg_npy(folder / "disks_seg.npy", disks, "x.tif");
  const std::string written = read_bytes(folder / "disks_seg.npy");
  const auto pixel = [&](const char* array, int y, int x) {
    const std::string size("\x8e\xba\x01\0\0\0\0\0\0", 9);  // 221 pixels of 2 bytes
    const size_t at = written.find(size, written.find(array)) + size.size() + size_t(2 * (y * 17 + x));
    return int(uint8_t(written.at(at))) + 256 * int(uint8_t(written.at(at + 1)));
  };
  for (int y = 0; y < 13; ++y)
    for (int x = 0; x < 17; ++x) {
      const auto other = [&](int v, int u) { return v < 0 || u < 0 || v > 12 || u > 16 || disks(v, u) != disks(y, x); };
      const bool border = other(y - 1, x) || other(y + 1, x) || other(y, x - 1) || other(y, x + 1);
      CHECK(pixel("masks", y, x) == disks(y, x));
      CHECK(pixel("outlines", y, x) == (border ? disks(y, x) : 0));
    }
}

TEST_CASE("objects: filters count removed objects by reason and renumber the others") {
  const auto drop = [](const ObjectFilter& filter, int64_t edge, int64_t small, int64_t large, int count) {
    Labels labels = ring();
    std::vector<int32_t> kept;
    const Dropped d = drop_objects(filter, labels, kept);
    CHECK(d.at_edge == edge);
    CHECK(d.too_small == small);
    CHECK(d.too_large == large);
    CHECK(labels.count == count);
    CHECK(int(kept.size()) == count);
    return labels;
  };
  drop({.min_size = 2}, 0, 1, 0, 1);
  const Labels left = drop({.max_size = 8}, 0, 0, 1, 1);
  CHECK(left(5, 5) == 1);
  CHECK(left(1, 1) == 0);
  drop({.min_size = 2, .exclude_edges = true}, 1, 0, 0, 1);
  CHECK(drop({.fill_holes = true}, 0, 0, 0, 2)(2, 2) == 1);
  // An object inside another one that is dropped leaves no hole.
  Labels nested{7, 7, 2, std::vector<int32_t>(49, 0)};
  for (int y = 1; y < 6; ++y)
    for (int x = 1; x < 6; ++x)
      nested.ids[size_t(7 * y + x)] = y == 3 && x == 3 ? 2 : 1;
  std::vector<int32_t> kept;
  CHECK(drop_objects({.min_size = 2, .fill_holes = true}, nested, kept).too_small == 1);
  CHECK(nested(3, 3) == 1);
}

TEST_CASE("objects: GeoJSON has polygons with holes and several pieces; the ROI zip has an entry per object") {
  const Folder folder;
  write_geojson(folder / "x.geojson", outlines_of(ring()), table_of(measure(ring()), {}, 0));
  const Json json = Json::parse(read_bytes(folder / "x.geojson"));
  REQUIRE(json["features"].size() == 2);
  CHECK(json["features"][0]["geometry"]["type"] == "MultiPolygon");
  CHECK(json["features"][0]["geometry"]["coordinates"][0].size() == 2);
  CHECK(json["features"][1]["geometry"]["coordinates"][0] == Json{{5, 5}, {6, 5}, {6, 6}, {5, 6}, {5, 5}});
  CHECK(json["features"][1]["properties"]["measurements"]["area"] == 1);
  write_rois(folder / "x.zip", outlines_of(ring()));
  const std::string zip = read_bytes(folder / "x.zip");
  CHECK(contains(zip, "0002.roi"));
  CHECK(zip.find("Iout") == 30 + 8);
}

TEST_CASE("objects: measured and written part by part they give the bytes of the whole") {
  const Folder folder;
  const int height = 61, width = 70;
  Labels labels{height, width, 0, std::vector<int32_t>(size_t(height) * width)};
  Image image{height, width, 1, PixelType::f32, std::vector<std::byte>(labels.ids.size() * sizeof(float))};
  const std::vector<float> values = uniform<float>(labels.ids.size(), 0, 1, 3);
  std::copy(values.begin(), values.end(), image.as<float>());
  // Blots with holes and loose pixels, of which some touch the sides of the image; each in its own square.
  std::vector<std::array<int, 2>> squares;
  for (int y = 0; y + 20 <= height; y += 20)
    for (int x = 0; x + 23 <= width; x += 23) {
      squares.push_back({y, x}), ++labels.count;
      for (int row = y; row < y + 20; ++row)
        for (int column = x; column < x + 23; ++column)
          if (const size_t i = size_t(row * width + column); values[i] > 0.3f) labels.ids[i] = labels.count;
    }
  const std::vector<float> field = uniform<float>(2 * labels.ids.size(), -1, 1, 4);
  const ObjectTable table = table_of(measure(labels, {&image, values, field}), {}, 0.3);
  write_objects_csv(folder / "whole.csv", table);
  write_geojson(folder / "whole.geojson", outlines_of(labels), table);
  write_rois(folder / "whole.zip", outlines_of(labels));
  ObjectsCsv csv(folder / "parts.csv");
  GeoJson geojson(folder / "parts.geojson");
  RoiZip rois(folder / "parts.zip", labels.count);
  for (size_t k = 0; k < squares.size(); ++k) {
    const auto [top, left] = squares[k];
    const int margin = k % 2 ? 3 : 0;  // without one, an object touches the sides of its part
    const int y = std::max(0, top - margin), x = std::max(0, left - margin),
              h = std::min(height, top + 20 + margin) - y, w = std::min(width, left + 23 + margin) - x;
    Labels part{h, w, 1, {}};
    Image pixels{h, w, 1, PixelType::f32, std::vector<std::byte>(size_t(h) * size_t(w) * sizeof(float))};
    std::vector<float> foreground, vectors(size_t(2 * h) * size_t(w));
    for (int row = 0; row < h; ++row)
      for (int column = 0; column < w; ++column) {
        const size_t i = size_t((y + row) * width + x + column);
        part.ids.push_back(labels.ids[i] == int32_t(k) + 1);
        pixels.as<float>()[foreground.size()] = values[i];
        for (size_t c = 0; c < 2; ++c)
          vectors[c * size_t(h) * size_t(w) + foreground.size()] = field[c * labels.ids.size() + i];
        foreground.push_back(values[i]);
      }
    const ObjectTable rows =
        table_of(measure(part, {&pixels, foreground, vectors}, {y, x, height, width}), {}, 0.3, int64_t(k) + 1);
    CHECK(std::equal(rows.numbers.begin(), rows.numbers.end(), table.row(k).begin()));  // not only as printed
    csv.add(rows);
    geojson.add(outlines_of(part, {x, y}), rows);
    rois.add(outlines_of(part, {x, y}));
  }
  csv.commit(), geojson.commit(), rois.commit();
  CHECK(squares.size() == 9);
  for (const std::string end : {".csv", ".geojson", ".zip"})
    CHECK(read_bytes(folder / ("parts" + end)) == read_bytes(folder / ("whole" + end)));
}

TEST_CASE("objects: a zip of ROIs that was cut, or in which a byte has changed, is refused") {
  const Folder folder;
  write_rois(folder / "a.zip", outlines_of(labels_of(3, 4, {1, 1, 0, 2, 1, 1, 0, 2, 0, 0, 0, 2})));
  const std::string whole = read_bytes(folder / "a.zip");
  CHECK(check_rois(folder / "a.zip"));
  const auto is_noticed = [&](const std::string& bytes) {
    try {
      return !check_rois(write_bytes(folder / "b.zip", bytes));
    } catch (const Error& e) {
      CHECK(contains(e.what(), "b.zip: is damaged: it is cut, or its contents have changed"));
      return true;
    }
  };
  for (size_t size = 1; size < whole.size(); ++size)
    CHECK(is_noticed(whole.substr(0, size)));
  CHECK(is_noticed(std::string(whole.size() / 2, '\0') + whole.substr(whole.size() / 2)));
  int unnoticed = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = char(changed[at] ^ 16);
    unnoticed += !is_noticed(changed);
  }
  // Of each entry: three versions, and what the directory says of its comment, disk, attributes and place. Of the end
  // record: all but its signature and the number of entries.
  CHECK(unnoticed == 2 * (3 * 2 + 14) + 16);
  // Other programs store no sizes before the contents, or compress them.
  std::string foreign = whole;
  foreign[6] = 8;
  CHECK(!check_rois(write_bytes(folder / "b.zip", foreign)));
}

TEST_CASE("objects: objects of a stack are exported with their plane") {
  const Folder folder;
  const Outlines outlines = outlines_of(ring());  // of two objects
  // The position, and those along Z and T, of each ROI (big-endian, in the first and the second header).
  const auto positions = [&](int64_t frames, int64_t slices, bool has_channels) {
    const ObjectPlaces places{{{7, 1, 0, 1}, {12345, 4, 1, 2}}, frames, slices, has_channels};
    write_rois(folder / "x.zip", outlines, places);
    const std::string zip = read_bytes(folder / "x.zip");
    CHECK(contains(zip, "0002-00007.roi"));
    CHECK(contains(zip, "0005-12345.roi"));
    std::vector<int> found;
    for (size_t roi = zip.find("Iout"); roi != std::string::npos; roi = zip.find("Iout", roi + 1)) {
      const auto number = [&](size_t at) { return int(uint8_t(zip[roi + at + 2])) << 8 | uint8_t(zip[roi + at + 3]); };
      const size_t second = size_t(number(60));
      found.insert(found.end(), {number(56), number(second + 8), number(second + 12)});
    }
    return found;
  };
  CHECK(positions(1, 6, false) == std::vector<int>{2, 0, 0, 5, 0, 0});
  CHECK(positions(6, 1, false) == std::vector<int>{2, 0, 0, 5, 0, 0});
  CHECK(positions(1, 6, true) == std::vector<int>{0, 2, 1, 0, 3, 2});
  CHECK(positions(2, 3, false) == std::vector<int>{0, 2, 1, 0, 3, 2});
}

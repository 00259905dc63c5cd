#include "data/objects/geojson.h"

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <utility>

#include "data/objects/numbers.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

void append(std::string& text, const Ring& ring) {
  text += '[';
  const auto corner = [&](const Corner& c) {
    text += '[';
    append_number(text, c.x);
    text += ',';
    append_number(text, c.y);
    text += ']';
  };
  for (const Corner& c : ring)
    corner(c), text += ',';
  corner(ring.front());
  text += ']';
}

void append(std::string& text, const Polygon& polygon) {
  text += '[';
  append(text, polygon.outer);
  for (const Ring& hole : polygon.holes)
    text += ',', append(text, hole);
  text += ']';
}

/// `place`: null if the image is not a stack.
void append(std::string& text, const std::vector<Polygon>& object, const ObjectPlace* place) {
  if (object.size() == 1) {
    text += "{\"type\":\"Polygon\",\"coordinates\":";
    append(text, object[0]);
  } else {
    text += "{\"type\":\"MultiPolygon\",\"coordinates\":[";
    for (size_t i = 0; i < object.size(); ++i) {
      if (i) text += ',';
      append(text, object[i]);
    }
    text += ']';
  }
  if (place)
    fmt::format_to(std::back_inserter(text), ",\"plane\":{{\"c\":-1,\"z\":{},\"t\":{}}}", place->slice, place->frame);
  text += '}';
}

}  // namespace

GeoJson::GeoJson(const std::filesystem::path& path, ObjectPlaces places) : file_(path), places_(std::move(places)) {
  file_.write("{\"type\":\"FeatureCollection\",\"features\":[");
}

void GeoJson::add(const Outlines& outlines, const ObjectTable& table) {
  BASIN_CHECK(!places_.is_stack() || places_.objects.size() >= objects_ + outlines.size(), places_.objects.size(),
              " places of ", objects_ + outlines.size(), " objects");
  BASIN_CHECK(table.numbers.size() == table.names.size() * outlines.size() && !table.names.empty(),
              table.numbers.size(), " numbers of ", outlines.size(), " objects");
  std::string text;
  for (size_t k = 0; k < outlines.size(); ++k, ++objects_) {
    text += objects_ ? ",\n" : "\n";
    text += "{\"type\":\"Feature\",\"geometry\":";
    append(text, outlines[k], places_.is_stack() ? &places_.objects[objects_] : nullptr);
    const std::span<const double> row = table.row(k);
    fmt::format_to(std::back_inserter(text),
                   ",\"properties\":{{\"objectType\":\"detection\",\"name\":\"{}\",\"measurements\":{{",
                   int64_t(row[0]));
    for (size_t c = 1; c < row.size(); ++c) {  // column 0 is the label
      text += c == 1 ? "\"" : ",\"";
      text += table.names[c];
      text += "\":";
      append_number(text, row[c]);
    }
    text += "}}}";
    if (text.size() < size_t(1) << 20) continue;
    file_.write(text);
    text.clear();
  }
  file_.write(text);
}

void GeoJson::commit() {
  file_.write("\n]}\n");
  file_.commit();
}

void write_geojson(const std::filesystem::path& path, const Outlines& outlines, const ObjectTable& table,
                   const ObjectPlaces& places) {
  GeoJson file(path, places);
  file.add(outlines, table);
  file.commit();
}

}  // namespace basin

#include "data/objects/rois.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/crc.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr int32_t short_limit = 32767;

/// Appends the lowest bytes of numbers.
class Bytes {
 public:
  explicit Bytes(std::endian order) : order_(order) {}

  void put(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i)
      text.push_back(char(value >> 8 * (order_ == std::endian::big ? bytes - 1 - i : i)));
  }
  void put_float(float value) { put(std::bit_cast<uint32_t>(value), 4); }

  std::string text;

 private:
  std::endian order_;
};

}  // namespace

/// A zip file of uncompressed entries (PKWARE's APPNOTE 6.3), with the 64-bit extensions where they are needed.
class RoiZip::Zip {
 public:
  explicit Zip(const std::filesystem::path& path) : file_(path) {}

  void add(const std::string& name, const std::string& content, uint32_t crc) {
    constexpr uint32_t first_of_january_1980 = 0x00210000;
    const auto describe = [&](Bytes& to) {
      to.put(0, 2), to.put(0, 2);  // flags; stored
      to.put(first_of_january_1980, 4), to.put(crc, 4);
      to.put(content.size(), 4), to.put(content.size(), 4), to.put(name.size(), 2);
    };
    const bool far = at_ >= UINT32_MAX;
    Bytes d(std::endian::little);
    d.put(0x02014b50, 4), d.put(far ? 45 : 20, 2), d.put(far ? 45 : 20, 2);
    describe(d);
    d.put(far ? 12 : 0, 2);
    d.put(0, 2), d.put(0, 2), d.put(0, 2), d.put(0, 4);  // comment, disk, attributes
    d.put(far ? UINT32_MAX : at_, 4);
    d.text += name;
    if (far) d.put(1, 2), d.put(8, 2), d.put(at_, 8);
    directory_ += d.text;
    Bytes local(std::endian::little);
    local.put(0x04034b50, 4), local.put(20, 2);
    describe(local);
    local.put(0, 2);
    local.text += name, local.text += content;
    write(local.text);
    ++entries_;
  }

  void commit() {
    const uint64_t begin = at_, size = directory_.size();
    write(directory_);
    const bool wide = entries_ >= UINT16_MAX || begin >= UINT32_MAX || size >= UINT32_MAX;
    Bytes end(std::endian::little);
    if (wide) {
      end.put(0x06064b50, 4), end.put(44, 8), end.put(45, 2), end.put(45, 2), end.put(0, 4), end.put(0, 4);
      end.put(entries_, 8), end.put(entries_, 8), end.put(size, 8), end.put(begin, 8);
      end.put(0x07064b50, 4), end.put(0, 4), end.put(at_, 8), end.put(1, 4);
    }
    const uint64_t entries = std::min<uint64_t>(entries_, UINT16_MAX);
    end.put(0x06054b50, 4), end.put(0, 2), end.put(0, 2), end.put(entries, 2), end.put(entries, 2);
    end.put(wide ? UINT32_MAX : size, 4), end.put(wide ? UINT32_MAX : begin, 4), end.put(0, 2);
    write(end.text);
    file_.write(buffer_);
    file_.commit();
  }

 private:
  void write(const std::string& bytes) {
    buffer_ += bytes;
    at_ += bytes.size();
    if (buffer_.size() < size_t(1) << 20) return;
    file_.write(buffer_);
    buffer_.clear();
  }

  OutputFile file_;
  std::string buffer_, directory_;
  uint64_t at_ = 0, entries_ = 0;
};

namespace {

struct Box {
  int32_t x0, y0, x1, y1;
};

Box box_of(const std::vector<Polygon>& object) {
  Box box{INT32_MAX, INT32_MAX, 0, 0};
  for (const Polygon& polygon : object)
    for (const Corner& c : polygon.outer)
      box = {std::min(box.x0, c.x), std::min(box.y0, c.y), std::max(box.x1, c.x), std::max(box.y1, c.y)};
  return box;
}

/// The path of a composite ROI: move to 0, line to 1 (each with x and y), close 4.
void append_path(const Ring& ring, std::vector<float>& path) {
  float command = 0;
  for (const Corner& c : ring) {
    path.insert(path.end(), {command, float(c.x), float(c.y)});
    command = 1;
  }
  path.push_back(4);
}

/// Where ImageJ shows an ROI, counted from 1; 0: everywhere. `image`: in a stack along one axis; `slice` and `frame`:
/// in a hyperstack.
struct Position {
  uint64_t image = 0, slice = 0, frame = 0;
};

Position position_of(const ObjectPlaces& places, size_t object) {
  if (!places.is_stack()) return {};
  const ObjectPlace& place = places.objects[object];
  const bool hyperstack = (places.frames > 1) + (places.slices > 1) + places.has_channels > 1;
  if (!hyperstack) return {.image = uint64_t(place.plane) + 1};
  return {.slice = uint64_t(place.slice) + 1, .frame = uint64_t(place.frame) + 1};
}

/// An ROI in the format of ImageJ's RoiEncoder, version 227: two headers of 64 bytes, with the coordinates between them
/// and the name behind.
std::string roi_of(const std::vector<Polygon>& object, const std::string& name, const Position& position) {
  enum Type { rectangle = 1, traced = 8 };
  const Box box = box_of(object);
  const bool simple = object.size() == 1 && object[0].holes.empty() && box.x1 <= short_limit && box.y1 <= short_limit &&
                      object[0].outer.size() <= size_t(short_limit);
  std::vector<float> path;
  if (!simple)
    for (const Polygon& polygon : object) {
      append_path(polygon.outer, path);
      for (const Ring& hole : polygon.holes)
        append_path(hole, path);
    }
  const auto limited = [](int32_t v) { return uint64_t(std::min(v, short_limit)); };
  Bytes roi(std::endian::big);
  roi.text.reserve(256 + 4 * (simple ? object[0].outer.size() : path.size()));
  roi.put(0x496f7574, 4), roi.put(227, 2), roi.put(simple ? traced : rectangle, 1), roi.put(0, 1);
  for (const int32_t side : {box.y0, box.x0, box.y1, box.x1})
    roi.put(limited(side), 2);
  roi.put(simple ? object[0].outer.size() : 0, 2);
  roi.put(0, 8), roi.put(0, 8), roi.put(0, 2);  // a line's end points, stroke width
  roi.put(path.size(), 4);
  roi.put(0, 8), roi.put(0, 8), roi.put(position.image, 4);  // colours, options, arrow, position
  roi.put(simple ? 64 + 4 * object[0].outer.size() : 64 + 4 * path.size(), 4);
  if (simple) {
    for (const Corner& c : object[0].outer)
      roi.put(uint64_t(c.x - box.x0), 2);
    for (const Corner& c : object[0].outer)
      roi.put(uint64_t(c.y - box.y0), 2);
  }
  for (const float number : path)
    roi.put_float(number);
  const size_t second = roi.text.size();
  roi.put(0, 8), roi.put(position.slice, 4), roi.put(position.frame, 4);  // C, Z, T
  roi.put(second + 64, 4), roi.put(name.size(), 4);
  roi.text.resize(second + 64);
  for (const char letter : name)
    roi.put(uint8_t(letter), 2);
  return roi.text;
}

}  // namespace

RoiZip::RoiZip(const std::filesystem::path& path, int64_t count, ObjectPlaces places)
    : zip_(std::make_unique<Zip>(path)), places_(std::move(places)) {
  const auto digits_for = [](int64_t highest) { return std::max<size_t>(4, std::to_string(highest).size()); };
  int64_t highest = count;
  if (places_.is_stack()) {
    BASIN_CHECK(int64_t(places_.objects.size()) == count, places_.objects.size(), " places of ", count, " objects");
    highest = 0;
    for (const ObjectPlace& place : places_.objects)
      highest = std::max<int64_t>(highest, place.label);
  }
  digits_ = digits_for(highest), plane_digits_ = digits_for(places_.frames * places_.slices);
}

RoiZip::~RoiZip() = default;

std::string RoiZip::name_of(size_t object) const {
  if (!places_.is_stack()) return fmt::format("{:0{}}", object + 1, digits_);
  const ObjectPlace& place = places_.objects[object];
  return fmt::format("{:0{}}-{:0{}}", place.plane + 1, plane_digits_, place.label, digits_);
}

void RoiZip::add(const Outlines& outlines) {
  struct Entry {
    std::string name, content;
    uint32_t crc = 0;
  };
  std::vector<Entry> entries(std::min<size_t>(4096, outlines.size()));
  for (size_t first = 0; first < outlines.size(); first += entries.size()) {
    const size_t n = std::min(entries.size(), outlines.size() - first);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; ++i) {
      const size_t object = objects_ + first + i;
      const std::string name = name_of(object);
      std::string content = roi_of(outlines[first + i], name, position_of(places_, object));
      const uint32_t crc = crc32(content);
      entries[i] = {name + ".roi", std::move(content), crc};
    }
    for (size_t i = 0; i < n; ++i)
      zip_->add(entries[i].name, entries[i].content, entries[i].crc);
  }
  objects_ += outlines.size();
}

void RoiZip::commit() { zip_->commit(); }

void write_rois(const std::filesystem::path& path, const Outlines& outlines, const ObjectPlaces& places) {
  RoiZip zip(path, int64_t(outlines.size()), places);
  zip.add(outlines);
  zip.commit();
}

bool check_rois(const std::filesystem::path& path) {
  constexpr size_t local_header = 30, directory_header = 46, end_record = 22;
  const std::string text = read_text(path);
  const std::string_view all = text;
  const auto number = [&](size_t at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i)
      value |= uint64_t(uint8_t(all[at + size_t(i)])) << 8 * i;
    return size_t(value);
  };
  const auto expect = [&](bool holds) {
    if (!holds) refuse(path.string(), ": is damaged: it is cut, or its contents have changed");
  };
  const auto is_at = [&](size_t at, std::string_view signature, size_t header) {
    return at + header <= all.size() && all.substr(at).starts_with(signature);
  };
  expect(all.size() >= end_record && is_at(all.size() - end_record, "PK\5\6", end_record));
  size_t at = 0;
  std::vector<size_t> entries;
  while (is_at(at, "PK\3\4", local_header)) {
    if (number(at + 6, 4) != 0) return false;  // flags and method
    const size_t size = number(at + 18, 4), name = number(at + 26, 2), content = at + local_header + name;
    expect(content + size <= all.size() && crc32(all.substr(content, size)) == number(at + 14, 4) &&
           number(at + 28, 2) == 0);
    entries.push_back(at);
    at = content + size;
  }
  for (const size_t entry : entries) {
    const size_t name = number(entry + 26, 2);
    // The same method, time, checksum, sizes and name.
    expect(is_at(at, "PK\1\2", directory_header + name) && all.substr(at + 8, 22) == all.substr(entry + 6, 22) &&
           all.substr(at + directory_header, name) == all.substr(entry + local_header, name));
    at += directory_header + name + number(at + 30, 2);
  }
  const size_t listed = number(all.size() - end_record + 10, 2);
  expect(listed == std::min<size_t>(entries.size(), UINT16_MAX) && all.size() >= at + end_record);
  return true;
}

}  // namespace basin

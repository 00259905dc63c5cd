#include "data/report/event_file.h"

#include <bit>
#include <optional>

#include "engine/crc.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

template <class T>
std::string little_endian(T value) {
  std::string out;
  for (size_t k = 0; k < sizeof(T); ++k)
    out += char(value >> (8 * k) & 0xff);
  return out;
}

template <class T>
T from_little_endian(std::string_view bytes) {
  T value = 0;
  for (size_t k = sizeof(T); k-- > 0;)
    value = T(value << 8 | uint8_t(bytes[k]));
  return value;
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 128; value >>= 7)
    out += char(value | 128);
  return out + char(value);
}

enum Wire { variable = 0, bits64 = 1, delimited = 2, bits32 = 5 };
std::string key(int field, Wire wire) { return varint(uint64_t(field) << 3 | uint64_t(wire)); }
std::string text_field(int field, std::string_view text) {
  return key(field, delimited) + varint(text.size()) + std::string(text);
}
std::string double_field(int field, double value) {
  return key(field, bits64) + little_endian(std::bit_cast<uint64_t>(value));
}

/// The step of an event, found by walking over its fields; 0 if it has none, and no value if the message is malformed.
std::optional<int64_t> step_of(std::string_view event) {
  const auto take_varint = [&]() -> std::optional<uint64_t> {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !event.empty(); shift += 7) {
      const uint8_t byte = uint8_t(event[0]);
      event.remove_prefix(1);
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128) return value;
    }
    return {};
  };
  int64_t step = 0;
  while (!event.empty()) {
    const std::optional<uint64_t> tag = take_varint();
    if (!tag) return {};
    uint64_t skipped = 0;
    if ((*tag & 7) == variable || (*tag & 7) == delimited) {
      const std::optional<uint64_t> value = take_varint();
      if (!value) return {};
      if (*tag == (2 << 3 | variable)) step = int64_t(*value);
      if ((*tag & 7) == delimited) skipped = *value;
    } else if ((*tag & 7) == bits64) {
      skipped = 8;
    } else if ((*tag & 7) == bits32) {
      skipped = 4;
    } else {
      return {};
    }
    if (skipped > event.size()) return {};
    event.remove_prefix(size_t(skipped));
  }
  return step;
}

/// The undamaged records at the beginning of a file whose steps are at most `last`.
std::string records_up_to(std::string_view all, int64_t last) {
  std::string kept;
  while (all.size() >= 16) {
    const uint64_t length = from_little_endian<uint64_t>(all);
    if (length > all.size() - 16) break;
    const std::string_view content = all.substr(12, size_t(length)), record = all.substr(0, 16 + size_t(length));
    if (record != tf_record(content)) break;
    const std::optional<int64_t> step = step_of(content);
    if (!step) break;
    if (*step <= last) kept += record;
    all.remove_prefix(record.size());
  }
  return kept;
}

}  // namespace

std::string tf_record(std::string_view content) {
  const std::string length = little_endian(uint64_t(content.size()));
  return length + little_endian(masked_crc(length)) + std::string(content) + little_endian(masked_crc(content));
}

std::string encoded(const ScalarEvent& event) {
  std::string summary;
  for (const auto& [tag, number] : event.values)
    summary += text_field(1, text_field(1, tag) + key(2, bits32) + little_endian(std::bit_cast<uint32_t>(number)));
  return double_field(1, event.wall_time) + key(2, variable) + varint(uint64_t(event.step)) + text_field(5, summary);
}

EventFile::EventFile(std::filesystem::path path, int64_t resumed_step) : path_(std::move(path)) {
  std::string kept;
  if (std::error_code none; resumed_step > 0 && std::filesystem::file_size(path_, none) > 0 && !none) {
    kept = records_up_to(read_text(path_), resumed_step);
  }
  if (kept.empty()) kept = tf_record(double_field(1, 0) + text_field(3, "brain.Event:2"));
  write_atomically(path_, kept);
  file_.reset(std::fopen(path_.c_str(), "ab"));
  if (!file_) refuse(path_.string(), ": cannot be opened for writing");
}

void EventFile::add(const ScalarEvent& event) {
  const std::string record = tf_record(encoded(event));
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() || std::fflush(file_.get()) != 0)
    refuse(path_.string(), ": writing failed");
}

}  // namespace basin

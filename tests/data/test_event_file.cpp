#include "data/report/event_file.h"
#include "engine/crc.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int v : values)
    out += char(v);
  return out;
}

const ScalarEvent half{1, 300, {{"a", 0.5f}}};

}  // namespace

TEST_CASE("events: CRC-32C has the published check values") {
  CHECK(crc32("123456789") == 0xcbf43926u);
  CHECK(crc32("6789", crc32("12345")) == 0xcbf43926u);
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
}

TEST_CASE("events: the bytes of a message and of a record's frame by hand") {
  const std::string message = bytes({0x09, 0,    0,    0, 0,    0, 0,   0xf0, 0x3f,  // wall_time 1.0
                                     0x10, 0xac, 0x02,                               // step 300
                                     0x2a, 10,   0x0a, 8, 0x0a, 1, 'a',              // summary { value { tag
                                     0x15, 0,    0,    0, 0x3f});                    // simple_value 0.5 } }
  CHECK(encoded(half) == message);
  const std::string record = tf_record("123456789");
  REQUIRE(record.size() == 8 + 4 + 9 + 4);
  CHECK(record.substr(0, 8) == bytes({9, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(record.substr(12, 9) == "123456789");
  // 0xe3069283 turned right by 15 bits is 0x2507c60d; plus 0xa282ead8.
  CHECK(record.substr(21) == bytes({0xe5, 0xb0, 0x8a, 0xc7}));
}

TEST_CASE("events: a resumed file keeps the events up to its step and drops damaged ones") {
  const Folder folder;
  const std::filesystem::path path = folder / "events.out.tfevents.x";
  const auto event = [](int64_t step) {
    return ScalarEvent{double(step), step, {{"loss", 1.f}, {"rate", float(step)}}};
  };
  const auto record = [&](int64_t step) { return tf_record(encoded(event(step))); };
  std::string start;
  {
    EventFile file(path, 0);
    start = read_bytes(path);
    CHECK(contains(start, "brain.Event:2"));
    for (const int64_t step : {2, 4, 300})
      file.add(event(step));
    CHECK(read_bytes(path) == start + record(2) + record(4) + record(300));  // readable while the run goes on
  }
  EventFile(path, 4).add(event(6));
  CHECK(read_bytes(path) == start + record(2) + record(4) + record(6));
  write_bytes(path, start + record(2) + record(4).substr(0, 20));  // killed while writing
  EventFile(path, 4).add(event(6));
  CHECK(read_bytes(path) == start + record(2) + record(6));
  std::string damaged = start + record(2) + record(4);
  damaged[start.size() + 15] ^= 1;
  write_bytes(path, damaged);
  EventFile(path, 4).add(event(6));
  CHECK(read_bytes(path) == start + record(6));
  EventFile(path, 0).add(event(2));  // a new run
  CHECK(read_bytes(path) == start + record(2));
  std::filesystem::remove(path);
  EventFile(path, 10).add(event(12));  // resumed with --tensorboard for the first time
  CHECK(read_bytes(path) == start + record(12));
  write_bytes(path, "");
  EventFile(path, 10).add(event(12));
  CHECK(read_bytes(path) == start + record(12));
}

#include <fstream>

#include "engine/record_file.h"
#include "tests/support/file_support.h"
#include "tests/support/support.h"
#include "tests/support/thread_ranks.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

template <class Records>
std::vector<std::string> texts_of(const Records& file) {
  std::vector<std::string> texts;
  for (const std::vector<std::byte>& record : file.records())
    texts.emplace_back(reinterpret_cast<const char*>(record.data()), record.size());
  return texts;
}

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void append(RecordFile& file, const std::string& text) { file.append({bytes_of(text)}); }

}  // namespace

TEST_CASE("record file: complete records are kept, wherever a crash cut the file short") {
  const Folder folder;
  const fs::path path = folder / "records";
  using Texts = std::vector<std::string>;
  std::vector<size_t> sizes;
  {
    RecordFile file(path, "key", true);
    CHECK(!file.kept());
    for (const char* text : {"one", "", "three three"})
      sizes.push_back(fs::file_size(path)), append(file, text);
  }
  const std::string all = read_bytes(path);
  sizes.push_back(all.size());
  for (size_t length = 0; length <= all.size(); ++length) {
    CAPTURE(length);
    write_bytes(path, all.substr(0, length));
    Texts want{"one", "", "three three"};
    while (!want.empty() && sizes[want.size()] > length)
      want.pop_back();
    {
      RecordFile file(path, "key", true);
      CHECK(file.kept() == (length >= sizes[0]));
      CHECK(texts_of(file) == want);
      append(file, "next");
    }
    want.push_back("next");
    CHECK(texts_of(RecordFile(path, "key", true)) == want);
  }
}

TEST_CASE("record file: another key, a changed byte and a new beginning leave no records behind") {
  const Folder folder;
  const fs::path path = folder / "records";
  const auto fill = [&] {
    RecordFile file(path, "key", false);
    append(file, "one"), append(file, "two");
  };
  fill();
  CHECK(texts_of(RecordFile(path, "other", true)).empty());
  CHECK(!RecordFile(path, "key", true).kept());
  fill();
  std::string bytes = read_bytes(path);
  bytes[bytes.find("two")] = 'T';
  write_bytes(path, bytes);
  CHECK(texts_of(RecordFile(path, "key", true)) == std::vector<std::string>{"one"});
  fill();
  {
    RecordFile file(path, "key", true);
    REQUIRE(file.records().size() == 2);
    file.restart();
    CHECK(!file.kept());
    append(file, "new");
  }
  CHECK(texts_of(RecordFile(path, "key", true)) == std::vector<std::string>{"new"});
  CHECK(contains(refusal([&] { RecordFile(folder / "none" / "x", "key", false); }), "cannot be written"));
}

TEST_CASE("record files of ranks: another number of ranks finds the records of all, and begins with none") {
  const Folder folder;
  using Texts = std::vector<std::string>;
  const auto run = [&](int count, const std::string& key, bool keep, const Texts& want) {
    ThreadRanks(count).run([&](Ranks& ranks) {
      int flushed = 0;
      SharedRecords records(folder / "done", key, keep, &ranks, [&] { ++flushed; });
      CHECK(texts_of(records) == want);
      const size_t before = fs::file_size(folder / ("done." + std::to_string(ranks.rank())));
      records.append(bytes_of(key + std::to_string(ranks.rank())));
      CHECK(flushed == 0);
      records.settle();
      CHECK(flushed == 1);
      CHECK(fs::file_size(folder / ("done." + std::to_string(ranks.rank()))) > before);
    });
  };
  run(3, "a", true, {});
  run(2, "a", true, {"a0", "a1", "a2"});
  write_bytes(folder / "done.1", read_bytes(folder / "done.1") + "cut");
  run(11, "a", true, {"a0", "a0", "a1", "a1", "a2"});
  CHECK(texts_of(SharedRecords(folder / "done", "a", true, nullptr, [] {})).size() == 5 + 11);
  run(2, "b", true, {});
  CHECK(!fs::exists(folder / "done.10"));
  run(1, "b", true, {"b0", "b1"});
  run(1, "b", false, {});
  run(1, "b", true, {"b0"});
}
